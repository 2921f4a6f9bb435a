//! The API model of one AWS service, as the `botocore` package states it, without documentation.

use std::collections::BTreeMap;

/// Index into [`Service::shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeId(pub u32);

/// One service: everything a model-driven client needs to call any of its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Our name and botocore's folder name, for example `secretsmanager`.
    pub name: String,
    /// API version, for example `2017-10-17`.
    pub api_version: String,
    /// Smithy's `sdkId`, for example `Secrets Manager`: per-service endpoint variables are derived from it.
    pub service_id: String,
    /// The protocol we speak with it: the first of the model's list that we implement.
    pub protocol: Protocol,
    /// Error codes come from the `x-amzn-query-error` header when it is there.
    pub query_compatible: bool,
    /// Prefix of `X-Amz-Target` for the JSON protocols.
    pub target_prefix: Option<String>,
    /// XML namespace of the service for the XML protocols.
    pub xml_namespace: Option<String>,
    /// First label of the endpoint's host name unless [`Endpoints`] says otherwise.
    pub endpoint_prefix: String,
    /// Name in the SigV4 scope.
    pub signing_name: String,
    /// Sorted by name.
    pub operations: Vec<Operation>,
    /// Sorted by name; only shapes that an operation reaches.
    pub shapes: Vec<Shape>,
    /// Where the service answers.
    pub endpoints: Endpoints,
}

/// Wire protocols of AWS services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    AwsJson1_0,
    AwsJson1_1,
    AwsQuery,
    Ec2Query,
    RestJson1,
    RestXml,
}

/// One operation of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    pub name: String,
    /// HTTP method, for example `POST`.
    pub method: String,
    /// Request URI template, for example `/` or `/{Bucket}?lifecycle`.
    pub uri: String,
    /// Template of labels that go before the endpoint's host name, for example `{RequestRoute}.`.
    pub host_prefix: Option<String>,
    /// Called without a signature, as `AssumeRoleWithWebIdentity` is.
    pub unsigned: bool,
    /// The request must carry a checksum of its body: `Content-MD5`, or the header of an algorithm where there is a choice.
    pub checksum_required: bool,
    /// The input member that chooses the algorithm of an `x-amz-checksum-*` header.
    pub checksum_algorithm: Option<String>,
    /// Input or output is an event stream. Such an operation is known by name only: it has no shapes here.
    pub event_stream: bool,
    pub input: Option<ShapeId>,
    pub output: Option<ShapeId>,
    /// Root element of a `restXml` request without payload member, when the model names it, and its namespace.
    pub xml_root: Option<String>,
    pub xml_namespace: Option<String>,
    /// Element that wraps the output in `awsQuery` answers.
    pub result_wrapper: Option<String>,
    /// Error shapes the model lists.
    pub errors: Vec<ShapeId>,
    pub paginator: Option<Paginator>,
}

/// How to walk the pages of a list operation. Paths are dot-separated member names; S3's `ListObjects` alone states an
/// expression (`NextMarker || Contents[-1].Key`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paginator {
    pub input_tokens: Vec<String>,
    pub output_tokens: Vec<String>,
    pub result_keys: Vec<String>,
    pub more_results: Option<String>,
    pub limit_key: Option<String>,
}

/// A named type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub name: String,
    pub kind: ShapeKind,
    /// Values must never be shown.
    pub sensitive: bool,
}

/// The type behind a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShapeKind {
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    /// Enum values in the model's order; empty when the string is free.
    String {
        values: Vec<String>,
    },
    Blob {
        streaming: bool,
    },
    Timestamp {
        format: Option<TimestampFormat>,
    },
    Document,
    List {
        member: Box<Member>,
        flattened: bool,
    },
    Map {
        key: Box<Member>,
        value: Box<Member>,
        flattened: bool,
    },
    /// Members in the model's order.
    Structure {
        members: Vec<Member>,
        union: bool,
        error: Option<ErrorFacts>,
        payload: Option<String>,
    },
}

impl ShapeKind {
    /// What the type is called in canonical text.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::String { .. } => "string",
            Self::Blob { .. } => "blob",
            Self::Timestamp { .. } => "timestamp",
            Self::Document => "document",
            Self::List { .. } => "list",
            Self::Map { .. } => "map",
            Self::Structure { union: false, .. } => "structure",
            Self::Structure { union: true, .. } => "union",
        }
    }
}

/// Wire form of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    DateTime,
    EpochSeconds,
    HttpDate,
}

/// What the model says about an error shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFacts {
    /// Code on the wire when it is not the shape's name.
    pub code: Option<String>,
    pub http_status: Option<u16>,
    /// The caller's fault (4xx) rather than the server's.
    pub sender_fault: bool,
    pub retryable: bool,
    pub throttling: bool,
}

/// A reference to a shape from a structure, list or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Member name; `member`, `key` or `value` inside lists and maps.
    pub name: String,
    pub shape: ShapeId,
    /// Name on the wire when it differs.
    pub wire_name: Option<String>,
    /// Name in `ec2Query` requests when it is not the capitalised wire name.
    pub query_name: Option<String>,
    pub location: Location,
    pub required: bool,
    pub idempotency_token: bool,
    pub host_label: bool,
    pub xml_attribute: bool,
    pub flattened: bool,
    /// Prefix, if any, and URI.
    pub xml_namespace: Option<(Option<String>, String)>,
    pub timestamp_format: Option<TimestampFormat>,
    /// Carries JSON text in a header (`jsonvalue`).
    pub json_value: bool,
}

/// Where a member travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    #[default]
    Body,
    Header,
    /// All headers with the wire name as prefix.
    Headers,
    Query,
    Uri,
    StatusCode,
}

/// Folded result of the service's endpoint rules, without FIPS and dual-stack variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Endpoints by partition (`aws`, `aws-cn`, ...). A partition without an entry does not offer the service.
    pub partitions: BTreeMap<String, Endpoint>,
    /// Exceptions by region, pseudo regions such as `aws-global` included.
    pub regions: BTreeMap<String, Endpoint>,
}

/// One endpoint: host and signing scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name, with a `{region}` hole where it depends on the region.
    pub host: String,
    /// Region in the SigV4 scope when it is not the region asked for (global services).
    pub signing_region: Option<String>,
    /// Name in the SigV4 scope when it is not the service's.
    pub signing_name: Option<String>,
}

impl Endpoints {
    /// The endpoint for a region of a partition, its `{region}` hole filled; `None` when the partition lacks the service.
    pub fn resolve(&self, partition: &str, region: &str) -> Option<Endpoint> {
        let found = self.regions.get(region).or_else(|| self.partitions.get(partition))?;
        Some(Endpoint { host: found.host.replace("{region}", region), ..found.clone() })
    }
}

impl Service {
    /// The shape behind an id. Ids come from this service only, so the index is always in range.
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    /// A shape by its exact name.
    pub fn shape_named(&self, name: &str) -> Option<&Shape> {
        let found = self.shapes.binary_search_by(|shape| shape.name.as_str().cmp(name)).ok()?;
        self.shapes.get(found)
    }

    /// An operation by its exact name.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        let found = self.operations.binary_search_by(|op| op.name.as_str().cmp(name)).ok()?;
        self.operations.get(found)
    }
}

impl Member {
    /// A plain member: in the body, optional, under its own name.
    pub fn new(name: impl Into<String>, shape: ShapeId) -> Self {
        Self {
            name: name.into(),
            shape,
            wire_name: None,
            query_name: None,
            location: Location::Body,
            required: false,
            idempotency_token: false,
            host_label: false,
            xml_attribute: false,
            flattened: false,
            xml_namespace: None,
            timestamp_format: None,
            json_value: false,
        }
    }
}

impl Shape {
    /// Members of a structure; nothing for any other shape.
    pub fn members(&self) -> &[Member] {
        match &self.kind {
            ShapeKind::Structure { members, .. } => members,
            _ => &[],
        }
    }

    /// A member of a structure by its exact name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.name == name)
    }
}
