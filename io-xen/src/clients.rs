//! Connected clients, and which of their calls are not answered yet.

use crate::bell::Bell;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;
use xenops_core::interface::{Answer, Error};
use xenops_core::machine::{CallId, ClientId};
use xenops_core::wire::{Connection, RequestId, Waiting};

/// One client, as its own task and the driver share it.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// Its bytes, calls and replies.
    pub connection: RefCell<Connection>,
    /// Rung when its task should look after it.
    pub bell: Bell,
    // What it was seen to wait for, and since when.
    seen: Cell<(Waiting, Instant)>,
    expired: Cell<bool>,
}

impl Client {
    /// Whether it has left its replies for too long.
    pub fn has_expired(&self) -> bool {
        self.expired.get()
    }

    // Times are as exact as patrols are frequent: no client costs a timer of its own.
    fn inspect(&self, now: Instant) {
        let mut connection = self.connection.borrow_mut();
        let waiting = connection.waiting();
        let (seen, since) = self.seen.get();
        if waiting != seen {
            return self.seen.set((waiting, now));
        }
        let waited = now.saturating_duration_since(since).as_nanos();
        match connection.patience_ns() {
            Some(patience) if waited > u128::from(patience) => {
                self.expired.set(matches!(waiting, Waiting::Send(_)));
                connection.expire();
            }
            Some(_) => return,
            // It waits for us: it may have gone meanwhile.
            None => {}
        }
        self.bell.ring();
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Clients {
    all: HashMap<ClientId, Rc<Client>>,
    open: HashMap<CallId, (ClientId, RequestId)>,
    clients: u64,
    calls: u64,
}

impl Clients {
    /// A new one.
    pub fn add(&mut self, connection: Connection) -> Rc<Client> {
        self.clients += 1;
        let id = ClientId(self.clients);
        let seen = Cell::new((connection.waiting(), Instant::now()));
        let (connection, expired) = (RefCell::new(connection), Cell::new(false));
        let client = Rc::new(Client { id, connection, bell: Bell::default(), seen, expired });
        self.all.insert(id, client.clone());
        client
    }

    /// One has gone, with all that it asked.
    pub fn remove(&mut self, client: ClientId) {
        self.all.remove(&client);
        self.open.retain(|_, (asked_by, _)| *asked_by != client);
    }

    /// One asks; this is the number of its call.
    pub fn open(&mut self, client: ClientId, request: RequestId) -> CallId {
        self.calls += 1;
        let call = CallId(self.calls);
        self.open.insert(call, (client, request));
        call
    }

    /// Answers a call, if somebody still waits for it.
    pub fn reply(&mut self, call: CallId, reply: &Result<Answer, Error>) {
        if let Some((client, request)) = self.open.remove(&call)
            && let Some(client) = self.all.get(&client)
        {
            client.connection.borrow_mut().reply(request, reply.as_ref());
            client.bell.ring();
        }
    }

    /// Looks after those that keep us waiting, and those that wait for us.
    pub fn patrol(&self) {
        let now = Instant::now();
        self.all.values().for_each(|client| client.inspect(now));
    }

    /// How many are connected.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether none is connected.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
