//! Waits: looking when something has told that it may be worth it, on a guess only for free memory and, seldom, for
//! domains.

use super::census;
use crate::clock;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;
use xenops_core::host::{Condition, DomId, DomainInfo, Fault, Handle, Process, Reply, View, Wait};

/// How often free memory is looked at: nothing tells of it.
const MEMORY_PACE: Duration = Duration::from_millis(100);

/// How often domains are looked at: xenstored may not tell of them.
const DOMAIN_PACE: Duration = if cfg!(test) { Duration::from_millis(50) } else { census::PACE };

/// What is true at one moment of what a wait asks about.
#[derive(Debug, Default)]
pub struct Seen {
    /// Nodes of xenstore that exist.
    pub values: HashMap<String, String>,
    /// Domains that exist.
    pub domains: Vec<DomainInfo>,
    /// Processes that are known.
    pub processes: HashMap<Handle, Process>,
    /// KiB of free memory.
    pub free_memory: u64,
}

impl View for Seen {
    fn value(&self, path: &str) -> Option<&str> {
        self.values.get(path).map(String::as_str)
    }

    fn domain(&self, domid: DomId) -> Option<&DomainInfo> {
        self.domains.iter().find(|domain| domain.domid == domid)
    }

    fn process(&self, process: Handle) -> Option<&Process> {
        self.processes.get(&process)
    }

    fn free_memory(&self) -> u64 {
        self.free_memory
    }
}

/// What a wait asks about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Nodes of xenstore, each once.
    pub paths: Vec<String>,
    /// Processes.
    pub processes: Vec<Handle>,
    /// Domains.
    pub domains: Vec<DomId>,
    /// Whether it asks about memory.
    pub memory: bool,
}

impl Subjects {
    /// Of a wait.
    pub fn of(wait: &Wait) -> Subjects {
        let (mut subjects, mut paths) = (Subjects::default(), HashSet::new());
        for condition in &wait.any {
            match condition {
                Condition::Present(path)
                | Condition::Absent(path)
                | Condition::Equals(path, _)
                | Condition::Differs(path, _) => {
                    if paths.insert(path) {
                        subjects.paths.push(path.clone());
                    }
                }
                Condition::Exited(process) | Condition::Said(process, _) => subjects.processes.push(*process),
                Condition::Stopped(domid) => subjects.domains.push(*domid),
                Condition::FreeMemory(_) => subjects.memory = true,
            }
        }
        subjects
    }
}

/// Where a wait looks.
pub trait World {
    /// Begins to listen.
    fn listen(&self, subjects: &Subjects) -> impl Ear;

    /// Looks. `Fault::Lost` where that is not possible now and may be later.
    fn see(&self, subjects: &Subjects) -> impl Future<Output = Result<Seen, Fault>>;
}

/// What tells of changes, as long as it lives.
pub trait Ear {
    /// Until something may have changed since this was waited for last; at once, or soon, the first time.
    fn changed(&self) -> impl Future<Output = Result<(), Fault>>;
}

/// Waits to the end.
pub async fn wait(world: &impl World, wait: &Wait) -> Result<Reply, Fault> {
    let subjects = Subjects::of(wait);
    let ear = world.listen(&subjects);
    loop {
        let late = wait.until <= clock::mono();
        match changed(&ear, &subjects, wait.until).await {
            Ok(()) => {}
            Err(fault) if late => return Err(fault),
            Err(Fault::Lost(_)) => {}
            Err(fault) => return Err(fault),
        }
        match world.see(&subjects).await {
            Ok(seen) => match wait.held(&seen) {
                Some(held) => return Ok(Reply::Held(Some(held as u32), shown(&wait.any[held], &seen))),
                None if late => return Ok(Reply::Held(None, None)),
                None => {}
            },
            // Whoever cannot look now is told when it can be looked again.
            Err(Fault::Lost(text)) if late => return Err(Fault::Lost(text)),
            Err(Fault::Lost(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
}

/// Until there is a reason to look.
async fn changed(ear: &impl Ear, subjects: &Subjects, until: u64) -> Result<(), Fault> {
    let after = |time: Duration| async move {
        smol::Timer::after(time).await;
        Ok(())
    };
    let pace = async {
        match (subjects.memory, subjects.domains.is_empty()) {
            (true, _) => after(MEMORY_PACE).await,
            (false, false) => after(DOMAIN_PACE).await,
            (false, true) => std::future::pending().await,
        }
    };
    smol::future::or(ear.changed(), smol::future::or(after(clock::until(until)), pace)).await
}

/// What the process of a condition has said, from the line on that it asks for.
fn shown(condition: &Condition, seen: &Seen) -> Option<Process> {
    let (process, from) = condition.process()?;
    let process = seen.processes.get(&process)?;
    let lines = process.lines.get(from as usize..).unwrap_or_default().to_vec();
    Some(Process { lines, exit: process.exit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bell::Bell;
    use crate::host::xen::stir::Stir;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use xenops_core::host::Exit;

    #[derive(Default)]
    struct Fake {
        seen: RefCell<Seen>,
        changed: Stir,
        looks: Cell<u32>,
        lost: Cell<bool>,
    }

    struct Heard(Rc<Bell>);

    impl Ear for Heard {
        async fn changed(&self) -> Result<(), Fault> {
            self.0.heard().await;
            Ok(())
        }
    }

    impl World for Fake {
        fn listen(&self, _: &Subjects) -> impl Ear {
            let bell = Rc::new(Bell::default());
            self.changed.listen(&bell);
            bell.ring();
            Heard(bell)
        }

        async fn see(&self, _: &Subjects) -> Result<Seen, Fault> {
            if self.lost.get() {
                return Err(Fault::Lost("xenstored".to_owned()));
            }
            self.looks.set(self.looks.get() + 1);
            let Seen { values, domains, processes, free_memory } = &*self.seen.borrow();
            let (values, domains, processes) = (values.clone(), domains.clone(), processes.clone());
            Ok(Seen { values, domains, processes, free_memory: *free_memory })
        }
    }

    impl Fake {
        async fn later(&self, change: impl FnOnce(&mut Seen)) {
            smol::Timer::after(Duration::from_millis(20)).await;
            change(&mut self.seen.borrow_mut());
            self.changed.stir();
        }
    }

    fn soon() -> u64 {
        clock::mono() + 20_000_000_000
    }

    fn run(fake: &Fake, any: Vec<Condition>, until: u64, change: impl FnOnce(&mut Seen)) -> Result<Reply, Fault> {
        let request = Wait { any, until };
        smol::block_on(smol::future::zip(wait(fake, &request), fake.later(change))).0
    }

    #[test]
    fn the_first_that_holds_is_told_with_what_its_process_said() {
        let fake = Fake::default();
        let any =
            vec![Condition::Present("/a".to_owned()), Condition::Said(Handle(1), 1), Condition::Exited(Handle(1))];
        fake.seen.borrow_mut().processes.insert(Handle(1), Process { lines: vec!["x".to_owned()], exit: None });
        let reply = run(&fake, any.clone(), soon(), |seen| {
            let lines = vec!["x".to_owned(), "y".to_owned()];
            seen.processes.insert(Handle(1), Process { lines, exit: Some(Exit::Code(0)) });
        });
        let process = Process { lines: vec!["y".to_owned()], exit: Some(Exit::Code(0)) };
        assert_eq!(reply, Ok(Reply::Held(Some(1), Some(process))));
        assert_eq!(fake.looks.get(), 2, "it looks when something changes, and only then");
        let reply = run(&fake, any, soon(), |_| ());
        assert!(matches!(reply, Ok(Reply::Held(Some(1), Some(_)))), "{reply:?}");
    }

    #[test]
    fn a_wait_that_is_over_tells_so_and_looks_once_more_before() {
        let fake = Fake::default();
        let any = || vec![Condition::Present("/a".to_owned())];
        assert_eq!(run(&fake, any(), clock::mono() + 5_000_000, |_| ()), Ok(Reply::Held(None, None)));
        assert_eq!(run(&fake, Vec::new(), 0, |_| ()), Ok(Reply::Held(None, None)));
        fake.seen.borrow_mut().values.insert("/a".to_owned(), String::new());
        assert_eq!(run(&fake, any(), 0, |_| ()), Ok(Reply::Held(Some(0), None)), "it holds, though it is late");
        fake.lost.set(true);
        assert!(run(&fake, any(), clock::mono() + 5_000_000, |_| ()).is_err(), "it never could look");
    }

    // Fails when only xenstored's word makes a wait look at its domain.
    #[test]
    fn a_domain_of_which_nothing_tells_is_looked_at() {
        let fake = Fake::default();
        fake.seen.borrow_mut().domains.push(census::tests::domain(7, None, false));
        let request = Wait { any: vec![Condition::Stopped(7)], until: soon() };
        let gone = async {
            smol::Timer::after(Duration::from_millis(20)).await;
            fake.seen.borrow_mut().domains.clear();
        };
        let (reply, ()) = smol::block_on(smol::future::zip(wait(&fake, &request), gone));
        assert_eq!(reply, Ok(Reply::Held(Some(0), None)));
    }

    #[test]
    fn memory_is_looked_at_though_nothing_tells_of_it() {
        let fake = Fake::default();
        let request = Wait { any: vec![Condition::FreeMemory(5)], until: soon() };
        let freed = async {
            smol::Timer::after(Duration::from_millis(20)).await;
            fake.seen.borrow_mut().free_memory = 5;
        };
        let (reply, ()) = smol::block_on(smol::future::zip(wait(&fake, &request), freed));
        assert_eq!(reply, Ok(Reply::Held(Some(0), None)));
    }
}
