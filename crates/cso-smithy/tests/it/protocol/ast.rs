//! Smithy's JSON AST as a [`Service`], and the cases in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cso_facts::api::{
    Endpoints, ErrorFacts, Location, Member, Operation, Protocol, Service, Shape, ShapeId, ShapeKind, TimestampFormat,
};
use serde_json::Value;

/// One protocol's services with their cases.
pub(super) struct Model {
    shapes: BTreeMap<String, Value>,
    services: Vec<(String, Service)>,
}

/// One case and where it belongs.
pub(super) struct Case<'m> {
    pub(super) id: &'m str,
    pub(super) service: &'m Service,
    pub(super) operation: &'m Operation,
    /// The error shape that the case is about, if it is about one.
    pub(super) error: Option<&'m str>,
    pub(super) body: &'m Value,
}

impl Model {
    pub(super) fn read(path: &Path, protocol: Protocol) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
        let shapes: BTreeMap<String, Value> =
            lines.map(|line| (line["id"].as_str().unwrap().to_owned(), line["shape"].clone())).collect();
        let ids = shapes.iter().filter(|(_, shape)| shape["type"] == "service").map(|(id, _)| id);
        let services = ids.map(|id| (id.clone(), Builder::new(&shapes, protocol).service(id))).collect();
        Self { shapes, services }
    }

    pub(super) fn requests(&self) -> Vec<Case<'_>> {
        self.operation_cases("smithy.test#httpRequestTests")
    }

    pub(super) fn responses(&self) -> Vec<Case<'_>> {
        let mut cases = self.operation_cases("smithy.test#httpResponseTests");
        let mut told = BTreeSet::new();
        for (id, service) in &self.services {
            for operation_id in references(&self.shapes[id], "operations") {
                let operation = service.operation(local(operation_id)).unwrap();
                let listed = references(&self.shapes[operation_id], "errors");
                for error in listed.into_iter().chain(references(&self.shapes[id], "errors")) {
                    if told.insert((id, error)) {
                        let of = self.shapes.get(error).map(|error| tests(error, "smithy.test#httpResponseTests"));
                        cases.extend(
                            of.into_iter().flatten().map(|body| case(service, operation, Some(local(error)), body)),
                        );
                    }
                }
            }
        }
        cases
    }

    fn operation_cases(&self, kind: &str) -> Vec<Case<'_>> {
        let mut cases = Vec::new();
        for (id, service) in &self.services {
            for operation_id in references(&self.shapes[id], "operations") {
                let operation = service.operation(local(operation_id)).unwrap();
                cases.extend(tests(&self.shapes[operation_id], kind).map(|body| case(service, operation, None, body)));
            }
        }
        cases
    }
}

fn case<'m>(service: &'m Service, operation: &'m Operation, error: Option<&'m str>, body: &'m Value) -> Case<'m> {
    Case { id: body["id"].as_str().unwrap(), service, operation, error, body }
}

fn tests<'m>(shape: &'m Value, kind: &str) -> impl Iterator<Item = &'m Value> {
    shape["traits"][kind].as_array().into_iter().flatten()
}

fn references<'m>(shape: &'m Value, list: &str) -> Vec<&'m str> {
    let all = shape[list].as_array().into_iter().flatten();
    all.map(|reference| reference["target"].as_str().unwrap()).collect()
}

fn local(id: &str) -> &str {
    id.rsplit_once('#').map_or(id, |(_, name)| name)
}

/// Collects the shapes that one service reaches.
struct Builder<'a> {
    ast: &'a BTreeMap<String, Value>,
    protocol: Protocol,
    ids: BTreeMap<Key, ShapeId>,
}

/// Name, full id, and whether it is the variant of a list or map that a member flattens: sorted as a service's shapes.
type Key = (String, String, bool);

impl<'a> Builder<'a> {
    fn new(ast: &'a BTreeMap<String, Value>, protocol: Protocol) -> Self {
        Self { ast, protocol, ids: BTreeMap::new() }
    }

    fn service(mut self, id: &str) -> Service {
        let shape = &self.ast[id];
        let operation_ids = references(shape, "operations");
        for operation in &operation_ids {
            let operation = &self.ast[*operation];
            let ends = ["input", "output"].iter().filter_map(|end| operation[*end]["target"].as_str());
            for reached in ends.chain(references(operation, "errors")).chain(references(shape, "errors")) {
                self.reach(reached, false);
            }
        }
        for (index, id) in self.ids.values_mut().enumerate() {
            *id = ShapeId(u32::try_from(index).unwrap());
        }
        let shapes = self.ids.keys().map(|key| self.shape(key)).collect();
        let mut operations: Vec<_> = operation_ids.iter().map(|id| self.operation(id, shape)).collect();
        operations.sort_by(|a, b| a.name.cmp(&b.name));
        Service {
            name: local(id).to_lowercase(),
            api_version: shape["version"].as_str().unwrap_or_default().into(),
            service_id: local(id).into(),
            protocol: self.protocol,
            query_compatible: !shape["traits"]["aws.protocols#awsQueryCompatible"].is_null(),
            target_prefix: Some(local(id).into()),
            xml_namespace: text(&shape["traits"]["smithy.api#xmlNamespace"]["uri"]),
            endpoint_prefix: "example".into(),
            signing_name: "example".into(),
            operations,
            shapes,
            endpoints: Endpoints::default(),
        }
    }

    fn reach(&mut self, id: &str, flattened: bool) {
        if self.ids.insert(key(id, flattened), ShapeId(0)).is_some() {
            return;
        }
        let Some(shape) = self.ast.get(id) else { return };
        // Members of an enum are its values.
        if matches!(shape["type"].as_str(), Some("enum" | "intEnum")) {
            return;
        }
        let singles = ["member", "key", "value"].iter().map(|name| &shape[*name]);
        let members = shape["members"].as_object().into_iter().flat_map(|members| members.values());
        for member in singles.chain(members).filter(|member| !member.is_null()) {
            self.reach(member["target"].as_str().unwrap(), is_flattened(member));
        }
    }

    fn operation(&self, id: &str, service: &Value) -> Operation {
        let shape = &self.ast[id];
        let end = |name: &str| {
            shape[name]["target"].as_str().filter(|id| *id != "smithy.api#Unit").map(|id| self.id(id, false))
        };
        let errors = references(shape, "errors").into_iter().chain(references(service, "errors"));
        let http = &shape["traits"]["smithy.api#http"];
        Operation {
            name: local(id).into(),
            method: text(&http["method"]).unwrap_or_else(|| "POST".into()),
            uri: text(&http["uri"]).unwrap_or_else(|| "/".into()),
            host_prefix: text(&shape["traits"]["smithy.api#endpoint"]["hostPrefix"]),
            checksum_required: !shape["traits"]["smithy.api#httpChecksumRequired"].is_null(),
            event_stream: ["input", "output"].iter().any(|end| self.streams_events(&shape[*end])),
            xml_root: self.xml_name(&shape["input"]),
            xml_namespace: xml_namespace(self.target(&shape["input"])).map(|(_, uri)| uri),
            input: end("input"),
            output: end("output"),
            result_wrapper: (self.protocol == Protocol::AwsQuery).then(|| format!("{}Result", local(id))),
            errors: errors.map(|id| self.id(id, false)).collect(),
            ..Operation::default()
        }
    }

    /// The shape that a reference means.
    fn target(&self, reference: &Value) -> &'a Value {
        const NONE: &Value = &Value::Null;
        reference["target"].as_str().and_then(|id| self.ast.get(id)).unwrap_or(NONE)
    }

    fn xml_name(&self, reference: &Value) -> Option<String> {
        text(&self.target(reference)["traits"]["smithy.api#xmlName"])
    }

    fn streams_events(&self, reference: &Value) -> bool {
        let members = self.target(reference)["members"].as_object().into_iter().flat_map(|members| members.values());
        members
            .map(|member| self.target(member))
            .any(|shape| shape["type"] == "union" && !shape["traits"]["smithy.api#streaming"].is_null())
    }

    fn id(&self, id: &str, flattened: bool) -> ShapeId {
        self.ids[&key(id, flattened)]
    }

    fn shape(&self, (name, id, flattened): &Key) -> Shape {
        let empty = Value::Null;
        let shape = self.ast.get(id).unwrap_or(&empty);
        let one = |member: &str| Box::new(self.member(member, &shape[member]));
        let kind = match shape["type"].as_str().unwrap_or(name).to_lowercase().as_str() {
            "boolean" | "primitiveboolean" => ShapeKind::Boolean,
            "byte" | "short" | "integer" | "intenum" => ShapeKind::Integer,
            "long" => ShapeKind::Long,
            "float" => ShapeKind::Float,
            "double" => ShapeKind::Double,
            "string" | "enum" => ShapeKind::String { values: Vec::new() },
            "blob" => ShapeKind::Blob { streaming: !shape["traits"]["smithy.api#streaming"].is_null() },
            "timestamp" => ShapeKind::Timestamp { format: timestamp_format(shape) },
            "document" => ShapeKind::Document,
            "list" => {
                let mut member = one("member");
                if *flattened {
                    // Smithy names a flattened list by the member that holds it, botocore's models by the items.
                    member.wire_name = None;
                }
                ShapeKind::List { member, flattened: *flattened }
            }
            "map" => ShapeKind::Map { key: one("key"), value: one("value"), flattened: *flattened },
            "structure" | "union" => self.structure(shape),
            // Defined by Smithy itself, outside the file; only servers return the second one.
            "unit" | "validationexception" => {
                ShapeKind::Structure { members: Vec::new(), union: false, error: None, payload: None }
            }
            other => panic!("{id} is a {other}"),
        };
        Shape { name: name.clone(), kind, sensitive: false }
    }

    fn structure(&self, shape: &Value) -> ShapeKind {
        let members = shape["members"].as_object().into_iter().flatten();
        let traits = &shape["traits"];
        let error = traits["smithy.api#error"].as_str().map(|fault| ErrorFacts {
            code: text(&traits["aws.protocols#awsQueryError"]["code"]),
            sender_fault: fault == "client",
            ..ErrorFacts::default()
        });
        ShapeKind::Structure {
            members: members.map(|(name, member)| self.member(name, member)).collect(),
            union: shape["type"] == "union",
            error,
            payload: shape["members"]
                .as_object()
                .into_iter()
                .flatten()
                .find(|(_, member)| is_payload(member))
                .map(|(name, _)| name.clone()),
        }
    }

    /// Where a member travels in the REST protocols, and under which name.
    fn location(&self, traits: &Value) -> (Location, Option<String>) {
        let has = |name: &str| !traits[name].is_null();
        match self.protocol {
            Protocol::RestJson1 | Protocol::RestXml => {}
            _ => return (Location::Body, None),
        }
        match () {
            () if has("smithy.api#httpLabel") => (Location::Uri, None),
            () if has("smithy.api#httpQuery") => (Location::Query, text(&traits["smithy.api#httpQuery"])),
            () if has("smithy.api#httpQueryParams") => (Location::Query, None),
            () if has("smithy.api#httpHeader") => (Location::Header, text(&traits["smithy.api#httpHeader"])),
            () if has("smithy.api#httpPrefixHeaders") => {
                (Location::Headers, text(&traits["smithy.api#httpPrefixHeaders"]))
            }
            () if has("smithy.api#httpResponseCode") => (Location::StatusCode, None),
            () => (Location::Body, None),
        }
    }

    fn member(&self, name: &str, member: &Value) -> Member {
        let traits = &member["traits"];
        let has = |name: &str| !traits[name].is_null();
        // A JSON name has no effect in the RPC protocols, by the case that says so.
        let name_in_body = match self.protocol {
            Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => None,
            Protocol::RestJson1 => text(&traits["smithy.api#jsonName"]),
            Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml => text(&traits["smithy.api#xmlName"]),
        };
        // botocore's models give a payload the name of its root element, which is its shape's.
        let root = || self.xml_name(member).or_else(|| member["target"].as_str().map(|id| local(id).to_owned()));
        let name_in_body = name_in_body.or_else(|| if is_payload(member) { root() } else { None });
        let (location, name_elsewhere) = self.location(traits);
        Member {
            wire_name: name_elsewhere.or(name_in_body),
            query_name: text(&traits["aws.protocols#ec2QueryName"]),
            location,
            xml_namespace: xml_namespace(member).or_else(|| xml_namespace(self.target(member))),
            json_value: location == Location::Header
                && self.target(member)["traits"]["smithy.api#mediaType"].as_str() == Some("application/json"),
            required: has("smithy.api#required"),
            idempotency_token: has("smithy.api#idempotencyToken"),
            host_label: has("smithy.api#hostLabel"),
            xml_attribute: has("smithy.api#xmlAttribute"),
            flattened: is_flattened(member),
            timestamp_format: timestamp_format(member),
            ..Member::new(name, self.id(member["target"].as_str().unwrap(), is_flattened(member)))
        }
    }
}

fn key(id: &str, flattened: bool) -> Key {
    (local(id).to_owned(), id.to_owned(), flattened)
}

fn is_payload(member: &Value) -> bool {
    !member["traits"]["smithy.api#httpPayload"].is_null()
}

fn xml_namespace(shape: &Value) -> Option<(Option<String>, String)> {
    let namespace = &shape["traits"]["smithy.api#xmlNamespace"];
    Some((text(&namespace["prefix"]), text(&namespace["uri"])?))
}

fn is_flattened(member: &Value) -> bool {
    !member["traits"]["smithy.api#xmlFlattened"].is_null()
}

fn timestamp_format(shape: &Value) -> Option<TimestampFormat> {
    match shape["traits"]["smithy.api#timestampFormat"].as_str()? {
        "date-time" => Some(TimestampFormat::DateTime),
        "epoch-seconds" => Some(TimestampFormat::EpochSeconds),
        "http-date" => Some(TimestampFormat::HttpDate),
        other => panic!("timestamp format {other}"),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The case's parameters in the form of values: blobs in base64, times as text.
pub(super) fn to_value(service: &Service, id: ShapeId, params: &Value) -> Value {
    use base64::Engine as _;
    let go = |member: &Member, value: &Value| to_value(service, member.shape, value);
    match (&service.shape(id).kind, params) {
        (_, Value::Null) => Value::Null,
        (ShapeKind::Structure { .. }, Value::Object(given)) => given
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    go(
                        service
                            .shape(id)
                            .member(name)
                            .unwrap_or_else(|| panic!("{} has no {name}", service.shape(id).name)),
                        value,
                    ),
                )
            })
            .collect(),
        (ShapeKind::List { member, .. }, Value::Array(items)) => items.iter().map(|item| go(member, item)).collect(),
        (ShapeKind::Map { value, .. }, Value::Object(entries)) => {
            entries.iter().map(|(key, entry)| (key.clone(), go(value, entry))).collect()
        }
        (ShapeKind::Blob { .. }, Value::String(text)) => base64::engine::general_purpose::STANDARD.encode(text).into(),
        (ShapeKind::Timestamp { .. }, Value::Number(seconds)) => {
            cso_smithy::protocol::timestamp::parse(&seconds.to_string()).unwrap().to_string().into()
        }
        _ => params.clone(),
    }
}

/// The same value with every number as a double, because a case writes `1` where a body says `1.0`.
pub(super) fn even(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(items) => items.iter().map(even).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), even(value))).collect(),
        other => other.clone(),
    }
}
