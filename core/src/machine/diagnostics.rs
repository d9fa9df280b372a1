//! What an administrator can see of the machine from outside: one JSON text.

use super::Machine;
use super::slot::{Job, Slot};
use super::updates::Object;
use crate::interface::{Pairs, Value};
use crate::recovery::{Verdict, explain};

impl Machine {
    /// Upstream's keys, and ours: the verdict on each VM, records that no VM can use, the budget, observers.
    pub(super) fn diagnostics(&self) -> String {
        let text = |text: String| Value::String(text);
        let queues = self.vms.iter().map(|(vm, slot)| self.queue(vm, slot)).collect();
        let workers = self.vms.iter().filter_map(|(_, slot)| worker(slot)).collect();
        let scheduler = self
            .timers
            .dump(self.now.mono)
            .into_iter()
            .map(|(seconds, what)| object([("time", Value::Int(seconds as i64)), ("thing", text(what))]));
        let (drawn, reserve, lined_up) = self.budget.state();
        let budget = object([
            ("limit", Value::Int(i64::from(self.budget.limit()))),
            ("drawn", Value::Int(i64::from(drawn))),
            ("reserve_drawn", Value::Int(i64::from(reserve))),
            ("waiting", Value::Int(lined_up as i64)),
        ]);
        let with_row = || self.vms.iter().filter(|(_, slot)| slot.rows.vm.is_some());
        let actions = with_row().map(|(_, slot)| (slot.text.to_string(), action(slot)));
        let verdicts = with_row().map(|(vm, slot)| (slot.text.to_string(), text(self.why(vm))));
        let of_vms = self.vms.iter().flat_map(|(_, slot)| &slot.aside);
        let of_none = self.aside.iter().map(|(key, why)| (key, why));
        let aside = of_none.chain(of_vms).map(|(key, why)| (key.clone(), text(why.clone())));
        let all = object([
            ("queues", Value::List(queues)),
            ("workers", Value::List(workers)),
            ("scheduler", Value::List(scheduler.collect())),
            ("updates", self.updates_dump()),
            ("tasks", Value::List(self.tasks.iter().map(|(id, task)| Value::of(&task.show(id))).collect())),
            ("vm_actions", Value::Dict(actions.collect())),
            ("verdicts", Value::Dict(verdicts.collect())),
            ("set_aside", Value::Dict(aside.collect())),
            ("budget", budget),
            ("observers", self.observers_dump()),
        ]);
        serde_json::to_string(&all).expect("values are plain data")
    }

    /// Why a VM is as it is, in one line.
    fn why(&self, vm: u64) -> String {
        let slot = self.slot(vm);
        if let Some(aside) = slot.set_aside() {
            return aside;
        }
        let doing = match &slot.job {
            Job::Rest => None,
            Job::Look { .. } => Some("looking".to_owned()),
            Job::Settle => Some("clearing its intent".to_owned()),
            Job::Restate => Some("writing its records once more".to_owned()),
            Job::Begin(active) | Job::Run(active) | Job::Rows(active) => {
                let live: Vec<_> = active.run.live().map(|op| op.name()).collect();
                Some(format!("{} is at {}", active.op.name(), live.join(", ")))
            }
        };
        let stragglers = match slot.stragglers.len() {
            0 => String::new(),
            n => format!("; {n} earlier requests have not ended"),
        };
        let verdict = match (&slot.verdict, &slot.seen) {
            (Some(verdict), _) => explain(verdict),
            (None, Some(_)) => explain(&self.decide(vm)),
            (None, None) => "not looked at yet".to_owned(),
        };
        doing.map_or(verdict.clone(), |doing| format!("{doing}; when last seen: {verdict}")) + &stragglers
    }

    fn queue(&self, vm: u64, slot: &Slot) -> Value {
        let works = self.queues.iter(vm).map(|queued| Value::String(queued.op.name().to_owned())).collect();
        object([("tag", Value::String(slot.text.to_string())), ("works", Value::List(works))])
    }

    fn updates_dump(&self) -> Value {
        let entry =
            |(number, changed): (&i64, &Object)| object([("id", Value::Int(*number)), ("v", Value::of(&changed.id()))]);
        let barriers = self.updates.barriers().map(|(token, number, snapshot)| {
            let snapshot = snapshot.iter().map(|(number, id)| entry((number, id))).collect();
            Value::List(vec![Value::Int(token), Value::Int(number), Value::List(snapshot)])
        });
        object([
            ("updates", Value::List(self.updates.changes().map(entry).collect())),
            ("barriers", Value::List(barriers.collect())),
        ])
    }

    fn observers_dump(&self) -> Value {
        let observers = self.observers.observers.iter().map(|(uuid, observer)| {
            let shown = object([
                ("name", Value::String(observer.name.clone())),
                ("attributes", Value::of(&observer.attributes)),
                ("endpoints", Value::of(&observer.endpoints)),
                ("enabled", Value::Bool(observer.enabled)),
            ]);
            (uuid.clone(), shown)
        });
        let settings: Pairs =
            self.observers.settings.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
        object([("observers", Value::Dict(observers.collect())), ("settings", Value::of(&settings))])
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Dict(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn worker(slot: &Slot) -> Option<Value> {
    let active = slot.active()?;
    let state = Value::String(format!("Processing {}", active.op.name()));
    let task = active.task.map_or(Value::Null, |task| Value::String(task.to_string()));
    Some(object([("state", state), ("task", task)]))
}

/// What the domain asks for, by upstream's names.
fn action(slot: &Slot) -> Value {
    use crate::host::ShutdownCode;
    let domain = slot.domain();
    let needs = match domain.map(|domain| (domain.info.shutdown, domain.action_request.as_deref())) {
        None => Some("Needs_poweroff"),
        Some((Some(ShutdownCode::Reboot | ShutdownCode::Watchdog), _)) => Some("Needs_reboot"),
        Some((Some(ShutdownCode::Suspend), _)) => Some("Needs_suspend"),
        Some((Some(ShutdownCode::Crash), _)) => Some("Needs_crashdump"),
        Some((Some(ShutdownCode::SoftReset), _)) => Some("Needs_softreset"),
        Some((Some(_), _)) => Some("Needs_poweroff"),
        Some((None, Some("reboot"))) => Some("Needs_reboot"),
        Some((None, Some(_))) => Some("Needs_poweroff"),
        Some((None, None)) => None,
    };
    let settled_halted = domain.is_none() && matches!(slot.verdict, Some(Verdict::Sensible(_)));
    let needs = if settled_halted { None } else { needs };
    Value::List(needs.map(|needs| Value::String(needs.to_owned())).into_iter().collect())
}
