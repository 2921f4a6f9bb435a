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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub name: String,
    /// HTTP method, for example `POST`.
    pub method: String,
    /// Request URI template, for example `/` or `/{Bucket}?lifecycle`.
    pub uri: String,
    pub input: Option<ShapeId>,
    pub output: Option<ShapeId>,
    /// Element that wraps the output in `awsQuery` answers.
    pub result_wrapper: Option<String>,
    /// Error shapes the model lists.
    pub errors: Vec<ShapeId>,
    pub paginator: Option<Paginator>,
}

/// How to walk the pages of a list operation. Paths are dot-separated member names.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub location: Location,
    pub required: bool,
    pub idempotency_token: bool,
    pub host_label: bool,
    pub xml_attribute: bool,
    pub flattened: bool,
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

/// Folded result of the service's endpoint rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Host templates by partition (`aws`, `aws-cn`, ...), with `{region}` and `{dnsSuffix}` holes.
    pub partitions: BTreeMap<String, Endpoint>,
    /// Exceptions by region, and the pseudo regions of global services.
    pub regions: BTreeMap<String, Endpoint>,
}

/// One endpoint: host and signing scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub signing_region: Option<String>,
    pub signing_name: Option<String>,
}

impl Service {
    /// The shape behind an id. Ids come from this service only, so the index is always in range.
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    /// An operation by its exact name.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        let found = self.operations.binary_search_by(|op| op.name.as_str().cmp(name)).ok()?;
        self.operations.get(found)
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
