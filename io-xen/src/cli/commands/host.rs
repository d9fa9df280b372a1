//! The host and its daemon.

use super::super::client::ask;
use super::super::failure::Failure;
use super::super::output::Shown;
use super::super::view;
use super::Context;
use clap::Subcommand;
use serde_json::json;
use xenops_core::interface::{Answer, Call};

/// Commands on the host.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the host.
    Host,
    /// Show the hypervisor's messages.
    Dmesg,
    /// Set how many micro-operations run at once.
    SetWorkers {
        /// How many; 0 admits nothing new.
        workers: i64,
    },
    /// Show which daemon answers.
    Query,
}

/// Does it.
pub(super) fn run(context: &Context, command: Command) -> Result<Shown, Failure> {
    let client = &context.client;
    match command {
        Command::Host => {
            let host = ask!(client, Call::HostStat, Answer::Host(host) => host);
            let mib = ask!(client, Call::HostGetTotalMemoryMib, Answer::Int(mib) => mib);
            Ok(Shown::of(view::host::lines(&host, mib), &json!({ "host": host, "memory_mib": mib })))
        }
        Command::Dmesg => {
            let text = ask!(client, Call::HostGetConsoleData, Answer::Text(text) => text);
            Ok(Shown::of(text.clone(), &json!({ "text": text })))
        }
        Command::SetWorkers { workers } => {
            client.call(Call::HostSetWorkerPoolSize { pool_size: workers })?;
            Ok(Shown { text: String::new(), json: json!({ "workers": workers }) })
        }
        Command::Query => {
            let query = ask!(client, Call::Query, Answer::Query(query) => query);
            let text = view::host::query(&query, client.socket());
            Ok(Shown::of(text, &query))
        }
    }
}
