//! Collects a timeline from what goes into a machine, what comes out, and how its host stands afterwards.

use super::scene::{Difference, Group, named};
use super::words::{self, cut};
use super::{Bar, Event, Kind, Lane, Scene, Timeline, Tone};
use crate::fleet::Shape;
use crate::oracle::Violation;
use crate::sometimes::Property;
use std::collections::BTreeMap;
use xenops_core::host::{DomId, Uuid};
use xenops_core::interface::task::State;
use xenops_core::interface::{Answer, Call};
use xenops_core::machine::effect::straggler_of;
use xenops_core::machine::{Effect, EffectId, Input, Machine};

/// When: nanoseconds of virtual time, and inputs of the machine so far.
pub(super) type At = (u64, u64);

/// Longest text that is kept of a call or an answer.
const KEPT: usize = 2000;

/// Differences that one event shows at most.
const MOST_CHANGES: usize = 40;

/// What somebody is to be told.
#[derive(Clone, Debug, Default)]
pub struct Story {
    timeline: Timeline,
    /// The host's time when the story's began.
    began: u64,
    /// An identity, what it is called, and whose it is.
    names: Vec<(String, String, usize)>,
    owners: BTreeMap<DomId, usize>,
    /// Bars of requests in flight.
    requests: BTreeMap<EffectId, usize>,
    /// Bars of tasks that have not ended.
    tasks: BTreeMap<String, usize>,
    calls: BTreeMap<u64, Asked>,
    /// Events whose consequences were looked at.
    looked: usize,
}

/// A call that was not answered yet.
#[derive(Clone, Debug)]
struct Asked {
    /// None: it only asks how a task stands, or what is new.
    event: Option<usize>,
    method: &'static str,
}

/// What somebody who only watches asks again and again: it is told where it tells something.
fn is_chatter(call: &Call) -> bool {
    matches!(call, Call::TaskStat { .. } | Call::TaskDestroy { .. } | Call::UpdatesGet { .. })
}

impl Story {
    /// Of these VMs; others get their lanes when they are heard of.
    pub fn of(shapes: &[Shape]) -> Story {
        let mut story = Story::default();
        for (vm, shape) in shapes.iter().enumerate() {
            story.timeline.vms.push(format!("vm{vm}"));
            story.names.push((shape.ids[0].text(), format!("vm{vm}"), vm));
            story.names.push((shape.ids[1].text(), format!("vm{vm}-renamed"), vm));
        }
        story
    }

    /// Its times are counted from this one of the host's.
    pub fn begins_at(&mut self, mono: u64) {
        self.began = mono;
    }

    fn learn(&mut self, vm: Uuid) -> Lane {
        let id = vm.text();
        if let Some((.., vm)) = self.names.iter().find(|(known, ..)| *known == id) {
            return Lane::Vm(*vm);
        }
        let vm = self.timeline.vms.len();
        self.timeline.vms.push(format!("vm{vm}"));
        self.names.push((id, format!("vm{vm}"), vm));
        Lane::Vm(vm)
    }

    /// A text with identities replaced by what they are called.
    fn say(&self, mut text: String) -> String {
        for (id, name, _) in &self.names {
            if text.contains(id.as_str()) {
                text = text.replace(&format!("vm {id}"), name).replace(id.as_str(), name);
            }
        }
        text
    }

    fn push(&mut self, at: At, lane: Lane, kind: Kind, what: impl Into<String>) -> usize {
        let what = self.say(what.into());
        self.timeline.events.push(Event {
            mono: at.0,
            step: at.1,
            lane,
            kind,
            what,
            detail: String::new(),
            outcome: String::new(),
            tone: Tone::Plain,
            bar: None,
            changes: Vec::new(),
        });
        self.timeline.events.len() - 1
    }

    fn bar(&mut self, event: usize, task: bool) -> usize {
        let Event { lane, what, .. } = &self.timeline.events[event];
        let bar = Bar {
            lane: *lane,
            task,
            what: what.clone(),
            from: event,
            to: None,
            outcome: String::new(),
            tone: Tone::Plain,
        };
        self.timeline.bars.push(bar);
        let bar = self.timeline.bars.len() - 1;
        self.timeline.events[event].bar = Some(bar);
        bar
    }

    fn ends(&mut self, bar: usize, event: usize, (outcome, tone): (String, Tone)) {
        let outcome = self.say(outcome);
        let entry = &mut self.timeline.events[event];
        (entry.bar, entry.outcome, entry.tone) = (Some(bar), outcome.clone(), tone);
        let bar = &mut self.timeline.bars[bar];
        (bar.to, bar.outcome, bar.tone) = (Some(event), outcome, tone);
    }

    /// The machine is about to hear this.
    pub fn heard(&mut self, at: At, input: &Input, machine: &Machine) {
        match input {
            Input::Call { call, client, request } => self.called(at, (call.0, client.0), &request.call),
            Input::Hangup { client } => {
                self.push(at, Lane::Host, Kind::Note, format!("client {} hangs up", client.0));
            }
            Input::Done { effect, outcome } => {
                let bar = self.requests.remove(effect);
                let (lane, what) = match bar {
                    Some(bar) => (self.timeline.bars[bar].lane, self.timeline.bars[bar].what.clone()),
                    None => (Lane::Host, format!("request {}", effect.0)),
                };
                let event = self.push(at, lane, Kind::Done, what);
                if let Some(bar) = bar {
                    self.ends(bar, event, words::outcome(outcome));
                }
            }
            Input::Noticed { token } => {
                let lane = machine.noticed_vm(*token).map_or(Lane::Host, |vm| self.learn(vm));
                let what = match straggler_of(*token) {
                    Some(effect) => format!("request {}, which had had its time, has ended after all", effect.0),
                    None => "the host says: something has changed, look again".to_owned(),
                };
                self.push(at, lane, Kind::Notice, what);
            }
            Input::Everything => {
                self.push(at, Lane::Host, Kind::Notice, "notices may have been lost: look at everything again");
            }
            Input::Tick => {
                self.push(at, Lane::Host, Kind::Time, "an alarm of the machine's");
            }
        }
    }

    fn called(&mut self, at: At, (number, client): (u64, u64), call: &Call) {
        let (text, method) = (format!("{call:?}"), call.method());
        if is_chatter(call) {
            self.calls.insert(number, Asked { event: None, method });
            return;
        }
        if named(&text, &self.names).is_none()
            && let Some(vm) = first_uuid(&text)
        {
            self.learn(vm);
        }
        let of_task = match call {
            Call::TaskCancel { id } => self.tasks.get(id).map(|bar| self.timeline.bars[*bar].lane),
            _ => None,
        };
        let lane = of_task.or_else(|| named(&text, &self.names)).unwrap_or(Lane::Host);
        let what = match call {
            Call::TaskCancel { id } => format!("TASK.cancel: client {client} wants task {id} to stop"),
            Call::VmAdd { .. } | Call::VmImportMetadata { .. } => format!("{method}: client {client} makes it known"),
            _ => format!("{method}{}, asked by client {client}", parameters(&text)),
        };
        let event = self.push(at, lane, Kind::Call, what);
        self.timeline.events[event].detail = self.say(cut(&text, KEPT));
        self.calls.insert(number, Asked { event: Some(event), method });
    }

    /// The machine wants this.
    pub fn wanted(&mut self, at: At, effect: &Effect, machine: &Machine) {
        match effect {
            Effect::Do { effect, request, .. } => {
                let (what, detail) = words::request(request, at.0 + self.began);
                let lane = match machine.subject(*effect) {
                    Some(vm) => self.learn(vm),
                    None => named(&what, &self.names).unwrap_or(Lane::Host),
                };
                let event = self.push(at, lane, Kind::Ask, what);
                self.timeline.events[event].detail = self.say(detail);
                let bar = self.bar(event, false);
                self.requests.insert(*effect, bar);
            }
            Effect::Abort { effect, .. } => {
                let Some(bar) = self.requests.get(effect).copied() else { return };
                let (lane, what) = (self.timeline.bars[bar].lane, self.timeline.bars[bar].what.clone());
                let event = self.push(at, lane, Kind::Abort, format!("please stop: {what}"));
                self.timeline.events[event].bar = Some(bar);
            }
            Effect::Reply { call, reply } => {
                let Some(asked) = self.calls.remove(&call.0) else { return };
                self.replied(at, &asked, reply);
            }
        }
    }

    fn replied(&mut self, at: At, asked: &Asked, reply: &Result<Answer, xenops_core::interface::Error>) {
        let Some(call) = asked.event else {
            if let Ok(Answer::Task(task)) = reply {
                self.task_stands(at, &task.id, &task.state);
            }
            return;
        };
        if let Ok(Answer::TaskId(id)) = reply {
            let bar = self.bar(call, true);
            self.timeline.events[call].outcome = format!("task {id}");
            self.tasks.insert(id.clone(), bar);
            return;
        }
        let came = match reply {
            Ok(Answer::Unit) => ("answered: done".to_owned(), Tone::Well),
            Ok(Answer::Text(text)) => (format!("answered: {}", cut(text, 100)), Tone::Well),
            Ok(answer) => (format!("answered: {}", cut(&format!("{answer:?}"), 100)), Tone::Well),
            Err(error) => (format!("answered: {error}"), Tone::Badly),
        };
        if call + 1 == self.timeline.events.len() {
            let outcome = self.say(came.0);
            let event = &mut self.timeline.events[call];
            (event.outcome, event.tone) = (outcome, came.1);
            return;
        }
        let (lane, bar) = (self.timeline.events[call].lane, self.bar(call, true));
        let event = self.push(at, lane, Kind::Reply, asked.method);
        self.ends(bar, event, came);
    }

    /// A client hears how its task stands.
    fn task_stands(&mut self, at: At, id: &str, state: &State) {
        let came = match state {
            State::Pending(_) => return,
            State::Completed { .. } => ("completed".to_owned(), Tone::Well),
            State::Failed(_) => {
                let why = state.error().map_or_else(String::new, |error| cut(&error.to_string(), 160));
                (format!("failed: {why}"), Tone::Badly)
            }
        };
        let Some(bar) = self.tasks.remove(id) else { return };
        let (lane, what) = (self.timeline.bars[bar].lane, self.timeline.bars[bar].what.clone());
        let what = what.split(", asked").next().unwrap_or_default();
        let event = self.push(at, lane, Kind::Ended, format!("task {id} has ended: {what}"));
        self.ends(bar, event, came);
    }

    /// Something happened to a VM, or to none of them.
    pub fn mark(&mut self, at: At, kind: Kind, vm: Option<usize>, what: String) {
        self.push(at, vm.map_or(Lane::Host, Lane::Vm), kind, what);
    }

    /// The host is at work on a request.
    pub fn at_work(&mut self, at: At, effect: EffectId, kind: Kind, how: &str) {
        let bar = self.requests.get(&effect).copied();
        let (lane, what) = match bar {
            Some(bar) => (self.timeline.bars[bar].lane, self.timeline.bars[bar].what.clone()),
            None => (Lane::Host, format!("request {}", effect.0)),
        };
        let event = self.push(at, lane, kind, format!("{how}: {what}"));
        self.timeline.events[event].bar = bar;
    }

    /// The daemon is gone, and with it all that it was at.
    pub fn killed(&mut self, at: At, what: &str) {
        let event = self.push(at, Lane::Host, Kind::Fault, what);
        let requests = std::mem::take(&mut self.requests).into_values();
        for bar in requests.chain(std::mem::take(&mut self.tasks).into_values()) {
            let bar = &mut self.timeline.bars[bar];
            (bar.to, bar.outcome, bar.tone) = (Some(event), "lost with the daemon".to_owned(), Tone::Unsure);
        }
        self.calls.clear();
    }

    /// A rule is broken.
    pub fn broken(&mut self, at: At, violation: &Violation) {
        let text = violation.to_string();
        let lane = named(&text, &self.names).unwrap_or(Lane::Host);
        let event = self.push(at, lane, Kind::Broken, text);
        self.timeline.events[event].tone = Tone::Badly;
    }

    /// What is different since the last look is what the latest event, or this effect, has changed.
    pub fn look(&mut self, at: At, about: Option<EffectId>, scene: Scene) {
        for (domid, vm) in &scene.owners {
            if let Some((.., lane)) = self.names.iter().find(|(id, ..)| *id == vm.text()) {
                self.owners.insert(*domid, *lane);
            }
        }
        let about = about.and_then(|effect| self.requests.get(&effect)).map(|bar| self.timeline.bars[*bar].from);
        self.mishaps(at, about, &scene);
        let first = self.timeline.events.is_empty();
        let changes = scene.since(&self.timeline.last);
        self.timeline.last = scene;
        // What stood before the story began was not changed by anything.
        if !changes.is_empty() && !first {
            let latest = self.timeline.events.len().checked_sub(1).filter(|latest| *latest >= self.looked);
            let event = about.or(latest).unwrap_or_else(|| {
                let lane = self.lane_of(&changes);
                self.push(at, lane, Kind::Time, "the host and its guests go on by themselves")
            });
            let more = changes.len().saturating_sub(MOST_CHANGES);
            let mut lines: Vec<String> =
                changes.iter().take(MOST_CHANGES).map(|change| self.say(words::difference(change))).collect();
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            self.timeline.events[event].changes.append(&mut lines);
        }
        self.looked = self.timeline.events.len();
    }

    /// What has gone wrong on the host since the last look.
    fn mishaps(&mut self, at: At, about: Option<usize>, scene: &Scene) {
        let before = std::mem::take(&mut self.timeline.last.tally);
        for (kind, count) in &scene.tally {
            if before.get(kind).copied().unwrap_or(0) >= *count {
                continue;
            }
            let (lane, what) = match about.map(|event| &self.timeline.events[event]) {
                Some(event) => (event.lane, format!("{}: {}", mishap(kind), event.what)),
                None => (Lane::Host, mishap(kind).to_owned()),
            };
            let kind = if Property::of_host(kind).is_some() { Kind::Note } else { Kind::Fault };
            self.push(at, lane, kind, what);
        }
    }

    fn lane_of(&self, changes: &[Difference]) -> Lane {
        let of = |change: &Difference| match change.domid.and_then(|domid| self.owners.get(&domid)) {
            Some(vm) => Lane::Vm(*vm),
            None => named(&change.name, &self.names).unwrap_or(Lane::Host),
        };
        let mut lanes = changes.iter().map(of);
        let first = lanes.next().unwrap_or(Lane::Host);
        if lanes.all(|lane| lane == first) { first } else { Lane::Host }
    }

    /// The end of it.
    pub fn told(mut self) -> Timeline {
        let facts = std::mem::take(&mut self.timeline.last.facts);
        let said = |((group, name), (domid, text)): ((Group, String), (Option<DomId>, String))| {
            ((group, self.say(name)), (domid, self.say(text)))
        };
        self.timeline.last.facts = facts.into_iter().map(said).collect();
        self.timeline
    }
}

/// What has gone wrong, in words.
fn mishap(kind: &str) -> &str {
    match kind {
        "refused" => "the host refuses",
        "unapplied" => "not done, and nobody is told",
        "unanswered" => "done, and the answer is lost",
        "partly" => "done in part, and the answer is lost",
        "applied late" => "the host does it late",
        "answered late" => "the host answers late",
        "fails" => "a process fails",
        "dies" => "a process dies",
        "hangs" => "a process hangs",
        other => other,
    }
}

/// What is shown of a call's parameters beside its VM.
fn parameters(text: &str) -> String {
    let Some((_, inside)) = text.split_once('{') else { return String::new() };
    let inside = inside.trim_end_matches('}').trim();
    let parts = inside.split(", ").map(|part| part.trim_end_matches(['}', ' '])).filter(|part| !part.contains('{'));
    let shown = parts.filter(|part| !part.starts_with("id:") && !part.contains("None") && *part != "paused: false");
    let shown = cut(&shown.collect::<Vec<_>>().join(", "), 60);
    if shown.is_empty() { String::new() } else { format!(" ({shown})") }
}

/// The first identity that stands in a text.
pub(crate) fn first_uuid(text: &str) -> Option<Uuid> {
    let starts = text
        .char_indices()
        .filter(|(at, letter)| letter.is_ascii_hexdigit() && text.as_bytes().get(at + 8) == Some(&b'-'));
    starts.filter_map(|(at, _)| text.get(at..at + 36)?.parse().ok()).next()
}
