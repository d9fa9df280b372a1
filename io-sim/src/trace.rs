//! What happened, for whoever wants to know: one line at a time (virtual time, number of inputs, what), or as a story.

use crate::timeline::{Story, Timeline};
use std::fmt::Write;
use xenops_core::host::{DomainAct, Outcome, Query, Reply, Request, StorageCall};
use xenops_core::machine::{Effect, Input, Machine};

/// Lines and a story, if anybody wants them.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
    story: Option<Box<Story>>,
}

/// Longest part of a line that shows what stands in a request.
const SHOWN: usize = 160;

impl Trace {
    /// One that keeps its lines.
    pub fn kept() -> Trace {
        Trace { lines: Some(Vec::new()), story: None }
    }

    /// One that collects a story; whoever has the VMs begins it anew with them.
    pub fn telling() -> Trace {
        Trace { lines: None, story: Some(Box::default()) }
    }

    /// The story, if there is to be one.
    pub fn story(&mut self) -> Option<&mut Story> {
        self.story.as_deref_mut()
    }

    /// The story as far as it has come.
    pub fn told(&mut self) -> Option<Timeline> {
        self.story.take().map(|story| story.told())
    }

    /// The machine is about to hear this.
    pub fn heard(&mut self, mono: u64, step: u64, input: &Input, machine: &Machine) {
        self.line(mono, step, || self::input(input));
        if let Some(story) = self.story() {
            story.heard((mono, step), input, machine);
        }
    }

    /// The machine wants this.
    pub fn wanted(&mut self, mono: u64, step: u64, effect: &Effect, machine: &Machine) {
        self.line(mono, step, || self::effect(effect));
        if let Some(story) = self.story() {
            story.wanted((mono, step), effect, machine);
        }
    }

    /// One more line, if it is kept.
    pub fn line(&mut self, mono: u64, step: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let (seconds, micros) = (mono / 1_000_000_000, mono / 1000 % 1_000_000);
            lines.push(format!("{seconds:>6}.{micros:06} {step:>6}  {}", text()));
        }
    }

    /// Those that were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

/// An input in short.
pub fn input(input: &Input) -> String {
    match input {
        Input::Call { call, client, request } => {
            format!(
                "> call {call} of client {client}: {} {}",
                request.call.method(),
                cut(&format!("{:?}", request.call))
            )
        }
        Input::Hangup { client } => format!("> client {client} hangs up"),
        Input::Done { effect, outcome } => format!("> done {effect:?}: {}", self::outcome(outcome)),
        Input::Noticed { token } => format!("> noticed {:#x}", token.0),
        Input::Everything => "> everything".to_owned(),
        Input::Tick => "> tick".to_owned(),
    }
}

/// An effect in short.
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Do { effect, request, .. } => format!("< do {effect:?}: {}", self::request(request)),
        Effect::Abort { effect, .. } => format!("< abort {effect:?}"),
        Effect::Reply { call, reply: Ok(answer) } => format!("< reply {call}: {}", cut(&format!("{answer:?}"))),
        Effect::Reply { call, reply: Err(error) } => format!("< reply {call}: error: {error}"),
    }
}

/// A request in short.
pub fn request(request: &Request) -> String {
    match request {
        Request::Store(batch) => {
            let mut text = format!("store {} guards", batch.guards.len());
            for change in &batch.changes {
                let _ = write!(text, ", {change:?}");
            }
            cut(&text)
        }
        Request::Read(queries) => {
            let path = |query: &Query| match query {
                Query::Value(path) | Query::Children(path) | Query::Tree { path, .. } => path.clone(),
            };
            cut(&format!("read {}", queries.iter().map(path).collect::<Vec<_>>().join(" ")))
        }
        Request::Domain(domid, DomainAct::HardAffinity(_)) => format!("domain {domid} HardAffinity"),
        Request::Domain(domid, act) => format!("domain {domid} {act:?}"),
        Request::Storage(StorageCall::List { prefix }) => format!("datapaths {prefix}"),
        Request::Append(entries) => {
            let entry = |entry: &xenops_core::host::Entry| match &entry.value {
                None => format!("no {}", entry.key),
                Some(value) if entry.key.starts_with("intent/") => format!("{} = {value}", entry.key),
                Some(_) => entry.key.clone(),
            };
            cut(&format!("append {}", entries.iter().map(entry).collect::<Vec<_>>().join(", ")))
        }
        other => cut(&format!("{other:?}")),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(Reply::Host(_)) => "Ok(host)".to_owned(),
        other => cut(&format!("{other:?}")),
    }
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
