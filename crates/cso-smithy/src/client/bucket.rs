//! S3's buckets: where in a URL they are, and which of them are out of reach.

use cso_core::ErrorClass;
use cso_facts::api::Service;
use serde_json::Value;

use super::failure::Failure;

/// Refuses what takes the place of a bucket's name but lives at another endpoint.
pub(super) fn check(service: &Service, input: &Value) -> Result<(), Failure> {
    let Some(bucket) = input.get("Bucket").and_then(Value::as_str).filter(|_| service.name == "s3") else {
        return Ok(());
    };
    let what = match bucket {
        arn if arn.starts_with("arn:") => "the ARN of an access point",
        name if name.ends_with("--x-s3") => "a directory bucket",
        _ => return Ok(()),
    };
    let message = format!("`Bucket` is {what}, which has an endpoint of its own that is not reached from here");
    Err(Failure::local("unsupported-bucket", ErrorClass::Unsupported, message))
}

/// Takes the bucket out of a request's path, if it may be a label of the host name: `/photos/a.jpg` gives `photos` and
/// `/a.jpg`.
pub(super) fn split(uri: &str) -> Option<(&str, String)> {
    let path = uri.strip_prefix('/')?;
    let (bucket, rest) = path.split_at(path.find(['/', '?']).unwrap_or(path.len()));
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    is_label(bucket).then_some((bucket, rest))
}

/// Whether a name can be one label of a host name that a wildcard certificate covers: so not with a dot.
fn is_label(bucket: &str) -> bool {
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_certificate_covers_leave_the_path() {
        for (uri, expected) in [
            ("/photos", Some(("photos", "/"))),
            ("/photos?tagging", Some(("photos", "/?tagging"))),
            ("/photos/2026/a.jpg?acl", Some(("photos", "/2026/a.jpg?acl"))),
            ("/", None),
            ("/?max-buckets=1", None),
            ("/my.photos?tagging", None),
            ("/Photos", None),
            ("/ab", None),
            ("/-photos", None),
            ("/photos%2F", None),
        ] {
            assert_eq!(split(uri), expected.map(|(bucket, rest)| (bucket, rest.to_owned())), "{uri}");
        }
    }
}
