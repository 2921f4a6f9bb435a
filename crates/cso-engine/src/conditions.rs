//! The one place that turns a standing into conditions, and conditions into what other places ask of them.

use cso_core::{Condition, ConditionStatus, ErrorClass};
use jiff::Timestamp;

/// The dialect's condition types.
pub const SYNCED: &str = "ACK.ResourceSynced";
pub const TERMINAL: &str = "ACK.Terminal";
pub const RECOVERABLE: &str = "ACK.Recoverable";
pub const ADVISORY: &str = "ACK.Advisory";
pub const REFERENCES: &str = "ACK.ReferencesResolved";
pub const LATE: &str = "ACK.LateInitialized";
pub const READY: &str = "Ready";

/// Why an advice is given: another controller works on the object.
pub const RIVAL: &str = "AnotherController";

/// How an object stands after a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As wished. `late`: the kind has fields whose provider's choice is shown. `rival`: who else works on the object.
    Synced { notes: Vec<String>, late: bool, references: bool, rival: Option<String> },
    /// On the way: something is being done or must be waited for.
    Working { reason: &'static str, message: String, references: bool },
    /// A reference or a secret is not there yet.
    Unresolved { message: String },
    /// A call failed or a person must act.
    Failed { class: ErrorClass, message: String, references: bool },
}

impl Standing {
    /// The sentence for people.
    pub fn message(&self) -> &str {
        match self {
            Self::Synced { .. } => "as wished",
            Self::Working { message, .. } | Self::Unresolved { message } | Self::Failed { message, .. } => message,
        }
    }
}

/// The conditions of a standing, sorted by type. The transition time of a condition that says what it said is kept.
pub fn conditions(standing: &Standing, previous: &[Condition], now: Timestamp) -> Vec<Condition> {
    use ConditionStatus::{False, True, Unknown};
    let mut all: Vec<(&str, ConditionStatus, String, String)> = Vec::new();
    let mut add =
        |kind, status, reason: &str, message: &str| all.push((kind, status, reason.to_owned(), message.to_owned()));
    let references = match standing {
        Standing::Synced { references, .. }
        | Standing::Working { references, .. }
        | Standing::Failed { references, .. } => *references,
        Standing::Unresolved { .. } => false,
    };
    if references {
        add(REFERENCES, True, "", "");
    }
    match standing {
        Standing::Synced { notes, late, rival, .. } => {
            let synced = "Resource synced successfully";
            add(SYNCED, True, "", synced);
            add(READY, True, "", synced);
            if *late {
                add(LATE, True, "Late initialization successful", "Late initialization successful");
            }
            for note in notes {
                add(ADVISORY, True, "NotManaged", note);
            }
            if let Some(rival) = rival {
                add(ADVISORY, True, RIVAL, rival);
            }
        }
        Standing::Working { reason, message, .. } => {
            add(SYNCED, False, reason, message);
            add(READY, False, reason, message);
        }
        Standing::Unresolved { message } => {
            add(REFERENCES, Unknown, message, "Reference resolution failed");
            add(READY, False, REFERENCES, message);
        }
        Standing::Failed { class, message, .. } if is_terminal(*class) => {
            add(TERMINAL, True, "", message);
            add(SYNCED, False, "resource is in terminal condition", "Resource not synced");
            add(READY, False, TERMINAL, message);
        }
        Standing::Failed { message, .. } => {
            add(RECOVERABLE, True, "", message);
            let unknown = "Unable to determine if desired resource state matches latest observed state";
            add(SYNCED, Unknown, message, unknown);
            add(READY, False, RECOVERABLE, message);
        }
    }
    let mut conditions: Vec<Condition> = all
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let kind = kind.to_owned();
            let fresh = Condition { kind, status, reason, message, last_transition_time: now };
            previous.iter().find(|old| old.says_the_same(&fresh)).cloned().unwrap_or(fresh)
        })
        .collect();
    conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
    conditions
}

/// Classes that the dialect calls terminal: a person must change something. They are still retried, slowly.
pub const fn is_terminal(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Invalid | ErrorClass::NotOurs | ErrorClass::Unsupported)
}

/// The event reason of a class.
pub const fn reason(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Transient => "CallFailed",
        ErrorClass::Throttled => "Throttled",
        ErrorClass::Conflict => "Conflict",
        ErrorClass::Waiting => "Waiting",
        ErrorClass::Denied => "Denied",
        ErrorClass::Invalid => "Invalid",
        ErrorClass::NotOurs => "NotOurs",
        ErrorClass::Unsupported => "Unsupported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_says_the_same_keeps_its_time() {
        let standing = Standing::Synced { notes: Vec::new(), late: true, references: false, rival: None };
        let first = conditions(&standing, &[], Timestamp::UNIX_EPOCH);
        let later = Timestamp::from_second(60).expect("a time");
        assert_eq!(conditions(&standing, &first, later), first);
        let failed = Standing::Failed { class: ErrorClass::Denied, message: "no".to_owned(), references: false };
        assert!(conditions(&failed, &first, later).iter().all(|condition| condition.last_transition_time == later));
    }

    #[test]
    fn exactly_the_classes_that_need_a_person_are_terminal() {
        let terminal: Vec<&str> =
            ErrorClass::ALL.into_iter().filter(|class| is_terminal(*class)).map(ErrorClass::label).collect();
        assert_eq!(terminal, ["invalid", "not-ours", "unsupported"]);
    }
}
