//! Reading records and events, by the writer itself or beside it.

use std::path::{Path, PathBuf};

use cso_core::port::{Event, StoreMeta};
use cso_core::{ObjectKey, Record};
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::de::DeserializeOwned;

use super::error::StateError;
use super::layout;

/// A state file opened to be looked at. Each method sees one committed state, and none waits for the writer.
#[derive(Debug)]
pub struct StateReader {
    connection: Connection,
    path: PathBuf,
    meta: StoreMeta,
}

/// Which events are wanted. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub group: Option<String>,
    pub kind: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

impl EventFilter {
    /// The events of one object.
    pub fn of(key: &ObjectKey) -> Self {
        Self {
            group: Some(key.group.clone()),
            kind: Some(key.kind.clone()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            limit: None,
        }
    }
}

impl StateReader {
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let connection = layout::open_existing(path)?;
        let meta = layout::read_meta(&connection, path)?;
        Ok(Self { connection, path: path.to_owned(), meta })
    }

    /// Facts about the store, as of opening.
    pub fn meta(&self) -> &StoreMeta {
        &self.meta
    }

    /// All records, by key.
    ///
    /// # Errors
    /// When the file cannot be read or a record in it is damaged.
    pub fn records(&self) -> Result<Vec<Record>, StateError> {
        records(&self.connection, &self.path)
    }

    /// The record of one object.
    ///
    /// # Errors
    /// When the file cannot be read or the record is damaged.
    pub fn record(&self, key: &ObjectKey) -> Result<Option<Record>, StateError> {
        let found = self
            .connection
            .query_row(
                "SELECT kind || ' ' || namespace || '/' || name, body FROM records
                 WHERE api_group = ? AND kind = ? AND namespace = ? AND name = ?",
                (&key.group, &key.kind, &key.namespace, &key.name),
                named_body,
            )
            .optional()
            .map_err(|source| StateError::of(&self.path, source))?;
        found.map(|row| decode("record", &row, &self.path)).transpose()
    }

    /// Events, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read or an event in it is damaged.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StateError> {
        let query = || {
            self.connection
                .prepare_cached(
                    "SELECT 'of ' || kind || ' ' || namespace || '/' || name, body FROM events
                     WHERE (?1 IS NULL OR api_group = ?1) AND (?2 IS NULL OR kind = ?2)
                       AND (?3 IS NULL OR namespace = ?3) AND (?4 IS NULL OR name = ?4)
                     ORDER BY seq DESC LIMIT ?5",
                )?
                .query_map(
                    (&filter.group, &filter.kind, &filter.namespace, &filter.name, filter.limit.map_or(-1, i64::from)),
                    named_body,
                )?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = query().map_err(|source| StateError::of(&self.path, source))?;
        rows.iter().rev().map(|row| decode("event", row, &self.path)).collect()
    }
}

/// All records, by key.
pub(super) fn records(connection: &Connection, path: &Path) -> Result<Vec<Record>, StateError> {
    let query = || {
        connection
            .prepare_cached(
                "SELECT kind || ' ' || namespace || '/' || name, body FROM records
                 ORDER BY api_group, kind, namespace, name",
            )?
            .query_map([], named_body)?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    let rows = query().map_err(|source| StateError::of(path, source))?;
    rows.iter().map(|row| decode("record", row, path)).collect()
}

fn named_body(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// The place of a JSON error is told, its text is not: a record holds what users wrote.
fn decode<T: DeserializeOwned>(what: &str, (name, body): &(String, String), path: &Path) -> Result<T, StateError> {
    serde_json::from_str(body).map_err(|error| StateError::Damaged {
        path: path.to_owned(),
        what: format!("{what} {name} is unreadable at column {}", error.column()),
    })
}
