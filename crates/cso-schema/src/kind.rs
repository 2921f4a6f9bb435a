//! What a descriptor compiles to: one kind, with every name checked against facts and every default made explicit.
//!
//! Pure data. The engine interprets it; nothing in here runs. A kind is a *body* (the resource itself, with one create,
//! read, update and delete) and an ordered list of *parts* (settings that have calls of their own). Each field of the
//! spec has exactly one owner. Order of parts is meaning: writes go down the list, removals go up.

mod calls;
mod parts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cso_core::path::Segment;
use cso_core::{ErrorClass, FieldPath};
use cso_facts::api::{Member, Service};
use cso_facts::surface::{Schema, Surface};
use serde_json::Value;

pub use self::calls::{
    CallTemplate, Carried, Context, Pattern, PatternPart, Pick, PickTest, Place, Predicate, Send, Source, Write,
};
pub use self::parts::{CONTENT, Part, PartRead, REVISIONS, Revisions, Shape, Table, TagRead, TagWrite, Tags};
use crate::compare::Compare;
use crate::lens::Lens;

/// One managed kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Facts section of its API, for example `sqs`.
    pub service: String,
    /// The file of its descriptor.
    pub file: String,
    pub scope: Scope,
    pub api: Arc<Service>,
    pub surface: Arc<Surface>,
    pub identity: Identity,
    pub read: BodyRead,
    pub create: CallTemplate,
    /// Status paths that the create's answer fills, and where.
    pub create_out: Vec<(FieldPath, FieldPath)>,
    /// How a create whose outcome is unknown is found again.
    pub recovery: Recovery,
    pub update: Option<Write>,
    /// `None` if the resource is gone once it is empty.
    pub delete: Option<CallTemplate>,
    /// How all resources of the kind are found, where the provider lists them without being told a parent.
    pub list: Option<Listing>,
    /// Positions of the parts that must be emptied before the delete, in the order in which they are.
    pub empties: Vec<usize>,
    /// Every top-level spec field that carries a wish, by its name. `...Ref` fields and tags are not here.
    pub fields: BTreeMap<String, Field>,
    pub parts: Vec<Part>,
    pub tags: Option<Tags>,
    pub states: Vec<Axis>,
    /// Soft delete: an answer with a value here counts as absent, while its name stays taken.
    pub tombstone: Option<FieldPath>,
    pub refs: Vec<Ref>,
    /// Typed inputs from annotations.
    pub options: BTreeMap<String, OptionRule>,
    /// Where each status field is read.
    pub status: Vec<StatusField>,
    /// Connection facts for exports, by name.
    pub exports: BTreeMap<String, Source>,
    pub errors: ErrorTable,
    /// For this long after a write an old answer is not believed.
    pub consistency: Duration,
}

/// How far the names of a service reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Each region has its own resources.
    #[default]
    Region,
    /// One name space per account, whatever region a call goes through.
    Partition,
}

/// Who names the resource decides how it is found again.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Spec fields that name it, if the user chooses the name.
    pub name: Vec<FieldPath>,
    /// Status field that the provider assigns, if he does.
    pub assigned: Option<FieldPath>,
    /// Spec fields that lead to the place where the resource is: its parent, its account.
    pub within: Vec<FieldPath>,
    /// Name to handle, where calls want something that is neither name nor ARN.
    pub lookup: Option<Lookup>,
    pub arn: Arn,
}

/// How the resource's ARN is known.
#[derive(Clone, Debug)]
pub enum Arn {
    None,
    /// Read at this path of the body.
    Read(FieldPath),
    /// Built from the name.
    Pattern(Pattern),
}

/// A read that turns a name into a handle.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub call: CallTemplate,
    /// Status path and the answer's path that fills it.
    pub out: Vec<(FieldPath, FieldPath)>,
}

/// The read of the body.
#[derive(Clone, Debug)]
pub struct BodyRead {
    pub call: CallTemplate,
    /// Where the body sits in the answer: a wrapper (`KeyMetadata`) or a list (`repositories[]`). Root if at the top.
    pub at: FieldPath,
    /// Which element of a list is ours.
    pub pick: Vec<Pick>,
    /// String-map member that holds attributes, if the body is one (`Attributes`).
    pub attributes: Option<String>,
}

/// How a create is recovered when its outcome is unknown.
#[derive(Clone, Debug)]
pub enum Recovery {
    /// The name is unique: read it; ours if it carries our mark, or was absent when the intent was opened.
    Name,
    /// The same call with the same token returns the same resource.
    Token,
    /// The provider keeps one resource per these fields.
    Natural(Finder),
    /// Found by our owner tag, through the Resource Groups Tagging API; believed absent only after `window`.
    OwnerTag {
        /// Type filter of that API, for example `kms:key`.
        resource_type: String,
        window: Duration,
    },
}

/// A list read that finds a resource without its handle.
#[derive(Clone, Debug)]
pub struct Finder {
    pub call: CallTemplate,
    pub elements: FieldPath,
    pub pick: Vec<Pick>,
    pub out: Vec<(FieldPath, FieldPath)>,
}

/// A read that lists all resources of a kind in a region.
#[derive(Clone, Debug)]
pub struct Listing {
    pub call: CallTemplate,
    /// Where the answer has the elements.
    pub elements: FieldPath,
    /// What an element tells of its resource: where that belongs, and where in the element it stands (root if the element
    /// is the value).
    pub gives: Vec<(Target, FieldPath)>,
    /// Members of the element, or else of the body, and the values of resources that are not the user's.
    pub unless: Vec<(FieldPath, Vec<String>)>,
    /// An element is what the body's read would answer.
    pub gives_body: bool,
}

/// A place in an object that a list fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Below `spec`.
    Spec(FieldPath),
    /// Below `status`.
    Status(FieldPath),
}

/// One top-level spec field.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub schema: Schema,
    pub owner: Owner,
    pub role: Role,
    /// Where its value is read in the owner's answer; `None` if the provider does not return it.
    pub read: Option<Place>,
    pub compare: Compare,
    /// Comparators of nested members, by path below the field.
    pub nested: BTreeMap<String, Compare>,
    pub lens: Lens,
    pub clear: Clear,
    /// The value that a resource has when nobody says one, where that is known and is not the value that clears it.
    pub start: Option<Source>,
    /// The dialect shows the provider's choice when the user left it open.
    pub late: bool,
    /// The field has a meaning only for objects of which this holds.
    pub when: Predicate,
    /// Truth member that is false of a setting that is off: its other members say nothing then.
    pub off: Option<String>,
    /// A setting that is on can only be changed by switching it off and on again.
    pub restart: bool,
    /// Member that names the elements of a list that grows with other fields: only those that are wished for and seen
    /// are compared.
    pub shared: Option<String>,
}

/// Who writes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Body,
    /// Position in [`Kind::parts`].
    Part(usize),
}

/// What a field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Compared, sent with create and the owning write.
    Mutable,
    /// Compared, sent with create only: a difference needs a replacement.
    CreateOnly,
    /// Never readable, never shown: compared by digest.
    Secret,
    /// Not compared; sent with every call that has the member.
    Option,
}

/// What happens when the user takes a field out.
#[derive(Clone, Debug, PartialEq)]
pub enum Clear {
    /// It is kept as it is and no longer managed.
    Keep,
    /// This value is written.
    Value(Value),
    /// The owning write is absolute: leaving the member out clears it.
    Omit,
    /// The part's own delete call.
    Delete,
    /// The elements that were applied are removed.
    Elements,
}

/// One status axis of the resource.
#[derive(Clone, Debug)]
pub struct Axis {
    pub at: Place,
    /// Every value of the API's enum has a class.
    pub classes: BTreeMap<String, State>,
    /// Class of a value that is missing.
    pub unset: State,
}

/// What a state means for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    /// Wait and look again.
    Busy,
    /// A person or another system must act; the sentence says what.
    Waiting(String),
    Failed,
    /// As if it did not exist.
    Gone,
}

/// A reference field.
#[derive(Clone, Debug)]
pub struct Ref {
    /// Path below spec of the wrapper, for example `encryptionConfiguration.kmsKeyRef`.
    pub field: FieldPath,
    /// Path below spec that the resolved value fills.
    pub fills: FieldPath,
    pub group: String,
    pub kind: String,
    /// Path on the target, from `spec` or `status`.
    pub path: FieldPath,
}

/// A typed input from an annotation.
#[derive(Clone, Debug)]
pub struct OptionRule {
    pub annotation: String,
    pub kind: OptionKind,
    pub default: Option<Value>,
}

/// Type and range of an option.
#[derive(Clone, Debug)]
pub enum OptionKind {
    Integer { min: i64, max: i64 },
    Boolean,
}

/// A status field and where it comes from.
#[derive(Clone, Debug)]
pub struct StatusField {
    pub name: String,
    pub schema: Schema,
    pub read: Place,
}

/// What error codes mean.
#[derive(Clone, Debug, Default)]
pub struct ErrorTable {
    pub absent: Vec<String>,
    pub classes: BTreeMap<String, ErrorClass>,
    /// Codes that mean "not yet", with the pause before the next try.
    pub later: BTreeMap<String, Duration>,
}

impl Axis {
    /// Whether each element of a list has a state of its own.
    pub fn is_of_elements(&self) -> bool {
        matches!(&self.at, Place::Path(path) if path.segments().contains(&Segment::Each))
    }
}

impl Kind {
    /// The members that a call's input may have.
    pub fn members_of(&self, call: &CallTemplate) -> &[Member] {
        let input = self.api.operation(&call.operation).and_then(|operation| operation.input);
        input.map(|input| self.api.shape(input).members()).unwrap_or_default()
    }

    /// Whether a call cannot be made without a member.
    pub fn requires(&self, call: &CallTemplate, member: &str) -> bool {
        self.members_of(call).iter().any(|one| one.name == member && one.required)
    }

    /// The kind's name, for example `Queue`.
    pub fn name(&self) -> &str {
        &self.surface.kind
    }

    /// The kind's API group.
    pub fn group(&self) -> &str {
        &self.surface.group
    }

    /// A value of a field without the prefix that requests have in front of it.
    pub fn bare<'a>(&self, field: &FieldPath, value: &'a str) -> &'a str {
        self.fields.get(&field.to_string()).map_or(value, |field| field.lens.bare(value))
    }

    /// Whether the resource is no more once this part of it is empty.
    pub fn ends_with(&self, part: usize) -> bool {
        self.delete.is_none() && self.empties.contains(&part)
    }

    /// Whether the user chooses the name that identifies the resource.
    pub fn is_named_by_user(&self) -> bool {
        !self.identity.name.is_empty()
    }

    /// Spec fields that the provider keeps unique: the name, or the natural key.
    pub fn identity_fields(&self) -> Vec<&FieldPath> {
        let natural = match &self.recovery {
            Recovery::Natural(finder) => {
                let of_call = finder.call.inputs.iter().flat_map(|(_, source)| source.spec_paths());
                of_call.chain(finder.pick.iter().flat_map(Pick::spec_paths)).collect()
            }
            _ => Vec::new(),
        };
        self.identity.name.iter().chain(natural).collect()
    }

    /// Spec fields without which an existing resource is not found again: its name, and where it is.
    pub fn address_fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.identity.name.iter().chain(&self.identity.within)
    }

    /// Top-level spec fields that say which resource it is, and the references that stand for any of them.
    pub fn names(&self) -> Vec<String> {
        let paths: Vec<&FieldPath> = self.identity_fields().into_iter().chain(self.address_fields()).collect();
        let references = self.refs.iter().filter(|reference| paths.contains(&&reference.fills));
        let fields = paths.iter().copied().chain(references.map(|reference| &reference.field));
        let mut names: Vec<String> = fields.filter_map(|path| Some(path.split_first()?.0.to_owned())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a top-level spec field is one of [`Self::identity_fields`], or holds one.
    pub fn is_identity(&self, field: &str) -> bool {
        self.identity_fields().iter().any(|path| path.split_first().is_some_and(|(first, _)| first == field))
    }

    /// Every write of fields: the body's and the parts'.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        let of_parts = self.parts.iter().filter_map(|part| match &part.shape {
            Shape::Config { put, .. } => Some(put),
            _ => None,
        });
        self.update.iter().chain(of_parts)
    }

    /// Whether resources of this kind can carry our owner mark from birth.
    pub fn can_be_marked(&self) -> bool {
        self.tags.as_ref().is_some_and(|tags| tags.at_create)
    }
}
