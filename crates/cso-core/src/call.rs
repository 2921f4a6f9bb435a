//! Calls and plans. A plan and its execution are made of the same [`Call`] values.

use serde::{Deserialize, Serialize};

use crate::tree::Tree;

/// One operation with its input, before holes are filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Facts section, for example `sqs`.
    pub service: String,
    pub operation: String,
    /// Members in the provider's spelling.
    pub input: Tree,
}

/// What a step does to the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Create,
    Update,
    Delete,
}

/// One mutating call with the reason for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub verb: Verb,
    /// Part of the kind that the step belongs to; `body` for the resource itself.
    pub part: String,
    pub call: Call,
    /// Field differences that the call removes; empty for a delete.
    pub changes: Vec<Difference>,
    /// A sentence where the call alone does not tell what happens, for example "deleted after 7 days".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// All steps that lead from what was seen to what is wanted, in order. The driver makes the first and asks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What becomes of the resource in the end: one that is to go may have to be emptied first, or ends by being empty.
    pub verb: Verb,
    pub steps: Vec<Step>,
    /// What the plan will not do, and why: fields kept as they are, values that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A field that is not as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Surface path, for example `spec.visibilityTimeout`.
    pub path: String,
    /// Seen value; absent when there is none or it must not be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Tree>,
    /// Wanted value; absent when the field is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Tree>,
    pub kind: DifferenceKind,
}

/// Why a field differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// The resource does not exist yet.
    FirstWrite,
    /// The user changed the wish since it was last applied.
    UserChange,
    /// The wish is as it was applied: the cloud changed.
    Drift,
    /// The user took the field out.
    Removal,
    /// The secret behind the field has another value.
    SecretRotated,
}
