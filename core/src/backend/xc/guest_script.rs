//! Running a script in the guest, through its agent.

use super::{guest, paths};
use crate::backend::{Failure, Host, Product};
use crate::host::time::SECOND;
use crate::host::{Batch, Condition, Found, Guard, Query};
use crate::interface::{Error, Value};

/// How long a script may run.
const PATIENCE: u64 = 86_400 * SECOND;

/// Longest text of a result, in bytes.
const LONGEST: usize = 1024;

const CUT: &str = " (truncated)";

/// Run a script, and wait for what it says.
pub(super) async fn run(host: &Host, script: &str) -> Result<Product, Failure> {
    let context = host.context();
    let domid = guest::domid(context)?;
    let control = paths::below(&paths::domain(domid), "control");
    let directory = paths::below(&control, "batcmd");
    let state = paths::below(&directory, "state");
    let found =
        host.read(vec![Query::Value(paths::below(&control, "feature-xs-batcmd")), Query::Value(state.clone())]).await?;
    if !matches!(found.first(), Some(Found::Value(Some(_)))) {
        return Err(Error::Unimplemented("run_script without a guest agent that can".to_owned()).into());
    }
    if found.get(1) == Some(&Found::Value(Some("IN PROGRESS".to_owned()))) {
        return Err(Error::FailedToRunScript("another script is running".to_owned()).into());
    }
    let mut batch = Batch::new();
    batch.guard(Guard::Exists(paths::below(&control, "feature-xs-batcmd")));
    batch.remove(&directory);
    batch.write(paths::below(&directory, "script"), script).write(&state, "READY");
    if !host.store(batch).await? {
        return Err(Error::does_not_exist("domain", &*context.text).into());
    }
    let mut any: Vec<_> =
        ["SUCCESS", "TRUNCATED", "FAILURE"].map(|word| Condition::Equals(state.clone(), word.to_owned())).into();
    let ended = any.len();
    any.extend([Condition::Absent(directory.clone()), Condition::Stopped(domid)]);
    match host.wait(any, PATIENCE).await?.0 {
        Some(which) if which < ended => {}
        Some(_) => return Err(Error::FailedToRunScript("the guest gave it up".to_owned()).into()),
        None => return Err(Error::FailedToRunScript("it did not end in time".to_owned()).into()),
    }
    let queries = ["state", "return", "stdout", "stderr"].map(|key| Query::Value(paths::below(&directory, key)));
    let found = host.read(queries.to_vec()).await?;
    let mut batch = Batch::new();
    batch.remove(directory);
    host.store(batch).await?;
    result(found).map(Product::Result)
}

fn result(found: Vec<Found>) -> Result<Value, Failure> {
    let mut texts = found.into_iter().map(|found| match found {
        Found::Value(value) => value.unwrap_or_default(),
        _ => String::new(),
    });
    let mut next = || texts.next().unwrap_or_default();
    let (state, code, stdout, stderr) = (next(), next(), next(), next());
    let code: i64 = match code.trim().parse() {
        Ok(code) if state != "FAILURE" => code,
        _ => return Err(Error::FailedToRunScript(format!("it ended in {state} with {code:?}")).into()),
    };
    let truncated = state == "TRUNCATED";
    Ok(Value::Dict(vec![
        ("rc".to_owned(), Value::Int(code)),
        ("stdout".to_owned(), Value::String(cut(stdout, truncated))),
        ("stderr".to_owned(), Value::String(cut(stderr, truncated))),
    ]))
}

/// A text of at most `LONGEST` bytes, which says so where something is missing: the guest's own cut leaves texts
/// that are nearly as long.
fn cut(text: String, truncated: bool) -> String {
    let room = LONGEST - CUT.len();
    if text.len() <= if truncated { room } else { LONGEST } {
        return text;
    }
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_say_that_they_were_cut() {
        assert_eq!(cut("x".repeat(1024), false), "x".repeat(1024));
        assert_eq!(cut("x".repeat(1025), false).len(), 1024);
        assert_eq!(cut("x".repeat(1020), true), format!("{}{CUT}", "x".repeat(1012)));
        assert_eq!(cut("x".repeat(1000), true), "x".repeat(1000));
        assert_eq!(cut("é".repeat(600), false), format!("{}{CUT}", "é".repeat(506)));
    }
}
