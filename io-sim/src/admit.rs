//! The replies that a real host gave, offered to the simulated one: for each request the model has to admit the reply.
//!
//! The model is asked what the real host was asked, in the same order, at once when it is asked. Where its reply is the
//! real one, that is admitted. Where it is another, it is admitted only if what makes the difference acts outside of the
//! daemon in the model as well (`node` says who writes which node and what, `judge` the rest), and then the model is
//! brought to what was seen, so that it stays in step. All else is not admitted: there the model is wrong.

mod domains;
mod judge;
mod node;
mod nodes;
mod table;
mod transcript;
mod waits;

pub use table::{By, Row, Table, Verdict};
pub use transcript::{Event, Line, Transcript};

use crate::world::{Choices, Config, Fate, Pace, World};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xenops_core::host::store::Change;
use xenops_core::host::{DomId, ImageMode, Outcome, Reply, Request, Uuid};
use xenops_core::machine::EffectId;

/// Numbers of questions that only this asks.
const OWN: u64 = 1 << 63;

/// A request that has no outcome yet, and what the model said to it.
struct Asked {
    request: Request,
    model: Outcome,
    aborted: bool,
    /// After how many events.
    at: u64,
}

/// A model that is offered what a real host said.
pub struct Admission {
    world: World,
    asked: BTreeMap<EffectId, Asked>,
    /// Paths that the daemon has written or removed.
    written: BTreeSet<String>,
    /// Domains that it has made, and of which VMs.
    made: BTreeMap<DomId, Uuid>,
    /// Those of them that somebody else is seen to take away.
    taken: BTreeSet<DomId>,
    /// Changes and acts that have ended, and after how many events.
    ended: Vec<(Request, u64)>,
    /// Events so far.
    events: u64,
    /// Events before the request was asked whose reply is judged.
    since: u64,
    /// Images that were there before.
    early_images: u64,
    /// What is said of the last domain's number.
    number: Verdict,
    table: Table,
    refused: Vec<String>,
    questions: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// Counts.
    pub table: Table,
    /// Replies that the model never gives, in words.
    pub refused: Vec<String>,
    /// Why not all was offered, if it was not.
    pub ends: Option<String>,
}

/// Offers a recording, or a transcript, to the model.
pub fn admit(path: &Path) -> Result<Admitted, String> {
    let transcript = Transcript::read(path)?;
    let mut admission = Admission::new();
    for line in &transcript.lines {
        admission.hear(line)?;
    }
    Ok(Admitted { table: admission.table, refused: admission.refused, ends: transcript.ends })
}

impl Admission {
    /// A host on which nothing goes wrong and nothing takes time.
    fn new() -> Admission {
        // Room for whatever the real host has.
        let config = Config { pace: Pace::Instant, memory: 1 << 40, ..Config::default() };
        Admission {
            world: World::new(config, Choices::nothing()),
            asked: BTreeMap::new(),
            written: BTreeSet::new(),
            made: BTreeMap::new(),
            taken: BTreeSet::new(),
            ended: Vec::new(),
            events: 0,
            since: 0,
            early_images: 0,
            number: Verdict::Equal,
            table: Table::default(),
            refused: Vec::new(),
            questions: OWN,
        }
    }

    /// The next event.
    fn hear(&mut self, line: &Line) -> Result<(), String> {
        self.world.run_until(line.mono);
        self.events += 1;
        match &line.event {
            Event::Asked(effect, request) => self.asked(*effect, request),
            Event::Aborted(effect) => {
                if let Some(asked) = self.asked.get_mut(effect) {
                    asked.aborted = true;
                }
            }
            Event::Said(effect, outcome) => {
                let asked =
                    self.asked.remove(effect).ok_or_else(|| format!("{effect:?} was answered and not asked"))?;
                self.said(asked, outcome);
            }
        }
        Ok(())
    }

    fn asked(&mut self, effect: EffectId, request: &Request) {
        if let Request::Store(batch) = request {
            self.written.extend(batch.changes.iter().map(|change| match change {
                Change::Write(path, _) | Change::Mkdir(path) | Change::Remove(path) | Change::SetPerms(path, _) => {
                    path.clone()
                }
            }));
        }
        if let Request::OpenImage { disk, mode: ImageMode::Restore, .. } = request
            && self.world.images().get(disk).is_none()
        {
            self.world.bring_image(disk);
            self.early_images += 1;
        }
        let model = match request {
            // It is looked at when its end is known, and so is a number that nobody can use before.
            Request::Wait(_) | Request::CreateDomain(_) => Outcome::Aborted,
            request => self.ask(request.clone()),
        };
        self.asked.insert(effect, Asked { request: request.clone(), model, aborted: false, at: self.events });
    }

    fn said(&mut self, asked: Asked, real: &Outcome) {
        let Asked { request, mut model, aborted, at } = asked;
        self.since = at;
        if let (Request::CreateDomain(_), Outcome::Ok(Reply::Domain(domid))) = (&request, real) {
            model = self.create(&request, *domid);
        }
        let verdict = self.judge(&request, &model, real, aborted);
        let kind = kind(&request);
        if let Verdict::Not(why) = &verdict {
            self.refused.push(format!("{kind}: {why}"));
        }
        self.table.count(&kind, &verdict);
        if matches!(request, Request::Store(_) | Request::Domain(..)) {
            self.ended.push((request, self.events));
        }
    }

    /// Which number comes next is for all who make domains to say.
    fn create(&mut self, request: &Request, domid: DomId) -> Outcome {
        let free = self.world.hypervisor().next_free();
        self.number = if free == Some(domid) { Verdict::Equal } else { Verdict::by(By::Others) };
        // Whoever had it has gone.
        if self.world.hypervisor().get(domid).is_some() && !self.made.contains_key(&domid) {
            self.world.bring_end(domid);
        }
        self.world.bring_next_domain(domid);
        if let Request::CreateDomain(spec) = request {
            self.made.insert(domid, spec.handle);
            self.taken.remove(&domid);
        }
        self.ask(request.clone())
    }

    /// What the model says at once.
    fn ask(&mut self, request: Request) -> Outcome {
        self.questions += 1;
        let effect = EffectId(self.questions);
        self.world.start_with(effect, request, Fate::Plain);
        let outcomes = std::iter::from_fn(|| self.world.take_outcome());
        let outcome = outcomes.filter(|(other, _)| *other == effect).last();
        while self.world.take_notice().is_some() {}
        outcome.map_or(Outcome::Aborted, |(_, outcome)| outcome)
    }

    /// Whether the daemon has neither made nor removed a node: it may have been there when it started.
    fn is_early(&self, path: &str) -> bool {
        let mut above = path;
        loop {
            if self.written.contains(above) {
                return false;
            }
            match above.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => above = parent,
                _ => return true,
            }
        }
    }

    /// What has been under way beside the request whose reply is judged.
    fn beside(&self) -> impl Iterator<Item = &Request> {
        let ended = self.ended.iter().rev().take_while(|(_, at)| *at > self.since).map(|(request, _)| request);
        self.asked.values().map(|asked| &asked.request).chain(ended)
    }

    /// Whether a node was changed meanwhile.
    fn is_under_way(&self, path: &str) -> bool {
        let changed = |change: &Change| match change {
            Change::Write(other, _) | Change::Mkdir(other) | Change::SetPerms(other, _) => other == path,
            Change::Remove(other) => is_within(path, other),
        };
        self.beside().any(|request| matches!(request, Request::Store(batch) if batch.changes.iter().any(changed)))
    }

    /// Whether the daemon has made a domain.
    fn is_own(&self, domid: DomId) -> bool {
        self.made.contains_key(&domid)
    }

    /// Whether something was done to a domain meanwhile.
    fn acts_on(&self, domid: DomId) -> bool {
        self.beside().any(|request| matches!(request, Request::Domain(on, _) if *on == domid))
    }

    /// Whether a node goes with a domain that somebody else takes away.
    fn is_taken(&self, path: &str) -> bool {
        self.taken.iter().any(|domid| {
            let vm = self.made.get(domid).map(|vm| format!("/vm/{}", vm.text()));
            let roots = [Some(format!("/local/domain/{domid}")), Some(format!("/libxl/{domid}")), vm];
            roots.iter().flatten().any(|root| is_within(path, root))
        })
    }
}

fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a request is called.
fn kind(request: &Request) -> String {
    let name = |text: String| text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
    match request {
        Request::Domain(_, act) => format!("Domain {}", name(format!("{act:?}"))),
        Request::Storage(call) => format!("Storage {}", name(format!("{call:?}"))),
        Request::Spawn(spawn) => format!("Spawn {:?}", spawn.role),
        other => name(format!("{other:?}")),
    }
}
