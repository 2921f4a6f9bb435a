//! What the API server has, as far as our writes depend on it: one row an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use cso_core::ObjectKey;
use cso_core::packed::{Packed, Press};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One object as the server last showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub uid: String,
    pub resource_version: String,
    pub generation: u64,
    pub finalizers: Vec<String>,
    /// Annotations that this process writes, by name.
    pub notes: BTreeMap<String, String>,
    /// Members of the spec.
    pub fields: Vec<String>,
    /// The status, an object.
    pub status: Value,
}

/// All rows, packed: they are looked at when the server tells of an object or something is written, and hardly ever at
/// rest.
#[derive(Debug, Default)]
pub struct Rows(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    rows: BTreeMap<ObjectKey, Packed>,
    press: Press,
}

impl Rows {
    /// What the server has of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<Row> {
        self.lock().rows.get(key)?.open()
    }

    /// Takes in what the server showed, unless something later was shown before; says whether it did.
    pub fn put(&self, key: ObjectKey, row: &Row) -> bool {
        let mut shelf = self.lock();
        let known: Option<Row> = shelf.rows.get(&key).and_then(Packed::open);
        let is_news = known.is_none_or(|known| known.uid != row.uid || !is_later(&known, row));
        if is_news && let Some(packed) = shelf.press.pack(&key, row) {
            shelf.rows.insert(key, packed);
        }
        is_news
    }

    /// The server has no such object; returns what it last had of it.
    pub fn remove(&self, key: &ObjectKey) -> Option<Row> {
        self.lock().rows.remove(key)?.open()
    }

    /// The objects of a kind.
    pub fn of_kind(&self, group: &str, kind: &str) -> BTreeSet<ObjectKey> {
        let first = ObjectKey::new(group, kind, "", "");
        let shelf = self.lock();
        let keys = shelf.rows.range(first..).map(|(key, _)| key);
        keys.take_while(|key| key.group == group && key.kind == kind).cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer to a write may overtake the events of earlier writes. Versions of one object are numbers that grow.
fn is_later(one: &Row, other: &Row) -> bool {
    version_number(&one.resource_version) > version_number(&other.resource_version)
}

/// A version as a number, to tell which of two is the later one.
pub(crate) fn version_number(version: &str) -> u128 {
    version.parse().unwrap_or_default()
}
