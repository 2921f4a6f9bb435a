//! What the API server has, as far as our writes depend on it: one row an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use cso_core::packed::{Packed, Press};
use cso_core::{ObjectKey, Rival};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::RECORD;

/// One object as the server last showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub uid: String,
    pub resource_version: String,
    pub generation: u64,
    pub finalizers: Vec<String>,
    /// Annotations that this process writes, by name: a hash of what each says, to tell whether it is to be written again.
    pub notes: BTreeMap<String, u64>,
    /// The sealed record of a field export, which says what to take away with it.
    pub sealed: Option<String>,
    /// Members of the spec.
    pub fields: Vec<String>,
    /// The status, an object.
    pub status: Value,
    /// Who wrote the status last, of those who are not us, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Rival>,
    /// The same, if it was after this process first saw the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<Rival>,
}

/// What became of a row that the server showed.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Nothing later was shown before: it is what the server has.
    pub is_latest: bool,
    /// The object had a record on it when it was last shown.
    pub had_record: bool,
    /// Who else works on the object.
    pub rival: Option<Rival>,
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

    /// Takes in what the server showed, unless something later was shown before.
    pub fn put(&self, key: ObjectKey, mut row: Row) -> Taken {
        let mut shelf = self.lock();
        let known: Option<Row> = shelf.rows.get(&key).and_then(Packed::open);
        let (mut is_latest, mut had_record) = (true, false);
        if let Some(known) = known.filter(|known| known.uid == row.uid) {
            row.rival =
                if is_newer(row.other.as_ref(), known.other.as_ref()) { row.other.clone() } else { known.rival };
            had_record = known.notes.contains_key(RECORD);
            is_latest = !is_later(&known.resource_version, &row.resource_version);
        }
        if is_latest && let Some(packed) = shelf.press.pack(&key, &row) {
            shelf.rows.insert(key, packed);
        }
        Taken { is_latest, had_record, rival: row.rival }
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
fn is_later(one: &str, other: &str) -> bool {
    version_number(one) > version_number(other)
}

/// Whether somebody else wrote after he was last seen.
fn is_newer(now: Option<&Rival>, before: Option<&Rival>) -> bool {
    now.map(|now| now.at) > before.map(|before| before.at)
}

/// A version as a number, to tell which of two is the later one.
pub(crate) fn version_number(version: &str) -> u128 {
    version.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: &str, other: Option<i64>) -> Row {
        let at = |second| jiff::Timestamp::from_second(second).expect("a time");
        let other = other.map(|second| Rival { who: "controller".to_owned(), at: at(second) });
        Row { uid: "u".to_owned(), resource_version: version.to_owned(), other, ..Row::default() }
    }

    /// Who stood here before we came is no rival; who writes after that is, also when an older answer comes late.
    #[test]
    fn a_rival_is_who_writes_the_status_while_we_are_here() {
        let (rows, key) = (Rows::default(), ObjectKey::new("g", "K", "n", "a"));
        let put = |row| rows.put(key.clone(), row).rival;
        assert_eq!(put(row("1", Some(10))), None);
        assert_eq!(put(row("2", Some(10))), None);
        let rival = put(row("3", Some(11)));
        assert_eq!(rival.as_ref().map(|rival| rival.who.as_str()), Some("controller"));
        assert_eq!(put(row("2", Some(10))), rival);
        assert_eq!(put(row("4", None)), rival, "we wrote over it");
        assert_eq!(rows.get(&key).and_then(|row| row.rival), rival);
        let another = Row { uid: "v".to_owned(), ..row("5", Some(12)) };
        assert_eq!(put(another), None, "another object of this name");
    }

    /// A status that we write comes back before the record that follows it: nothing was lost then.
    #[test]
    fn a_record_can_be_missed_only_where_there_was_one() {
        let (rows, key) = (Rows::default(), ObjectKey::new("g", "K", "n", "a"));
        let had = |row| rows.put(key.clone(), row).had_record;
        let sealed = |version| Row { notes: BTreeMap::from([(RECORD.to_owned(), 1)]), ..row(version, None) };
        assert_eq!([had(row("1", None)), had(row("2", None)), had(sealed("3"))], [false; 3]);
        assert_eq!([had(row("4", None)), had(row("5", None))], [true, false], "it is missed once");
    }
}
