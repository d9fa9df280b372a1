//! `xenops`: the command line. Commands call the daemon (`commands`), pure functions render answers (`view`).

pub mod advice;
pub mod args;
pub mod client;
pub mod commands;
pub mod failure;
pub mod find;
pub mod interrupt;
pub mod output;
pub mod view;
pub mod wait;

use args::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use commands::Context;
use failure::Failure;
use output::Output;
use std::process::ExitCode;

/// Runs the program with the arguments that it was given.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let context = Context::of(&cli);
    let shown = commands::run(&context, cli.command).and_then(|shown| context.output.show(&shown));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.output.show_failure(&failure);
            ExitCode::from(failure.status())
        }
    }
}

/// Says what is wrong with a command line, or what was asked about the program itself.
fn refuse(error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = std::env::args().any(|arg| arg == "--json");
    if json && !asked {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        Output { json }.show_failure(&Failure::Usage(text.to_owned()));
    } else {
        // Whoever read it may be gone.
        let _ = error.print();
    }
    ExitCode::from(if asked { 0 } else { 2 })
}
