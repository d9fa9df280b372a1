//! The simulated xenstored against the real ones: same steps, same answers, same notices, same tree.

use crate::daemon::{self, Daemon, Kind};
use crate::peer::Peer;
use crate::sequence::{Act, GUESTS, ROOT, SOCKETS, Step, steps};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use xenops_core::host::Found;
use xenops_core::host::{Access, Batch, Change, Perms, Query, Token};
use xenops_io_sim::world::xenstore::{Denied, Store};
use xenops_io_xen::xenstore::connection::Request;
use xenops_io_xen::xenstore::error::{Code, Error};
use xenops_io_xen::xenstore::wire::{self, Op};

/// How many sequences are compared with each daemon, and which.
const SEQUENCES: (&str, u32) = ("XENOPS_XENSTORED_SEQUENCES", 500);
const SEED: (&str, u32) = ("XENOPS_XENSTORED_SEED", 0);

#[test]
fn the_model_is_as_c_xenstored() {
    compare(Kind::C);
}

#[test]
fn the_model_is_as_oxenstored() {
    compare(Kind::Ocaml);
}

fn number((name, default): (&str, u32)) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number in the environment"))
}

/// Fails on any rule that the model has otherwise; proptest shows the shortest sequence that does.
fn compare(kind: Kind) {
    let Some(daemon) = daemon::start(kind) else { return };
    let (cases, seed) = (number(SEQUENCES), number(SEED));
    let config = Config { cases, max_shrink_iters: 4000, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let both = RefCell::new(Both::new(&daemon));
    let result = runner.run(&steps(), |steps| both.borrow_mut().run(&steps).map_err(TestCaseError::fail));
    if let Err(error) = result {
        panic!("{kind:?}, {}={seed}: {error}", SEED.0);
    }
    println!("{kind:?}: {cases} sequences, {:?}", both.borrow().met);
}

/// A transaction that is open, and what it was answered.
struct Open {
    id: u32,
    log: Vec<(Act, String)>,
    changes_before: u32,
    model_before: Store,
}

impl Open {
    /// The store as it sees it, where nobody else changes it.
    fn after(&self) -> Store {
        let mut after = self.model_before.clone();
        self.log.iter().for_each(|(act, _)| drop(model_answer(&mut after, act)));
        after
    }
}

/// The real one and the model, driven alike.
struct Both<'a> {
    daemon: &'a Daemon,
    /// Sees domains go, and cleans up.
    monitor: Peer,
    guests: Vec<Peer>,
    sockets: Vec<Peer>,
    open: Vec<Option<Open>>,
    model: Store,
    /// By connection and path; the model's tokens are the real ones.
    watches: BTreeMap<(usize, String), u64>,
    tokens: u64,
    changes: u32,
    /// Notices that the model gave and that are not compared yet.
    told: Vec<Token>,
    /// Tokens that may be raised by the last step without need.
    spurious: BTreeSet<u64>,
    /// When a transaction last met others, if that was in this run.
    conflict: Option<Instant>,
    /// Guests' numbers that died in this sequence.
    dead: BTreeSet<u32>,
    met: Met,
}

/// What was seen at all: a comparison that never meets a conflict compares none.
#[derive(Debug, Default)]
struct Met {
    commits: u32,
    conflicts: u32,
    notices: usize,
    denied: u32,
    deaths: u32,
}

impl<'a> Both<'a> {
    fn new(daemon: &'a Daemon) -> Both<'a> {
        let mut monitor = daemon.connect();
        monitor.ask(Request::new(Op::Watch, &["@releaseDomain", "death"])).unwrap();
        monitor.take_changes();
        Both {
            daemon,
            monitor,
            guests: GUESTS.iter().map(|domid| daemon.introduce(*domid)).collect(),
            sockets: Vec::new(),
            open: Vec::new(),
            model: Store::new(),
            watches: BTreeMap::new(),
            tokens: 0,
            changes: 0,
            told: Vec::new(),
            spurious: BTreeSet::new(),
            conflict: None,
            dead: BTreeSet::new(),
            met: Met::default(),
        }
    }

    fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        self.begin()?;
        for (at, step) in steps.iter().enumerate() {
            self.step(step).map_err(|what| format!("step {at}, {step:?}: {what}"))?;
            self.same_notices(Some(step)).map_err(|what| format!("step {at}, {step:?}: {what}"))?;
        }
        self.same_tree()
    }

    fn begin(&mut self) -> Result<(), String> {
        let _ = self.monitor.remove(ROOT);
        self.sockets = (0..SOCKETS).map(|_| self.daemon.connect()).collect();
        self.open = (0..SOCKETS).map(|_| None).collect();
        self.model = Store::new();
        self.watches.clear();
        self.dead.clear();
        self.told.clear();
        let homes = [
            ("g1", Perms::owned(1)),
            ("g2", Perms::readable(2, 1)),
            ("p", Perms { owner: 0, others: Access::Both, acl: Vec::new() }),
        ];
        for (name, perms) in homes {
            let path = format!("{ROOT}/{name}");
            self.act(0, false, &Act::Mkdir(path.clone()))?;
            self.act(0, false, &Act::SetPermissions(path, perms))?;
        }
        self.same_notices(None)
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Act(who, within, act) => self.act(*who, *within, act),
            Step::Guest(who, act) => self.guest(*who, act),
            Step::Watch(who, path) => self.watch(*who, path),
            Step::Unwatch(who, path) => {
                if let Some(token) = self.watches.remove(&(*who, path.clone())) {
                    let request = Request::new(Op::Unwatch, &[path, &token.to_string()]);
                    self.sockets[*who].ask(request).map_err(|error| error.to_string())?;
                    self.model.unwatch(Token(token));
                }
                Ok(())
            }
            Step::Begin(who) => {
                if self.open[*who].is_none() {
                    let id = self.sockets[*who].begin();
                    let (changes_before, model_before) = (self.changes, self.model.clone());
                    self.open[*who] = Some(Open { id, log: Vec::new(), changes_before, model_before });
                }
                Ok(())
            }
            Step::End(who, commit) => self.end(*who, *commit),
            Step::Die(who) => {
                self.await_forgiveness();
                self.daemon.tear_down(GUESTS[*who]);
                self.monitor.await_change("@releaseDomain");
                // C xenstored heeds what was said of a dead domain still, if that was the last that was written at
                // all before another of its number came.
                self.monitor.write("/between", "").map_err(|error| error.to_string())?;
                self.model.bury(GUESTS[*who]);
                self.dead.insert(GUESTS[*who]);
                self.guests[*who] = self.daemon.introduce(GUESTS[*who]);
                self.changes += 1;
                self.met.deaths += 1;
                Ok(())
            }
        }
    }

    fn act(&mut self, who: usize, within: bool, act: &Act) -> Result<(), String> {
        let open = self.open[who].as_mut().filter(|_| within);
        let ocaml = self.daemon.kind == Kind::Ocaml;
        // What a transaction has no need to do oxenstored forgets, unless others have changed what is near: then it does
        // it over, and there may be need. Either is as if one had come after the other, but which is not foretold.
        let idle = open.as_ref().is_some_and(|open| match act {
            Act::Remove(path) => !open.after().exists(path),
            Act::Mkdir(path) => open.after().exists(path),
            _ => false,
        });
        if ocaml && idle {
            return Ok(());
        }
        let real = answer(&mut self.sockets[who], open.as_ref().map_or(0, |open| open.id), act);
        // So it forgets what a transaction has failed at: that something was not there may be true no more when it is
        // committed. The client reads what is above besides, where that matters.
        let forgotten = ocaml && real == "ENOENT";
        // As the client sees it: of what is to go or to be owned it does not matter if it is there.
        let real = match act {
            Act::Remove(_) | Act::SetPermissions(..) if real == "ENOENT" => "OK".to_owned(),
            _ => real,
        };
        match open {
            Some(open) => {
                if !forgotten {
                    open.log.push((act.clone(), real));
                }
                Ok(())
            }
            None => {
                self.changes += 1;
                let model = model_answer(&mut self.model, act);
                match act {
                    Act::Permissions(_) => same(&self.lasting(&real), &self.lasting(&model)),
                    _ => same(&real, &model),
                }
            }
        }
    }

    /// What was committed happened at that moment, with the answers that were given before; what was not did not, and
    /// only because others had changed something.
    fn end(&mut self, who: usize, commit: bool) -> Result<(), String> {
        let Some(mut open) = self.open[who].take() else { return Ok(()) };
        // oxenstored takes a copy of the store when a transaction begins; one that changes nothing of it is true of
        // that moment, and so it always ends well. C xenstored's is true of its end.
        let idle = self.daemon.kind == Kind::Ocaml && open.after().trace() == open.model_before.trace();
        match self.sockets[who].end(open.id, commit) {
            Ok(()) if commit => {
                self.met.commits += 1;
                for (act, real) in &open.log {
                    let model = if idle { &mut open.model_before } else { &mut self.model };
                    let model = model_answer(model, act);
                    let same = match act {
                        Act::Permissions(_) => same(&self.lasting(real), &self.lasting(&model)),
                        _ => same(real, &model),
                    };
                    same.map_err(|what| format!("{act:?} in it: {what}"))?;
                }
                self.changes += 1;
                // oxenstored tells of a node that a transaction made, even where another made it first.
                let made =
                    open.log.iter().filter_map(|(act, _)| if let Act::Mkdir(path) = act { Some(path) } else { None });
                let made: Vec<&String> = made.filter(|_| self.daemon.kind == Kind::Ocaml).collect();
                let covers = |watched: &str| made.iter().any(|path| is_below(path, watched));
                self.spurious = self.watches.iter().filter(|((_, path), _)| covers(path)).map(|(_, t)| *t).collect();
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(error) if error.is_conflict() && commit && self.changes > open.changes_before => {
                self.met.conflicts += 1;
                self.conflict = Some(Instant::now());
                Ok(())
            }
            Err(error) => Err(format!("ended with {error}")),
        }
    }

    /// oxenstored 4.17 keeps a list of domains that made others' transactions conflict, until a quarter of a second has
    /// passed. While one is on it, the death of another raises an exception (`Domains.remove_from_queue` compares what
    /// cannot be compared), and nobody is ever told of it.
    fn await_forgiveness(&mut self) {
        if let (Kind::Ocaml, Some(conflict)) = (self.daemon.kind, self.conflict.take()) {
            std::thread::sleep(Duration::from_millis(600).saturating_sub(conflict.elapsed()));
        }
    }

    fn guest(&mut self, who: usize, act: &Act) -> Result<(), String> {
        let domid = GUESTS[who];
        let denied = |denied| match denied {
            Denied::Invalid => "EINVAL",
            Denied::Access => "EACCES",
            Denied::Missing => "ENOENT",
            Denied::Quota => "quota",
        };
        let missing = matches!(act, Act::Remove(path) if !self.model.exists(path));
        let model = match act {
            Act::Read(path) => self.model.read_as(domid, path).map(str::to_owned),
            Act::Write(path, value) => self.guest_writes(domid, path, value).map(|()| "OK".to_owned()),
            Act::Remove(path) => self.model.remove_as(domid, path).map(|()| "OK".to_owned()),
            other => panic!("guests do not {other:?}"),
        };
        let mut real = answer(&mut self.guests[who], 0, act);
        let mut model = model.unwrap_or_else(|error| denied(error).to_owned());
        self.changes += 1;
        self.met.denied += u32::from(model.starts_with('E'));
        if self.daemon.kind == Kind::Ocaml {
            // oxenstored looks for the node before it looks at what its parents allow, so that a guest may even have
            // removed what is not there; C xenstored hides what is missing below them, and the model is as C.
            if matches!(act, Act::Remove(_)) && missing {
                return Ok(());
            }
            [&mut real, &mut model].into_iter().filter(|a| *a == "ENOENT").for_each(|a| *a = "EACCES".to_owned());
        }
        same(&real, &model)
    }

    /// What a guest makes is its own, in C xenstored and the model; in oxenstored it is its parent's owner's, and so
    /// the model is told there.
    fn guest_writes(&mut self, domid: u32, path: &str, value: &str) -> Result<(), Denied> {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        let made: Vec<&str> = ends.map(|end| &path[..end]).filter(|path| !self.model.exists(path)).collect();
        self.model.write_as(domid, path, value)?;
        if let (Kind::Ocaml, Some(first)) = (self.daemon.kind, made.first()) {
            let told = self.model.take_raised();
            let above = &first[..first.rfind('/').unwrap()];
            let perms = self.model.perms(above).unwrap().clone();
            made.iter().for_each(|path| self.model.set_perms(path, perms.clone()));
            self.model.take_raised();
            self.told.extend(told);
        }
        Ok(())
    }

    /// The daemons tell of a watch's making, at once and once; the model does not.
    fn watch(&mut self, who: usize, path: &str) -> Result<(), String> {
        if self.watches.contains_key(&(who, path.to_owned())) {
            return Ok(());
        }
        self.tokens += 1;
        let token = self.tokens.to_string();
        self.sockets[who].ask(Request::new(Op::Watch, &[path, &token])).map_err(|error| error.to_string())?;
        let told = self.sockets[who].take_changes();
        if told != [(path.to_owned(), token.clone())] {
            return Err(format!("its making was told as {told:?}"));
        }
        self.watches.insert((who, path.to_owned()), self.tokens);
        self.model.watch(Token(self.tokens), &[path.to_owned()]);
        Ok(())
    }

    /// The model claims which tokens are raised, not how often.
    fn same_notices(&mut self, step: Option<&Step>) -> Result<(), String> {
        let told = std::mem::take(&mut self.told).into_iter().chain(self.model.take_raised());
        let mut model: BTreeSet<u64> = told.map(|token| token.0).collect();
        let mut real = BTreeSet::new();
        for (who, socket) in self.sockets.iter_mut().enumerate() {
            for (path, token) in socket.take_changes() {
                let token: u64 = token.parse().unwrap();
                let watched = self.watches.iter().find(|((w, _), t)| (*w, **t) == (who, token));
                let Some(((_, watched), _)) = watched else { return Err(format!("{path} told to nobody")) };
                if !is_below(&path, watched) {
                    return Err(format!("{path} told to who watches {watched}"));
                }
                real.insert(token);
            }
        }
        if step.is_some_and(removes) && self.daemon.kind == Kind::Ocaml {
            // oxenstored tells everybody who watches below what is removed, C xenstored and the model only those who
            // watch what was there. Nothing relies on more.
            let missing = |token: &u64| self.watches.iter().any(|((_, p), t)| t == token && !self.model.exists(p));
            real.retain(|token| model.contains(token) || !missing(token));
            // What a dead guest owned goes without a word from oxenstored.
            if matches!(step, Some(Step::Die(_))) {
                model.retain(|token| real.contains(token));
            }
        }
        let spurious = std::mem::take(&mut self.spurious);
        real.retain(|token| model.contains(token) || !spurious.contains(token));
        self.met.notices += real.len();
        if real == model {
            return Ok(());
        }
        let named = |tokens: &BTreeSet<u64>| {
            let named = self.watches.iter().filter(|(_, token)| tokens.contains(token));
            named.map(|((_, path), _)| path.clone()).collect::<Vec<_>>()
        };
        Err(format!("the real one tells who watches {:?}, the model {:?}", named(&real), named(&model)))
    }

    /// Permissions without what they say of the dead: the daemons heed it no more from the death on, as the model, but
    /// C xenstored takes it away only when it next writes the node.
    fn lasting(&self, perms: &str) -> String {
        let dead = |text: &str| self.dead.iter().any(|domid| text[1..] == domid.to_string());
        let texts = perms.split(' ').enumerate().filter(|(at, text)| *at == 0 || !dead(text));
        texts.map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    fn same_tree(&mut self) -> Result<(), String> {
        let all = Query::Tree { path: ROOT.to_owned(), depth: 64, limit: u32::MAX };
        let Found::Tree(nodes) = self.model.query(&all) else { panic!("a tree was asked for") };
        let nodes = nodes.iter().map(|(path, value)| (format!("{ROOT}/{path}"), value.to_owned()));
        let shown = nodes.chain([(ROOT.to_owned(), String::new())]).map(|(path, value)| {
            let perms = self.lasting(&permissions(self.model.perms(&path).unwrap()));
            format!("{path} = {value:?} ({perms})")
        });
        let model: BTreeSet<String> = shown.collect();
        let mut real = BTreeSet::new();
        let mut paths = vec![ROOT.to_owned()];
        while let Some(path) = paths.pop() {
            let peer = &mut self.monitor;
            let read = (|| Ok((peer.read(&path)?, peer.permissions(&path)?, peer.names(&path)?)))();
            let (value, perms, names) = read.map_err(|error: Error| format!("{path}: {error}"))?;
            paths.extend(names.iter().map(|name| format!("{path}/{name}")));
            let perms = self.lasting(&perms);
            real.insert(format!("{path} = {value:?} ({perms})"));
        }
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
        match real == model {
            true => Ok(()),
            false => Err(format!("only real: {:?}, only model: {:?}", only(&real, &model), only(&model, &real))),
        }
    }
}

fn removes(step: &Step) -> bool {
    matches!(step, Step::Act(.., Act::Remove(_)) | Step::Guest(_, Act::Remove(_)) | Step::End(_, true) | Step::Die(_))
}

/// Whether a path is this one or below it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn same(real: &str, model: &str) -> Result<(), String> {
    if real == model { Ok(()) } else { Err(format!("the real one answers {real:?}, the model {model:?}")) }
}

/// As the daemon writes them.
fn permissions(perms: &Perms) -> String {
    let all = std::iter::once((perms.owner, perms.others)).chain(perms.acl.iter().copied());
    let texts = all.map(|(domid, access)| {
        let letter = match access {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        };
        format!("{letter}{domid}")
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// What a real one answers.
fn answer(peer: &mut Peer, transaction: u32, act: &Act) -> String {
    let request = match act {
        Act::Read(path) => Request::at(Op::Read, path),
        Act::Names(path) => Request::at(Op::Directory, path),
        Act::Permissions(path) => Request::at(Op::GetPerms, path),
        Act::Write(path, value) => Request::with(Op::Write, path, value.as_bytes()),
        Act::Mkdir(path) => Request::at(Op::Mkdir, path),
        Act::Remove(path) => Request::at(Op::Rm, path),
        Act::SetPermissions(path, perms) => {
            let texts = permissions(perms);
            let texts: Vec<&str> = texts.split(' ').collect();
            Request::with(Op::SetPerms, path, &wire::payload(&texts))
        }
    };
    let answer = peer.ask(request.unwrap().within(transaction));
    let texts = |payload: &[u8]| {
        let texts = wire::texts(payload).map(|text| String::from_utf8(text.to_vec()).unwrap());
        texts.collect::<Vec<_>>()
    };
    match (act, answer) {
        (Act::Read(_), Ok(value)) => String::from_utf8(value).unwrap(),
        (Act::Names(_), Ok(listing)) => {
            let mut names = texts(&listing);
            names.sort();
            names.join(" ")
        }
        (Act::Permissions(_), Ok(listing)) => texts(&listing).join(" "),
        (_, Ok(done)) => String::from_utf8(done).unwrap().trim_end_matches('\0').to_owned(),
        (_, Err(Error::Refused(Code::Enospc | Code::Equota))) => "quota".to_owned(),
        (_, Err(error)) => error.to_string(),
    }
}

/// What the model says to a privileged client.
fn model_answer(model: &mut Store, act: &Act) -> String {
    let missing = || "ENOENT".to_owned();
    let change = match act.clone() {
        Act::Read(path) => return model.value(&path).map_or_else(missing, str::to_owned),
        Act::Names(path) => return model.children(&path).map_or_else(missing, |names| names.join(" ")),
        Act::Permissions(path) => return model.perms(&path).map_or_else(missing, permissions),
        Act::Write(path, value) => Change::Write(path, value),
        Act::Mkdir(path) => Change::Mkdir(path),
        Act::Remove(path) => Change::Remove(path),
        Act::SetPermissions(path, perms) => Change::SetPerms(path, perms),
    };
    match model.apply(Batch { guards: Vec::new(), changes: vec![change] }) {
        Ok(true) => "OK".to_owned(),
        other => format!("{other:?}"),
    }
}
