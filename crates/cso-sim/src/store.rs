//! A store in memory that outlives the engine that writes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cso_core::port::{Change, Event, Reach, Store, StoreError, StoreMeta};
use cso_core::{DigestKey, ObjectKey, Record};

use crate::kill::Kill;

/// Records as JSON text, so that what does not survive serialisation does not survive the process either.
///
/// As lazy as a store may be: how a call ended is written with the next change of its object, or when the process ends in
/// peace, and lost when it is killed.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    process: Arc<Process>,
    meta: StoreMeta,
}

/// The store as one process has it.
#[derive(Debug)]
struct Process {
    contents: Arc<Mutex<Contents>>,
    /// Outcomes that are not written yet.
    closed: Mutex<BTreeMap<ObjectKey, String>>,
    kill: Kill,
}

impl Process {
    fn new(contents: Arc<Mutex<Contents>>, kill: Kill) -> Arc<Self> {
        Arc::new(Self { contents, closed: Mutex::default(), kill })
    }

    fn closed(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, String>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.kill.is_dead() {
            let closed = std::mem::take(&mut *self.closed());
            self.contents.lock().unwrap_or_else(PoisonError::into_inner).records.extend(closed);
        }
    }
}

#[derive(Debug, Default)]
struct Contents {
    records: BTreeMap<ObjectKey, String>,
    events: Vec<Event>,
    commits: usize,
}

impl MemoryStore {
    /// An empty store. Stores with different ids are different states.
    pub fn new(id: &str) -> Self {
        let digest_key = DigestKey::from_bytes([7; 32]);
        let meta = StoreMeta { id: id.to_owned(), digest_key };
        Self { process: Process::new(Arc::default(), Kill::never()), meta }
    }

    /// The store as the next process opens it, which dies when `kill` says so.
    #[must_use]
    pub fn open(&self, kill: Kill) -> Self {
        Self { process: Process::new(Arc::clone(&self.process.contents), kill), meta: self.meta.clone() }
    }

    /// All records, read back from their text.
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        let failed = |error: serde_json::Error| StoreError {
            message: format!("a record cannot be read back: {error}"),
            reach: Reach::Store,
            source: Some(Box::new(error)),
        };
        self.lock().records.values().map(|text| serde_json::from_str(text).map_err(failed)).collect()
    }

    /// Everything that was ever told, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// How many commits there were.
    pub fn commits(&self) -> usize {
        self.lock().commits
    }

    /// All text the store holds: what a thief of the file could read.
    pub fn text(&self) -> String {
        let contents = self.lock();
        let events = contents.events.iter().map(|event| format!("{} {}", event.reason, event.message));
        contents.records.values().cloned().chain(events).collect::<Vec<_>>().join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.process.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut contents = self.lock();
        contents.commits += 1;
        for change in changes {
            match change {
                Change::Put(record) => {
                    self.process.closed().remove(&record.key);
                    contents.records.insert(record.key.clone(), text_of(&record)?);
                }
                Change::Close(record) => {
                    self.process.closed().insert(record.key.clone(), text_of(&record)?);
                }
                Change::Remove(key) => {
                    self.process.closed().remove(&key);
                    contents.records.remove(&key);
                }
                Change::Event(event) => contents.events.push(event),
            }
        }
        Ok(())
    }
}

fn text_of(record: &Record) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|error| StoreError {
        message: format!("a record cannot be written: {error}"),
        reach: Reach::Store,
        source: Some(Box::new(error)),
    })
}

impl Store for MemoryStore {
    fn meta(&self) -> &StoreMeta {
        &self.meta
    }

    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        self.records()
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.process.kill.point().await;
        self.write(changes)?;
        self.process.kill.point().await;
        Ok(())
    }
}
