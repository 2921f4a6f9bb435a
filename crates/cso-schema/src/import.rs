//! From a resource to the wish for it: the inverse of filling calls. Pure.
//!
//! Only what a user would write is taken: no server-assigned values, nothing that is as it would be anyway, no secrets.

use std::collections::BTreeMap;

use cso_core::{FieldPath, Tree};
use cso_facts::surface::SchemaType;

use crate::convert::{as_text, tag_tree};
use crate::fill::Subject;
use crate::kind::{Arn, Clear, Field, Kind, Listing, Owner, Pattern, PatternPart, Predicate, Role, Target};
use crate::observe::{Observation, Seen};

/// The wish for a resource as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Without tags: which of them are the user's is the dialect's to know.
    pub spec: BTreeMap<String, Tree>,
    /// Secret fields: their values are never read.
    pub secrets: Vec<String>,
    /// Fields that could not be read, and why.
    pub unknown: Vec<(String, String)>,
}

/// What is known of a resource before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Naming fields, below `spec`.
    pub spec: Tree,
    /// Identifiers, below `status`.
    pub status: Tree,
    /// The body, where a list gives it.
    pub body: Option<Tree>,
}

impl Known {
    /// Nothing.
    pub const fn nothing() -> Self {
        Self { spec: Tree::object(), status: Tree::object(), body: None }
    }
}

impl Kind {
    /// What a user would have written for this resource. `subject` has its name, if that is not to be read, its status and
    /// its surroundings.
    pub fn draft(&self, subject: &Subject<'_>, observation: &Observation) -> Draft {
        let mut draft = Draft::default();
        // What depends on other fields comes after them: parts after the body, and fields with a condition last.
        let mut fields: Vec<&Field> = self.fields.values().collect();
        fields.sort_by_key(|field| (field.when != Predicate::default(), matches!(field.owner, Owner::Part(_))));
        for field in fields {
            if self.exists(field, &draft.spec) {
                self.draft_field(field, subject, observation, &mut draft);
            }
        }
        draft
    }

    fn draft_field(&self, field: &Field, subject: &Subject<'_>, observation: &Observation, draft: &mut Draft) {
        let is_name = self.identity.name.iter().any(|path| path.to_string() == field.name);
        let is_required = self.surface.spec.required.contains(&field.name);
        match (field.role, self.seen(field, observation, None)) {
            (Role::Option, _) => {}
            (Role::Secret, _) => draft.secrets.push(field.name.clone()),
            (_, Seen::Value(value)) => {
                let value = without_nothing(&value);
                let is_said = is_name || is_required;
                if is_said || !(is_nothing(&value) || is_start(field, &value, subject)) {
                    draft.spec.insert(field.name.clone(), value);
                }
            }
            (_, Seen::Unknown(why)) => draft.unknown.push((field.name.clone(), why)),
            (_, Seen::Absent | Seen::NotAsked) if is_name => {
                let name = subject.spec.member(&field.name).cloned();
                draft.spec.extend(name.map(|name| (field.name.clone(), name)));
            }
            // Answers leave an empty list out; a manifest that must have one says so.
            (_, Seen::Absent) if is_required && field.schema.schema_type == SchemaType::Array => {
                draft.spec.insert(field.name.clone(), Tree::List(Vec::new()));
            }
            (_, Seen::Absent | Seen::NotAsked) => {}
        }
    }

    /// Whether the field has a meaning for a resource with these fields.
    fn exists(&self, field: &Field, spec: &BTreeMap<String, Tree>) -> bool {
        let spec = Tree::Object(spec.clone());
        self.applies(field, |source| source.in_spec(&spec).cloned())
    }

    /// The naming fields that an ARN tells.
    pub fn names_in(&self, arn: &str) -> Tree {
        let mut names = Tree::object();
        match (&self.identity.arn, self.identity.name.as_slice()) {
            (Arn::Pattern(pattern), _) => {
                for (path, text) in read_pattern(pattern, arn).unwrap_or_default() {
                    names.set(&path, Tree::Text(text));
                }
            }
            (_, [only]) => {
                let name = arn.rsplit([':', '/']).next().unwrap_or(arn);
                names.set(only, Tree::text(name));
            }
            _ => {}
        }
        names
    }

    /// Tags in the form that the spec has them.
    pub fn spelt_tags(&self, tags: &BTreeMap<String, Tree>) -> Tree {
        tag_tree(tags, self.tags.as_ref().and_then(|tags| tags.surface_names.as_ref()))
    }
}

impl Listing {
    /// The resources of an answer that are the user's, as far as the list can tell.
    pub fn known(&self, answer: &Tree) -> Vec<Known> {
        let elements = answer.at(&self.elements).and_then(Tree::as_list).unwrap_or_default();
        elements.iter().filter(|element| !self.passes_over(element)).map(|element| self.known_of(element)).collect()
    }

    fn known_of(&self, element: &Tree) -> Known {
        let mut known = Known { body: self.gives_body.then(|| element.clone()), ..Known::nothing() };
        for (target, from) in &self.gives {
            let Some(value) = element.at(from) else { continue };
            match target {
                Target::Spec(path) => known.spec.set(path, value.clone()),
                Target::Status(path) => known.status.set(path, value.clone()),
            }
        }
        known
    }

    /// Whether an element, or a body, belongs to a resource that is not the user's.
    pub fn passes_over(&self, tree: &Tree) -> bool {
        let fits = |pattern: &String, text: &str| match pattern.strip_suffix('*') {
            Some(prefix) => text.starts_with(prefix),
            None => text == pattern,
        };
        self.unless.iter().any(|(path, patterns)| {
            tree.at(path).and_then(Tree::as_str).is_some_and(|text| patterns.iter().any(|pattern| fits(pattern, text)))
        })
    }
}

/// The values of a pattern's spec holes in a text that it made.
fn read_pattern(pattern: &Pattern, text: &str) -> Option<Vec<(FieldPath, String)>> {
    let mut rest = text;
    let mut found = Vec::new();
    for (position, part) in pattern.0.iter().enumerate() {
        if let PatternPart::Text(literal) = part {
            rest = rest.strip_prefix(literal.as_str())?;
            continue;
        }
        let end = match pattern.0.get(position + 1) {
            Some(PatternPart::Text(next)) => rest.find(next.as_str())?,
            // Where one hole ends and the next begins cannot be told.
            Some(_) => return None,
            None => rest.len(),
        };
        let (value, after) = rest.split_at(end);
        if let PatternPart::Spec { path, .. } = part {
            found.push((path.clone(), value.to_owned()));
        }
        rest = after;
    }
    rest.is_empty().then_some(found)
}

/// Whether a resource has this value without being told.
fn is_start(field: &Field, value: &Tree, subject: &Subject<'_>) -> bool {
    // A wish equals what is seen even if more is seen: both ways, or something of it would be lost.
    let same = |start: &Tree| field.compare.equal(start, value) && field.compare.equal(value, start);
    let equal = |start: &Tree| same(start) || as_text(start) == as_text(value);
    let cleared = matches!(&field.clear, Clear::Value(start) if equal(&Tree::from(start)));
    cleared || field.start.as_ref().and_then(|start| subject.source(start)).is_some_and(|start| equal(&start))
}

fn is_nothing(value: &Tree) -> bool {
    match value {
        Tree::Null => true,
        Tree::Text(text) => text.is_empty(),
        Tree::List(elements) => elements.is_empty(),
        Tree::Object(members) => members.is_empty(),
        Tree::Bool(_) | Tree::Number(_) | Tree::Hole(_) => false,
    }
}

/// The value without members that hold nothing, at any depth. Elements of lists stay: their number is meaning.
fn without_nothing(value: &Tree) -> Tree {
    match value {
        Tree::Object(members) => {
            let kept = members.iter().map(|(name, member)| (name.clone(), without_nothing(member)));
            Tree::Object(kept.filter(|(_, member)| !matches!(member, Tree::Null) && !is_empty_list(member)).collect())
        }
        Tree::List(elements) => Tree::List(elements.iter().map(without_nothing).collect()),
        other => other.clone(),
    }
}

fn is_empty_list(value: &Tree) -> bool {
    value.as_list().is_some_and(<[Tree]>::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Context;

    #[test]
    fn a_pattern_is_read_back() {
        let name = FieldPath::root().child("name");
        let pattern = Pattern(vec![
            PatternPart::Text("arn:".into()),
            PatternPart::Context(Context::Partition),
            PatternPart::Text(":sns:".into()),
            PatternPart::Context(Context::Region),
            PatternPart::Text(":".into()),
            PatternPart::Spec { path: name.clone(), default: None },
        ]);
        let read = |text| read_pattern(&pattern, text);
        assert_eq!(read("arn:aws:sns:eu-west-1:orders"), Some(vec![(name, "orders".to_owned())]));
        assert_eq!(read("arn:aws:sqs:eu-west-1:orders"), None);
    }

    #[test]
    fn nothing_is_left_out_but_not_of_lists() {
        let value = Tree::from(serde_json::json!({"a": [], "b": [{"c": null}, {}], "d": {"e": false}}));
        assert_eq!(without_nothing(&value).shown(), serde_json::json!({"b": [{}, {}], "d": {"e": false}}));
    }
}
