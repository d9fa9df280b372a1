//! What happened in a run, for somebody who reads it: events in the order in which they happened, each in the lane of
//! its VM or of the daemon and its host, bars for what has a beginning and an end, and what each event changed.
//!
//! A [`Story`] is collected from what goes into a machine, what comes out and how its host stands, only where a
//! [`Trace`](crate::trace::Trace) was made to tell it: a run that nobody is told of collects nothing. It is told as a
//! [text] in columns or as a [page](html).

mod fold;
pub mod html;
mod rules;
pub mod scene;
mod story;
pub mod text;
pub mod words;

pub use scene::Scene;
pub use story::Story;
pub(crate) use story::first_uuid;

/// Whose an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Of the daemon, its host, or of several VMs.
    Host,
    /// Of one VM.
    Vm(usize),
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client asks for something.
    Call,
    /// A client is answered.
    Reply,
    /// What a client asked for has ended.
    Ended,
    /// The machine asks its host for something.
    Ask,
    /// The machine would have a request back.
    Abort,
    /// The host is at work on a request.
    Host,
    /// The machine hears what came of a request.
    Done,
    /// The machine is told to look at something again.
    Notice,
    /// Something happened to a domain.
    Domain,
    /// Nobody did anything: time passed.
    Time,
    /// Something goes wrong, on purpose.
    Fault,
    /// A daemon starts.
    Start,
    /// All is at rest, or is to come to it.
    Rest,
    /// A rule is broken.
    Broken,
    /// Anything else.
    Note,
}

impl Kind {
    /// In a word, as columns and legends have it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Call => "client",
            Kind::Reply => "reply",
            Kind::Ended => "ended",
            Kind::Ask => "ask",
            Kind::Abort => "abort",
            Kind::Host => "host",
            Kind::Done => "done",
            Kind::Notice => "notice",
            Kind::Domain => "domain",
            Kind::Time => "time",
            Kind::Fault => "FAULT",
            Kind::Start => "START",
            Kind::Rest => "rest",
            Kind::Broken => "BROKEN",
            Kind::Note => "note",
        }
    }

    /// Whether it is of all lanes: a rule across them.
    pub fn is_rule(self) -> bool {
        matches!(self, Kind::Fault | Kind::Start | Kind::Rest | Kind::Broken)
    }
}

/// How something came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// It tells nothing of that.
    #[default]
    Plain,
    /// Well.
    Well,
    /// It was refused, or failed.
    Badly,
    /// Nobody knows.
    Unsure,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of virtual time.
    pub mono: u64,
    /// Inputs of the machine so far.
    pub step: u64,
    /// Whose.
    pub lane: Lane,
    /// What kind.
    pub kind: Kind,
    /// What, in words.
    pub what: String,
    /// All of it, where the words leave something out.
    pub detail: String,
    /// What came of it, where that is known at once.
    pub outcome: String,
    /// How that is.
    pub tone: Tone,
    /// The bar that begins or ends here.
    pub bar: Option<usize>,
    /// What was different afterwards.
    pub changes: Vec<String>,
}

/// Something with a beginning and an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Whose.
    pub lane: Lane,
    /// A client's task; else a request to the host.
    pub task: bool,
    /// What.
    pub what: String,
    /// The event that it begins with.
    pub from: usize,
    /// The event that it ends with; none: it is still under way when the story ends.
    pub to: Option<usize>,
    /// What came of it.
    pub outcome: String,
    /// How that is.
    pub tone: Tone,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// What VMs are called, in the order of their lanes.
    pub vms: Vec<String>,
    /// In the order in which they happened.
    pub events: Vec<Event>,
    /// In the order in which they began.
    pub bars: Vec<Bar>,
    /// How all stood at the end.
    pub last: Scene,
}

impl Timeline {
    /// What a lane is called.
    pub fn name(&self, lane: Lane) -> &str {
        match lane {
            Lane::Host => "host",
            Lane::Vm(vm) => self.vms.get(vm).map_or("?", String::as_str),
        }
    }

    /// The moment at which a rule was broken.
    pub fn broken(&self) -> Option<usize> {
        self.events.iter().rposition(|event| event.kind == Kind::Broken)
    }
}

/// Virtual time in seconds.
pub fn seconds(mono: u64) -> String {
    format!("{}.{:06}", mono / 1_000_000_000, mono / 1000 % 1_000_000)
}
