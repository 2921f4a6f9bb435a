//! The thread that owns the connection: groups commits, so that a hundred objects share one fsync.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use cso_core::port::Change;
use cso_core::{KeyParts, ObjectKey, Record};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::Reply;
use super::error::StateError;
use super::layout::Token;
use super::lock::Lock;
use super::read;

/// Events kept in all, newest first: some megabytes.
pub const EVENTS_KEPT: u32 = 10_000;

/// Events kept of one object, so that one that fails all the time does not push out the others' history.
pub const EVENTS_KEPT_PER_OBJECT: u32 = 50;

/// Bounds the time that the first caller of a group waits for the rest of it.
const GROUP: usize = 1_000;

/// What the writer is asked to do.
pub(super) enum Request {
    Load(Reply<Vec<Record>>),
    Commit(Vec<Row>, Reply<()>),
}

/// One change, encoded.
pub(super) enum Row {
    Put { key: ObjectKey, body: String },
    Remove { key: ObjectKey },
    Event { object: ObjectKey, body: String },
}

impl Row {
    pub(super) fn encode(change: &Change) -> serde_json::Result<Self> {
        Ok(match change {
            Change::Put(record) | Change::Close(record) => {
                Self::Put { key: record.key.clone(), body: serde_json::to_string(record)? }
            }
            Change::Remove(key) => Self::Remove { key: key.clone() },
            Change::Event(event) => Self::Event { object: event.object.clone(), body: serde_json::to_string(event)? },
        })
    }
}

type Waiting = (Vec<Row>, Reply<()>);

/// Fields are dropped in order: the connection is closed before the lock is let go.
pub(super) struct Writer {
    connection: Connection,
    _lock: Lock,
    path: PathBuf,
    token: Token,
    events: u32,
    transactions: Arc<AtomicU64>,
}

impl Writer {
    /// A writer for a connection that has claimed the file with this token.
    pub(super) fn new(
        connection: Connection,
        token: Token,
        lock: Lock,
        path: &Path,
        transactions: Arc<AtomicU64>,
    ) -> Result<Self, StateError> {
        let events = connection
            .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            .map_err(|source| StateError::of(path, source))?;
        Ok(Self { connection, _lock: lock, path: path.to_owned(), token, events, transactions })
    }

    /// Serves requests in their order until nobody can send any more. What waits together is committed together.
    pub(super) fn run(mut self, inbox: &Receiver<Request>) {
        let mut group = Vec::new();
        while let Ok(first) = inbox.recv() {
            for request in std::iter::once(first).chain(inbox.try_iter().take(GROUP)) {
                match request {
                    Request::Commit(rows, reply) => group.push((rows, reply)),
                    Request::Load(reply) => {
                        self.commit(&mut group);
                        let _ = reply.send(read::records(&self.connection, &self.path).map_err(Arc::new));
                    }
                }
            }
            self.commit(&mut group);
        }
    }

    /// Writes a group as one transaction and answers each of its callers. A caller that no longer waits is no error.
    fn commit(&mut self, group: &mut Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        let result = self.write(group).map_err(Arc::new);
        for (_, reply) in group.drain(..) {
            let _ = reply.send(result.clone());
        }
    }

    fn write(&mut self, group: &[Waiting]) -> Result<(), StateError> {
        let failed = |source| StateError::of(&self.path, source);
        let transaction = begin(&mut self.connection, &self.path, &self.token)?;
        let mut events = self.events;
        for row in group.iter().flat_map(|(rows, _)| rows) {
            apply(&transaction, row, &mut events).map_err(failed)?;
        }
        trim(&transaction, &mut events).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        // Only now: a transaction that failed has changed nothing.
        self.events = events;
        self.transactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Begins a transaction that no other process can have come between.
fn begin<'c>(connection: &'c mut Connection, path: &Path, token: &Token) -> Result<Transaction<'c>, StateError> {
    let failed = |source| StateError::of(path, source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found: Vec<u8> = transaction
        .prepare_cached("SELECT writer FROM meta")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    if found == token { Ok(transaction) } else { Err(StateError::TakenOver { path: path.to_owned() }) }
}

fn apply(transaction: &Transaction<'_>, row: &Row, events: &mut u32) -> rusqlite::Result<()> {
    match row {
        Row::Put { key, body } => transaction
            .prepare_cached(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            )?
            .execute((&key.group, &key.kind, &key.namespace, &key.name, body))
            .map(|_| ()),
        Row::Remove { key } => transaction
            .prepare_cached("DELETE FROM records WHERE api_group = ? AND kind = ? AND namespace = ? AND name = ?")?
            .execute((&key.group, &key.kind, &key.namespace, &key.name))
            .map(|_| ()),
        Row::Event { object, body } => {
            let KeyParts { group, kind, namespace, name } = &**object;
            transaction
                .prepare_cached("INSERT INTO events (api_group, kind, namespace, name, body) VALUES (?, ?, ?, ?, ?)")?
                .execute((group, kind, namespace, name, body))?;
            let dropped = transaction
                .prepare_cached(
                    "DELETE FROM events WHERE seq IN (
                         SELECT seq FROM events WHERE api_group = ? AND kind = ? AND namespace = ? AND name = ?
                         ORDER BY seq DESC LIMIT -1 OFFSET ?)",
                )?
                .execute((group, kind, namespace, name, EVENTS_KEPT_PER_OBJECT))?;
            *events = (*events + 1).saturating_sub(u32::try_from(dropped).unwrap_or(u32::MAX));
            Ok(())
        }
    }
}

/// Drops the oldest events over the limit.
fn trim(transaction: &Transaction<'_>, events: &mut u32) -> rusqlite::Result<()> {
    let over = events.saturating_sub(EVENTS_KEPT);
    if over > 0 {
        transaction
            .prepare_cached("DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?)")?
            .execute([over])?;
        *events -= over;
    }
    Ok(())
}
