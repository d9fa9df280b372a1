//! What the inputs of a recording refer to, as far as its failure.
//!
//! The machine numbers requests, notices and tasks; where inputs are missing it numbers them otherwise. So each input is
//! looked at once in the whole recording, for what it is about: the outcome of which request, the notice of which VM, the
//! task of which call.

use crate::relive::file::{First, Lines, Recording};
use crate::relive::life::{Broken, Life};
use crate::timeline::first_uuid;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xenops_core::host::{Request, Token, Uuid};
use xenops_core::interface::{Answer, Call};
use xenops_core::machine::effect::straggler_of;
use xenops_core::machine::recording::{Line, Told};
use xenops_core::machine::{CallId, Effect, EffectId, Input};

/// Something that the machine asked of its host.
pub(super) struct Ask {
    /// Its number in the life that asked it.
    pub(super) effect: EffectId,
    /// For which VM.
    pub(super) vm: Option<Uuid>,
    pub(super) request: Request,
}

/// What an input refers to by a number of the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refers {
    /// To nothing, or to what was so before the recording began.
    Nothing,
    /// To a request, which ends.
    Ask(usize),
    /// To a request that had had its time.
    Straggler(usize),
    /// To a VM that is watched.
    Vm(Uuid),
    /// To the task that this call made.
    Task(CallId),
}

/// An input.
pub(super) struct Heard {
    pub(super) told: Told,
    pub(super) refers: Refers,
    /// Parts of the recording that are likely to go together: a VM's, those of a kind.
    pub(super) of: BTreeSet<String>,
}

/// A recording as far as its failure.
pub(super) struct Survey {
    pub(super) first: First,
    /// All inputs up to the one that fails; none where the beginning does.
    pub(super) inputs: Vec<Heard>,
    pub(super) asks: Vec<Ask>,
    pub(super) broken: Broken,
}

/// What a recording came to.
pub(super) enum Surveyed {
    Fails(Box<Survey>),
    /// All is as it was; and whether the last line is cut short.
    Well {
        cut: bool,
    },
}

impl Survey {
    /// Of a file. An error: it cannot be read, or it is no recording.
    pub(super) fn of(path: &Path) -> Result<Surveyed, String> {
        let mut lines = Lines::open(path)?;
        let first = lines.first()?;
        let mut reader = Reader::default();
        let fails = |reader: Reader, broken| {
            let Reader { inputs, asks, .. } = reader;
            Ok(Surveyed::Fails(Box::new(Survey { first: first.clone(), inputs, asks, broken })))
        };
        let mut life = match Life::begin(first.clone()) {
            Ok(life) => life,
            Err(broken) => return fails(reader, broken),
        };
        reader.asked(&life);
        while let Some(line) = lines.next()? {
            let told = match line {
                Line::Told(told) => *told,
                Line::Ends(_) => continue,
                Line::Opened(_) | Line::Snapshot(_) => {
                    return Err(format!("{}: two recordings are in one file", path.display()));
                }
            };
            reader.hears(&told, &life);
            if let Err(broken) = life.tell(told) {
                return fails(reader, broken);
            }
            reader.asked(&life);
        }
        Ok(Surveyed::Well { cut: lines.is_cut() })
    }

    /// The recording itself, as far as its failure.
    pub(super) fn recording(&self) -> Recording {
        Recording { first: self.first.clone(), told: self.inputs.iter().map(|heard| heard.told.clone()).collect() }
    }
}

/// Numbers as they are in the whole recording.
#[derive(Default)]
struct Reader {
    inputs: Vec<Heard>,
    asks: Vec<Ask>,
    numbers: BTreeMap<EffectId, usize>,
    tasks: BTreeMap<String, CallId>,
}

impl Reader {
    fn asked(&mut self, life: &Life) {
        for effect in life.effects() {
            match effect {
                Effect::Do { effect, request, .. } => {
                    self.numbers.insert(*effect, self.asks.len());
                    let vm = life.machine().subject(*effect);
                    self.asks.push(Ask { effect: *effect, vm, request: request.clone() });
                }
                Effect::Reply { call, reply: Ok(Answer::TaskId(task)) } => {
                    self.tasks.insert(task.clone(), *call);
                }
                Effect::Abort { .. } | Effect::Reply { .. } => {}
            }
        }
    }

    fn hears(&mut self, told: &Told, life: &Life) {
        let refers = match &told.input {
            Input::Done { effect, .. } => self.numbers.get(effect).map(|ask| Refers::Ask(*ask)),
            Input::Noticed { token: Token::DOMAINS } => None,
            Input::Noticed { token } => match straggler_of(*token) {
                Some(effect) => self.numbers.get(&effect).map(|ask| Refers::Straggler(*ask)),
                None => life.machine().noticed_vm(*token).map(Refers::Vm),
            },
            Input::Call { request, .. } => {
                task_of(&request.call).and_then(|task| self.tasks.get(task)).map(|call| Refers::Task(*call))
            }
            Input::Hangup { .. } | Input::Everything | Input::Tick => None,
        };
        let refers = refers.unwrap_or(Refers::Nothing);
        let of = self.parts(&told.input, refers);
        self.inputs.push(Heard { told: told.clone(), refers, of });
    }

    fn parts(&self, input: &Input, refers: Refers) -> BTreeSet<String> {
        let kind = match input {
            Input::Call { request, .. } => request.call.method(),
            Input::Hangup { .. } => "hangup",
            Input::Done { .. } => "",
            Input::Noticed { .. } | Input::Everything => "notice",
            Input::Tick => "tick",
        };
        let vm = match (input, refers) {
            (_, Refers::Ask(ask) | Refers::Straggler(ask)) => self.asks[ask].vm,
            (_, Refers::Vm(vm)) => Some(vm),
            (Input::Call { request, .. }, _) => first_uuid(&format!("{:?}", request.call)),
            _ => None,
        };
        let client = match input {
            Input::Call { client, .. } | Input::Hangup { client } => format!("client {client}"),
            _ => String::new(),
        };
        let parts = [kind.to_owned(), vm.map(|vm| vm.text()).unwrap_or_default(), client];
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }
}

/// The task that a call is about.
fn task_of(call: &Call) -> Option<&String> {
    match call {
        Call::TaskStat { id }
        | Call::TaskCancel { id }
        | Call::TaskDestroy { id }
        | Call::TaskDestroyOnFinish { id } => Some(id),
        _ => None,
    }
}

/// The same call about another task.
pub(super) fn about_task(mut call: Call, task: &str) -> Call {
    if let Call::TaskStat { id }
    | Call::TaskCancel { id }
    | Call::TaskDestroy { id }
    | Call::TaskDestroyOnFinish { id } = &mut call
    {
        task.clone_into(id);
    }
    call
}
