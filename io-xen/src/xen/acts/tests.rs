//! What each act on a domain asks of the library, and what its answers come to.

use super::super::errno::{EFAULT, ENOMEM, ESRCH};
use super::*;
use std::cell::RefCell;
use xenops_core::host::{ShutdownCode, Uuid};

/// A hypervisor with one domain, number 7.
#[derive(Default)]
struct Fake {
    pauses: RefCell<u32>,
    /// Looks that a destroyed domain stays in the list for.
    lingers: RefCell<u32>,
    dying: RefCell<bool>,
    /// The call, counted from 1, that fails, and how.
    fails: Option<(usize, i32)>,
    calls: RefCell<Vec<String>>,
}

impl Fake {
    fn call(&self, text: String) -> Result<(), CallError> {
        self.calls.borrow_mut().push(text);
        match self.fails {
            Some((at, errno)) if self.calls.borrow().len() == at => Err(CallError { function: "xc_call", errno }),
            _ => Ok(()),
        }
    }

    fn acts(&self, act: DomainAct) -> Outcome {
        super::act(self, 7, &act)
    }
}

impl Calls for Fake {
    fn create(&self, spec: &DomainSpec) -> Result<DomId, CallError> {
        self.call(format!("create {}", spec.handle.text())).map(|()| 7)
    }
    fn list(&self, first: DomId, _: usize) -> Result<Vec<DomainInfo>, CallError> {
        let dying = *self.dying.borrow();
        if dying {
            if *self.lingers.borrow() == 0 {
                return Ok(Vec::new());
            }
            *self.lingers.borrow_mut() -= 1;
        }
        // Xen tells of the next domain where there is none of that number.
        let info = DomainInfo {
            domid: first.max(7),
            handle: Uuid([0; 16]),
            paused: *self.pauses.borrow() > 0,
            dying,
            shutdown: None,
            hvm: false,
            total_pages: 1,
            max_pages: 1,
            cpu_time: 0,
            vcpus: 1,
        };
        Ok(if first <= 7 { vec![info] } else { Vec::new() })
    }
    fn pause(&self, _: DomId) -> Result<(), CallError> {
        *self.pauses.borrow_mut() += 1;
        self.call("pause".into())
    }
    fn unpause(&self, _: DomId) -> Result<(), CallError> {
        self.call("unpause".into())?;
        *self.pauses.borrow_mut() -= 1;
        Ok(())
    }
    fn destroy(&self, _: DomId) -> Result<(), CallError> {
        *self.dying.borrow_mut() = true;
        self.call("destroy".into())
    }
    fn shutdown(&self, _: DomId, code: u8) -> Result<(), CallError> {
        self.call(format!("shutdown {code}"))
    }
    fn resume(&self, _: DomId) -> Result<(), CallError> {
        self.call("resume".into())
    }
    fn soft_reset(&self, _: DomId) -> Result<(), CallError> {
        self.call("reset".into())
    }
    fn set_handle(&self, _: DomId, handle: [u8; 16]) -> Result<(), CallError> {
        self.call(format!("handle {}", handle[0]))
    }
    fn set_max_mem(&self, _: DomId, kib: u64) -> Result<(), CallError> {
        self.call(format!("max {kib}"))
    }
    fn max_vcpus(&self, _: DomId, most: u32) -> Result<(), CallError> {
        self.call(format!("vcpus {most}"))
    }
    fn memmap_limit(&self, _: DomId, kib: u64) -> Result<(), CallError> {
        self.call(format!("map {kib}"))
    }
    fn shadow(&self, _: DomId, wanted: Option<u32>) -> Result<u32, CallError> {
        self.call(format!("shadow {wanted:?}")).map(|()| wanted.unwrap_or(9))
    }
    fn most_cpus(&self) -> Result<u32, CallError> {
        Ok(10)
    }
    fn hard_affinity(&self, _: DomId, vcpu: u32, mask: Vec<u8>) -> Result<(), CallError> {
        self.call(format!("affinity {vcpu} {mask:?}"))
    }
    fn schedule(&self, _: DomId, weight: u16, cap: u16) -> Result<(), CallError> {
        self.call(format!("schedule {weight} {cap}"))
    }
    fn set_param(&self, _: DomId, param: u32, value: u64) -> Result<(), CallError> {
        self.call(format!("param {param} {value}"))
    }
    fn param(&self, _: DomId, param: u32) -> Result<u64, CallError> {
        self.call(format!("param {param}")).map(|()| 3)
    }
    fn alloc_unbound(&self, _: DomId) -> Result<u64, CallError> {
        self.call("alloc".into()).map(|()| 5)
    }
}

#[test]
fn each_act_is_these_calls() {
    use DomainAct::*;
    type Row = (DomainAct, Reply, &'static [&'static str]);
    let table: [Row; 16] = [
        (Shutdown(ShutdownCode::Suspend), Reply::Unit, &["shutdown 2"]),
        (Resume, Reply::Unit, &["resume"]),
        (SoftReset, Reply::Unit, &["reset"]),
        (SetHandle(Uuid([8; 16])), Reply::Unit, &["handle 8"]),
        (SetMaxMem(1024), Reply::Unit, &["max 1024"]),
        (MaxVcpus(4), Reply::Unit, &["vcpus 4"]),
        (MemmapLimit(2048), Reply::Unit, &["map 2048"]),
        (ShadowAllocation(2), Reply::Unit, &["shadow Some(2)"]),
        (GetShadowAllocation, Reply::Number(9), &["shadow None"]),
        (Schedule { weight: 1 << 20, cap: 50 }, Reply::Unit, &["schedule 65535 50"]),
        (TimerMode(1), Reply::Unit, &["param 10 1"]),
        (AcpiWake, Reply::Unit, &["param 14 0"]),
        (AllocUnbound, Reply::Number(5), &["alloc"]),
        (HasPvCallback, Reply::Flag(true), &["param 0"]),
        (Channels { store: 1, console: 2 }, Reply::Unit, &["param 2 1", "param 18 2"]),
        (
            HardAffinity(vec![vec![0, 9, 10], vec![], vec![77]]),
            Reply::Unit,
            &["affinity 0 [1, 2]", "affinity 1 [255, 255]", "affinity 2 [255, 255]"],
        ),
    ];
    for (act, reply, calls) in table {
        let fake = Fake::default();
        assert_eq!(fake.acts(act.clone()), Outcome::Ok(reply), "{act:?}");
        assert_eq!(*fake.calls.borrow(), calls, "{act:?}");
        // Nothing is refused of which a part was done.
        let last = calls.len();
        let fake = Fake { fails: Some((last, 1)), ..Fake::default() };
        let parts = last > 1 || matches!(act, Resume | SoftReset | MaxVcpus(_));
        let outcome = fake.acts(act.clone());
        assert_eq!(matches!(outcome, Outcome::Unknown(_)), parts, "{act:?}: {outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Refused(_)), !parts, "{act:?}: {outcome:?}");
    }
}

#[test]
fn pauses_are_not_counted() {
    let fake = Fake::default();
    for _ in 0..3 {
        assert_eq!(fake.acts(DomainAct::Pause), Outcome::Ok(Reply::Unit));
    }
    assert_eq!(*fake.pauses.borrow(), 1);
    *fake.pauses.borrow_mut() = 3;
    assert_eq!(fake.acts(DomainAct::Unpause), Outcome::Ok(Reply::Unit));
    assert_eq!(*fake.pauses.borrow(), 0);
    assert_eq!(fake.acts(DomainAct::Unpause), Outcome::Ok(Reply::Unit));
    assert_eq!(*fake.pauses.borrow(), 0);
}

#[test]
fn a_domain_that_is_not_there() {
    let fake = Fake::default();
    assert_eq!(super::act(&fake, 6, &DomainAct::Pause), Outcome::Refused(Fault::NoDomain(6)));
    let fake = Fake { fails: Some((1, ESRCH)), ..Fake::default() };
    assert_eq!(fake.acts(DomainAct::Destroy), Outcome::Refused(Fault::NoDomain(7)));
}

#[test]
fn a_destroyed_domain_is_waited_for() {
    let fake = Fake { lingers: RefCell::new(4), ..Fake::default() };
    assert_eq!(fake.acts(DomainAct::Destroy), Outcome::Ok(Reply::Unit));
    assert_eq!(*fake.lingers.borrow(), 0);
}

#[test]
fn what_may_have_been_done_is_not_refused() {
    let table = [
        (DomainAct::SetMaxMem(1), EFAULT, Outcome::Unknown(Fault::Other("xc_call: bad address (EFAULT)".into()))),
        (DomainAct::ShadowAllocation(2), ENOMEM, Outcome::Unknown(Fault::NoMemory(2048))),
        (DomainAct::SetMaxMem(1), ENOMEM, Outcome::Refused(Fault::NoMemory(LEAST))),
        (DomainAct::Destroy, 16, Outcome::Unknown(Fault::Busy("domain 7 (xc_call)".into()))),
    ];
    for (act, errno, outcome) in table {
        let fake = Fake { fails: Some((1, errno)), ..Fake::default() };
        assert_eq!(fake.acts(act), outcome);
    }
}
