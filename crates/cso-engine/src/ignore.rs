//! Fields whose differences the user wants left alone: written when the resource is made, and then neither changed in the
//! cloud nor taken to be another wish.

use std::collections::BTreeMap;

use cso_core::{Difference, DifferenceKind, Digest, FieldPath, Tree};
use cso_schema::kind::Field;
use cso_schema::observe::Seen;

use crate::decide::{CREATED, Input, spec_path};
use crate::dialect::is_system_tag;
use crate::differ::change_text;

/// Whether all of a field is left alone: what cannot be seen cannot be laid over the wish.
pub(crate) fn is_whole(input: &Input<'_>, field: &Field) -> bool {
    let is_it =
        |path: &FieldPath| path.split_first().is_some_and(|(first, rest)| first == field.name && rest.is_root());
    is_set_up(input) && input.policies.ignored.iter().any(is_it)
}

/// While our own new resource is being set up, which may take many calls for one field, every field is written like any other.
fn is_set_up(input: &Input<'_>) -> bool {
    !input.record.writes.contains_key(CREATED)
}

/// A field's value without what is left alone in it: only the rest counts as a wish.
pub(crate) fn without(input: &Input<'_>, field: &str, value: &Tree) -> Tree {
    let mut rest = value.clone();
    for path in &input.policies.ignored {
        if let Some((first, below)) = path.split_first()
            && first == field
            && !below.is_root()
        {
            rest.take(&below);
        }
    }
    rest
}

/// The wish with what is left alone as it is in the cloud, so that nothing of it differs and a call that must carry it
/// changes nothing; and a sentence for each value that is not as wished.
pub(crate) fn overlay(input: &Input<'_>) -> (Tree, Vec<String>) {
    let mut spec = input.spec.clone();
    let mut notes = Vec::new();
    for path in input.policies.ignored.iter().filter(|_| is_set_up(input)) {
        let Some((first, below)) = path.split_first() else { continue };
        let wished = input.spec.at(path);
        let seen = match seen(input, first) {
            Some(Seen::Value(value)) => value.at(&below).cloned(),
            Some(Seen::Absent) if below.is_root() => None,
            _ => continue,
        };
        if !below.is_root() && input.spec.member(first).is_none_or(Tree::is_null) {
            continue;
        }
        if !is_equal(input, first, &below, wished, seen.as_ref()) {
            let difference = Difference {
                path: spec_path(&path.to_string()),
                from: seen.clone(),
                to: wished.cloned(),
                kind: DifferenceKind::Drift,
            };
            let change = change_text(&difference);
            notes.push(format!("{} differs ({change}) and is left alone, as ignore-field-drift says", difference.path));
        }
        match seen {
            Some(value) => spec.set(path, value),
            None => {
                spec.take(path);
            }
        }
    }
    (spec, notes)
}

/// What was seen of a field; tags without those that are not the user's.
fn seen(input: &Input<'_>, field: &str) -> Option<Seen> {
    if let Some(field) = input.kind.fields.get(field) {
        return Some(input.kind.seen(field, input.observation, input.spec.member(&field.name)));
    }
    let tags = input.kind.tags.as_ref()?;
    let (_, rest) = tags.field.split_first().filter(|(first, _)| *first == field)?;
    let Seen::Value(Tree::Object(seen)) = &input.observation.tags else { return None };
    let own = |key: &String| !is_system_tag(key) && !input.default_tags.contains_key(key);
    let seen: BTreeMap<String, Tree> =
        seen.iter().filter(|(key, _)| own(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    if seen.is_empty() && input.spec.at(&tags.field).is_none() {
        return Some(Seen::Absent);
    }
    let mut whole = Tree::object();
    whole.set(&rest, input.kind.spelt_tags(&seen));
    Some(Seen::Value(whole))
}

fn is_equal(input: &Input<'_>, field: &str, below: &FieldPath, wished: Option<&Tree>, seen: Option<&Tree>) -> bool {
    let Some((wished, seen)) = wished.zip(seen) else {
        // What nobody wished for cannot differ from the wish.
        return wished.is_none();
    };
    match input.kind.fields.get(field) {
        Some(field) if below.is_root() => field.compare.equal_with(wished, seen, &field.nested),
        Some(_) => cso_schema::compare::Compare::Exact.equal(wished, seen),
        None => {
            let path: FieldPath =
                FieldPath::root().child(field).segments().iter().chain(below.segments()).cloned().collect();
            let map = |value: &Tree| {
                let mut spec = Tree::object();
                spec.set(&path, value.clone());
                input.kind.wished_tags(&spec)
            };
            map(wished) == map(seen)
        }
    }
}

/// What is left alone counts as applied as it was: later edits of it did not take effect.
pub(crate) fn keep_applied(input: &Input<'_>, applied: &mut BTreeMap<String, Digest>) {
    let is_tags = |path: &FieldPath| input.kind.tags.as_ref().is_some_and(|tags| tags.field == *path);
    let is_all_of_one = |path: &&FieldPath| path.segments().len() == 1 || is_tags(path);
    for field in input.policies.ignored.iter().filter(is_all_of_one).map(ToString::to_string) {
        let is_of =
            |name: &str| name.strip_prefix(&field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']));
        let before: Vec<_> = input.record.applied.iter().filter(|(name, _)| is_of(name)).collect();
        if !before.is_empty() {
            applied.retain(|name, _| !is_of(name));
            applied.extend(before.into_iter().map(|(name, digest)| (name.clone(), digest.clone())));
        }
    }
}
