//! What somebody wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::ObjectKey;

/// One desired object, from whichever adapter. Plain data; references are not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    pub key: ObjectKey,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Annotations of the place that the object is in, which hold for all objects there; `None` if the adapter does not
    /// know the place, so that what is remembered of it counts.
    pub inherited: Option<BTreeMap<String, String>>,
    /// The object's `spec` as written. Shared, because the record of the object has the same one for most of its life.
    pub spec: Arc<Value>,
    /// The object is on its way out: its resource is to be deleted.
    pub deleting: bool,
    /// What the keeper of the object counts of it; `None` where nobody does, so that the engine counts.
    pub life: Option<Life>,
}

/// An object's life as its keeper counts it: another one after delete and create under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    pub uid: String,
    pub began: Timestamp,
    /// Counts changes of the spec.
    pub generation: u64,
    /// Another controller that works on the object too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<Rival>,
}

/// Somebody who wrote what only the controller of an object writes, while it was ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// As the keeper of the object knows him.
    pub who: String,
    /// When he last did.
    pub at: Timestamp,
}

impl Object {
    /// An annotation's value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// The value of an annotation of the object's place.
    pub fn inherits(&self, name: &str) -> Option<&str> {
        self.inherited.as_ref()?.get(name).map(String::as_str)
    }
}
