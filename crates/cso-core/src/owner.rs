//! The owner mark: whose resource this is.

use std::fmt;

use crate::key::ObjectKey;

/// Tag key of the owner mark. Tools that compare ACK's tags leave the prefix `services.k8s.aws/` out.
pub const OWNER_TAG: &str = "services.k8s.aws/owner";

/// Names a store and an object in it: `STATE/NAMESPACE/SERVICE.KIND/NAME`.
///
/// Only characters that every AWS tag value takes. A mark that would be longer than a tag value may be (256 characters)
/// ends in a digest of the object instead of its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerMark {
    state: String,
    object: String,
}

impl OwnerMark {
    /// The mark that `state` puts on the resource of `key`.
    pub fn new(state: &str, key: &ObjectKey) -> Self {
        Self { state: state.to_owned(), object: object_name(key) }
    }

    /// Reads a tag value; `None` if it was not written by us.
    pub fn parse(value: &str) -> Option<Self> {
        let (state, object) = value.split_once('/')?;
        (!state.is_empty() && object.split('/').count() == 3)
            .then(|| Self { state: state.to_owned(), object: object.to_owned() })
    }

    /// The store that made the mark.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Whether both marks name an object of the same kind, namespace and name, in whatever store.
    pub fn same_object(&self, other: &Self) -> bool {
        self.object == other.object
    }
}

impl fmt::Display for OwnerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.state, self.object)
    }
}

/// Room for `STATE/`: state ids are short.
const OBJECT_LIMIT: usize = 200;

fn object_name(key: &ObjectKey) -> String {
    let name = format!("{}/{}.{}/{}", key.namespace, key.service(), key.kind, key.name);
    if name.len() <= OBJECT_LIMIT {
        return name;
    }
    // Not a secret: the fixed key only makes the digest a digest.
    let digest = crate::DigestKey::from_bytes([0; 32]).digest("owner", &serde_json::Value::String(name));
    format!("long/{}.{}/{digest}", key.service(), key.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_knows_the_same_object_of_another_store() {
        let key = ObjectKey::new("sqs.services.k8s.aws", "Queue", "default", "orders");
        let mark = OwnerMark::new("abc123", &key);
        assert_eq!(mark.to_string(), "abc123/default/sqs.Queue/orders");
        assert_eq!(OwnerMark::parse(&mark.to_string()), Some(mark.clone()));
        assert!(mark.same_object(&OwnerMark::new("other", &key)));
        assert_eq!(OwnerMark::parse("team-blue"), None);
    }

    #[test]
    fn a_long_name_still_fits_a_tag_value() {
        let key = ObjectKey::new("sqs.services.k8s.aws", "Queue", &"n".repeat(63), &"x".repeat(253));
        let mark = OwnerMark::new("0123456789abcdef", &key).to_string();
        assert!(mark.len() <= 256, "{}", mark.len());
        assert!(OwnerMark::parse(&mark).is_some());
    }
}
