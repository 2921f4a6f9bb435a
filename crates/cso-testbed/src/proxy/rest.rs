//! Names for the requests of the REST protocols: method and path say little, the facts say which operation it is.

use std::sync::{Arc, LazyLock};

use cso_facts::Catalog;
use cso_facts::api::{Location, Member, Operation, Protocol, Service, ShapeKind};
use serde_json::{Map, Value};

use super::call::percent_decoded;
use crate::http::Message;

/// Operation and input of a request that is signed for a service: members in path and query as texts, those of a JSON
/// body as they are, a body of another format as the text of its member. `None` if no service of that name has such an
/// operation.
pub(super) fn name(signing_name: &str, request: &Message) -> Option<(String, Value)> {
    static SERVICES: LazyLock<Vec<Arc<Service>>> = LazyLock::new(|| {
        let catalog = Catalog::builtin();
        let services = catalog.services().filter_map(|name| catalog.service(name).ok());
        services.filter(|service| matches!(service.protocol, Protocol::RestJson1 | Protocol::RestXml)).collect()
    });
    let mut target = Target::read(request.head.target());
    target.headers = request.head.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let of_service = SERVICES.iter().filter(|service| service.signing_name == signing_name);
    let mut best: Option<Candidate<'_>> = None;
    for service in of_service {
        let ours = service.operations.iter().filter(|operation| operation.method == request.head.method());
        for candidate in ours.filter_map(|operation| target.fits(service, operation)) {
            if best.as_ref().is_none_or(|best| candidate.beats(best)) {
                best = Some(candidate);
            }
        }
    }
    best.map(|candidate| candidate.finish(&request.body))
}

/// A request's path and query, decoded, and the names of its headers.
struct Target {
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: Vec<String>,
}

/// An operation that a request may mean.
struct Candidate<'a> {
    service: &'a Service,
    operation: &'a Operation,
    /// How many entries of the query, and headers that it cannot do without, speak for it.
    evidence: usize,
    input: Map<String, Value>,
}

impl Target {
    fn read(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(name), percent_decoded(value))
        };
        Self {
            segments: path.split('/').filter(|segment| !segment.is_empty()).map(percent_decoded).collect(),
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect(),
            headers: Vec::new(),
        }
    }

    fn entry(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn fits<'a>(&self, service: &'a Service, operation: &'a Operation) -> Option<Candidate<'a>> {
        let template = Self::read(&operation.uri);
        let mut input = self.labels(&template.segments)?;
        if !template.query.iter().all(|(name, value)| self.entry(name) == Some(value)) {
            return None;
        }
        let mut evidence = template.query.len();
        for member in members(service, operation) {
            let wire = member.wire_name.as_deref().unwrap_or(&member.name);
            if member.location == Location::Header && member.required {
                if !self.headers.iter().any(|name| name.eq_ignore_ascii_case(wire)) {
                    return None;
                }
                evidence += 1;
            }
            if member.location != Location::Query {
                continue;
            }
            match self.entry(wire) {
                Some(value) => {
                    evidence += 1;
                    input.insert(member.name.clone(), value.into());
                }
                None if member.required => return None,
                None => {}
            }
        }
        Some(Candidate { service, operation, evidence, input })
    }

    /// What the labels of a template (`{Bucket}`, and `{Key+}` for the rest) stand for, if the path is of its form.
    fn labels(&self, template: &[String]) -> Option<Map<String, Value>> {
        let mut labels = Map::new();
        let mut rest = self.segments.as_slice();
        for part in template {
            let (first, after) = rest.split_first()?;
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                None if part != first => return None,
                None => rest = after,
                Some(label) => {
                    let (label, value) = match label.strip_suffix('+') {
                        Some(label) => (label, rest.join("/")),
                        None => (label, first.clone()),
                    };
                    rest = if part.ends_with("+}") { &[] } else { after };
                    labels.insert(label.to_owned(), value.into());
                }
            }
        }
        rest.is_empty().then_some(labels)
    }
}

impl Candidate<'_> {
    /// Where two have the same address, one name is the other's with a word more: that is the one in use today
    /// (`PutBucketLifecycleConfiguration`).
    fn beats(&self, other: &Self) -> bool {
        let is_newer = self.operation.name.starts_with(&other.operation.name);
        self.evidence > other.evidence || (self.evidence == other.evidence && is_newer)
    }

    fn finish(mut self, body: &[u8]) -> (String, Value) {
        if let Ok(Value::Object(members)) = serde_json::from_slice(body) {
            self.input.extend(members);
        } else if !body.is_empty() {
            let payload = match self.operation.input.map(|id| &self.service.shape(id).kind) {
                Some(ShapeKind::Structure { payload: Some(payload), .. }) => payload,
                _ => "body",
            };
            self.input.insert(payload.to_owned(), String::from_utf8_lossy(body).into());
        }
        (self.operation.name.clone(), Value::Object(self.input))
    }
}

fn members<'a>(service: &'a Service, operation: &Operation) -> &'a [Member] {
    operation.input.map(|id| service.shape(id).members()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::Head;

    fn named(start: &str, body: &str) -> Option<(String, Value)> {
        let head = Head { start: format!("{start} HTTP/1.1"), headers: Vec::new() };
        name("s3", &Message { head, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn the_query_tells_operations_of_one_path_apart() {
        for (request, operation) in [
            ("GET /", "ListBuckets"),
            ("PUT /b", "CreateBucket"),
            ("HEAD /b", "HeadBucket"),
            ("DELETE /b/", "DeleteBucket"),
            ("PUT /b?tagging", "PutBucketTagging"),
            ("PUT /b?policy=", "PutBucketPolicy"),
            ("PUT /b?lifecycle", "PutBucketLifecycleConfiguration"),
            ("GET /b?notification", "GetBucketNotificationConfiguration"),
            ("GET /b?analytics", "ListBucketAnalyticsConfigurations"),
            ("GET /b?analytics&id=a", "GetBucketAnalyticsConfiguration"),
            ("GET /b?list-type=2", "ListObjectsV2"),
            ("PUT /b/folder/key", "PutObject"),
        ] {
            assert_eq!(named(request, "").map(|(name, _)| name).as_deref(), Some(operation), "{request}");
        }
        assert_eq!(named("PATCH /b", ""), None);
    }

    #[test]
    fn members_are_told_wherever_they_travel() {
        let (_, input) = named("PUT /b?inventory&id=a%20b", "<InventoryConfiguration/>").unwrap();
        assert_eq!(input, json!({"Bucket": "b", "Id": "a b", "InventoryConfiguration": "<InventoryConfiguration/>"}));
        let (_, input) = named("DELETE /b/folder/key", "").unwrap();
        assert_eq!(input, json!({"Bucket": "b", "Key": "folder/key"}));
    }
}
