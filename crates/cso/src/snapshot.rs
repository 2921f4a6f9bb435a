//! The store of a plan: what a state file or a cluster holds now, in memory. It takes no changes, so a plan cannot leave a trace.

use std::path::Path;

use anyhow::{Context as _, Result};
use cso_core::port::{Change, Reach, Store, StoreError, StoreMeta};
use cso_core::{DigestKey, Record};
use cso_local::state::StateFile;

/// Records as they were when it was taken.
pub(crate) struct Snapshot {
    meta: StoreMeta,
    records: Vec<Record>,
}

impl Snapshot {
    /// What a state file holds; what a new one would hold if there is none.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        if path.try_exists().with_context(|| format!("cannot look for {}", path.display()))? {
            let reader = StateFile::open_read_only(path)?;
            return Ok(Self { meta: reader.meta().clone(), records: reader.records()? });
        }
        Self::unused()
    }

    /// What somebody else has read.
    pub(crate) const fn new(meta: StoreMeta, records: Vec<Record>) -> Self {
        Self { meta, records }
    }

    /// A store that was never used, under an identity of its own: no mark in the cloud can be its.
    fn unused() -> Result<Self> {
        let mut key = [0; 32];
        let mut id = [0; 8];
        getrandom::fill(&mut key)
            .and_then(|()| getrandom::fill(&mut id))
            .context("the system gives no random bytes")?;
        let id = format!("{:016x}", u64::from_be_bytes(id));
        Ok(Self { meta: StoreMeta { id, digest_key: DigestKey::from_bytes(key) }, records: Vec::new() })
    }

    /// The id under which its marks stand.
    pub(crate) fn state(&self) -> &str {
        &self.meta.id
    }

    /// All that is remembered, and nothing else of it.
    pub(crate) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// What is remembered.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }
}

impl Store for Snapshot {
    fn meta(&self) -> &StoreMeta {
        &self.meta
    }

    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        Ok(self.records.clone())
    }

    async fn commit(&self, _changes: Vec<Change>) -> Result<(), StoreError> {
        Err(read_only())
    }
}

fn read_only() -> StoreError {
    StoreError {
        message: "a plan does not write, which is a bug of cso if it tries".to_owned(),
        reach: Reach::Store,
        source: None,
    }
}
