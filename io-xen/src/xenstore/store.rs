//! The store as a host driver uses it, in core's terms.

use super::batch;
use super::connection::Request;
use super::endpoint::Endpoint;
use super::error::{Code, Error};
use super::find::{self, text};
use super::interest::Interest;
use super::link::Link;
use super::permissions;
use super::watches::Signal;
use super::wire::{self, Op};
use crate::failure::Failure;
use crate::inbox::Inbox;
use smol::lock::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::rc::Rc;
use xenops_core::host::{Batch, DomId, Found, Outcome, Perms, Query, Reply, Token};

/// What tells of domains that appear, stop or disappear.
const DOMAINS: [&str; 2] = ["@introduceDomain", "@releaseDomain"];

/// A client of xenstored. Its futures may be dropped at any moment: what was asked may then still happen, but no
/// transaction stays open, and no watch that nobody knows of.
#[derive(Debug)]
pub struct Store {
    pub(super) link: Rc<Link>,
    turn: Mutex<()>,
}

/// Values of nodes, as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(HashMap<String, String>);

impl Values {
    /// A node's value, if it existed and was asked for.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

impl Store {
    /// Connects to the xenstored at this path, or where it usually is. Notices go to the inbox. Nothing is sent or
    /// received but while [`tend`](Self::tend) is polled.
    pub fn open(path: Option<&Path>, inbox: Rc<Inbox>) -> Result<Rc<Store>, Failure> {
        let (endpoint, stream) = Endpoint::find(path)?;
        Ok(Rc::new(Store { link: Rc::new(Link::new(endpoint, stream, inbox)), turn: Mutex::new(()) }))
    }

    /// Carries everything, for ever. When xenstored goes away, requests in flight and those made meanwhile fail with
    /// `Fault::Lost`; it connects again as soon as it can, watches everything again and raises `Everything`.
    pub async fn tend(&self) -> Infallible {
        self.link.tend().await
    }

    /// Guards, then changes, in one transaction: `Unit` or `GuardFailed`. Everything before the commit was sent is
    /// `Refused`, a connection lost after it is `Unknown`.
    pub async fn apply(&self, batch: &Batch) -> Outcome {
        batch::apply(&self.link, &self.turn, batch).await
    }

    /// All answers from one moment: `Found`.
    pub async fn find(&self, queries: &[Query]) -> Outcome {
        match find::answers(&self.link, queries).await {
            Ok(found) => Outcome::Ok(Reply::Found(found)),
            Err(error) => Outcome::Refused(error.fault("read")),
        }
    }

    /// Values from one moment, for a look at conditions; paths that do not exist have none.
    pub async fn values(&self, paths: &[impl AsRef<str>]) -> Result<Values, Error> {
        let queries: Vec<Query> = paths.iter().map(|path| Query::Value(path.as_ref().to_owned())).collect();
        let found = find::answers(&self.link, &queries).await?;
        let pairs = paths.iter().zip(found).filter_map(|(path, found)| match found {
            Found::Value(value) => Some((path.as_ref().to_owned(), value?)),
            _ => None,
        });
        Ok(Values(pairs.collect()))
    }

    /// Raises `token` whenever something at or below these paths may have changed, instead of the token's earlier
    /// paths; `Token::DOMAINS` is raised for xenstored's own signs of domains besides.
    ///
    /// A path that the token has already stays watched as it is. A new one raises the token once for its making, as
    /// xenstored has it: notices are level bits, so this costs a look and hides nothing.
    pub async fn watch(&self, token: Token, paths: &[String]) -> Outcome {
        if let Some(down) = self.link.down() {
            return Outcome::Refused(down.fault("watch"));
        }
        let mut wanted: Vec<&str> = paths.iter().map(String::as_str).filter(|path| wire::is_path(path)).collect();
        if token == Token::DOMAINS {
            wanted.extend(DOMAINS);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let (kept, obsolete): (Vec<_>, Vec<_>) =
            self.link.watched(token).into_iter().partition(|(_, path)| wanted.contains(&path.as_str()));
        wanted.retain(|path| !kept.iter().any(|(_, kept)| kept == path));
        let calls: Vec<_> = wanted.iter().map(|path| (*path, self.link.watch(path, token))).collect();
        let mut made = Vec::with_capacity(calls.len());
        let mut failed = None;
        for (path, (serial, call)) in calls {
            made.push(serial);
            if let Err(error) = call.await {
                failed.get_or_insert((error, path));
            }
        }
        match failed {
            None => {
                obsolete.into_iter().for_each(|(serial, _)| self.link.unwatch(serial));
                Outcome::Ok(Reply::Unit)
            }
            // They are watched on the next connection.
            Some((error @ (Error::Lost(_) | Error::Down(_)), _)) => Outcome::Unknown(error.fault("watch")),
            Some((error, path)) => {
                made.into_iter().for_each(|serial| self.link.unwatch(serial));
                Outcome::Refused(error.fault(format_args!("watch {path}")))
            }
        }
    }

    /// Forgets a token; unknown is fine. Nothing is raised for it after this returns.
    pub fn unwatch(&self, token: Token) {
        self.link.watched(token).into_iter().for_each(|(serial, _)| self.link.unwatch(serial));
    }

    /// Watches paths for a wait.
    pub fn interest(&self, paths: &[impl AsRef<str>]) -> Interest {
        Interest::new(self.link.clone(), paths, Signal::default())
    }

    /// Makes a built domain known: its number, the frame of its ring and the port of its event channel.
    pub async fn introduce(&self, domid: DomId, frame: u64, port: u64) -> Outcome {
        let texts = [domid.to_string(), frame.to_string(), port.to_string()];
        self.act(Op::Introduce, &texts.each_ref().map(String::as_str), format!("introduce {domid}")).await
    }

    /// Forgets a domain; one that is not known is fine.
    pub async fn release(&self, domid: DomId) -> Outcome {
        match self.link.call(Request::new(Op::Release, &[&domid.to_string()])).await {
            // One daemon's word for it, and the other's.
            Err(Error::Refused(Code::Enoent | Code::Einval)) => Outcome::Ok(Reply::Unit),
            answer => outcome(answer, format!("release {domid}")),
        }
    }

    /// Whether a domain is known: `Flag`.
    pub async fn is_domain_introduced(&self, domid: DomId) -> Outcome {
        let what = format!("is-domain-introduced {domid}");
        match self.link.call(Request::new(Op::IsDomainIntroduced, &[&domid.to_string()])).await {
            Ok(answer) => match answer.first() {
                Some(b'T') => Outcome::Ok(Reply::Flag(true)),
                Some(b'F') => Outcome::Ok(Reply::Flag(false)),
                _ => Outcome::Refused(Error::Answer("flag").fault(what)),
            },
            Err(error) => Outcome::Refused(error.fault(what)),
        }
    }

    /// A node's permissions, if it exists.
    pub async fn permissions(&self, path: &str) -> Result<Option<Perms>, Error> {
        match self.link.call(Request::at(Op::GetPerms, path)?).await {
            Ok(answer) => permissions::read(&answer).map(Some),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A domain's directory, as this xenstored names it.
    pub async fn domain_path(&self, domid: DomId) -> Result<String, Error> {
        let mut path = self.link.call(Request::new(Op::GetDomainPath, &[&domid.to_string()])).await?;
        path.pop_if(|last| *last == 0);
        Ok(text(path))
    }

    async fn act(&self, op: Op, texts: &[&str], what: String) -> Outcome {
        outcome(self.link.call(Request::new(op, texts)).await, what)
    }
}

fn outcome(answer: Result<Vec<u8>, Error>, what: String) -> Outcome {
    match answer {
        Ok(_) => Outcome::Ok(Reply::Unit),
        Err(error @ Error::Lost(_)) => Outcome::Unknown(error.fault(what)),
        Err(error) => Outcome::Refused(error.fault(what)),
    }
}

#[cfg(test)]
mod tests;
