//! Answers to questions, all from one moment.

use super::connection::Request;
use super::error::{Code, Error};
use super::link::{Call, Link};
use super::transaction::{Transaction, retried};
use super::wire::{Op, texts};
use std::rc::Rc;
use xenops_core::host::{Found, Listing, Nodes, Query};

/// Requests of one question that are under way at once.
const AT_ONCE: usize = 128;

/// Answers them. One that takes one request is one moment by itself; others share a transaction, which has to be
/// committed even though it changes nothing: C xenstored looks at each node when it is first asked for, and says only
/// at the end whether all of it was true together.
pub(super) async fn answers(link: &Rc<Link>, queries: &[Query]) -> Result<Vec<Found>, Error> {
    match queries {
        [] => Ok(Vec::new()),
        [query @ (Query::Value(_) | Query::Children(_))] => {
            take(query, ask(query, |request| link.call(request))).await.map(|found| vec![found])
        }
        queries => retried(async || together(link, queries).await).await,
    }
}

async fn together(link: &Rc<Link>, queries: &[Query]) -> Result<Vec<Found>, Error> {
    let transaction = Transaction::begin(link).await?;
    let mut found = Vec::with_capacity(queries.len());
    for some in queries.chunks(AT_ONCE) {
        let calls: Vec<_> = some.iter().map(|query| ask(query, |request| transaction.call(request))).collect();
        for (query, call) in some.iter().zip(calls) {
            found.push(match query {
                Query::Tree { path, depth, limit } => {
                    Found::Tree(tree(&transaction, path, *depth, *limit as usize).await?)
                }
                query => take(query, call).await?,
            });
        }
    }
    transaction.commit().await?;
    Ok(found)
}

/// The one request that it takes, where it takes one; about a path that cannot be nobody is asked.
fn ask(query: &Query, call: impl FnOnce(Request) -> Call) -> Option<Call> {
    let request = match query {
        Query::Value(path) => Request::at(Op::Read, path),
        Query::Children(path) => Request::at(Op::Directory, path),
        Query::Tree { .. } => return None,
    };
    request.ok().map(call)
}

async fn take(query: &Query, call: Option<Call>) -> Result<Found, Error> {
    let answer = match call {
        Some(call) => present(call.await)?,
        None => None,
    };
    Ok(match query {
        Query::Value(_) => Found::Value(answer.map(text)),
        _ => Found::Children(answer.map(|names| self::names(&names))),
    })
}

/// Nodes below a path, each parent before its children, siblings by name.
async fn tree(transaction: &Transaction, path: &str, depth: u32, limit: usize) -> Result<Nodes, Error> {
    let mut all: Vec<String> = Vec::new();
    let mut level = vec![String::new()];
    for _ in 0..depth {
        let mut below = Vec::new();
        for some in level.chunks(AT_ONCE) {
            let listings = some.iter().map(|at| Request::at(Op::Directory, &join(path, at)));
            let calls: Vec<_> = listings.map(|request| request.ok().map(|request| transaction.call(request))).collect();
            for (at, call) in some.iter().zip(calls) {
                let Some(call) = call else { continue };
                for name in present(call.await)?.map(|names| self::names(&names)).unwrap_or_default() {
                    below.push(if at.is_empty() { name } else { format!("{at}/{name}") });
                }
            }
        }
        // Of one level no more can be among the first `limit` of all.
        below.truncate(limit);
        if below.is_empty() {
            break;
        }
        all.extend_from_slice(&below);
        level = below;
    }
    all.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    all.truncate(limit);
    let mut found = Listing::default();
    let mut all = all.into_iter().peekable();
    while all.peek().is_some() {
        let some: Vec<String> = all.by_ref().take(AT_ONCE).collect();
        let reads = some.iter().map(|at| Request::at(Op::Read, &join(path, at)));
        let calls: Vec<_> = reads.map(|request| request.map(|request| transaction.call(request))).collect();
        for (at, call) in some.into_iter().zip(calls) {
            // It was listed: if it is not there, it was not all one moment.
            let value = present(call?.await)?.ok_or(Error::Refused(Code::Eagain))?;
            found.push(&at, &text(value));
        }
    }
    Ok(found.into())
}

fn join(path: &str, below: &str) -> String {
    match (path, below) {
        (path, "") => path.to_owned(),
        ("/", below) => format!("/{below}"),
        (path, below) => format!("{path}/{below}"),
    }
}

fn present(answer: Result<Vec<u8>, Error>) -> Result<Option<Vec<u8>>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Guests write any bytes; what is no text is shown as near to one as can be.
pub(super) fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Each daemon has an order of its own; ours is by name.
pub(super) fn names(listing: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = texts(listing).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort_unstable();
    names
}
