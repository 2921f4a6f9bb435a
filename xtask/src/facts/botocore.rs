//! The botocore wheel, read as a zip of JSON: operations, shapes, paginators and endpoints of AWS services.
//!
//! Nothing in the wheel is run. Documentation is dropped by never being read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Cursor, Read as _};
use std::marker::PhantomData;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use cso_facts::api::{
    ErrorFacts, Location, Member, Operation, Paginator, Protocol, Service, Shape, ShapeId, ShapeKind, TimestampFormat,
};
use cso_facts::text::{print_partitions, print_service};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::fetch;
use super::rules::{Partitions, RuleSet};
use crate::lock::Lock;
use crate::pages::Pages;

/// The page of AWS partitions.
pub(super) const PARTITIONS: &str = "facts/aws-partitions.txt";

/// Pages of every AWS service in the lock file, and of the partitions.
pub(super) fn pages(root: &Path, lock: &Lock) -> Result<Pages> {
    let mut wheel = Wheel::open(fetch::read(root, lock.package("botocore")?)?)?;
    let partitions = Partitions::read(&wheel.bytes("botocore/data/partitions.json")?)?;
    let mut pages = Pages::from([(PARTITIONS.to_owned(), print_partitions(&partitions.all))]);
    for name in &lock.aws.services {
        let service = service(&mut wheel, &partitions, name).with_context(|| format!("service {name}"))?;
        pages.insert(format!("facts/aws/{name}.txt"), print_service(&service));
    }
    Ok(pages)
}

struct Wheel {
    archive: zip::ZipArchive<Cursor<Vec<u8>>>,
}

impl Wheel {
    fn open(bytes: Vec<u8>) -> Result<Self> {
        Ok(Self { archive: zip::ZipArchive::new(Cursor::new(bytes))? })
    }

    fn bytes(&mut self, path: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.archive.by_name(path).with_context(|| path.to_owned())?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A data file of a service, plain or gzipped as it happens to be shipped.
    fn data<T: DeserializeOwned>(&mut self, folder: &str, file: &str) -> Result<T> {
        let plain = format!("{folder}{file}.json");
        let packed = format!("{plain}.gz");
        let bytes = if self.archive.index_for_name(&packed).is_some() {
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(self.bytes(&packed)?.as_slice()).read_to_end(&mut bytes)?;
            bytes
        } else {
            self.bytes(&plain)?
        };
        serde_json::from_slice(&bytes).with_context(|| plain)
    }

    /// The folder of a service's newest API version.
    fn folder(&self, service: &str) -> Result<String> {
        let top = format!("botocore/data/{service}/");
        let mut newest = String::new();
        for name in self.archive.file_names() {
            let name = name?;
            if let Some((version, file)) = name.strip_prefix(&top).and_then(|rest| rest.split_once('/'))
                && file.starts_with("service-2.json")
                && version > newest.as_str()
            {
                version.clone_into(&mut newest);
            }
        }
        ensure!(!newest.is_empty(), "botocore has no such service");
        Ok(format!("{top}{newest}/"))
    }
}

/// `service-2.json`.
#[derive(Deserialize)]
struct Model {
    metadata: Metadata,
    operations: BTreeMap<String, RawOperation>,
    shapes: BTreeMap<String, RawShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    api_version: String,
    aws_query_compatible: Option<IgnoredAny>,
    endpoint_prefix: String,
    json_version: Option<String>,
    protocol: String,
    #[serde(default)]
    protocols: Vec<String>,
    service_id: String,
    signing_name: Option<String>,
    target_prefix: Option<String>,
    xml_namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOperation {
    http: Http,
    input: Option<Target>,
    output: Option<Target>,
    #[serde(default)]
    errors: Vec<Target>,
    endpoint: Option<HostPrefix>,
    authtype: Option<String>,
    #[serde(default)]
    auth: Vec<String>,
    #[serde(default)]
    http_checksum_required: bool,
    http_checksum: Option<Checksum>,
    /// Not the model's word: found among the shapes.
    #[serde(skip)]
    event_stream: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    request_uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostPrefix {
    host_prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    #[serde(default)]
    request_checksum_required: bool,
    request_algorithm_member: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    shape: String,
    result_wrapper: Option<String>,
    location_name: Option<String>,
    xml_namespace: Option<Namespace>,
}

#[derive(Clone, Deserialize)]
struct Namespace {
    uri: String,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct RawShape {
    #[serde(rename = "type")]
    shape_type: String,
    members: Ordered<RawMember>,
    required: BTreeSet<String>,
    member: Option<RawMember>,
    key: Option<RawMember>,
    value: Option<RawMember>,
    #[serde(rename = "enum")]
    values: Vec<String>,
    sensitive: bool,
    union: bool,
    document: bool,
    eventstream: bool,
    streaming: bool,
    flattened: bool,
    payload: Option<String>,
    exception: bool,
    fault: bool,
    error: Option<RawError>,
    retryable: Option<Retryable>,
    timestamp_format: Option<String>,
    location_name: Option<String>,
    xml_namespace: Option<Namespace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct RawMember {
    shape: String,
    location: Option<String>,
    location_name: Option<String>,
    query_name: Option<String>,
    idempotency_token: bool,
    host_label: bool,
    xml_attribute: bool,
    flattened: bool,
    streaming: bool,
    jsonvalue: bool,
    xml_namespace: Option<Namespace>,
    timestamp_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawError {
    code: Option<String>,
    http_status_code: Option<u16>,
}

#[derive(Deserialize)]
struct Retryable {
    #[serde(default)]
    throttling: bool,
}

/// `paginators-1.json`.
#[derive(Deserialize)]
struct Pagination {
    pagination: BTreeMap<String, RawPaginator>,
}

#[derive(Deserialize)]
struct RawPaginator {
    input_token: OneOrMore,
    output_token: OneOrMore,
    #[serde(default)]
    result_key: OneOrMore,
    more_results: Option<String>,
    limit_key: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl OneOrMore {
    fn list(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::More(more) => more.clone(),
        }
    }
}

/// A JSON object in the order of the file, which `serde_json`'s own map does not keep.
struct Ordered<T>(Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

fn service(wheel: &mut Wheel, partitions: &Partitions, name: &str) -> Result<Service> {
    let folder = wheel.folder(name)?;
    let mut model: Model = wheel.data(&folder, "service-2")?;
    let pagination = match wheel.data::<Pagination>(&folder, "paginators-1") {
        Ok(pagination) => pagination.pagination,
        Err(error) if error.downcast_ref::<zip::result::ZipError>().is_some() => BTreeMap::new(),
        Err(error) => return Err(error),
    };
    let rules: RuleSet = wheel.data(&folder, "endpoint-rule-set-1")?;

    let Model { metadata, operations, shapes } = &mut model;
    let shapes = &*shapes;
    for raw in operations.values_mut() {
        raw.event_stream =
            reachable(shapes, raw.targets()).iter().any(|name| shapes.get(*name).is_some_and(|it| it.eventstream));
        if raw.event_stream {
            // Nobody here can speak it: its name is enough to say so.
            (raw.input, raw.output, raw.errors) = (None, None, Vec::new());
        }
    }
    let reachable = reachable(shapes, operations.values().flat_map(RawOperation::targets));
    let reader = Reader {
        shapes,
        ids: reachable.iter().copied().zip((0..).map(ShapeId)).collect(),
        streaming: streaming(shapes),
    };
    let signing_name = metadata.signing_name.as_ref().unwrap_or(&metadata.endpoint_prefix);
    Ok(Service {
        name: name.to_owned(),
        api_version: metadata.api_version.clone(),
        service_id: metadata.service_id.clone(),
        protocol: protocol(metadata)?,
        query_compatible: metadata.aws_query_compatible.is_some(),
        target_prefix: metadata.target_prefix.clone(),
        xml_namespace: metadata.xml_namespace.clone(),
        endpoint_prefix: metadata.endpoint_prefix.clone(),
        endpoints: rules.fold(partitions, signing_name).context("endpoint rules")?,
        signing_name: signing_name.clone(),
        operations: operations
            .iter()
            .map(|(name, raw)| reader.operation(name, raw, pagination.get(name)).with_context(|| name.clone()))
            .collect::<Result<_>>()?,
        shapes: reachable
            .iter()
            .map(|name| reader.shape(name).with_context(|| format!("shape {name}")))
            .collect::<Result<_>>()?,
    })
}

/// The first protocol that we speak. Models list newer ones first, so the order is ours.
fn protocol(metadata: &Metadata) -> Result<Protocol> {
    let named = |name: &str| metadata.protocol == name || metadata.protocols.iter().any(|listed| listed == name);
    Ok(match () {
        () if named("json") => match metadata.json_version.as_deref() {
            Some("1.0") => Protocol::AwsJson1_0,
            Some("1.1") => Protocol::AwsJson1_1,
            version => bail!("JSON version {version:?} is not known"),
        },
        () if named("rest-json") => Protocol::RestJson1,
        () if named("rest-xml") => Protocol::RestXml,
        () if named("query") => Protocol::AwsQuery,
        () if named("ec2") => Protocol::Ec2Query,
        () => bail!("none of the protocols {:?} is implemented", metadata.protocols),
    })
}

impl RawOperation {
    /// Every shape that the operation names.
    fn targets(&self) -> impl Iterator<Item = &str> {
        self.input.iter().chain(&self.output).chain(&self.errors).map(|target| target.shape.as_str())
    }
}

impl RawShape {
    /// Every reference of the shape to another.
    fn references(&self) -> impl Iterator<Item = &RawMember> {
        let members = self.members.0.iter().map(|(_, member)| member);
        members.chain(&self.member).chain(&self.key).chain(&self.value)
    }
}

/// Names of the shapes that can be reached from some, those included, sorted.
fn reachable<'a>(shapes: &'a BTreeMap<String, RawShape>, from: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = from.collect();
    while let Some(name) = open.pop() {
        if found.insert(name)
            && let Some(shape) = shapes.get(name)
        {
            open.extend(shape.references().map(|member| member.shape.as_str()));
        }
    }
    found
}

/// Shapes that some member refers to as streamed.
fn streaming(shapes: &BTreeMap<String, RawShape>) -> BTreeSet<&str> {
    let references = shapes.values().flat_map(RawShape::references);
    references.filter(|member| member.streaming).map(|member| member.shape.as_str()).collect()
}

/// Turns raw shapes into ours.
struct Reader<'a> {
    shapes: &'a BTreeMap<String, RawShape>,
    ids: BTreeMap<&'a str, ShapeId>,
    streaming: BTreeSet<&'a str>,
}

impl Reader<'_> {
    fn id(&self, name: &str) -> Result<ShapeId> {
        self.ids.get(name).copied().with_context(|| format!("there is no shape {name}"))
    }

    fn operation(&self, name: &str, raw: &RawOperation, paginator: Option<&RawPaginator>) -> Result<Operation> {
        let id = |target: Option<&Target>| target.map(|target| self.id(&target.shape)).transpose();
        let input = raw.input.as_ref();
        let checksum = raw.http_checksum.as_ref();
        let is_checked = checksum.is_some_and(|checksum| checksum.request_checksum_required);
        Ok(Operation {
            name: name.to_owned(),
            method: raw.http.method.clone(),
            uri: raw.http.request_uri.clone(),
            host_prefix: raw.endpoint.as_ref().map(|endpoint| endpoint.host_prefix.clone()),
            unsigned: raw.authtype.as_deref() == Some("none")
                || raw.auth.iter().any(|auth| auth == "smithy.api#noAuth"),
            checksum_required: raw.http_checksum_required || is_checked,
            checksum_algorithm: checksum.and_then(|checksum| checksum.request_algorithm_member.clone()),
            event_stream: raw.event_stream,
            input: id(input)?,
            output: id(raw.output.as_ref())?,
            xml_root: input.and_then(|input| input.location_name.clone()),
            xml_namespace: input.and_then(|input| input.xml_namespace.as_ref()).map(|namespace| namespace.uri.clone()),
            result_wrapper: raw.output.as_ref().and_then(|output| output.result_wrapper.clone()),
            errors: raw.errors.iter().map(|error| self.id(&error.shape)).collect::<Result<_>>()?,
            paginator: paginator.map(|raw| Paginator {
                input_tokens: raw.input_token.list(),
                output_tokens: raw.output_token.list(),
                result_keys: raw.result_key.list(),
                more_results: raw.more_results.clone(),
                limit_key: raw.limit_key.clone(),
            }),
        })
    }

    fn shape(&self, name: &str) -> Result<Shape> {
        let raw = self.shapes.get(name).context("an operation refers to it, but the model lacks it")?;
        let nested = |member: &Option<RawMember>, name: &str| {
            let member = member.as_ref().with_context(|| format!("{name} is missing"))?;
            self.member(name, member, false).map(Box::new)
        };
        let kind = match raw.shape_type.as_str() {
            "boolean" => ShapeKind::Boolean,
            "integer" => ShapeKind::Integer,
            "long" => ShapeKind::Long,
            "float" => ShapeKind::Float,
            "double" => ShapeKind::Double,
            "string" | "character" => ShapeKind::String { values: raw.values.clone() },
            "blob" => ShapeKind::Blob { streaming: raw.streaming || self.streaming.contains(name) },
            "timestamp" => ShapeKind::Timestamp { format: timestamp(raw.timestamp_format.as_deref())? },
            "list" => ShapeKind::List { member: nested(&raw.member, "member")?, flattened: raw.flattened },
            "map" => ShapeKind::Map {
                key: nested(&raw.key, "key")?,
                value: nested(&raw.value, "value")?,
                flattened: raw.flattened,
            },
            "structure" if raw.document => ShapeKind::Document,
            "structure" => self.structure(raw)?,
            other => bail!("the type `{other}` is not known"),
        };
        Ok(Shape { name: name.to_owned(), kind, sensitive: raw.sensitive })
    }

    fn structure(&self, raw: &RawShape) -> Result<ShapeKind> {
        let members = raw.members.0.iter();
        let members = members
            .map(|(name, member)| self.member(name, member, raw.required.contains(name)).with_context(|| name.clone()))
            .collect::<Result<_>>()?;
        let status = raw.error.as_ref().and_then(|error| error.http_status_code);
        let is_error = raw.exception || raw.error.is_some();
        let error = is_error.then(|| ErrorFacts {
            code: raw.error.as_ref().and_then(|error| error.code.clone()),
            http_status: status,
            sender_fault: !raw.fault && status.is_none_or(|status| status < 500),
            retryable: raw.retryable.is_some(),
            throttling: raw.retryable.as_ref().is_some_and(|retryable| retryable.throttling),
        });
        Ok(ShapeKind::Structure { members, union: raw.union, error, payload: raw.payload.clone() })
    }

    /// A member. Names and namespaces that the model puts on the target shape count as the member's own.
    fn member(&self, name: &str, raw: &RawMember, required: bool) -> Result<Member> {
        let target = self.shapes.get(&raw.shape);
        let wire = raw.location_name.as_ref().or_else(|| target.and_then(|target| target.location_name.as_ref()));
        let namespace = raw.xml_namespace.as_ref().or_else(|| target.and_then(|target| target.xml_namespace.as_ref()));
        Ok(Member {
            wire_name: wire.filter(|wire| *wire != name).cloned(),
            query_name: raw.query_name.clone(),
            location: location(raw.location.as_deref())?,
            required,
            idempotency_token: raw.idempotency_token,
            host_label: raw.host_label,
            xml_attribute: raw.xml_attribute,
            flattened: raw.flattened,
            xml_namespace: namespace.cloned().map(|namespace| (namespace.prefix, namespace.uri)),
            timestamp_format: timestamp(raw.timestamp_format.as_deref())?,
            json_value: raw.jsonvalue,
            ..Member::new(name, self.id(&raw.shape)?)
        })
    }
}

fn location(raw: Option<&str>) -> Result<Location> {
    Ok(match raw {
        None => Location::Body,
        Some("header") => Location::Header,
        Some("headers") => Location::Headers,
        Some("querystring") => Location::Query,
        Some("uri") => Location::Uri,
        Some("statusCode") => Location::StatusCode,
        Some(other) => bail!("the location `{other}` is not known"),
    })
}

fn timestamp(raw: Option<&str>) -> Result<Option<TimestampFormat>> {
    Ok(match raw {
        None => None,
        Some("iso8601") => Some(TimestampFormat::DateTime),
        Some("unixTimestamp") => Some(TimestampFormat::EpochSeconds),
        Some("rfc822") => Some(TimestampFormat::HttpDate),
        Some(other) => bail!("the timestamp format `{other}` is not known"),
    })
}
