//! What an HTTP request says in AWS's terms.

use std::fmt;
use std::time::Instant;

use serde_json::{Map, Value};

use super::rest;
use crate::http::Message;

/// Names of operations that change nothing begin with one of these. Everything else counts as mutating, so that a name
/// nobody thought of makes a test fail rather than pass.
const READ_PREFIXES: [&str; 9] =
    ["Get", "List", "Describe", "Head", "BatchGet", "Lookup", "Search", "AssumeRole", "Validate"];

/// One call of an AWS API, as the proxy saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsCall {
    /// Place among all calls since the proxy started, from 0.
    pub sequence: usize,
    /// Signing name, as in IAM policies: `sqs`, `secretsmanager`, `tagging`. Empty if the request is not signed.
    pub service: String,
    /// Region that the request is signed for. Empty if it is not signed.
    pub region: String,
    /// Access key that the request is signed with. Empty if it is not signed.
    pub key_id: String,
    /// Time of the signature, `20260701T100000Z`. Empty if it is not signed.
    pub signed_at: String,
    /// `CreateQueue`; where the facts do not know it, the request itself, `PUT /bucket`.
    pub operation: String,
    /// Members of the input: JSON as sent, the form's fields as strings, or what path, query and body of a REST request
    /// say. `Null` for anything else.
    pub input: Value,
    /// When it had been read from the caller.
    pub arrived: Instant,
    /// When it had ended, just before the caller learnt of it.
    pub ended: Option<Instant>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended, for the cloud and for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not ended yet.
    Pending,
    /// The cloud answered and the caller was sent the answer.
    Answered { status: u16 },
    /// The cloud answered, and the caller never learnt of it.
    ReplyLost { status: u16 },
    /// The cloud never saw the call; the caller lost its connection.
    NeverSent,
    /// The cloud never saw the call; the caller was sent an error of ours.
    Refused { code: String },
    /// The cloud closed the connection or answered nonsense.
    Broken { why: String },
}

impl Outcome {
    /// Whether the cloud has seen the call.
    pub fn reached_cloud(&self) -> bool {
        matches!(self, Self::Answered { .. } | Self::ReplyLost { .. } | Self::Broken { .. })
    }
}

impl AwsCall {
    /// Whether the operation may change something, judged by its name.
    pub fn is_mutating(&self) -> bool {
        match self.operation.split_once(' ') {
            Some((method, _)) => !matches!(method, "GET" | "HEAD"),
            None => !READ_PREFIXES.iter().any(|prefix| self.operation.starts_with(prefix)),
        }
    }

    pub(crate) fn read(sequence: usize, request: &Message) -> Self {
        let Scope { key_id, region, service } =
            request.head.header("authorization").and_then(scope).unwrap_or_default();
        let signed_at = request.head.header("x-amz-date").unwrap_or_default().to_owned();
        let (operation, input) = operation(service, request);
        let (key_id, service, region) = (key_id.to_owned(), service.to_owned(), region.to_owned());
        let (arrived, ended, outcome) = (Instant::now(), None, Outcome::Pending);
        Self { sequence, service, region, key_id, signed_at, operation, input, arrived, ended, outcome }
    }
}

/// `sqs CreateQueue: Answered { status: 200 }`
impl fmt::Display for AwsCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {:?}", self.service, self.operation, self.outcome)
    }
}

/// Who signed, and for what.
#[derive(Default)]
struct Scope<'a> {
    key_id: &'a str,
    region: &'a str,
    service: &'a str,
}

/// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...`.
fn scope(authorization: &str) -> Option<Scope<'_>> {
    let credential = authorization.split("Credential=").nth(1)?;
    let mut parts = credential.split([',', ' ']).next()?.split('/');
    let (key_id, _date) = (parts.next()?, parts.next()?);
    Some(Scope { key_id, region: parts.next()?, service: parts.next()? })
}

fn operation(service: &str, request: &Message) -> (String, Value) {
    if let Some(target) = request.head.header("x-amz-target") {
        let operation = target.rsplit('.').next().unwrap_or(target);
        return (operation.to_owned(), serde_json::from_slice(&request.body).unwrap_or_default());
    }
    let fields = form(&request.body);
    if let Some(Value::String(action)) = fields.get("Action") {
        return (action.clone(), Value::Object(fields));
    }
    if let Some(named) = rest::name(service, request) {
        return named;
    }
    let path = request.head.target().split('?').next().unwrap_or_default();
    (format!("{} {path}", request.head.method()), serde_json::from_slice(&request.body).unwrap_or_default())
}

fn form(body: &[u8]) -> Map<String, Value> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
    pairs.map(|(name, value)| (decoded(name), Value::String(decoded(value)))).collect()
}

pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::Head;

    fn call(start: &str, headers: &[(&str, &str)], body: &str) -> AwsCall {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let head = Head { start: format!("{start} HTTP/1.1"), headers };
        AwsCall::read(0, &Message { head, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn json_query_and_rest_requests_are_named() {
        let signed =
            ("Authorization", "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/sqs/aws4_request, Signature=0");
        let json = call("POST /", &[signed, ("X-Amz-Target", "AmazonSQS.CreateQueue")], r#"{"QueueName":"a"}"#);
        assert_eq!((json.service.as_str(), json.region.as_str()), ("sqs", "eu-west-1"));
        assert_eq!((json.operation.as_str(), &json.input), ("CreateQueue", &json!({"QueueName": "a"})));

        let query = call("POST /", &[], "Action=Subscribe&Endpoint=arn%3Aaws%3Asqs+x&Broken=%4");
        assert_eq!((query.service.as_str(), query.operation.as_str()), ("", "Subscribe"));
        assert_eq!(query.input["Endpoint"], "arn:aws:sqs x");
        assert_eq!(query.input["Broken"], "%4");

        let signed = ("Authorization", "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/aws4_request");
        let rest = call("PUT /bucket?versioning", &[signed], "<VersioningConfiguration/>");
        assert_eq!((rest.operation.as_str(), &rest.input["Bucket"]), ("PutBucketVersioning", &json!("bucket")));
        assert_eq!(call("PUT /bucket?versioning", &[], "").operation, "PUT /bucket");
    }

    #[test]
    fn only_known_reads_are_not_mutating() {
        let named = |operation: &str| call("POST /", &[("x-amz-target", &format!("S.{operation}"))], "").is_mutating();
        for read in ["GetQueueAttributes", "ListKeys", "DescribeKey", "BatchGetImage", "AssumeRoleWithWebIdentity"] {
            assert!(!named(read), "{read}");
        }
        for write in ["CreateKey", "TagResource", "PutKeyPolicy", "ScheduleKeyDeletion", "Frobnicate"] {
            assert!(named(write), "{write}");
        }
        assert!(!call("GET /bucket", &[], "").is_mutating());
        assert!(call("DELETE /bucket", &[], "").is_mutating());
    }
}
