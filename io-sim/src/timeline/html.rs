//! A timeline as one page that needs nothing else: what was asked, what went wrong, which rule broke, lanes of bars,
//! how all stood, and every event.

use super::fold::{stretches, summary};
use super::scene::Group;
use super::{Bar, Event, Kind, Lane, Timeline, Tone, rules, seconds};
use crate::oracle::Violation;
use serde_json::json;
use std::fmt::Write;

/// What a page tells beside what happened.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Which run it was.
    pub run: String,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// What this build was made to do wrong.
    pub mutant: Option<String>,
    /// How to see it again.
    pub again: String,
    /// What is known of how the run was found.
    pub found: Vec<String>,
}

/// Longest value that is shown at once.
const SHORT: usize = 110;

/// Events of the story that lead to its end.
const LEADING: usize = 18;

/// The page.
pub fn page(timeline: &Timeline, about: &About) -> String {
    let mut page = String::with_capacity(1 << 18);
    let told = timeline.broken().map(|at| timeline.events[at].what.clone());
    let title =
        told.unwrap_or_else(|| about.violation.as_ref().map_or("No rule was broken".to_owned(), ToString::to_string));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} | xenops</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n",
        escape(&title),
        include_str!("page.css")
    );
    head(&mut page, timeline, about, &title);
    story(&mut page, timeline);
    lanes(&mut page, timeline);
    state(&mut page, timeline, about);
    events(&mut page, timeline);
    page.push_str(WORDS);
    let data = data(timeline).to_string().replace('<', "\\u003c");
    let _ = write!(page, "<script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n");
    page.push_str(include_str!("page.js"));
    page.push_str("</script>\n</body>\n</html>\n");
    page
}

/// A text in which nothing is a tag.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

fn head(page: &mut String, timeline: &Timeline, about: &About, title: &str) {
    let _ = writeln!(page, "<header><p class=\"eyebrow\">xenops simulator, {}</p>", escape(&about.run));
    let fine = if about.violation.is_some() { "" } else { " fine" };
    let _ = writeln!(page, "<div class=\"verdict{fine}\"><h1>{}</h1>", escape(title));
    if let Some(violation) = &about.violation {
        let told = rules::told(violation.rule);
        if !told.is_empty() {
            let _ =
                writeln!(page, "<p class=\"rule\"><strong>The rule {}:</strong> {told}</p>", escape(violation.rule));
        }
    }
    if let Some(at) = timeline.broken() {
        let event = &timeline.events[at];
        let (time, step) = (seconds(event.mono), event.step);
        let _ = writeln!(
            page,
            "<p>It was broken <a href=\"#e{at}\">{time} s into the simulation, after {step} inputs</a> of the daemon's \
             machine.</p>"
        );
    }
    page.push_str("</div>\n");
    if let Some(mutant) = &about.mutant {
        let _ = writeln!(
            page,
            "<p><strong>This program was broken on purpose:</strong> {}. The page shows how that was noticed.</p>",
            escape(mutant)
        );
    }
    page.push_str(
        "<p class=\"quietly\">xenops is a daemon that starts, stops, suspends and repairs virtual machines (VMs) on a \
         Xen host. Here its real decision code ran against a simulated host, where requests fail, guests stop and the \
         daemon is killed at any moment, while a second program checks rules that must always hold. Words like \
         <em>domain</em> or <em>record</em> are explained <a href=\"#words\">below</a>.</p>\n",
    );
    for found in &about.found {
        let _ = writeln!(page, "<p class=\"quietly\">{}</p>", escape(found));
    }
    let _ = writeln!(page, "<p>Again: <code>{}</code></p></header>", escape(&about.again));
}

/// What was asked, what went wrong, and what came of it, in order.
fn story(page: &mut String, timeline: &Timeline) {
    let end = timeline.broken().map_or(timeline.events.len(), |broken| broken + 1);
    let tells = |event: &Event| {
        matches!(event.kind, Kind::Call | Kind::Ended | Kind::Domain | Kind::Reply) || event.kind.is_rule()
    };
    // What was changed last is often what broke the rule.
    let last = timeline.events[..end].iter().rposition(|event| !event.changes.is_empty());
    let all: Vec<usize> = (0..end).filter(|at| tells(&timeline.events[*at]) || last == Some(*at)).collect();
    page.push_str("<section><h2>In short</h2>\n");
    let asked: Vec<&Bar> = timeline.bars.iter().filter(|bar| bar.task && bar.from < end).collect();
    let faults = timeline.events[..end].iter().filter(|event| event.kind == Kind::Fault).count();
    let well = asked.iter().filter(|bar| bar.tone == Tone::Well && bar.to.is_some_and(|to| to < end)).count();
    let _ = writeln!(
        page,
        "<p>Clients asked for {} operations on {} VM{}; {well} of them went well before the end. {} on purpose.</p>",
        asked.len(),
        timeline.vms.len(),
        if timeline.vms.len() == 1 { "" } else { "s" },
        match faults {
            0 => "Nothing went wrong".to_owned(),
            1 => "One thing went wrong".to_owned(),
            more => format!("{more} things went wrong"),
        }
    );
    let faults = all.iter().filter(|at| timeline.events[**at].kind == Kind::Fault).count();
    let first = all.len().saturating_sub(LEADING);
    // What went wrong is told however long ago it was.
    let shown = all
        .iter()
        .enumerate()
        .filter(|(n, at)| *n >= first || faults <= LEADING && timeline.events[**at].kind == Kind::Fault);
    if first > 0 {
        let _ = writeln!(
            page,
            "<p class=\"quietly\">Of what came before the last {LEADING} steps only what went wrong.</p>"
        );
    }
    page.push_str("<ol class=\"story\">\n");
    for (_, at) in shown {
        let event = &timeline.events[*at];
        let class = match event.kind {
            Kind::Fault => "fault",
            Kind::Broken => "broken",
            Kind::Call => "asked",
            _ => "",
        };
        let change = match event.changes.as_slice() {
            [] => String::new(),
            [change] if last == Some(*at) => format!(" [{change}]"),
            [change, ..] if last == Some(*at) => format!(" [{change}, and {} more]", event.changes.len() - 1),
            _ => String::new(),
        };
        let outcome = if event.outcome.is_empty() { String::new() } else { format!(": {}", event.outcome) };
        let before = if event.kind == Kind::Broken { "rule broken: " } else { "" };
        let _ = writeln!(
            page,
            "<li class=\"{class}\"><span class=\"when\">{} s</span><span class=\"tag\">{}</span>\
             <a href=\"#e{at}\">{before}{}{}</a></li>",
            seconds(event.mono),
            timeline.name(event.lane),
            escape(&event.what),
            escape(&(outcome + &change))
        );
    }
    page.push_str("</ol></section>\n");
}

fn lanes(page: &mut String, timeline: &Timeline) {
    page.push_str(
        "<section><h2>Timeline</h2>\n<p class=\"quietly\">From left to right: events in the order in which they happened \
         (not to scale of time). A lane for the host and the daemon, and one for each VM. Point at something, or use the \
         arrow keys, and what it was and what it changed is told below.</p>\n\
         <ul class=\"legend\">\
         <li><i style=\"background:var(--task);opacity:.35\"></i>what a client asked for, from asked to ended</li>\
         <li><i style=\"background:var(--well)\"></i>request to the host, done</li>\
         <li><i style=\"background:var(--badly)\"></i>refused or stopped ✕</li>\
         <li><i style=\"background:var(--unsure)\"></i>nobody knows, or not answered ?</li>\
         <li><i class=\"rule dashed\" style=\"border-color:var(--unsure)\"></i>something goes wrong, on purpose</li>\
         <li><i class=\"rule\" style=\"border-color:var(--start)\"></i>a daemon starts</li>\
         <li><i class=\"rule\" style=\"border-color:var(--badly)\"></i>the rule is broken</li>\
         <li>▸ a client asks</li><li>◆ something happened to a domain</li><li>• a notice: look again</li>\
         <li>+ 12: so many events folded away</li></ul>\n<div class=\"tools\">",
    );
    if timeline.broken().is_some() {
        page.push_str("<button id=\"moment\">Go to where the rule is broken</button>");
    }
    page.push_str(
        "<button id=\"unfold\">Unfold quiet stretches</button></div>\n<p class=\"nojs quietly\">(The lanes are drawn by a \
         script; all that they show stands in the list of events too.)</p>\n\
         <div class=\"chart\"><div class=\"names\" id=\"names\"></div>\
         <div class=\"scroll\" id=\"scroll\" tabindex=\"0\" role=\"application\" aria-label=\"Timeline: left and right go \
         from event to event, up and down within a lane, page up and page down between faults, starts and the end\">\
         <div id=\"wide\"></div><div id=\"drawing\"></div></div></div>\n\
         <div id=\"detail\" aria-live=\"polite\"></div></section>\n",
    );
}

/// How all stood when the story ends.
fn state(page: &mut String, timeline: &Timeline, about: &About) {
    let when = if timeline.broken().is_some() { "when the rule was broken" } else { "in the end" };
    let _ = writeln!(page, "<section><h2>How all stood {when}</h2>");
    let text = about.violation.as_ref().map_or(String::new(), |violation| violation.text.clone());
    let mut nodes = String::new();
    let mut groups: Vec<(Group, String)> = Vec::new();
    for ((group, name), (_, value)) in &timeline.last.facts {
        let hot = if is_meant(&text, *group, name) { " class=\"hot\"" } else { "" };
        let name = if *group == Group::Record { told_record(name) } else { name.clone() };
        let short = escape(&super::words::cut(value, SHORT));
        let told = match value.chars().count() > SHORT {
            true => format!("<details><summary><code>{short}</code></summary><pre>{}</pre></details>", escape(value)),
            false => short,
        };
        let row = format!("<tr{hot}><th scope=\"row\">{}</th><td>{told}</td></tr>\n", escape(&name));
        if *group == Group::Store {
            nodes.push_str(&row);
        } else {
            match groups.last_mut().filter(|(last, _)| last == group) {
                Some((_, rows)) => rows.push_str(&row),
                None => groups.push((*group, row)),
            }
        }
    }
    if groups.is_empty() {
        page.push_str("<p>No domain, no record, no device, no process: nothing but the host itself.</p>\n");
    }
    for (group, rows) in groups {
        let _ = writeln!(page, "<h3>{}</h3><table>{rows}</table>", plural(group));
    }
    for bar in timeline.bars.iter().filter(|bar| bar.to.is_none()) {
        let what = if bar.task { "asked for and not ended" } else { "asked of the host and not answered" };
        let _ = writeln!(
            page,
            "<p>{what}: {} <a href=\"#e{}\">{}</a></p>",
            timeline.name(bar.lane),
            bar.from,
            escape(&bar.what)
        );
    }
    let _ = writeln!(page, "<details><summary>xenstore</summary><table>{nodes}</table></details></section>");
}

fn plural(group: Group) -> &'static str {
    match group {
        Group::Domain => "Domains",
        Group::Record => "The daemon's records on disk",
        Group::Device => "Devices",
        Group::Disk => "Disks attached",
        Group::Process => "Processes",
        Group::Image => "Suspend images",
        Group::Store => "xenstore",
    }
}

/// A record's name, and what it is for.
fn told_record(name: &str) -> String {
    let what = match name.split('/').collect::<Vec<_>>().as_slice() {
        ["intent", ..] => "what is wanted of it and not finished",
        ["extra", ..] => "what must be known of its domain or image",
        ["VM", _, "config"] => "its configuration",
        ["VM", ..] => "a device of it",
        _ => return name.to_owned(),
    };
    format!("{name} ({what})")
}

/// Whether a rule's text speaks of it.
fn is_meant(text: &str, group: Group, name: &str) -> bool {
    match group {
        Group::Domain => {
            let number = name.rsplit(' ').next().unwrap_or_default();
            text.contains("domain") && text.split(|letter: char| !letter.is_ascii_digit()).any(|part| part == number)
        }
        _ => name.len() > 3 && text.contains(name),
    }
}

/// Every event, quiet stretches folded.
fn events(page: &mut String, timeline: &Timeline) {
    page.push_str("<section><h2>Everything, in order</h2>\n");
    for stretch in stretches(timeline) {
        let told = &timeline.events[stretch.events.clone()];
        if stretch.quiet {
            let _ = writeln!(page, "<details class=\"quiet\"><summary>{}</summary>", summary(told));
        }
        page.push_str("<ol class=\"events\">\n");
        for (at, event) in stretch.events.clone().zip(told) {
            row(page, timeline, at, event);
        }
        page.push_str("</ol>\n");
        if stretch.quiet {
            page.push_str("</details>\n");
        }
    }
    page.push_str("</section>\n");
}

fn row(page: &mut String, timeline: &Timeline, at: usize, event: &Event) {
    let tone = match event.tone {
        Tone::Plain => "",
        Tone::Well => " t-well",
        Tone::Badly => " t-badly",
        Tone::Unsure => " t-unsure",
    };
    let kind = event.kind.word();
    let _ = write!(
        page,
        "<li class=\"e k-{kind}{tone}\" id=\"e{at}\"><span class=\"when\">{} s</span><span class=\"lane\">{}</span>\
         <span class=\"kind\">{kind}</span><div class=\"what\">{}",
        seconds(event.mono),
        timeline.name(event.lane),
        escape(&event.what)
    );
    if !event.outcome.is_empty() {
        let _ = write!(page, " <span class=\"out\">→ {}</span>", escape(&event.outcome));
    }
    if !event.detail.is_empty() {
        let _ = write!(page, "<details><summary>all of it</summary><pre>{}</pre></details>", escape(&event.detail));
    }
    page.push_str("</div>");
    if !event.changes.is_empty() {
        page.push_str("<ul class=\"chg\">");
        for change in &event.changes {
            let class = match change.as_bytes().first() {
                Some(b'+') => "plus",
                Some(b'-') => "minus",
                _ => "tilde",
            };
            let _ = write!(page, "<li class=\"{class}\">{}</li>", escape(change));
        }
        page.push_str("</ul>");
    }
    page.push_str("</li>\n");
}

/// What the script draws: texts of events it takes from the list.
fn data(timeline: &Timeline) -> serde_json::Value {
    let lane = |lane: Lane| match lane {
        Lane::Host => 0,
        Lane::Vm(vm) => vm + 1,
    };
    let tone = |tone: Tone| match tone {
        Tone::Plain => "p",
        Tone::Well => "w",
        Tone::Badly => "b",
        Tone::Unsure => "u",
    };
    let names: Vec<&str> = ["host"].into_iter().chain(timeline.vms.iter().map(String::as_str)).collect();
    let events = timeline.events.iter().map(|event| {
        let bar = event.bar.map_or(-1, |bar| bar as i64);
        let label = event.kind.is_rule().then(|| super::words::cut(&event.what, 34));
        json!([lane(event.lane), event.kind.word(), tone(event.tone), bar, seconds(event.mono), label])
    });
    let bars = timeline.bars.iter().map(|bar| {
        let what = if bar.task { bar.what.split([' ', ',', ':']).next().unwrap_or_default() } else { "" };
        json!([lane(bar.lane), bar.task, bar.from, bar.to.map_or(-1, |to| to as i64), tone(bar.tone), what])
    });
    let stretches = stretches(timeline).into_iter();
    let stretches = stretches.map(|stretch| json!([stretch.events.start, stretch.events.end, stretch.quiet]));
    json!({
        "lanes": names,
        "events": events.collect::<Vec<_>>(),
        "bars": bars.collect::<Vec<_>>(),
        "stretches": stretches.collect::<Vec<_>>(),
        "broken": timeline.broken().map_or(-1, |at| at as i64),
    })
}

/// What the words on the page mean.
const WORDS: &str = r#"<section id="words"><h2>Words</h2><dl class="words">
<dt>VM</dt><dd>A virtual machine as its owner knows it: a configuration, disks, network interfaces. It is off, running, paused or suspended.</dd>
<dt>Domain</dt><dd>What the hypervisor makes of a VM while it lives: memory and virtual processors, under a number. A VM that is off has none; one that is rebooted gets a new one.</dd>
<dt>Guest</dt><dd>The operating system that runs in a domain. It may stop, crash or reboot whenever it likes.</dd>
<dt>Daemon, machine</dt><dd>The daemon is the program that may be killed at any moment. Its machine is the part that decides: it is told inputs (a client asks, a request has ended, something has changed) and answers with requests.</dd>
<dt>Request</dt><dd>One small thing that the machine asks of the host, such as "destroy domain 5". It may be refused, or its answer may be lost: then nobody knows whether it happened.</dd>
<dt>Task</dt><dd>An operation that a client asked for, such as VM.start. It ends well, badly or cancelled.</dd>
<dt>Record</dt><dd>What the daemon has written to disk, to know it after it was killed: the configuration of each VM, what must be known of its domain, and the <em>intent</em>: what is wanted of it and not finished.</dd>
<dt>xenstore</dt><dd>A tree of small values that the hypervisor's programs and guests share. Devices are set up through it.</dd>
<dt>Notice</dt><dd>The host tells the machine that something has changed, but not what: the machine looks for itself.</dd>
<dt>Rest</dt><dd>Nothing goes wrong any more, nobody asks for anything, and all that was begun has ended. Then the strictest rules hold.</dd>
<dt>Changes</dt><dd>Below an event: + is new, - is gone, ~ is different.</dd>
</dl></section>
"#;
