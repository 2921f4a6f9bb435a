//! What the API server has, as far as our writes depend on it: one row an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use cso_core::ObjectKey;
use serde_json::{Value, json};

/// One object as the server last showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub uid: String,
    pub resource_version: String,
    pub generation: u64,
    pub finalizers: Vec<String>,
    /// Annotations that this process writes, by name.
    pub notes: BTreeMap<String, String>,
    /// Members of the spec.
    pub fields: Box<[Box<str>]>,
    /// The status as JSON text: as a tree it would take several times the memory, for each of thousands of objects.
    pub(crate) status: Box<str>,
}

impl Row {
    /// The status, which is an object.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or_else(|_| json!({}))
    }

    /// The row with another status.
    #[must_use]
    pub fn with_status(self, status: &Value) -> Self {
        Self { status: status.to_string().into(), ..self }
    }
}

/// All rows.
#[derive(Debug, Default)]
pub struct Rows(Mutex<BTreeMap<ObjectKey, Row>>);

impl Rows {
    /// What the server has of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<Row> {
        self.lock().get(key).cloned()
    }

    /// Takes in what the server showed, unless something later was shown before; says whether it did.
    pub fn put(&self, key: ObjectKey, row: Row) -> bool {
        let mut rows = self.lock();
        let is_news = rows.get(&key).is_none_or(|known| known.uid != row.uid || !is_later(known, &row));
        if is_news {
            rows.insert(key, row);
        }
        is_news
    }

    /// The server has no such object; returns what it last had of it.
    pub fn remove(&self, key: &ObjectKey) -> Option<Row> {
        self.lock().remove(key)
    }

    /// The objects of a kind.
    pub fn of_kind(&self, group: &str, kind: &str) -> BTreeSet<ObjectKey> {
        let first = ObjectKey::new(group, kind, "", "");
        let rows = self.lock();
        let keys = rows.range(first..).map(|(key, _)| key);
        keys.take_while(|key| key.group == group && key.kind == kind).cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Row>> {
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
