//! What a resource has beside its body: parts of several shapes, and tags.

use std::collections::BTreeMap;

use cso_core::{FieldPath, Tree};

use super::{CallTemplate, Predicate, Source, Write};

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
