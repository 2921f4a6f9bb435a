//! How the model cloud behaves beyond doing what it is told.

use std::collections::{BTreeMap, BTreeSet};

use cso_core::{CallError, ErrorClass, Outcome};

/// Freedoms that providers take. The default is a cloud that takes none.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Members that nobody set read as values of the provider's choice.
    pub defaults: bool,
    /// Answers are spelt as the comparators allow: sets in another order, documents in another layout, names as ARNs.
    pub normalise: bool,
    /// This many reads after each change see the cloud as it was before.
    pub lag: u32,
    /// This many reads see a new resource in a state that is classified as busy, where its kind has one.
    pub busy: u32,
    /// Spec fields whose writes are accepted and dropped, by kind name.
    pub ignore: BTreeMap<String, BTreeSet<String>>,
}

/// Something that will go wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Operation it happens to.
    pub operation: String,
    /// How often, from now on.
    pub times: u32,
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// The call is refused with this class, code and HTTP status; nothing happens.
    Refused { class: ErrorClass, code: String, status: u16 },
    /// The call takes effect, and nobody hears of it.
    ReplyLost,
    /// The call gets lost on the way, and nobody knows.
    RequestLost,
}

impl Fault {
    /// The provider refuses an operation `times` times.
    pub fn refused(operation: &str, times: u32, class: ErrorClass) -> Self {
        let (code, status) = match class {
            ErrorClass::Denied => ("AccessDeniedException", 403),
            ErrorClass::Throttled => ("ThrottlingException", 400),
            ErrorClass::Transient => ("InternalFailure", 500),
            _ => ("ValidationException", 400),
        };
        let kind = FaultKind::Refused { class, code: code.to_owned(), status };
        Self { operation: operation.to_owned(), times, kind }
    }

    /// The answer of an operation gets lost once, after its effect.
    pub fn reply_lost(operation: &str) -> Self {
        Self { operation: operation.to_owned(), times: 1, kind: FaultKind::ReplyLost }
    }

    /// A request gets lost once, before its effect.
    pub fn request_lost(operation: &str) -> Self {
        Self { operation: operation.to_owned(), times: 1, kind: FaultKind::RequestLost }
    }
}

/// A call error as a client would report it.
pub(crate) fn call_error(action: &str, code: &str, message: &str, status: u16, class: ErrorClass) -> CallError {
    CallError {
        action: action.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: None,
        status: Some(status),
        // A 5xx may have been carried out before it was answered.
        outcome: if status >= 500 { Outcome::Unknown } else { Outcome::Refused },
        class,
        retry_after: None,
    }
}

/// A call that nobody answered.
pub(crate) fn unanswered(action: &str) -> CallError {
    CallError {
        action: action.to_owned(),
        code: "timeout".to_owned(),
        message: "no answer".to_owned(),
        request_id: None,
        status: None,
        outcome: Outcome::Unknown,
        class: ErrorClass::Transient,
        retry_after: None,
    }
}
