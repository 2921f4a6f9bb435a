//! The published Kubernetes surface of one kind: field paths, types, flags and printer columns of its CRD, and the facts
//! that its generator configuration states. No descriptions.

use std::collections::{BTreeMap, BTreeSet};

/// One served version of a custom resource definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surface {
    /// For example `sqs.services.k8s.aws`.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub namespaced: bool,
    pub columns: Vec<Column>,
    /// `spec` and `status`, as object schemas.
    pub spec: Schema,
    pub status: Schema,
    /// Generator facts by surface path below `spec` or `status`, for example `policy` or `encryptionConfiguration.kmsKey`.
    /// Elements of arrays and values of maps have no step of their own.
    pub fields: BTreeMap<String, FieldFacts>,
    /// Error codes upstream treats as terminal, sorted.
    pub terminal_codes: Vec<String>,
    /// Error code upstream treats as "not found", where it is not the API's usual one.
    pub not_found_code: Option<String>,
}

/// An additional printer column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub json_path: String,
    pub column_type: String,
    pub priority: u32,
}

/// A structural schema node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    pub schema_type: SchemaType,
    /// `date-time`, `int64`, `byte`.
    pub format: Option<String>,
    /// Allowed values of a string; empty when free.
    pub values: Vec<String>,
    pub properties: BTreeMap<String, Schema>,
    pub required: BTreeSet<String>,
    /// Elements of an array.
    pub items: Option<Box<Schema>>,
    /// Values of a map.
    pub additional: Option<Box<Schema>>,
    /// Carries the published rule `self == oldSelf`.
    pub immutable: bool,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic: bool,
    /// `x-kubernetes-preserve-unknown-fields: true`.
    pub preserve_unknown: bool,
}

/// JSON type of a schema node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaType {
    #[default]
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What upstream's generator configuration says of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldFacts {
    pub late_initialize: bool,
    pub immutable: bool,
    pub read_only: bool,
    pub primary_key: bool,
    pub iam_policy: bool,
    pub document: bool,
    pub secret: bool,
    /// Lives in the attribute map of get and set operations.
    pub attribute: bool,
    pub reference: Option<Reference>,
}

/// The target of a `...Ref` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Sibling of the field that holds the reference on the surface, for example `kmsMasterKeyRef`.
    pub field: String,
    /// Service of the target, for example `kms`.
    pub service: String,
    pub kind: String,
    /// Surface path on the target, for example `status.keyID` or `status.ackResourceMetadata.arn`.
    pub path: String,
}

impl Surface {
    /// The schema at a path of property names below `spec` or `status`, for example `["spec", "tags", "key"]`. Elements of
    /// arrays and values of maps have no step of their own.
    pub fn schema_at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Schema> {
        let mut path = path.into_iter();
        let root = match path.next()? {
            "spec" => &self.spec,
            "status" => &self.status,
            _ => return None,
        };
        path.try_fold(root, |schema, name| schema.element().properties.get(name))
    }
}

impl Schema {
    /// What the schema is about when arrays and maps are looked through: the innermost element, or itself.
    pub fn element(&self) -> &Self {
        match self.items.as_deref().or(self.additional.as_deref()) {
            Some(nested) => nested.element(),
            None => self,
        }
    }
}
