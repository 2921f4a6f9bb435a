//! Error codes: their plain form, and what they tell about a failure.

use cso_core::{ErrorClass, Outcome};

/// The bare code of `aws.protocol#Code:http://...`.
pub fn bare(code: &str) -> &str {
    let code = code.split_once(':').map_or(code, |(code, _)| code);
    code.rsplit_once('#').map_or(code, |(_, code)| code).trim()
}

/// What a stated error tells: its class and whether the service may have done something.
///
/// `status` decides only where the code is not known: codes are specific, statuses are not.
pub fn classify(code: &str, status: u16, model_says_throttling: bool) -> (ErrorClass, Outcome) {
    if model_says_throttling || is_throttling(code) || status == 429 {
        return (ErrorClass::Throttled, Outcome::Refused);
    }
    if is_stale_credential(code) || is_clock_skew(code) || is_denial(code) {
        return (ErrorClass::Denied, Outcome::Refused);
    }
    if is_time_out(code) || status == 408 || status >= 500 {
        return (ErrorClass::Transient, Outcome::Unknown);
    }
    let class = match status {
        401 | 403 => ErrorClass::Denied,
        409 => ErrorClass::Conflict,
        // A new bucket whose name is not known everywhere yet.
        307 => ErrorClass::Transient,
        _ if is_conflict(code) => ErrorClass::Conflict,
        _ => ErrorClass::Invalid,
    };
    (class, Outcome::Refused)
}

/// The service asks to slow down; it refuses before it works.
pub fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "TransactionInProgressException"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "SlowDown"
            | "PriorRequestNotComplete"
            | "EC2ThrottledException"
    )
}

/// The credential was good once: a fresh one may be accepted. A key that was rotated away is unknown.
pub fn is_stale_credential(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException"
    )
}

/// The bucket is elsewhere. The last two are what is left of the others where an answer has no body.
pub fn is_wrong_region(code: &str) -> bool {
    matches!(
        code,
        "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "MovedPermanently" | "BadRequest"
    )
}

/// The clocks differ too much.
pub fn is_clock_skew(code: &str) -> bool {
    matches!(code, "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture")
}

/// The signature was refused, which is also what some services say when the clocks differ.
pub fn may_be_clock_skew(code: &str) -> bool {
    is_clock_skew(code) || matches!(code, "InvalidSignatureException" | "SignatureDoesNotMatch" | "AuthFailure")
}

fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "AuthFailure"
            | "AuthorizationError"
            | "IncompleteSignature"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "NotAuthorized"
            | "OptInRequired"
            | "SignatureDoesNotMatch"
            | "SubscriptionRequiredException"
            | "UnauthorizedOperation"
    )
}

/// The service gave up waiting, perhaps after it began.
fn is_time_out(code: &str) -> bool {
    matches!(
        code,
        "RequestTimeout" | "RequestTimeoutException" | "InternalError" | "InternalFailure" | "ServiceUnavailable"
    )
}

fn is_conflict(code: &str) -> bool {
    matches!(
        code,
        "ConcurrentAccessException"
            | "ConcurrentModification"
            | "ConcurrentModificationException"
            | "ConflictException"
            | "ConflictingOperationException"
            | "OperationAborted"
            | "OperationConflictException"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_loses_namespace_and_uri() {
        assert_eq!(bare("FooError"), "FooError");
        assert_eq!(bare("FooError:http://internal.amazon.com/coral/com.amazon.coral.validate/"), "FooError");
        assert_eq!(bare("aws.protocoltests#FooError:http://x/#y"), "FooError");
        assert_eq!(bare("aws.protocoltests.json#FooError"), "FooError");
    }

    #[test]
    fn only_a_refusal_before_work_is_certain() {
        for (code, status, class, outcome) in [
            ("ThrottlingException", 400, ErrorClass::Throttled, Outcome::Refused),
            ("SlowDown", 503, ErrorClass::Throttled, Outcome::Refused),
            ("Anything", 429, ErrorClass::Throttled, Outcome::Refused),
            ("ServiceUnavailable", 503, ErrorClass::Transient, Outcome::Unknown),
            ("InternalError", 500, ErrorClass::Transient, Outcome::Unknown),
            ("RequestTimeout", 400, ErrorClass::Transient, Outcome::Unknown),
            ("AccessDenied", 403, ErrorClass::Denied, Outcome::Refused),
            ("ExpiredToken", 400, ErrorClass::Denied, Outcome::Refused),
            ("OperationAborted", 409, ErrorClass::Conflict, Outcome::Refused),
            ("ConcurrentModificationException", 400, ErrorClass::Conflict, Outcome::Refused),
            ("QueueDoesNotExist", 400, ErrorClass::Invalid, Outcome::Refused),
        ] {
            assert_eq!(classify(code, status, false), (class, outcome), "{code}");
        }
        assert_eq!(classify("Odd", 400, true).0, ErrorClass::Throttled);
    }
}
