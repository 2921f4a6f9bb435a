//! The name of an object.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one object: its kind and its place. Orders by group, kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// API group, for example `sqs.services.k8s.aws`; empty for the core group.
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    /// A key from its four parts.
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
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
