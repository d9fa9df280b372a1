//! One reply of the real host, offered to the model.

use super::Admission;
use super::node;
use super::table::{By, Verdict};
use crate::world::fate::refusal;
use serde_json::Value;
use std::collections::BTreeSet;
use xenops_core::host::store::Guard;
use xenops_core::host::{
    Batch, Condition, DomId, DomainAct, DomainInfo, Exit, Fault, Found, ImageRecord, Nodes, Outcome, Process, Query,
    Reply, Request, ShutdownCode, View, Wait,
};

fn not(why: impl Into<String>) -> Verdict {
    Verdict::Not(why.into())
}

impl Admission {
    /// What the model makes of a real outcome; `model` is what it said when it was asked, `aborted` whether the daemon
    /// took the request back.
    pub(super) fn judge(&mut self, request: &Request, model: &Outcome, real: &Outcome, aborted: bool) -> Verdict {
        match (request, real) {
            (Request::Wait(_), Outcome::Aborted) if aborted => Verdict::Equal,
            (_, Outcome::Aborted) => not("nobody took it back, or it cannot be stopped"),
            (_, Outcome::Unknown(Fault::TimedOut | Fault::Lost(_))) => Verdict::by(By::Fault),
            (Request::Wait(wait), Outcome::Ok(Reply::Held(held, process))) => {
                self.waited(wait, *held, process.as_ref())
            }
            (Request::Read(queries), Outcome::Ok(Reply::Found(found))) => self.read(queries, model, found),
            (Request::Store(batch), Outcome::Ok(Reply::GuardFailed)) => self.guards(batch, model),
            (Request::Store(batch), Outcome::Ok(Reply::Unit)) if *model == Outcome::Ok(Reply::GuardFailed) => {
                let verdict = self.guards(batch, real);
                if !matches!(verdict, Verdict::Not(_)) {
                    self.ask(Request::Store(Batch { guards: Vec::new(), changes: batch.changes.clone() }));
                }
                verdict
            }
            (Request::CreateDomain(_), Outcome::Ok(Reply::Domain(domid))) => self.created(*domid, model),
            (Request::ListDomains | Request::FindDomains(_), Outcome::Ok(Reply::Domains(real))) => {
                self.domains(request, model, real)
            }
            (_, Outcome::Ok(reply)) => self.reply(request, model, reply),
            (_, Outcome::Refused(fault)) => match model {
                Outcome::Refused(ours) if kind(ours) == kind(fault) => Verdict::Equal,
                _ if [false, true]
                    .iter()
                    .any(|other| refusal(request, *other).is_some_and(|f| kind(&f) == kind(fault))) =>
                {
                    Verdict::by(By::Fault)
                }
                _ => not(format!("refused: {fault}; the model: {model:?}")),
            },
            (_, Outcome::Unknown(fault)) => not(format!("nobody knows: {fault}")),
        }
    }

    fn reply(&mut self, request: &Request, model: &Outcome, real: &Reply) -> Verdict {
        let Outcome::Ok(ours) = model else { return not(format!("{real:?}; the model: {model:?}")) };
        if ours == real {
            return Verdict::Equal;
        }
        match (request, real, ours) {
            (Request::Memory, Reply::Memory(memory), _) if memory.free + memory.scrub <= memory.total => {
                self.world.bring_memory(*memory);
                Verdict::by(By::Hypervisor)
            }
            (Request::HostStat, Reply::Host(_), _) => Verdict::by(By::Host),
            (Request::ConsoleRing, Reply::Text(_), Reply::Text(_)) => Verdict::by(By::Hypervisor),
            // Others have event channels of the domain as well.
            (Request::Domain(_, DomainAct::AllocUnbound), Reply::Number(n), Reply::Number(_)) if *n > 0 => {
                Verdict::by(By::Hypervisor)
            }
            (Request::Domain(_, DomainAct::HasPvCallback), Reply::Flag(_), Reply::Flag(_)) => Verdict::by(By::Guest),
            (Request::Hooks(_), Reply::Names(_), Reply::Names(_)) => Verdict::by(By::Host),
            (Request::Processes(_), Reply::Roles(real), Reply::Roles(ours)) => {
                // Whoever has ended in one has not yet in the other, or the other way round.
                let subset = real.iter().all(|role| ours.contains(role)) || ours.iter().all(|role| real.contains(role));
                if subset { Verdict::by(By::Time) } else { not(format!("{real:?}; the model: {ours:?}")) }
            }
            (Request::Qmp(..), Reply::Text(real), Reply::Text(ours)) => same_form(real, ours),
            // Who wrote an image that was there before is told in it.
            (
                Request::ReadImage(_),
                Reply::Image(Some(ImageRecord::Xenops(_))),
                Reply::Image(Some(ImageRecord::Xenops(ours))),
            ) if ours.is_empty() && self.early_images > 0 => Verdict::by(By::Others),
            (Request::Storage(_), Reply::Attached(real), Reply::Attached(_)) => {
                let record = serde_json::from_str::<Value>(&real.record);
                if record.is_ok_and(|record| record.is_object()) {
                    Verdict::by(By::Host)
                } else {
                    not(format!("an attach record of another form: {}", real.record))
                }
            }
            _ => not(format!("{real:?}; the model: {ours:?}")),
        }
    }

    /// A guard that failed in reality fails in the model, or is about what others write.
    fn guards(&mut self, batch: &Batch, model: &Outcome) -> Verdict {
        if *model == Outcome::Ok(Reply::GuardFailed) {
            return Verdict::Equal;
        }
        let by = batch.guards.iter().filter_map(|guard| match guard {
            Guard::Exists(path) | Guard::Absent(path) | Guard::Equals(path, _) => {
                node::writer(path, None).or_else(|| self.is_early(path).then_some(By::Others))
            }
        });
        let by: BTreeSet<By> = by.collect();
        if by.is_empty() {
            not("only the daemon writes what its guards are about, and they held in one and not in the other")
        } else {
            Verdict::Explained(by)
        }
    }

    fn created(&self, domid: DomId, model: &Outcome) -> Verdict {
        match model {
            Outcome::Ok(Reply::Domain(ours)) if *ours == domid => self.number.clone(),
            _ => not(format!("domain {domid}; the model: {model:?}")),
        }
    }

    // ---- xenstore

    fn read(&mut self, queries: &[Query], before: &Outcome, real: &[Found]) -> Verdict {
        let before = match before {
            Outcome::Ok(Reply::Found(found)) => found.clone(),
            other => return not(format!("the model: {other:?}")),
        };
        let mut verdict = Verdict::Equal;
        for ((query, real), before) in queries.iter().zip(real).zip(&before) {
            let one = self.found(query, real, before);
            verdict = verdict.and(one);
        }
        verdict
    }

    fn found(&mut self, query: &Query, real: &Found, before: &Found) -> Verdict {
        let now = self.world.store().query(query);
        if now == *real {
            return Verdict::Equal;
        }
        if before == real {
            return Verdict::by(By::Time);
        }
        match (query, real, &now) {
            (Query::Value(path), Found::Value(real), Found::Value(ours)) => {
                self.differs(path, real.as_deref(), ours.as_deref())
            }
            (Query::Children(path), Found::Children(real), Found::Children(ours)) => {
                self.children(path, real.as_deref(), ours.as_deref())
            }
            (Query::Tree { path, .. }, Found::Tree(real), Found::Tree(ours)) => self.tree(path, real, ours),
            _ => not(format!("an answer of another kind to {query:?}")),
        }
    }

    /// One node that is not as the model has it. If that may be, it is brought to the model.
    fn differs(&mut self, path: &str, real: Option<&str>, ours: Option<&str>) -> Verdict {
        // What others do not write any more they may have removed, or never written.
        let by = node::writer(path, real).or_else(|| self.is_early(path).then_some(By::Others));
        let by = by.or_else(|| self.is_under_way(path).then_some(By::Time));
        let by = by.or_else(|| (real.is_none() && self.is_taken(path)).then_some(By::Others));
        let own = || node::front_end_of(path).is_some_and(|domid| self.world.has_run(domid));
        let by = by.or_else(|| (real.is_none() && own()).then_some(By::Guest));
        match by {
            Some(by) => {
                self.world.bring_node(path, real);
                Verdict::by(by)
            }
            None => not(format!("{path} is {real:?}; the model: {ours:?}")),
        }
    }

    fn children(&mut self, path: &str, real: Option<&[String]>, ours: Option<&[String]>) -> Verdict {
        let (Some(real), Some(ours)) = (real, ours) else {
            return self.differs(path, real.map(|_| ""), ours.map(|_| ""));
        };
        let mut verdict = Verdict::Equal;
        let below = |name: &String| format!("{path}/{name}");
        for name in real.iter().filter(|name| !ours.contains(name)) {
            verdict = verdict.and(self.differs(&below(name), Some(""), None));
        }
        for name in ours.iter().filter(|name| !real.contains(name)) {
            verdict = verdict.and(self.differs(&below(name), None, Some("")));
        }
        let mut sorted = real.to_vec();
        sorted.sort_unstable();
        if sorted != real {
            return verdict.and(not(format!("the names below {path} are not sorted: {real:?}")));
        }
        verdict
    }

    fn tree(&mut self, root: &str, real: &Nodes, ours: &Nodes) -> Verdict {
        let mut verdict = Verdict::Equal;
        for (path, value) in real.iter().filter(|(path, value)| ours.get(path) != Some(*value)) {
            // A directory is there for what is in it.
            let inside = format!("{path}/");
            let inner = real.iter().any(|(other, _)| other.starts_with(&inside));
            if value.is_empty() && inner && ours.get(path).is_none() {
                continue;
            }
            verdict = verdict.and(self.differs(&format!("{root}/{path}"), Some(value), ours.get(path)));
        }
        for (path, value) in ours.iter().filter(|(path, _)| real.get(path).is_none()) {
            let inside = format!("{path}/");
            let inner = ours.iter().any(|(other, _)| other.starts_with(&inside));
            if value.is_empty() && inner {
                continue;
            }
            verdict = verdict.and(self.differs(&format!("{root}/{path}"), None, Some(value)));
        }
        let paths: Vec<&str> = real.iter().map(|(path, _)| path).collect();
        if paths.is_sorted_by_key(|path| path.replace('/', "\0")) {
            return verdict;
        }
        verdict.and(not(format!("what is below {root} is not in order: {paths:?}")))
    }

    // ---- waits

    fn waited(&mut self, wait: &Wait, held: Option<u32>, process: Option<&Process>) -> Verdict {
        let ours = wait.held(&self.world);
        let Some(held) = held.map(|held| held as usize) else {
            return match ours {
                None => Verdict::Equal,
                Some(ours) => moved_by(&wait.any[ours]).map_or_else(
                    || not(format!("nothing held in time; in the model {:?} does", wait.any[ours])),
                    |by| Verdict::by(by).and(Verdict::by(By::Time)),
                ),
            };
        };
        let Some(condition) = wait.any.get(held) else { return not("a condition that was not asked for held") };
        let mut verdict = match ours {
            Some(ours) if ours == held => Verdict::Equal,
            // In the model one before it holds, since somebody was quicker.
            Some(ours) if ours < held => match moved_by(&wait.any[ours]) {
                Some(by) => Verdict::by(by),
                None => return not(format!("{condition:?} held; in the model {:?} does", wait.any[ours])),
            },
            _ => Verdict::Equal,
        };
        if !condition.holds(&self.world) {
            verdict = verdict.and(self.comes_true(condition));
        }
        match (condition.process(), process) {
            (Some((handle, from)), Some(shown)) => verdict.and(self.showed(handle, from as usize, shown)),
            (None, None) => verdict,
            // Nobody knows of a process that was forgotten, or is of a daemon before.
            (Some((handle, _)), None) if self.world.process(handle).is_none() => verdict,
            _ => not("a process was shown that was not asked for, or the other way round"),
        }
    }

    /// Somebody has made a condition true in reality: in the model they do so now.
    fn comes_true(&mut self, condition: &Condition) -> Verdict {
        match condition {
            Condition::Present(path) => self.differs(path, Some(""), None),
            Condition::Absent(path) => self.differs(path, None, Some("")),
            Condition::Equals(path, value) => {
                let ours = self.world.store().value(path).map(str::to_owned);
                self.differs(path, Some(value), ours.as_deref())
            }
            // Which other value is not said; a driver that has taken a device up waits for its other end.
            Condition::Differs(path, _) => match node::writer(path, None) {
                Some(by) => {
                    if path.ends_with("/state") {
                        self.world.bring_node(path, Some("2"));
                    }
                    Verdict::by(by)
                }
                None => not(format!("{path} has changed, and only the daemon writes it")),
            },
            Condition::Stopped(domid) => {
                self.world.bring_stop(*domid, ShutdownCode::Poweroff);
                Verdict::by(By::Guest)
            }
            Condition::FreeMemory(_) => Verdict::by(By::Hypervisor),
            // What it has said is looked at next.
            Condition::Exited(_) | Condition::Said(..) => Verdict::by(By::Time),
        }
    }

    /// A process shows these lines and this end; the model's shows the same but for numbers, or will.
    fn showed(&mut self, handle: xenops_core::host::Handle, from: usize, real: &Process) -> Verdict {
        let failed = real.lines.iter().any(|line| line.starts_with("error:"));
        let ended = self.world.process(handle).and_then(|process| process.exit);
        if real.exit.is_some_and(|exit| ended != Some(exit) && (exit != Exit::Code(0) || failed)) || failed {
            // Any process may be killed, and any may fail: what was to come of it does not.
            self.world.bring_lines(handle, from, &real.lines, &[], real.exit);
            return Verdict::by(By::Fault);
        }
        let Some(ours) = self.world.process(handle).cloned() else { return not("the model has no such process") };
        let lines = ours.lines.get(from..).unwrap_or_default();
        let mut rest: Vec<String> = lines.iter().filter(|line| !is_chatter(line)).cloned().collect();
        let mut verdict = if lines == real.lines { Verdict::Equal } else { Verdict::by(By::Helper) };
        for line in real.lines.iter().filter(|line| !is_chatter(line)) {
            if rest.first().is_some_and(|next| form(next) == form(line)) {
                rest.remove(0);
            } else {
                return not(format!("it says {line:?}; in the model what comes is {rest:?}"));
            }
        }
        match (real.exit, ours.exit) {
            (Some(real), Some(ours)) if real != ours => {
                return not(format!("it ended with {real:?}; in the model with {ours:?}"));
            }
            (Some(_), None) | (None, Some(_)) => verdict = verdict.and(Verdict::by(By::Time)),
            _ => {}
        }
        if real.exit.is_some() && !rest.is_empty() {
            return not(format!("it ended before it said {rest:?}"));
        }
        self.world.bring_lines(handle, from, &real.lines, &rest, real.exit);
        verdict
    }

    // ---- domains

    fn domains(&mut self, request: &Request, before: &Outcome, real: &[DomainInfo]) -> Verdict {
        let list = |outcome: &Outcome| match outcome {
            Outcome::Ok(Reply::Domains(domains)) => domains.clone(),
            _ => Vec::new(),
        };
        let ours = list(&self.ask(request.clone()));
        let before = list(before);
        if !real.is_sorted_by_key(|info| info.domid) {
            return not("domains are not in the order of their numbers");
        }
        let mut verdict = Verdict::Equal;
        for info in real {
            let known = ours.iter().find(|ours| ours.domid == info.domid);
            let earlier = before.iter().find(|ours| ours.domid == info.domid);
            let one = match known {
                Some(known) => self.domain(info, known, earlier),
                // Its destruction was under way, or its making.
                None if self.is_own(info.domid) => Verdict::by(By::Time),
                None => {
                    self.world.bring_domain(info);
                    Verdict::by(By::Others)
                }
            };
            verdict = verdict.and(one);
        }
        for info in ours.iter().filter(|ours| !real.iter().any(|info| info.domid == ours.domid)) {
            let one = match () {
                () if self.acts_on(info.domid) => Verdict::by(By::Time),
                () if before.iter().any(|ours| ours.domid == info.domid) => {
                    self.taken.insert(info.domid);
                    self.world.bring_end(info.domid);
                    Verdict::by(By::Others)
                }
                () => Verdict::by(By::Time),
            };
            verdict = verdict.and(one);
        }
        verdict
    }

    /// One domain as Xen tells of it, against the model's.
    fn domain(&mut self, real: &DomainInfo, ours: &DomainInfo, before: Option<&DomainInfo>) -> Verdict {
        let mut by = BTreeSet::new();
        let acted = self.acts_on(real.domid);
        let foreign = !self.is_own(real.domid);
        let as_before = |same: fn(&DomainInfo, &DomainInfo) -> bool| before.is_some_and(|before| same(before, real));
        let mut why = Vec::new();
        let mut check = |same: bool, early: bool, who: Option<By>, what: String| match (same, early || acted, who) {
            (true, ..) => {}
            (false, _, Some(who)) => drop(by.insert(who)),
            (false, true, None) => drop(by.insert(By::Time)),
            (false, false, None) if foreign => drop(by.insert(By::Others)),
            (false, false, None) => why.push(what),
        };
        let show = |name: &str| format!("domain {}'s {name} differs: {real:?}; the model: {ours:?}", real.domid);
        check(real.handle == ours.handle, as_before(|a, b| a.handle == b.handle), None, show("handle"));
        // Whoever takes a domain away pauses it first, and may think better of it.
        let others = real.paused || self.taken.contains(&real.domid);
        let thief = (real.paused != ours.paused && others && !acted).then_some(By::Others);
        check(real.paused == ours.paused, as_before(|a, b| a.paused == b.paused), thief, show("paused"));
        check(real.hvm == ours.hvm, false, None, show("hvm"));
        check(real.dying == ours.dying, as_before(|a, b| a.dying == b.dying), None, show("dying"));
        // A guest stops, or does not though it was asked to.
        check(real.shutdown == ours.shutdown, false, Some(By::Guest), String::new());
        let memory = Some(By::Hypervisor);
        check(real.total_pages == ours.total_pages, false, memory, String::new());
        check(real.max_pages == ours.max_pages, false, memory, String::new());
        check(real.cpu_time == ours.cpu_time, false, memory, String::new());
        check(real.vcpus == ours.vcpus, false, Some(By::Guest), String::new());
        if let Some(why) = why.into_iter().next() {
            return not(why);
        }
        if by.is_empty() {
            return Verdict::Equal;
        }
        if thief.is_some() {
            self.taken.insert(real.domid);
            self.world.bring_pause(real.domid, real.paused);
        }
        match foreign {
            true => self.world.bring_domain(real),
            // A list may be older than what was done meanwhile: only what grows by itself is taken from it.
            false => self.world.bring_guest(real),
        }
        Verdict::Explained(by)
    }
}

/// Who, beside the daemon, makes a condition come true.
fn moved_by(condition: &Condition) -> Option<By> {
    match condition {
        Condition::Present(path)
        | Condition::Absent(path)
        | Condition::Equals(path, _)
        | Condition::Differs(path, _) => node::writer(path, None),
        Condition::Exited(_) | Condition::Said(..) => Some(By::Time),
        Condition::Stopped(_) => Some(By::Guest),
        Condition::FreeMemory(_) => Some(By::Hypervisor),
    }
}

/// What a helper says of its progress, which nobody need hear.
fn is_chatter(line: &str) -> bool {
    line.is_empty() || ["info:", "stdout:", "stderr:"].iter().any(|prefix| line.starts_with(prefix))
}

/// A line without its numbers, without the random end of a file's name, and without what the guest's disk says that its
/// kernel is to be told.
fn form(line: &str) -> String {
    let known = match line.split_once(' ') {
        Some(("kernel" | "ramdisk", _)) => line.rsplit_once('.').map_or(line, |(name, _)| name),
        Some(("args", _)) => "args",
        _ => line,
    };
    let mut form = String::new();
    for c in known.chars() {
        match c.is_ascii_digit() {
            true if form.ends_with('0') => {}
            true => form.push('0'),
            false => form.push(c),
        }
    }
    form
}

fn kind(fault: &Fault) -> std::mem::Discriminant<Fault> {
    std::mem::discriminant(fault)
}

/// Both are JSON with the same keys.
fn same_form(real: &str, ours: &str) -> Verdict {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (parse(real), parse(ours)) {
        (Some(real), Some(ours)) if skeleton(&real) == skeleton(&ours) => Verdict::by(By::DeviceModel),
        _ => not(format!("QEMU says {real}; the model: {ours}")),
    }
}

/// What is in a value, without the values.
fn skeleton(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), skeleton(value))).collect(),
        Value::Array(items) => Value::Array(items.iter().map(skeleton).collect()),
        _ => Value::Null,
    }
}
