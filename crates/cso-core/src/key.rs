//! The name of an object.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Names one object: its kind and its place. Orders by group, kind, namespace, name.
///
/// Shared, because an object is named in a dozen places: the queue, the world, the rows, who refers to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(Arc<KeyParts>);

/// What an [`ObjectKey`] consists of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyParts {
    /// API group, for example `sqs.services.k8s.aws`; empty for the core group.
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Deref for ObjectKey {
    type Target = KeyParts;

    fn deref(&self) -> &KeyParts {
        &self.0
    }
}

impl ObjectKey {
    /// A key from its four parts.
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let [group, kind, namespace, name] = [group, kind, namespace, name].map(Into::into);
        Self(Arc::new(KeyParts { group, kind, namespace, name }))
    }

    /// The short service name of an ACK group (`sqs` of `sqs.services.k8s.aws`), or the whole group.
    pub fn service(&self) -> &str {
        self.group.strip_suffix(".services.k8s.aws").unwrap_or(&self.group)
    }
}

/// `sqs/Queue default/orders`: the form used in every message.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        } else {
            write!(f, "{}/{} {}/{}", self.service(), self.kind, self.namespace, self.name)
        }
    }
}
