//! Calls before their inputs are filled: what goes where, and where it comes from.

use std::collections::BTreeMap;
use std::fmt;

use cso_core::{FieldPath, Tree};
use serde_json::Value;

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

/// Membership tests that must all hold; empty holds always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicate(pub Vec<(Source, Vec<Option<Value>>)>);

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
                (Some(one), Some(value)) => Tree::from(one) == *value,
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

impl Place {
    /// The string map, if it is an entry of one.
    pub fn map(&self) -> Option<&str> {
        match self {
            Self::Attribute { map, .. } => Some(map),
            Self::Path(_) => None,
        }
    }
}
