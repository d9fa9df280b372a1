//! Waiting for a task: updates until it has ended, a bar meanwhile, Ctrl-C cancels it.

use super::client::{Client, ask};
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::warn;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use xenops_core::interface::task::State;
use xenops_core::interface::{Answer, Call, Error, Value, dynamic};

/// How long one call for updates waits at most, in seconds.
const PATIENCE: i64 = 30;

/// How a wait shows itself.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Draw a bar, where standard error is a terminal.
    pub bar: bool,
}

/// Makes a call that starts a task, and waits for the task's end; its result, if it has one.
pub fn perform(client: &Client, call: Call, label: &str, manner: Manner) -> Result<Option<Value>, Failure> {
    let interrupt = Interrupt::watch()?;
    let from = ask!(client, Call::UpdatesLastId, Answer::Int(number) => number);
    let task = ask!(client, call, Answer::TaskId(id) => id);
    let wait = Wait { client, task, bar: bar(label, manner), interrupt, cancelled: Cell::default() };
    let ended = wait.until_end(from);
    wait.bar.finish_and_clear();
    let state = ended?;
    // It has been looked at for the last time.
    match client.call(Call::TaskDestroy { id: wait.task.clone() }) {
        Ok(_) => {}
        Err(Failure::Refused(refusal)) if matches!(refusal.error, Error::DoesNotExist(..)) => {}
        Err(failure) => return Err(failure),
    }
    match state.error() {
        Some(error) => Err(Failure::refused(error)),
        None => Ok(match state {
            State::Completed { result, .. } => result,
            _ => None,
        }),
    }
}

struct Wait<'a> {
    client: &'a Client,
    task: String,
    bar: ProgressBar,
    interrupt: Interrupt,
    cancelled: Cell<bool>,
}

impl Wait<'_> {
    fn until_end(&self, mut from: i64) -> Result<State, Failure> {
        let ours = dynamic::Id::Task(self.task.clone());
        loop {
            let call = Call::UpdatesGet { last_id: Some(from), timeout: Some(PATIENCE) };
            let answer = self.client.call_watching(call, &mut || self.tick())?;
            let Answer::Updates(_, changed, next) = answer else { return Err(Failure::strange(&answer)) };
            from = next;
            // After a time without news as well: the daemon may have been another one meanwhile.
            if changed.contains(&ours) || changed.is_empty() {
                let task = ask!(self.client, Call::TaskStat { id: self.task.clone() }, Answer::Task(task) => task);
                match task.state {
                    State::Pending(progress) => self.bar.set_position((progress * 1000.0) as u64),
                    ended => return Ok(ended),
                }
            }
        }
    }

    fn tick(&self) -> Result<(), Failure> {
        self.bar.tick();
        if !self.interrupt.take() {
            return Ok(());
        }
        let task = &self.task;
        if self.cancelled.replace(true) {
            let text = format!("task {task} was asked to end and has not yet; 'xenops tasks' shows it");
            return Err(Failure::Interrupted(text));
        }
        self.bar.suspend(|| warn(&format!("cancelling task {task}; Ctrl-C again to leave it to itself")));
        self.client.call(Call::TaskCancel { id: task.clone() }).map(drop)
    }
}

fn bar(label: &str, manner: Manner) -> ProgressBar {
    if !manner.bar || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar:.cyan/dim} {percent:>3}% {elapsed}")
        .expect("the template is right")
        .progress_chars("━╸─");
    ProgressBar::new(1000).with_style(style).with_message(label.to_owned())
}
