//! Tasks, and the stream of what changes.

use super::super::client::ask;
use super::super::failure::Failure;
use super::super::output::{Shown, print};
use super::super::view;
use super::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use xenops_core::interface::{Answer, Call};

/// How long one call for updates waits at most, in seconds.
const PATIENCE: i64 = 30;

/// Commands on tasks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what changes, until interrupted.
    Events,
    /// List tasks.
    Tasks,
    /// Ask a task to end early.
    TaskCancel(Task),
    /// Forget a task.
    TaskDestroy(Task),
}

/// A task.
#[derive(Debug, Args)]
pub struct Task {
    /// Its number.
    id: String,
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    let client = &context.client;
    match command {
        Command::Events => events(context),
        Command::Tasks => {
            let tasks = ask!(client, Call::TaskList, Answer::Tasks(tasks) => tasks);
            Ok(Shown::of(view::task::lines(&tasks), &tasks))
        }
        Command::TaskCancel(Task { id }) => {
            client.call(Call::TaskCancel { id: id.clone() })?;
            Ok(Shown { text: String::new(), json: json!({ "id": id }) })
        }
        Command::TaskDestroy(Task { id }) => {
            client.call(Call::TaskDestroy { id: id.clone() })?;
            Ok(Shown { text: String::new(), json: json!({ "id": id }) })
        }
    }
}

fn events(context: &Context) -> Result<Shown, Failure> {
    let mut from = None;
    loop {
        let call = Call::UpdatesGet { last_id: from, timeout: Some(PATIENCE) };
        let (ids, next) = ask!(context.client, call, Answer::Updates(_, ids, next) => (ids, next));
        for id in &ids {
            match context.output.json {
                true => print(&format!("{}\n", json!({ "next": next, "id": id })))?,
                false => print(&view::event::line(next, id))?,
            }
        }
        from = Some(next);
    }
}
