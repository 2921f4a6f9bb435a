//! What a descriptor compiles to: one kind, with every name checked against facts and every default made explicit.
//!
//! Pure data. The engine interprets it; nothing in here runs. A kind is a *body* (the resource itself, with one create,
//! read, update and delete) and an ordered list of *parts* (settings that have calls of their own). Each field of the
//! spec has exactly one owner. Order of parts is meaning: writes go down the list, removals go up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cso_core::path::Segment;
use cso_core::{ErrorClass, FieldPath, Tree};
use cso_facts::api::{Member, Service};
use cso_facts::surface::{Schema, Surface};
use serde_json::Value;

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

/// Text with typed holes, such as `arn:{partition}:sns:{region}:{account}:{spec.name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub Vec<PatternPart>);

/// One piece of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternPart {
    Text(String),
    Context(Context),
    /// A field of the wish, without the prefix that its lens adds; and what stands for it where it is not set.
    Spec {
        path: FieldPath,
        default: Option<String>,
    },
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

/// An operation before its input is filled.
#[derive(Clone, Debug, PartialEq)]
pub struct CallTemplate {
    pub service: String,
    pub operation: String,
    /// Top-level members and where their values come from.
    pub inputs: Vec<(String, Source)>,
    /// Values inside members. What a field carries there stands before them.
    pub nested: Vec<(FieldPath, Source)>,
    /// Fields that ride along, when they are set.
    pub carries: Vec<Carried>,
    /// Member that takes the idempotency token.
    pub token: Option<String>,
    /// Where the desired tags go.
    pub tags: Option<FieldPath>,
}

/// A field in a call's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    pub field: String,
    pub place: Place,
}

/// What a member of our element must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Pick {
    pub member: FieldPath,
    pub test: PickTest,
}

/// A test of a [`Pick`].
#[derive(Clone, Debug, PartialEq)]
pub enum PickTest {
    Equals(Source),
    /// Its end; holds of all where a field in the text is not set.
    Ends(Pattern),
}

/// Where a field sits in an input or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path of members. In an answer, `[]` stands for all elements of a list.
    Path(FieldPath),
    /// An entry of a string map.
    Attribute { map: String, key: String },
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Const(Value),
    Spec(FieldPath),
    Status(FieldPath),
    Context(Context),
    Option(String),
    Pattern(Pattern),
    /// The resource's ARN: read, remembered or built.
    Arn,
    /// The idempotency token of the create whose outcome is not known.
    Token,
    /// The first that is known.
    FirstKnown(Vec<Source>),
    List(Vec<Source>),
    /// A structure, by the API's names of its members.
    Structure(BTreeMap<String, Source>),
    /// The source, unless it has this value.
    Unless(Box<Source>, Value),
    /// Wire key and value of the one field that a `send: one` write is for.
    ChangeKey,
    ChangeValue,
    /// The elements that a table adds, changes or removes, whole or one member of each.
    Items(Option<String>),
    /// The one element that a call is about, whole or a member of it: such a call is made for each.
    Item(Option<String>),
    /// Tags to add, as the member's shape wants them; keys of tags to remove.
    Tags,
    TagKeys,
}

/// Facts of the call's surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Account,
    Region,
    Partition,
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

/// A write of fields: the body's update, or a part's.
#[derive(Clone, Debug)]
pub struct Write {
    pub call: CallTemplate,
    pub send: Send,
    /// Status paths that the answer fills, and where.
    pub out: Vec<(FieldPath, FieldPath)>,
}

/// Which owned fields a write carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// Those that differ.
    Changed,
    /// All that are set.
    All,
    /// One field a call, named by [`Source::ChangeKey`].
    One,
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

/// Settings with calls of their own.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: String,
    /// Fields it owns.
    pub fields: Vec<String>,
    pub read: PartRead,
    pub shape: Shape,
    /// The create call carries all of its fields.
    pub at_create: bool,
    /// The part exists only for objects of which this holds.
    pub when: Predicate,
}

/// Where a part is read.
#[derive(Clone, Debug)]
pub enum PartRead {
    /// The body's answer has it.
    Body,
    Own {
        call: CallTemplate,
        /// Error codes that mean "not set".
        none: Vec<String>,
    },
    /// A list, and a read of one thing more for the elements it names. What is put together is, for a table, an object of
    /// values by name; for revisions, an object with the list ([`REVISIONS`]) and the current one's content ([`CONTENT`]).
    Listed {
        list: CallTemplate,
        elements: FieldPath,
        get: CallTemplate,
        /// Where the second answer has the value.
        value: FieldPath,
    },
}

/// Member of a [`PartRead::Listed`] of revisions that has the list.
pub const REVISIONS: &str = "revisions";
/// Member of a [`PartRead::Listed`] of revisions that has the content of the current one.
pub const CONTENT: &str = "content";

/// How a part is written.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A write of its fields, and perhaps a delete.
    Config { put: Write, delete: Option<CallTemplate> },
    /// Two operations for a bool.
    Switch { enable: CallTemplate, disable: CallTemplate },
    /// Elements that are added, changed and removed, together or one by one.
    Table(Table),
    /// Versions, of which one is current: a change adds one, and the oldest makes room.
    Revisions(Revisions),
}

/// The calls for the elements of one field: of a list, of a map (as structures of `key` and `value`), or the one that a
/// scalar is.
#[derive(Clone, Debug)]
pub struct Table {
    /// Member that tells elements apart; `None` if the whole does.
    pub key: Option<String>,
    pub add: CallTemplate,
    /// For an element whose key is there already; without it, it is removed and added.
    pub change: Option<CallTemplate>,
    /// Members that the change cannot carry: where they differ, the element is removed and added.
    pub fixed: Vec<String>,
    pub remove: CallTemplate,
    /// Elements with these values belong to nobody: they are neither compared nor written.
    pub skip: Vec<(String, Source)>,
}

/// The calls for the versions of one field.
#[derive(Clone, Debug)]
pub struct Revisions {
    /// Makes a version with the new content, and makes it the current one.
    pub add: CallTemplate,
    pub remove: CallTemplate,
    /// So many may exist.
    pub keep: usize,
    /// Member that names a version.
    pub key: String,
    /// Member that is true of the current one.
    pub current: String,
    /// Member that is smallest in the oldest one.
    pub oldest: String,
}

/// Tags: a table with the service's calling convention.
#[derive(Clone, Debug)]
pub struct Tags {
    /// Path below spec, normally `tags`.
    pub field: FieldPath,
    pub read: TagRead,
    pub write: TagWrite,
    /// Member of create that takes them.
    pub at_create: bool,
    /// Member names of key and value in list form, surface spelling; `None` for a map.
    pub surface_names: Option<(String, String)>,
    /// The same in the API's spelling; `None` for a map.
    pub api_names: Option<(String, String)>,
}

/// Where tags are read.
#[derive(Clone, Debug)]
pub enum TagRead {
    /// At this path of the body.
    Body(FieldPath),
    Own {
        call: CallTemplate,
        at: FieldPath,
        /// Error codes that mean "there are none".
        none: Vec<String>,
    },
}

/// How tags are written.
#[derive(Clone, Debug)]
pub enum TagWrite {
    /// Those that lack are added, surplus ones are removed.
    Each { add: CallTemplate, remove: CallTemplate },
    /// One call replaces them all.
    Whole(CallTemplate),
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

/// Membership tests that must all hold; empty holds always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicate(pub Vec<(Source, Vec<Option<Value>>)>);

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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Attribute { map, key } => write!(f, "{map}.{key}"),
        }
    }
}

impl Predicate {
    /// Whether all tests pass, given the values of sources.
    pub fn holds(&self, value: impl Fn(&Source) -> Option<Tree>) -> bool {
        self.0.iter().all(|(source, accepted)| {
            let value = value(source);
            accepted.iter().any(|one| match (one, &value) {
                (None, None) => true,
                (Some(one), Some(value)) => Tree::from(one.clone()) == *value,
                _ => false,
            })
        })
    }
}

impl Source {
    /// The value in a spec, if the source is a path there.
    pub fn in_spec<'a>(&self, spec: &'a Tree) -> Option<&'a Tree> {
        match self {
            Self::Spec(path) => spec.at(path),
            _ => None,
        }
    }

    /// The spec paths that it depends on.
    pub fn spec_paths(&self) -> Vec<&FieldPath> {
        match self {
            Self::Spec(path) => vec![path],
            Self::Pattern(pattern) => pattern.spec_paths(),
            Self::FirstKnown(sources) | Self::List(sources) => sources.iter().flat_map(Self::spec_paths).collect(),
            Self::Structure(members) => members.values().flat_map(Self::spec_paths).collect(),
            _ => Vec::new(),
        }
    }

    /// The source, and those inside it.
    pub fn all(&self) -> Vec<&Self> {
        let inside: Vec<&Self> = match self {
            Self::List(sources) => sources.iter().flat_map(Self::all).collect(),
            Self::Structure(members) => members.values().flat_map(Self::all).collect(),
            _ => Vec::new(),
        };
        std::iter::once(self).chain(inside).collect()
    }

    /// Whether the token of an open create may be what counts.
    pub fn may_be_token(&self) -> bool {
        self.choices().contains(&Self::Token)
    }

    /// The source itself, or those of which the first that is known counts.
    pub fn choices(&self) -> &[Self] {
        match self {
            Self::FirstKnown(sources) => sources,
            one => std::slice::from_ref(one),
        }
    }
}

impl Pattern {
    /// The spec paths in its holes.
    pub fn spec_paths(&self) -> Vec<&FieldPath> {
        let holes = self.0.iter().filter_map(|part| match part {
            PatternPart::Spec { path, .. } => Some(path),
            PatternPart::Text(_) | PatternPart::Context(_) => None,
        });
        holes.collect()
    }
}

impl Pick {
    /// The source that the member must equal, if it must.
    pub const fn source(&self) -> Option<&Source> {
        match &self.test {
            PickTest::Equals(source) => Some(source),
            PickTest::Ends(_) => None,
        }
    }

    /// The spec paths that it depends on.
    pub fn spec_paths(&self) -> Vec<&FieldPath> {
        match &self.test {
            PickTest::Equals(source) => source.spec_paths(),
            PickTest::Ends(pattern) => pattern.spec_paths(),
        }
    }
}

impl CallTemplate {
    /// Whether it is made for one element at a time.
    pub fn is_for_one(&self) -> bool {
        self.sources().any(|source| matches!(source, Source::Item(_)))
    }

    /// The sources of its members, and those inside them.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.inputs.iter().flat_map(|(_, source)| source.all())
    }
}

impl Table {
    /// The elements of a field's value. A map's are structures of `key` and `value`; a scalar is its own only one.
    pub fn elements(value: &Tree) -> Vec<Tree> {
        match value {
            Tree::List(elements) => elements.clone(),
            Tree::Object(entries) => entries
                .iter()
                .map(|(key, value)| {
                    Tree::Object(BTreeMap::from([
                        ("key".to_owned(), Tree::text(key)),
                        ("value".to_owned(), value.clone()),
                    ]))
                })
                .collect(),
            Tree::Null => Vec::new(),
            Tree::Text(text) if text.is_empty() => Vec::new(),
            scalar => vec![scalar.clone()],
        }
    }

    /// What tells an element from the others.
    pub fn key<'a>(&self, element: &'a Tree) -> &'a Tree {
        match &self.key {
            Some(member) => element.member(member).unwrap_or(&Tree::Null),
            None => element,
        }
    }
}

impl Place {
    /// The string map, if it is an entry of one.
    pub fn map(&self) -> Option<&str> {
        match self {
            Self::Attribute { map, .. } => Some(map),
            Self::Path(_) => None,
        }
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
