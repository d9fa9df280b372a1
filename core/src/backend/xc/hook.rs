//! Hooks: an administrator's programs at moments of a VM's life.

use super::process::{self, Program};
use crate::backend::{Failure, Hook, Host, MicroOp, Product};
use crate::host::{Exit, Reply, Request, Role};
use crate::interface::Error;
use std::borrow::Cow;

/// Files that one turn runs.
const TURN: usize = 8;

/// Run a directory's files in order of their names, those that sort after `after`.
pub(super) async fn run(host: &Host, hook: Hook, reason: Cow<'static, str>, after: &str) -> Result<Product, Failure> {
    let names = match host.request(Request::Hooks(hook.directory().to_owned())).await? {
        Reply::Names(names) => names,
        other => return Err(process::internal(format!("host answered hooks with {other:?}"))),
    };
    let names: Vec<_> = names.into_iter().filter(|name| name.as_str() > after).collect();
    let (turn, rest) = names.split_at(names.len().min(TURN));
    for name in turn {
        run_file(host, hook, &reason, name).await?;
    }
    match turn.last() {
        Some(last) if !rest.is_empty() => host.become_op(MicroOp::VmHookScriptAfter(hook, reason, last.clone())).await,
        _ => Ok(Product::Nothing),
    }
}

/// Status 0 is well, 1 is not our concern, anything else is a failure.
async fn run_file(host: &Host, hook: Hook, reason: &str, name: &str) -> Result<(), Failure> {
    let context = host.context();
    let script = format!("{}/{name}", hook.directory());
    let mut args = vec!["-vmuuid".to_owned(), context.text.to_string(), "-reason".to_owned(), reason.to_owned()];
    if let Some(domid) = context.domid {
        args.extend(["-vmdomid".to_owned(), domid.to_string()]);
    }
    let program = Program {
        role: Role::Hook,
        domid: context.domid,
        program: format!("{}/{script}", context.facts.hooks),
        args,
        env: Vec::new(),
        scratch: None,
    };
    let (lines, exit) = process::run(host, program, context.settings.hook_timeout).await?;
    let code = match exit {
        Some(Exit::Code(0 | 1)) => return Ok(()),
        Some(Exit::Code(code)) => code.to_string(),
        other => return Err(process::internal(format!("hook {script} {}", process::ending(other)))),
    };
    Err(Error::HookFailed(script, reason.to_owned(), lines.join("\n"), code).into())
}
