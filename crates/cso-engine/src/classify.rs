//! One table from failed calls to error classes, and from classes to patience.

use std::time::Duration;

use cso_core::{CallError, ErrorClass};
use cso_schema::kind::ErrorTable;

/// Whether an error means that the thing asked for does not exist.
pub fn is_absent(errors: &ErrorTable, error: &CallError) -> bool {
    errors.absent.contains(&error.code) || (error.status == Some(404) && error.code.is_empty())
}

/// The class of a failed call: what the kind's table knows, else what the client could tell.
pub fn class(errors: &ErrorTable, error: &CallError) -> ErrorClass {
    if errors.later.contains_key(&error.code) {
        return ErrorClass::Conflict;
    }
    // A throttle is a throttle, whatever its code is called.
    if error.class == ErrorClass::Throttled {
        return ErrorClass::Throttled;
    }
    // A read asks first whether its own resource is absent: here, what a call refers to is.
    if errors.absent.contains(&error.code) {
        return ErrorClass::Waiting;
    }
    errors.classes.get(&error.code).copied().unwrap_or(error.class)
}

/// Pause before the next try after the `attempt`-th failure in a row (from 1). Nothing is given up for ever.
pub fn pause(errors: &ErrorTable, error: Option<&CallError>, class: ErrorClass, attempt: u32) -> Duration {
    if let Some(error) = error {
        if let Some(after) = errors.later.get(&error.code) {
            return *after;
        }
        if let Some(after) = error.retry_after {
            return after;
        }
    }
    let (first, most) = match class {
        ErrorClass::Conflict => (Duration::from_millis(500), Duration::from_secs(30)),
        ErrorClass::Transient | ErrorClass::Throttled => (Duration::from_secs(1), Duration::from_secs(60)),
        ErrorClass::Waiting => (Duration::from_secs(5), Duration::from_secs(60)),
        ErrorClass::Denied => (Duration::from_secs(10), Duration::from_secs(300)),
        ErrorClass::Invalid | ErrorClass::NotOurs | ErrorClass::Unsupported => {
            (Duration::from_secs(60), Duration::from_secs(3600))
        }
    };
    first.saturating_mul(1u32 << attempt.saturating_sub(1).min(12)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_refers_to_and_is_absent_is_waited_for() {
        let errors = ErrorTable { absent: ["Gone".to_owned()].into_iter().collect(), ..ErrorTable::default() };
        let error = CallError {
            action: "sns:Subscribe".to_owned(),
            code: "Gone".to_owned(),
            message: String::new(),
            request_id: None,
            status: Some(404),
            outcome: cso_core::Outcome::Refused,
            class: ErrorClass::Invalid,
            retry_after: None,
        };
        assert_eq!(class(&errors, &error), ErrorClass::Waiting);
    }

    #[test]
    fn every_class_has_a_pause_that_grows_and_is_bounded() {
        for class in ErrorClass::ALL {
            let pauses: Vec<Duration> = (1..20).map(|n| pause(&ErrorTable::default(), None, class, n)).collect();
            assert!(pauses.is_sorted(), "{class:?}");
            assert!(pauses[0] > Duration::ZERO);
            assert!(pauses[18] <= Duration::from_secs(3600), "{class:?}");
        }
    }
}
