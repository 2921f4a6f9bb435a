//! What a look saw of the parts that the write after it did not touch. The next look takes it over, so that a chain of
//! writes reads each part once and not once for each write.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cso_core::ObjectKey;
use cso_schema::observe::Seen;
use jiff::{SignedDuration, Timestamp};

/// For so long what was seen is taken over. A chain that takes longer looks anew.
const LIFE: SignedDuration = SignedDuration::from_secs(10);

/// One look for each object that is in a chain of writes.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<BTreeMap<ObjectKey, Look>>);

/// Answers by part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) parts: BTreeMap<String, Seen>,
    /// When the oldest of them was read.
    pub(crate) at: Timestamp,
}

impl Looks {
    /// Keeps what was seen, but for the part of a step that was made: `policy`, or `inline` of `inline.add`.
    pub(super) fn keep(&self, key: &ObjectKey, mut look: Look, step: &str) {
        look.parts.remove(step.split('.').next().unwrap_or(step));
        if !look.parts.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), look);
        }
    }

    /// Takes what was kept, if it is young enough; an empty look of now otherwise.
    pub(super) fn take(&self, key: &ObjectKey, now: Timestamp) -> Look {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        kept.filter(|look| now.duration_since(look.at) < LIFE).unwrap_or(Look { parts: BTreeMap::new(), at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_is_kept_once_and_for_a_while() {
        let (looks, key) = (Looks::default(), ObjectKey::new("g", "K", "n", "o"));
        let parts = BTreeMap::from(["a", "b"].map(|name| (name.to_owned(), Seen::Absent)));
        let look = Look { parts, at: Timestamp::UNIX_EPOCH };
        let names = |look: Look| look.parts.into_keys().collect::<Vec<_>>();
        looks.keep(&key, look.clone(), "a.add");
        assert_eq!(names(looks.take(&key, look.at)), ["b"]);
        assert!(looks.take(&key, look.at).parts.is_empty());
        looks.keep(&key, look.clone(), "tags.put");
        assert!(looks.take(&key, look.at + LIFE).parts.is_empty());
    }
}
