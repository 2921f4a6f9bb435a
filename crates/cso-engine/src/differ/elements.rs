//! Parts that hold more than one thing: tables of elements, and revisions.

use cso_core::{Difference, DifferenceKind, Step, Tree};
use cso_facts::surface::SchemaType;
use cso_schema::fill::{Load, Unfilled};
use cso_schema::kind::{CallTemplate, Field, Part, REVISIONS, Revisions, Shape, Table};
use cso_schema::observe::Seen;

use super::{PartSteps, Verdict, Wish, digest_of, kept, part_fields, update_step, verdict, wished};
use crate::decide::spec_path;

/// What a call does to elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Add,
    Change,
    Remove,
}

/// Removals of elements that nobody wishes for, then changes and additions.
pub(super) fn table_steps(
    wish: &Wish<'_>,
    part: &Part,
    table: &Table,
    notes: &mut Vec<String>,
) -> Result<PartSteps, Unfilled> {
    let Some(field) = part_fields(wish, part).next() else { return Ok(PartSteps::default()) };
    let wanted = match wished(wish, field) {
        Some(wanted) => wanted.clone(),
        None if wish.input.record.applied.contains_key(&field.name) && !wish.fresh => Tree::Null,
        None => return Ok(PartSteps::default()),
    };
    let Some(seen) = seen_elements(wish, field, &wanted, notes) else { return Ok(PartSteps::default()) };
    let wanted = owned(wish, table, Table::elements(&wanted));
    let seen = owned(wish, table, seen);
    let namesake = |of: &Tree, among: &[Tree]| {
        let key = table.key(of);
        among.iter().find(|other| !key.is_null() && table.key(other) == key).cloned()
    };
    let fits = |wanted: &Tree, seen: &Tree| field.compare.equal_with(wanted, seen, &field.nested);
    let changes = |wanted: &Tree, seen: &Tree| can_change(table, field, wanted, seen);
    let (mut lacking, mut other, mut surplus) = (Vec::new(), Vec::new(), Vec::new());
    for element in &wanted {
        match namesake(element, &seen) {
            Some(seen) if fits(element, &seen) => {}
            Some(seen) if changes(element, &seen) => other.push(element.clone()),
            _ => lacking.push(element.clone()),
        }
    }
    for element in &seen {
        match namesake(element, &wanted) {
            Some(wanted) if changes(&wanted, element) || fits(&wanted, element) => {}
            _ => surplus.push(element.clone()),
        }
    }
    let calls = |does, call: &CallTemplate, elements: &[Tree]| {
        element_steps(wish, (part, table, field), does, call, elements, &seen)
    };
    let mut steps = PartSteps { removals: calls(Does::Remove, &table.remove, &surplus)?, writes: Vec::new() };
    if let Some(change) = &table.change {
        steps.writes = calls(Does::Change, change, &other)?;
    }
    steps.writes.extend(calls(Does::Add, &table.add, &lacking)?);
    Ok(steps)
}

/// Whether a change makes an element as wished: what it cannot carry is so already.
fn can_change(table: &Table, field: &Field, wanted: &Tree, seen: &Tree) -> bool {
    let fixed = |element: &Tree| {
        let members = table.fixed.iter().filter_map(|name| Some((name.clone(), element.member(name)?.clone())));
        Tree::Object(members.collect())
    };
    table.change.is_some() && field.compare.equal_with(&fixed(wanted), &fixed(seen), &field.nested)
}

/// Elements without those that are nobody's.
fn owned(wish: &Wish<'_>, table: &Table, elements: Vec<Tree>) -> Vec<Tree> {
    let is_skipped = |element: &Tree| {
        let mut skip = table.skip.iter();
        skip.any(|(member, source)| {
            let value = wish.subject.source(source);
            value.is_some() && element.member(member) == value.as_ref()
        })
    };
    elements.into_iter().filter(|element| !is_skipped(element)).collect()
}

/// What is there; `None` if it is not known.
fn seen_elements(wish: &Wish<'_>, field: &Field, wanted: &Tree, notes: &mut Vec<String>) -> Option<Vec<Tree>> {
    match wish.input.kind.seen(field, wish.observation, Some(wanted)) {
        Seen::Value(seen) => Some(Table::elements(&seen)),
        Seen::Absent => Some(Vec::new()),
        Seen::NotAsked => wish.fresh.then(Vec::new),
        Seen::Unknown(why) => {
            notes.push(format!("{}: {why}", spec_path(&field.name)));
            None
        }
    }
}

/// One step for all elements, or one for each, as the call takes them.
fn element_steps(
    wish: &Wish<'_>,
    (part, table, field): (&Part, &Table, &Field),
    does: Does,
    call: &CallTemplate,
    elements: &[Tree],
    seen: &[Tree],
) -> Result<Vec<Step>, Unfilled> {
    let word = match does {
        Does::Add => "add",
        Does::Change => "change",
        Does::Remove => "remove",
    };
    let name = format!("{}.{word}", part.name);
    let path = spec_path(&field.name);
    let kind = match does {
        Does::Remove => DifferenceKind::Removal,
        _ => reason(wish, field),
    };
    if elements.is_empty() {
        return Ok(Vec::new());
    }
    if !call.is_for_one() {
        let call = wish.subject.fill(call, &Load { items: elements, ..Load::default() })?;
        let all = Some(Tree::List(elements.to_vec()));
        let (from, to) = if does == Does::Remove { (all, None) } else { (None, all) };
        return Ok(vec![update_step(name, call, vec![Difference { path, from, to, kind }])]);
    }
    let content = |element: &Tree| match field.schema.additional {
        Some(_) => element.member("value").cloned(),
        None => Some(element.clone()),
    };
    let is_one = !matches!(field.schema.schema_type, SchemaType::Array | SchemaType::Object);
    let step = |element: &Tree| {
        let call = wish.subject.fill(call, &Load { items: std::slice::from_ref(element), ..Load::default() })?;
        let key = table.key(element);
        let before = seen.iter().find(|other| table.key(other) == key).filter(|_| does != Does::Add);
        let change = Difference {
            path: if is_one { path.clone() } else { format!("{path}[{}]", shown(key)) },
            from: before.and_then(content),
            to: if does == Does::Remove { None } else { content(element) },
            kind,
        };
        Ok(update_step(name.clone(), call, vec![change]))
    };
    elements.iter().map(step).collect()
}

/// A key as it stands in a path.
fn shown(key: &Tree) -> String {
    match key.shown() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Why a field's elements are written.
fn reason(wish: &Wish<'_>, field: &Field) -> DifferenceKind {
    let digest = wished(wish, field).map(|wanted| digest_of(wish.input, &field.name, wanted));
    match wish.input.record.applied.get(&field.name) {
        _ if wish.fresh => DifferenceKind::FirstWrite,
        Some(applied) if Some(applied) == digest.as_ref() => DifferenceKind::Drift,
        _ => DifferenceKind::UserChange,
    }
}

/// A new revision, after the oldest made room where all places are taken.
pub(super) fn revision_steps(
    wish: &Wish<'_>,
    part: &Part,
    revisions: &Revisions,
    notes: &mut Vec<String>,
) -> Result<PartSteps, Unfilled> {
    let Some(field) = part_fields(wish, part).next() else { return Ok(PartSteps::default()) };
    let difference = match verdict(wish, field) {
        Verdict::Differs(difference) => difference,
        Verdict::Unknown(why) => {
            notes.push(format!("{}: {why}", spec_path(&field.name)));
            return Ok(PartSteps::default());
        }
        Verdict::Removed(..) | Verdict::Kept => {
            notes.push(kept(field));
            return Ok(PartSteps::default());
        }
        Verdict::Equal => return Ok(PartSteps::default()),
    };
    let all = listed(wish, part);
    let superseded = superseded(revisions, all);
    let surplus = (all.len() + 1).saturating_sub(revisions.keep);
    let note = |key: &str| {
        format!("{} of {} revisions exist; {key} is the oldest that is not current", all.len(), revisions.keep)
    };
    let removals = superseded
        .into_iter()
        .take(surplus)
        // The same difference as that of the addition: where that is given up, room for it is not needed either.
        .map(|revision| remove_revision(wish, part, revisions, revision, vec![difference.clone()], note))
        .collect::<Result<_, _>>()?;
    let call = wish.subject.fill(&revisions.add, &Load::default())?;
    Ok(PartSteps { removals, writes: vec![update_step(format!("{}.add", part.name), call, vec![difference])] })
}

/// The revisions that were listed.
fn listed<'a>(wish: &Wish<'a>, part: &Part) -> &'a [Tree] {
    match wish.observation.parts.get(&part.name) {
        Some(Seen::Value(answer)) => answer.member(REVISIONS).and_then(Tree::as_list).unwrap_or_default(),
        _ => &[],
    }
}

/// Those that are not current, oldest first. Times have seconds only: names that were given later are longer or greater.
fn superseded<'a>(revisions: &Revisions, all: &'a [Tree]) -> Vec<&'a Tree> {
    let is_current = |revision: &&Tree| revision.member(&revisions.current).and_then(Tree::as_bool) == Some(true);
    let mut old: Vec<&Tree> = all.iter().filter(|revision| !is_current(revision)).collect();
    old.sort_by_key(|revision| {
        let text = |member: &str| revision.member(member).map(shown).unwrap_or_default();
        let (born, key) = (text(&revisions.oldest), text(&revisions.key));
        (born, key.len(), key)
    });
    old
}

fn remove_revision(
    wish: &Wish<'_>,
    part: &Part,
    revisions: &Revisions,
    revision: &Tree,
    changes: Vec<Difference>,
    note: impl Fn(&str) -> String,
) -> Result<Step, Unfilled> {
    let load = Load { items: std::slice::from_ref(revision), ..Load::default() };
    let call = wish.subject.fill(&revisions.remove, &load)?;
    let note = Some(note(&revision.member(&revisions.key).map(shown).unwrap_or_default()));
    Ok(Step { note, ..update_step(format!("{}.remove", part.name), call, changes) })
}

/// The removal of everything that a delete must find empty, whoever put it there: what is ours goes as a whole.
pub(crate) fn emptying(wish: &Wish<'_>, notes: &mut Vec<String>) -> Result<Vec<Step>, Unfilled> {
    let kind = wish.input.kind;
    let mut steps = Vec::new();
    for part in kind.empties.iter().rev().filter_map(|position| kind.parts.get(*position)) {
        let Some(field) = part_fields(wish, part).next() else { continue };
        match &part.shape {
            Shape::Table(table) => {
                let Some(seen) = seen_elements(wish, field, &Tree::Null, notes) else { continue };
                let seen = owned(wish, table, seen);
                steps.extend(element_steps(wish, (part, table, field), Does::Remove, &table.remove, &seen, &seen)?);
            }
            Shape::Revisions(revisions) => {
                for revision in superseded(revisions, listed(wish, part)) {
                    let key = revision.member(&revisions.key).map(shown).unwrap_or_default();
                    let change = Difference {
                        path: format!("{}[{key}]", spec_path(&field.name)),
                        from: Some(revision.clone()),
                        to: None,
                        kind: DifferenceKind::Removal,
                    };
                    let note = |key: &str| format!("{key} is not the current revision");
                    steps.push(remove_revision(wish, part, revisions, revision, vec![change], note)?);
                }
            }
            Shape::Config { .. } | Shape::Switch { .. } => {}
        }
    }
    Ok(steps)
}
