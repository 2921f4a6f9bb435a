//! What is remembered of an object between turns and across crashes. Small, and without values that must not be kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::Verb;
use crate::condition::Condition;
use crate::digest::Digest;
use crate::export::Exported;
use crate::key::ObjectKey;

/// The durable record of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub key: ObjectKey,
    /// Identity of this object's life: a new one after delete and create under the same name.
    pub uid: String,
    /// When that life began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Counts changes of the spec, from 1.
    pub generation: u64,
    /// Digest of the spec that `generation` counts.
    pub spec_digest: Digest,
    /// What was wished for when that generation began: enough to delete the resource after its manifest is gone.
    pub wish: LastWish,
    pub ownership: Ownership,
    /// Where the resource is, as far as references say so: what they stood for when it was made, by spec field.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub place: Map<String, Value>,
    /// The object's status as last written: identifiers and observed values, without conditions.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub status: Map<String, Value>,
    /// Values that the provider chose for fields the user left open, where the dialect shows them in the spec. Of an object
    /// with a life of its own, only in the record that puts them there.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub late: Map<String, Value>,
    /// Digest of the wish last applied or found settled, by surface path of a field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applied: BTreeMap<String, Digest>,
    /// The mutating call whose outcome is not recorded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// How often the same difference was written without effect, by part and surface path; and when the resource was
    /// created or deleted, until that is seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub writes: BTreeMap<String, Written>,
    /// What a field export has put into another object. A record written before there were any has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported: Option<Exported>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation that the conditions are about; 0 before there are any.
    #[serde(default)]
    pub observed: u64,
}

/// The wish as last seen. Secrets are in it by reference only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastWish {
    pub spec: Arc<Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// As in [`crate::Object::inherited`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<BTreeMap<String, String>>,
}

/// How we came to own the resource. Nothing is deleted or changed without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "how")]
pub enum Ownership {
    #[default]
    None,
    /// Our create call made it.
    Created,
    /// The user said adopt.
    Adopted,
    /// Made by a state that is lost, whose mark stays on it: the user said take back, or it is the mark of this state,
    /// which has lost its memory of the create.
    TakenBack { mark: String },
    /// Made by another controller of the same dialect, which stood here before: its resource carries no mark.
    TakenOver,
}

/// A mutating call that was decided on, written down before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    pub verb: Verb,
    pub part: String,
    pub operation: String,
    /// Digest of the input with its holes in place.
    pub digest: Digest,
    /// Idempotency token that the call carries, if its operation takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// When the call was last about to be made.
    pub opened: Timestamp,
    /// Generation of the object that the call is for.
    pub generation: u64,
    /// What is applied once the call took effect: digests by field, or nothing for a field that it clears.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applies: BTreeMap<String, Option<Digest>>,
}

/// Memory of the convergence guard for one difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Digest of the difference that was written.
    pub digest: Digest,
    pub count: u32,
    pub at: Timestamp,
}

impl Ownership {
    /// Whether the resource is ours to change.
    pub const fn is_ours(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl Record {
    /// Closes the open intent as done: what it was to apply is applied.
    pub fn fulfil(&mut self) {
        for (field, digest) in self.intent.take().map(|intent| intent.applies).unwrap_or_default() {
            match digest {
                Some(digest) => self.applied.insert(field, digest),
                None => self.applied.remove(&field),
            };
        }
    }

    /// Takes an open update's outcome as unknown: what it carried may be there or not, so the fields are ours, and hold
    /// what no wish says until a call or a look tells.
    pub fn doubt(&mut self) {
        let Some(intent) = self.intent.as_ref().filter(|intent| intent.verb == Verb::Update) else { return };
        for (field, digest) in &intent.applies {
            if digest.is_some() && self.applied.get(field) != digest.as_ref() {
                self.applied.insert(field.clone(), intent.digest.clone());
            }
        }
    }

    /// The record of an object that was never worked on.
    pub fn new(key: ObjectKey, uid: String, spec_digest: Digest) -> Self {
        Self {
            key,
            uid,
            created: None,
            generation: 1,
            spec_digest,
            wish: LastWish::default(),
            ownership: Ownership::None,
            place: Map::new(),
            status: Map::new(),
            late: Map::new(),
            applied: BTreeMap::new(),
            intent: None,
            writes: BTreeMap::new(),
            exported: None,
            conditions: Vec::new(),
            observed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestKey;

    /// Records that were written before there were exports are read, and written back, as they are.
    #[test]
    fn a_record_without_an_export_has_the_form_it_always_had() {
        let key = ObjectKey::new("g", "K", "n", "a");
        let record = Record::new(key, "uid".to_owned(), DigestKey::from_bytes([1; 32]).digest("spec", &Value::Null));
        let text = serde_json::to_string(&record).expect("plain data");
        assert!(!text.contains("exported"), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("as written"), record);
    }
}
