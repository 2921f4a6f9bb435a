//! Pages of AWS services.

use std::collections::HashMap;

use super::ParseError;
use super::line::{Line, Page, lines, name_in};
use crate::api::{
    Endpoint, Endpoints, ErrorFacts, Location, Member, Operation, Paginator, Protocol, Service, Shape, ShapeId,
    ShapeKind, TimestampFormat,
};

const PROTOCOLS: [(&str, Protocol); 6] = [
    ("json-1.0", Protocol::AwsJson1_0),
    ("json-1.1", Protocol::AwsJson1_1),
    ("query", Protocol::AwsQuery),
    ("ec2", Protocol::Ec2Query),
    ("rest-json", Protocol::RestJson1),
    ("rest-xml", Protocol::RestXml),
];

const TIMESTAMPS: [(&str, TimestampFormat); 3] = [
    ("date-time", TimestampFormat::DateTime),
    ("epoch-seconds", TimestampFormat::EpochSeconds),
    ("http-date", TimestampFormat::HttpDate),
];

const LOCATIONS: [(&str, Location); 6] = [
    ("body", Location::Body),
    ("header", Location::Header),
    ("headers", Location::Headers),
    ("query", Location::Query),
    ("uri", Location::Uri),
    ("status-code", Location::StatusCode),
];

/// Writes a service. Ids must be in range and names of shapes distinct, as in every parsed or extracted service.
pub fn print_service(service: &Service) -> String {
    let mut page = Page::default();
    page.line(0, "service").value(&service.name);
    page.line(0, "api-version").value(&service.api_version);
    page.line(0, "service-id").value(&service.service_id);
    page.line(0, "protocol")
        .value(name_in(&PROTOCOLS, &service.protocol))
        .flag("query-compatible", service.query_compatible);
    if let Some(prefix) = &service.target_prefix {
        page.line(0, "target-prefix").value(prefix);
    }
    if let Some(namespace) = &service.xml_namespace {
        page.line(0, "xml-namespace").value(namespace);
    }
    page.line(0, "endpoint-prefix").value(&service.endpoint_prefix);
    page.line(0, "signing-name").value(&service.signing_name);
    for (keyword, endpoints) in [("partition", &service.endpoints.partitions), ("region", &service.endpoints.regions)] {
        for (name, endpoint) in endpoints {
            page.line(0, keyword)
                .value(name)
                .value(&endpoint.host)
                .attribute("signing-region", endpoint.signing_region.as_deref())
                .attribute("signing-name", endpoint.signing_name.as_deref());
        }
    }
    page.gap();
    for operation in &service.operations {
        print_operation(&mut page, service, operation);
    }
    page.gap();
    for shape in &service.shapes {
        print_shape(&mut page, service, shape);
    }
    page.finish()
}

fn print_operation(page: &mut Page, service: &Service, operation: &Operation) {
    let name = |id: Option<ShapeId>| id.map(|id| service.shape(id).name.as_str());
    page.line(0, "operation")
        .value(&operation.name)
        .value(&operation.method)
        .value(&operation.uri)
        .attribute("input", name(operation.input))
        .attribute("output", name(operation.output))
        .attribute("result-wrapper", operation.result_wrapper.as_deref())
        .attribute("xml-root", operation.xml_root.as_deref())
        .attribute("xml-namespace", operation.xml_namespace.as_deref())
        .attribute("host-prefix", operation.host_prefix.as_deref())
        .flag("unsigned", operation.unsigned)
        .flag("checksum-required", operation.checksum_required)
        .attribute("checksum", operation.checksum_algorithm.as_deref())
        .flag("event-stream", operation.event_stream);
    if !operation.errors.is_empty() {
        page.line(1, "errors").values(operation.errors.iter().map(|id| &service.shape(*id).name));
    }
    if let Some(paginator) = &operation.paginator {
        page.line(1, "pages")
            .list("in", &paginator.input_tokens)
            .list("out", &paginator.output_tokens)
            .list("result", &paginator.result_keys)
            .attribute("more", paginator.more_results.as_deref())
            .attribute("limit", paginator.limit_key.as_deref());
    }
}

fn print_shape(page: &mut Page, service: &Service, shape: &Shape) {
    let line =
        page.line(0, "shape").value(&shape.name).value(shape.kind.type_name()).flag("sensitive", shape.sensitive);
    match &shape.kind {
        ShapeKind::Boolean
        | ShapeKind::Integer
        | ShapeKind::Long
        | ShapeKind::Float
        | ShapeKind::Double
        | ShapeKind::Document => {}
        ShapeKind::String { values } => {
            for value in values {
                page.line(1, "=").value(value);
            }
        }
        ShapeKind::Blob { streaming } => {
            line.flag("streaming", *streaming);
        }
        ShapeKind::Timestamp { format } => {
            line.attribute("format", format.as_ref().map(|format| name_in(&TIMESTAMPS, format)));
        }
        ShapeKind::List { member, flattened } => {
            line.flag("flattened", *flattened);
            print_member(page, service, member);
        }
        ShapeKind::Map { key, value, flattened } => {
            line.flag("flattened", *flattened);
            print_member(page, service, key);
            print_member(page, service, value);
        }
        ShapeKind::Structure { members, union: _, error, payload } => {
            line.attribute("payload", payload.as_deref());
            if let Some(error) = error {
                let status = error.http_status.map(|status| status.to_string());
                line.flag("error", true)
                    .attribute("code", error.code.as_deref())
                    .attribute("status", status.as_deref())
                    .flag("sender", error.sender_fault)
                    .flag("retryable", error.retryable)
                    .flag("throttling", error.throttling);
            }
            for member in members {
                print_member(page, service, member);
            }
        }
    }
}

fn print_member(page: &mut Page, service: &Service, member: &Member) {
    let (prefix, namespace) = match &member.xml_namespace {
        Some((prefix, uri)) => (prefix.as_deref(), Some(uri.as_str())),
        None => (None, None),
    };
    page.line(1, &member.name)
        .value(&service.shape(member.shape).name)
        .flag("required", member.required)
        .flag(name_in(&LOCATIONS, &member.location), member.location != Location::Body)
        .attribute("wire", member.wire_name.as_deref())
        .attribute("query-name", member.query_name.as_deref())
        .flag("token", member.idempotency_token)
        .flag("host-label", member.host_label)
        .flag("xml-attribute", member.xml_attribute)
        .flag("flattened", member.flattened)
        .flag("json", member.json_value)
        .attribute("timestamp", member.timestamp_format.as_ref().map(|format| name_in(&TIMESTAMPS, format)))
        .attribute("xml-prefix", prefix)
        .attribute("xml-namespace", namespace);
}

/// Reads a service; `file` names the page in errors.
pub fn parse_service(file: &str, text: &str) -> Result<Service, ParseError> {
    let mut reader = Reader { ids: shape_ids(file, text)?, ..Reader::default() };
    for line in lines(file, text) {
        let mut line = line?;
        match line.depth {
            0 => reader.top(&mut line)?,
            1 => reader.detail(&mut line)?,
            _ => return Err(line.error("nothing may be nested this deep")),
        }
    }
    reader.finish(file)
}

/// Ids by name, in the order of the page, because shapes refer to later ones.
fn shape_ids<'a>(file: &'a str, text: &'a str) -> Result<HashMap<String, ShapeId>, ParseError> {
    let mut ids = HashMap::new();
    for line in lines(file, text) {
        let mut line = line?;
        if line.depth > 0 || line.value("a keyword")? != "shape" {
            continue;
        }
        let id = u32::try_from(ids.len()).map_err(|_| line.error("too many shapes"))?;
        let name = line.string("the name")?;
        if ids.insert(name, ShapeId(id)).is_some() {
            return Err(line.error("this shape occurs twice"));
        }
    }
    Ok(ids)
}

/// A service that is being read.
#[derive(Default)]
struct Reader {
    ids: HashMap<String, ShapeId>,
    name: String,
    api_version: String,
    service_id: String,
    protocol: Option<Protocol>,
    query_compatible: bool,
    target_prefix: Option<String>,
    xml_namespace: Option<String>,
    endpoint_prefix: String,
    signing_name: String,
    endpoints: Endpoints,
    operations: Vec<Operation>,
    shapes: Vec<Shape>,
    /// What indented lines belong to.
    open: Open,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Open {
    #[default]
    Nothing,
    Operation,
    Shape,
}

impl Reader {
    fn top(&mut self, line: &mut Line<'_>) -> Result<(), ParseError> {
        self.open = Open::Nothing;
        match &*line.value("a keyword")? {
            "service" => self.name = line.string("the name")?,
            "api-version" => self.api_version = line.string("the version")?,
            "service-id" => self.service_id = line.string("the id")?,
            "protocol" => {
                let name = line.value("the protocol")?;
                self.protocol = Some(line.lookup(&PROTOCOLS, "protocol", &name)?);
                self.query_compatible = !line.is_done();
                if self.query_compatible && line.attribute() != Some("query-compatible") {
                    return Err(line.error("expected `query-compatible`"));
                }
            }
            "target-prefix" => self.target_prefix = Some(line.string("the prefix")?),
            "xml-namespace" => self.xml_namespace = Some(line.string("the namespace")?),
            "endpoint-prefix" => self.endpoint_prefix = line.string("the prefix")?,
            "signing-name" => self.signing_name = line.string("the name")?,
            "partition" => {
                let (name, endpoint) = endpoint(line)?;
                self.endpoints.partitions.insert(name, endpoint);
            }
            "region" => {
                let (name, endpoint) = endpoint(line)?;
                self.endpoints.regions.insert(name, endpoint);
            }
            "operation" => {
                let operation = self.operation(line)?;
                if self.operations.last().is_some_and(|last| last.name >= operation.name) {
                    return Err(line.error("operations must be sorted by name"));
                }
                self.operations.push(operation);
                self.open = Open::Operation;
            }
            "shape" => {
                let shape = shape(line)?;
                if self.shapes.last().is_some_and(|last| last.name >= shape.name) {
                    return Err(line.error("shapes must be sorted by name"));
                }
                self.shapes.push(shape);
                self.open = Open::Shape;
            }
            keyword => return Err(line.error(format!("unknown keyword `{keyword}`"))),
        }
        line.end()
    }

    fn detail(&mut self, line: &mut Line<'_>) -> Result<(), ParseError> {
        match self.open {
            Open::Operation => self.operation_detail(line),
            Open::Shape => self.shape_detail(line),
            Open::Nothing => Err(line.error("nothing above takes indented lines")),
        }
    }

    fn operation(&self, line: &mut Line<'_>) -> Result<Operation, ParseError> {
        let mut operation = Operation {
            name: line.string("the name")?,
            method: line.string("the method")?,
            uri: line.string("the URI")?,
            ..Operation::default()
        };
        while let Some(key) = line.attribute() {
            match key {
                "input" => {
                    let shape = line.attribute_value(key)?;
                    operation.input = Some(shape_id(&self.ids, line, &shape)?);
                }
                "output" => {
                    let shape = line.attribute_value(key)?;
                    operation.output = Some(shape_id(&self.ids, line, &shape)?);
                }
                "result-wrapper" => operation.result_wrapper = Some(line.attribute_string(key)?),
                "xml-root" => operation.xml_root = Some(line.attribute_string(key)?),
                "xml-namespace" => operation.xml_namespace = Some(line.attribute_string(key)?),
                "host-prefix" => operation.host_prefix = Some(line.attribute_string(key)?),
                "unsigned" => operation.unsigned = true,
                "checksum-required" => operation.checksum_required = true,
                "checksum" => operation.checksum_algorithm = Some(line.attribute_string(key)?),
                "event-stream" => operation.event_stream = true,
                _ => return Err(line.unknown_attribute(key)),
            }
        }
        Ok(operation)
    }

    fn operation_detail(&mut self, line: &mut Line<'_>) -> Result<(), ParseError> {
        let Self { ids, operations, .. } = self;
        // `open` says that there is an operation.
        let Some(operation) = operations.last_mut() else { return line.end() };
        match &*line.value("a keyword")? {
            "errors" => {
                while !line.is_done() {
                    let name = line.value("an error")?;
                    operation.errors.push(shape_id(ids, line, &name)?);
                }
            }
            "pages" => operation.paginator = Some(paginator(line)?),
            keyword => return Err(line.error(format!("unknown keyword `{keyword}`"))),
        }
        line.end()
    }

    fn shape_detail(&mut self, line: &mut Line<'_>) -> Result<(), ParseError> {
        let name = line.string("a name")?;
        let Some(shape) = self.shapes.last_mut() else { return line.end() };
        if name == "=" {
            let ShapeKind::String { values } = &mut shape.kind else {
                return Err(line.error("only a string has values"));
            };
            values.push(line.string("the value")?);
            return line.end();
        }
        let target = line.value("the shape")?;
        let id = shape_id(&self.ids, line, &target)?;
        let found = member(line, name, id)?;
        match (&mut shape.kind, found.name.as_str()) {
            (ShapeKind::Structure { members, .. }, _) => members.push(found),
            (ShapeKind::List { member, .. }, "member") => **member = found,
            (ShapeKind::Map { key, .. }, "key") => **key = found,
            (ShapeKind::Map { value, .. }, "value") => **value = found,
            _ => return Err(line.error("this shape has no such member")),
        }
        Ok(())
    }

    fn finish(self, file: &str) -> Result<Service, ParseError> {
        let fail = |message: String| ParseError { file: file.to_owned(), line: 0, message };
        for (keyword, value) in [("service", &self.name), ("api-version", &self.api_version)] {
            if value.is_empty() {
                return Err(fail(format!("the page has no `{keyword}`")));
            }
        }
        for shape in &self.shapes {
            let is_whole = match &shape.kind {
                ShapeKind::List { member, .. } => !member.name.is_empty(),
                ShapeKind::Map { key, value, .. } => !key.name.is_empty() && !value.name.is_empty(),
                _ => true,
            };
            if !is_whole {
                return Err(fail(format!("shape `{}` lacks `member`, or `key` and `value`", shape.name)));
            }
        }
        Ok(Service {
            protocol: self.protocol.ok_or_else(|| fail("the page has no `protocol`".to_owned()))?,
            name: self.name,
            api_version: self.api_version,
            service_id: self.service_id,
            query_compatible: self.query_compatible,
            target_prefix: self.target_prefix,
            xml_namespace: self.xml_namespace,
            endpoint_prefix: self.endpoint_prefix,
            signing_name: self.signing_name,
            operations: self.operations,
            shapes: self.shapes,
            endpoints: self.endpoints,
        })
    }
}

fn shape_id(ids: &HashMap<String, ShapeId>, line: &Line<'_>, name: &str) -> Result<ShapeId, ParseError> {
    ids.get(name).copied().ok_or_else(|| line.error(format!("there is no shape `{name}`")))
}

fn endpoint(line: &mut Line<'_>) -> Result<(String, Endpoint), ParseError> {
    let name = line.string("the name")?;
    let mut endpoint = Endpoint { host: line.string("the host")?, ..Endpoint::default() };
    while let Some(key) = line.attribute() {
        match key {
            "signing-region" => endpoint.signing_region = Some(line.attribute_string(key)?),
            "signing-name" => endpoint.signing_name = Some(line.attribute_string(key)?),
            _ => return Err(line.unknown_attribute(key)),
        }
    }
    Ok((name, endpoint))
}

fn paginator(line: &mut Line<'_>) -> Result<Paginator, ParseError> {
    let mut paginator = Paginator::default();
    while let Some(key) = line.attribute() {
        match key {
            "in" => paginator.input_tokens = line.attribute_list(key)?,
            "out" => paginator.output_tokens = line.attribute_list(key)?,
            "result" => paginator.result_keys = line.attribute_list(key)?,
            "more" => paginator.more_results = Some(line.attribute_string(key)?),
            "limit" => paginator.limit_key = Some(line.attribute_string(key)?),
            _ => return Err(line.unknown_attribute(key)),
        }
    }
    Ok(paginator)
}

/// The first line of a shape. Lists and maps get nameless members, which their own lines replace.
fn shape(line: &mut Line<'_>) -> Result<Shape, ParseError> {
    let name = line.string("the name")?;
    let hole = || Box::new(Member::new("", ShapeId(0)));
    let kind = match &*line.value("the type")? {
        "boolean" => ShapeKind::Boolean,
        "integer" => ShapeKind::Integer,
        "long" => ShapeKind::Long,
        "float" => ShapeKind::Float,
        "double" => ShapeKind::Double,
        "string" => ShapeKind::String { values: Vec::new() },
        "blob" => ShapeKind::Blob { streaming: false },
        "timestamp" => ShapeKind::Timestamp { format: None },
        "document" => ShapeKind::Document,
        "list" => ShapeKind::List { member: hole(), flattened: false },
        "map" => ShapeKind::Map { key: hole(), value: hole(), flattened: false },
        word @ ("structure" | "union") => {
            ShapeKind::Structure { members: Vec::new(), union: word == "union", error: None, payload: None }
        }
        word => return Err(line.error(format!("unknown type `{word}`"))),
    };
    let mut shape = Shape { name, kind, sensitive: false };
    while let Some(key) = line.attribute() {
        shape_attribute(line, &mut shape, key)?;
    }
    Ok(shape)
}

fn shape_attribute(line: &mut Line<'_>, shape: &mut Shape, key: &str) -> Result<(), ParseError> {
    match (key, &mut shape.kind) {
        ("sensitive", _) => shape.sensitive = true,
        ("streaming", ShapeKind::Blob { streaming }) => *streaming = true,
        ("format", ShapeKind::Timestamp { format }) => {
            let name = line.attribute_value(key)?;
            *format = Some(line.lookup(&TIMESTAMPS, "timestamp format", &name)?);
        }
        ("flattened", ShapeKind::List { flattened, .. } | ShapeKind::Map { flattened, .. }) => *flattened = true,
        ("payload", ShapeKind::Structure { payload, .. }) => *payload = Some(line.attribute_string(key)?),
        ("error", ShapeKind::Structure { error, .. }) => *error = Some(ErrorFacts::default()),
        (_, ShapeKind::Structure { error: Some(error), .. }) => match key {
            "code" => error.code = Some(line.attribute_string(key)?),
            "status" => {
                let status = line.attribute_value(key)?;
                error.http_status = Some(status.parse().map_err(|_| line.error(format!("bad status `{status}`")))?);
            }
            "sender" => error.sender_fault = true,
            "retryable" => error.retryable = true,
            "throttling" => error.throttling = true,
            _ => return Err(line.unknown_attribute(key)),
        },
        _ => return Err(line.unknown_attribute(key)),
    }
    Ok(())
}

fn member(line: &mut Line<'_>, name: String, shape: ShapeId) -> Result<Member, ParseError> {
    let mut member = Member::new(name, shape);
    let (mut prefix, mut namespace) = (None, None);
    while let Some(key) = line.attribute() {
        match key {
            "required" => member.required = true,
            "wire" => member.wire_name = Some(line.attribute_string(key)?),
            "query-name" => member.query_name = Some(line.attribute_string(key)?),
            "token" => member.idempotency_token = true,
            "host-label" => member.host_label = true,
            "xml-attribute" => member.xml_attribute = true,
            "flattened" => member.flattened = true,
            "json" => member.json_value = true,
            "timestamp" => {
                let name = line.attribute_value(key)?;
                member.timestamp_format = Some(line.lookup(&TIMESTAMPS, "timestamp format", &name)?);
            }
            "xml-prefix" => prefix = Some(line.attribute_string(key)?),
            "xml-namespace" => namespace = Some(line.attribute_string(key)?),
            location => member.location = line.lookup(&LOCATIONS, "attribute", location)?,
        }
    }
    member.xml_namespace = match (prefix, namespace) {
        (prefix, Some(uri)) => Some((prefix, uri)),
        (None, None) => None,
        (Some(_), None) => return Err(line.error("`xml-prefix` needs `xml-namespace`")),
    };
    Ok(member)
}
