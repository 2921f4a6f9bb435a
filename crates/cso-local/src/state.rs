//! The store port on one embedded file.
//!
//! ```text
//! commit() --.                       one SQLite transaction, one fsync
//! commit() ---+--> writer thread --> [ record, record, event, ... ] --> every caller of the group is answered
//! commit() --'     owns connection and lock
//! ```
//!
//! Whatever was answered with `Ok` survives `kill -9` and power loss. `docs/design/state-file.md` says why SQLite.

mod error;
mod layout;
mod lock;
mod read;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use cso_core::Record;
use cso_core::port::{Change, Reach, Store, StoreError, StoreMeta};
use tokio::sync::oneshot;

pub use error::StateError;
pub use read::{EventFilter, StateReader};
pub use writer::{EVENTS_KEPT, EVENTS_KEPT_PER_OBJECT};

use writer::{Request, Row, Writer};

/// The one process that writes a state file. Dropping it finishes what was sent and closes the file.
#[derive(Debug)]
pub struct StateFile {
    meta: StoreMeta,
    path: PathBuf,
    transactions: Arc<AtomicU64>,
    /// `None` only while dropping: the thread ends when its last sender is gone.
    requests: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl StateFile {
    /// Opens a state file, and makes it if there is none, with its directory.
    ///
    /// A directory made here is private (0700) and keeps itself out of version control by its own `.gitignore`. The file
    /// is private too (0600).
    ///
    /// # Errors
    /// When another process has it open for writing, or it is not ours, damaged, of a newer format, or cannot be
    /// written. Nothing is changed in any of these cases.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let lock = layout::prepare_directory(path).and_then(|()| lock::Lock::take(path))?;
        let token = layout::random(path)?;
        let connection = layout::open_or_create(path, &token)?;
        let meta = layout::read_meta(&connection, path)?;
        let transactions = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(connection, token, lock, path, Arc::clone(&transactions))?;
        let (requests, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(|source| StateError::Io { path: path.to_owned(), doing: "start its writer thread", source })?;
        Ok(Self { meta, path: path.to_owned(), transactions, requests: Some(requests), writer: Some(thread) })
    }

    /// Opens a state file to look at it, also while another process writes it.
    ///
    /// # Errors
    /// When there is none, or it is not ours, damaged, or of a newer format.
    pub fn open_read_only(path: &Path) -> Result<StateReader, StateError> {
        StateReader::open(path)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Durable transactions since opening. Fewer than commits, because commits that wait together share one.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let stopped = || StateError::Stopped { path: self.path.clone() };
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.send(request(reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?.map_err(error::shared)
    }
}

type Reply<T> = oneshot::Sender<Result<T, Arc<StateError>>>;

impl Store for StateFile {
    fn meta(&self) -> &StoreMeta {
        &self.meta
    }

    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        self.ask(Request::Load).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        // Encoded here, so that what one caller cannot encode fails for that caller alone, and not in the writer's time.
        let rows = changes.iter().map(Row::encode).collect::<Result<Vec<_>, _>>().map_err(|source| StoreError {
            message: "a record cannot be written as JSON".to_owned(),
            reach: Reach::Store,
            source: Some(Box::new(source)),
        })?;
        self.ask(|reply| Request::Commit(rows, reply)).await
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has already been reported to its callers as `Stopped`.
            let _ = writer.join();
        }
    }
}
