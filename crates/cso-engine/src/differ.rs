//! What differs, and the calls that make it equal: the presence rule, field by field and part by part.
//!
//! * A field that is set is owned: it is compared, whatever the server's default.
//! * A field that is not set and never was is nobody's business.
//! * A field that was applied and is no longer set was removed: it is cleared where the provider can.

use std::collections::{BTreeMap, BTreeSet};

use cso_core::{Difference, DifferenceKind, Digest, Hole, Ownership, Step, Tree, Verb};
use cso_schema::convert::as_text;
use cso_schema::fill::{Load, Subject, Unfilled};
use cso_schema::kind::{
    CallTemplate, Clear, Field, Kind, Owner, Part, Place, Role, Send, Shape, Source, TagWrite, Write,
};
use cso_schema::observe::{Observation, Seen};

use crate::decide::{Input, spec_path};
use crate::dialect::is_system_tag;
use crate::ignore;

mod elements;

pub(crate) use elements::emptying;

/// A comparison in progress.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) input: &'a Input<'a>,
    pub(crate) subject: &'a Subject<'a>,
    pub(crate) observation: &'a Observation,
    /// The resource is about to be created: nothing of it was seen.
    pub(crate) fresh: bool,
}

/// Everything that differs.
#[derive(Default)]
pub(crate) struct Found {
    /// Calls in order: removals bottom-up, then writes top-down.
    pub(crate) steps: Vec<Step>,
    /// Differences that no call can remove.
    pub(crate) replaces: Vec<Difference>,
    pub(crate) notes: Vec<String>,
}

/// Calls of one part.
#[derive(Default)]
pub(crate) struct PartSteps {
    pub(crate) removals: Vec<Step>,
    pub(crate) writes: Vec<Step>,
}

/// How one field stands.
enum Verdict {
    Equal,
    Differs(Difference),
    /// Taken out, and the value that clears it, if the part has no call for that.
    Removed(Difference, Option<Tree>),
    /// Taken out, and kept as it is.
    Kept,
    Unknown(String),
}

pub(crate) fn differences(wish: &Wish<'_>) -> Result<Found, Unfilled> {
    let kind = wish.input.kind;
    let mut found = Found::default();
    let mut body = Vec::new();
    for field in kind.fields.values() {
        if field.role == Role::CreateOnly {
            match verdict(wish, field) {
                // Nobody asked for another value: that it was changed elsewhere is no reason to stop working on the rest.
                Verdict::Differs(difference) if difference.kind == DifferenceKind::Drift => found.notes.push(format!(
                    "{} was changed elsewhere and cannot be changed back ({})",
                    difference.path,
                    change_text(&difference)
                )),
                Verdict::Differs(difference) => found.replaces.push(difference),
                Verdict::Unknown(why) => found.notes.push(format!("{}: {why}", spec_path(&field.name))),
                Verdict::Kept => found.notes.push(kept(field)),
                Verdict::Removed(..) | Verdict::Equal => {}
            }
        } else if field.owner == Owner::Body && field.role != Role::Option {
            body.push(field);
        }
    }
    let mut writes = match &kind.update {
        Some(update) => write_steps(wish, "body", &body, update, None, &mut found.notes)?.writes,
        None => Vec::new(),
    };
    let mut removals = Vec::new();
    for (position, part) in kind.parts.iter().enumerate() {
        if !applies(wish, part) {
            continue;
        }
        let mut steps = part_steps_noting(wish, position, &mut found.notes)?;
        // Removals go up the list.
        steps.removals.append(&mut removals);
        removals = steps.removals;
        writes.append(&mut steps.writes);
    }
    let mut tags = tag_steps(wish, &mut found.notes)?;
    removals.append(&mut tags.removals);
    writes.append(&mut tags.writes);
    removals.append(&mut writes);
    found.steps = removals;
    Ok(found)
}

/// Whether a part exists for this object.
pub(crate) fn applies(wish: &Wish<'_>, part: &Part) -> bool {
    part.when.holds(|source| match source {
        Source::Spec(path) => wish.input.spec.at(path).cloned(),
        other => wish.subject.source(other),
    })
}

/// The wish for a field, if there is one.
fn wished<'a>(wish: &Wish<'a>, field: &Field) -> Option<&'a Tree> {
    wish.input.spec.member(&field.name).filter(|value| !value.is_null())
}

fn verdict(wish: &Wish<'_>, field: &Field) -> Verdict {
    if !field.when.holds(|source| wish.subject.source(source)) {
        return Verdict::Equal;
    }
    if !wish.fresh && ignore::is_whole(wish.input, field) {
        return Verdict::Equal;
    }
    let applied = wish.input.record.applied.get(&field.name);
    let Some(wanted) = wished(wish, field) else {
        return if applied.is_some() && !wish.fresh { removed(wish, field) } else { Verdict::Equal };
    };
    if wish.fresh {
        return if is_start(field, wanted) || is_empty(wanted) {
            Verdict::Equal
        } else {
            Verdict::Differs(difference(field, None, wanted, DifferenceKind::FirstWrite))
        };
    }
    if field.role == Role::Secret || field.read.is_none() {
        return match unseen(wish, field, applied, &digest_of(wish.input, &field.name, wanted)) {
            Some(kind) => Verdict::Differs(difference(field, None, wanted, kind)),
            None => Verdict::Equal,
        };
    }
    // Asked only of what differs: most fields of most looks do not.
    let is_as_applied = || applied.is_some_and(|applied| *applied == digest_of(wish.input, &field.name, wanted));
    let kind_of_change = || if is_as_applied() { DifferenceKind::Drift } else { DifferenceKind::UserChange };
    match wish.input.kind.seen(field, wish.observation, Some(wanted)) {
        Seen::Unknown(why) => Verdict::Unknown(why),
        Seen::Absent if is_empty(wanted) || is_start(field, wanted) => Verdict::Equal,
        Seen::Absent => Verdict::Differs(difference(field, None, wanted, kind_of_change())),
        Seen::Value(seen) if !field.fits(wanted, &seen) => {
            Verdict::Differs(difference(field, Some(seen), wanted, kind_of_change()))
        }
        Seen::Value(seen) if matches!(wanted, Tree::Object(_)) && applied.is_some() && !is_as_applied() => {
            nested_removal(wish, field, wanted, &seen)
        }
        Seen::NotAsked | Seen::Value(_) => Verdict::Equal,
    }
}

/// Why a field that cannot be read is written: it is compared with what was applied.
fn unseen(wish: &Wish<'_>, field: &Field, applied: Option<&Digest>, digest: &Digest) -> Option<DifferenceKind> {
    match (applied, field.role, &wish.input.record.ownership) {
        (Some(applied), ..) if applied == digest => None,
        (Some(_), Role::Secret, _) => Some(DifferenceKind::SecretRotated),
        // What we made has what we said, and no more.
        (Some(_), ..) | (None, Role::CreateOnly, Ownership::Created) => Some(DifferenceKind::UserChange),
        // Of what others made nobody knows; what was applied by a lost state is believed.
        (None, Role::CreateOnly, _) | (None, _, Ownership::TakenBack { .. } | Ownership::TakenOver) => None,
        (None, ..) => Some(DifferenceKind::FirstWrite),
    }
}

/// The wish changed, yet nothing visible differs: something may have been taken out inside a structure, where comparing
/// what is wished for cannot see it. A write of the whole structure is sent once to make it so; what cannot be written is
/// kept.
fn nested_removal(wish: &Wish<'_>, field: &Field, wanted: &Tree, seen: &Tree) -> Verdict {
    match (field.role, field.owner) {
        (Role::CreateOnly, _) => Verdict::Kept,
        (_, Owner::Body) if wish.input.kind.update.is_none() => Verdict::Equal,
        _ => Verdict::Differs(difference(field, Some(seen.clone()), wanted, DifferenceKind::UserChange)),
    }
}

fn removed(wish: &Wish<'_>, field: &Field) -> Verdict {
    let seen = match wish.input.kind.seen(field, wish.observation, None) {
        Seen::Value(seen) => Some(seen),
        Seen::Absent => None,
        Seen::Unknown(why) => return Verdict::Unknown(why),
        Seen::NotAsked if field.read.is_none() => return removed_unseen(field),
        Seen::NotAsked => return if field.clear == Clear::Keep { Verdict::Kept } else { Verdict::Equal },
    };
    let Some(seen) = seen else { return Verdict::Equal };
    let path = spec_path(&field.name);
    let gone = |to: Option<Tree>| Difference { path, from: Some(seen.clone()), to, kind: DifferenceKind::Removal };
    match &field.clear {
        Clear::Keep => Verdict::Kept,
        Clear::Value(value) => {
            let value = Tree::from(value);
            let seen = field.meant(&seen);
            // Members beside the cleared ones were set by us.
            let whole = seen.as_object().is_none() || field.compare.equal(&seen, &value);
            if (whole && field.compare.equal(&value, &seen)) || as_text(&value) == as_text(&seen) {
                Verdict::Equal
            } else {
                Verdict::Removed(gone(Some(value.clone())), Some(value))
            }
        }
        Clear::Omit | Clear::Delete | Clear::Elements if is_empty(&seen) => Verdict::Equal,
        Clear::Omit | Clear::Delete | Clear::Elements => Verdict::Removed(gone(None), None),
    }
}

/// A field that is in no answer: it was applied, so it is there.
fn removed_unseen(field: &Field) -> Verdict {
    let value = match &field.clear {
        Clear::Keep => return Verdict::Kept,
        Clear::Value(value) => Some(Tree::from(value)),
        Clear::Omit | Clear::Delete | Clear::Elements => None,
    };
    let path = spec_path(&field.name);
    Verdict::Removed(Difference { path, from: None, to: value.clone(), kind: DifferenceKind::Removal }, value)
}

/// Whether the provider starts with this value: setting it on what has none is no call.
fn is_start(field: &Field, wanted: &Tree) -> bool {
    let wanted = field.meant(wanted);
    matches!(&field.clear, Clear::Value(value) if field.compare.equal(&wanted, &Tree::from(value)))
}

/// Whether a value says nothing; a structure of nothing but empty members does not either.
fn is_empty(value: &Tree) -> bool {
    match value {
        Tree::Text(text) => text.is_empty(),
        Tree::List(list) => list.is_empty(),
        Tree::Object(members) => members.values().all(is_empty),
        other => other.is_null(),
    }
}

fn difference(field: &Field, from: Option<Tree>, to: &Tree, kind: DifferenceKind) -> Difference {
    Difference { path: spec_path(&field.name), from, to: Some(to.clone()), kind }
}

/// Digest of a wish. A secret already is one.
fn digest_of(input: &Input<'_>, name: &str, value: &Tree) -> Digest {
    match value {
        Tree::Hole(Hole::Secret { digest, .. }) => digest.clone(),
        other => input.digest_key.digest(&spec_path(name), &ignore::without(input, name, other).shown()),
    }
}

/// Digest of the wish for a field, if there is one.
pub(crate) fn wish(input: &Input<'_>, name: &str) -> Option<Digest> {
    input.kind.fields.get(name).filter(|field| field.role != Role::Option)?;
    let value = input.spec.member(name).filter(|value| !value.is_null())?;
    Some(digest_of(input, name, value))
}

/// Digests of all wishes, as a settled record holds them.
pub(crate) fn wishes(input: &Input<'_>) -> BTreeMap<String, Digest> {
    let mut all: BTreeMap<String, Digest> =
        input.kind.fields.keys().filter_map(|name| Some((name.clone(), wish(input, name)?))).collect();
    for (key, value) in input.kind.wished_tags(input.spec).unwrap_or_default() {
        let Some(place) = tag_place(input.kind, &key) else { continue };
        all.insert(place.clone(), digest_of(input, &place, &value));
    }
    all
}

/// What the provider chose for open fields that the dialect shows. Whoever worked on the object before us has shown what there
/// was to show, and what is open since then was taken out.
pub(crate) fn late(input: &Input<'_>) -> BTreeMap<String, Tree> {
    if input.record.ownership == Ownership::TakenOver {
        return BTreeMap::new();
    }
    let open = input
        .kind
        .fields
        .values()
        .filter(|field| field.late && input.spec.member(&field.name).is_none_or(Tree::is_null));
    open.filter_map(|field| match input.kind.seen(field, input.observation, None) {
        Seen::Value(value) => Some((field.name.clone(), value)),
        _ => None,
    })
    .collect()
}

/// The create's fields as differences.
pub(crate) fn first_writes<'a>(input: &Input<'_>, carried: impl Iterator<Item = &'a str>) -> Vec<Difference> {
    let mut all: Vec<Difference> = carried
        .filter_map(|name| input.kind.fields.get(name))
        .filter_map(|field| {
            let value = input.spec.member(&field.name).filter(|value| !value.is_null())?;
            Some(difference(field, None, value, DifferenceKind::FirstWrite))
        })
        .collect();
    if let (Some(tags), Some(wished)) = (&input.kind.tags, input.kind.wished_tags(input.spec))
        && tags.at_create
    {
        let to = Some(Tree::Object(wished));
        let path = spec_path(&tags.field.to_string());
        all.push(Difference { path, from: None, to, kind: DifferenceKind::FirstWrite });
    }
    all
}

/// The place of a tag below the spec, for example `tags[team]`.
fn tag_place(kind: &Kind, key: &str) -> Option<String> {
    kind.tags.as_ref().map(|tags| format!("{}[{key}]", tags.field))
}

fn kept(field: &Field) -> String {
    format!(
        "{} was taken out; the provider cannot clear it: it is kept as it is and no longer managed",
        spec_path(&field.name)
    )
}

fn update_step(part: String, call: cso_core::Call, changes: Vec<Difference>) -> Step {
    Step { verb: Verb::Update, part, call, changes, note: None }
}

/// The steps of one part.
pub(crate) fn part_steps(wish: &Wish<'_>, position: usize) -> Result<PartSteps, Unfilled> {
    part_steps_noting(wish, position, &mut Vec::new())
}

fn part_steps_noting(wish: &Wish<'_>, position: usize, notes: &mut Vec<String>) -> Result<PartSteps, Unfilled> {
    let Some(part) = wish.input.kind.parts.get(position) else { return Ok(PartSteps::default()) };
    match &part.shape {
        Shape::Config { put, delete } => {
            let fields: Vec<&Field> = part_fields(wish, part).collect();
            write_steps(wish, &part.name, &fields, put, delete.as_ref(), notes)
        }
        Shape::Switch { enable, disable } => switch_steps(wish, part, enable, disable, notes),
        Shape::Table(table) => {
            let mut steps = elements::table_steps(wish, part, table, notes)?;
            if wish.input.kind.ends_with(position) {
                // In between it must not be empty.
                steps.writes.append(&mut steps.removals);
            }
            Ok(steps)
        }
        Shape::Revisions(revisions) => elements::revision_steps(wish, part, revisions, notes),
    }
}

fn part_fields<'a>(wish: &Wish<'a>, part: &'a Part) -> impl Iterator<Item = &'a Field> {
    let fields = &wish.input.kind.fields;
    part.fields.iter().filter_map(|name| fields.get(name))
}

/// The calls of a write: of the body's update, or of a part.
fn write_steps(
    wish: &Wish<'_>,
    name: &str,
    fields: &[&Field],
    put: &Write,
    delete: Option<&CallTemplate>,
    notes: &mut Vec<String>,
) -> Result<PartSteps, Unfilled> {
    let mut changes = Vec::new();
    let mut cleared = BTreeMap::new();
    for field in fields {
        match verdict(wish, field) {
            Verdict::Differs(difference) => changes.push((field.name.clone(), difference)),
            Verdict::Removed(difference, value) => {
                let value = value.map(|value| (field.name.clone(), completed(wish, field, &put.call, value)));
                cleared.extend(value);
                changes.push((field.name.clone(), difference));
            }
            Verdict::Kept => notes.push(kept(field)),
            Verdict::Unknown(why) => {
                // What cannot be read is neither compared nor written.
                notes.push(format!("{}: {why}", spec_path(&field.name)));
                return Ok(PartSteps::default());
            }
            Verdict::Equal => {}
        }
    }
    if changes.is_empty() {
        return Ok(PartSteps::default());
    }
    let all_changes = || changes.iter().map(|(_, difference)| difference.clone()).collect();
    // An empty document says that there is to be none.
    let any_set = fields.iter().any(|field| wished(wish, field).is_some_and(|value| !is_empty(value)));
    if let (false, Some(delete)) = (any_set, delete) {
        let call = wish.subject.fill(delete, &Load::default())?;
        return Ok(PartSteps { removals: vec![update_step(name.to_owned(), call, all_changes())], writes: Vec::new() });
    }
    let says_nothing = cleared.is_empty() && fields.iter().all(|field| wished(wish, field).is_none());
    if put.send == Send::All && says_nothing {
        // All that is left out was all there was: what clears the others says so.
        let values = fields.iter().filter_map(|field| match &field.clear {
            Clear::Value(value) => Some((field.name.clone(), Tree::from(value))),
            _ => None,
        });
        cleared.extend(values);
    }
    if put.send == Send::One {
        let one = |(field, difference): &(String, Difference)| {
            let cleared = cleared.get(field).map(|value| (field.clone(), value.clone())).into_iter().collect();
            let only = BTreeSet::from([field.clone()]);
            let load = Load { fields: Some(&only), cleared: Some(&cleared), ..Load::default() };
            Ok(update_step(format!("{name}.{field}"), wish.subject.fill(&put.call, &load)?, vec![difference.clone()]))
        };
        return Ok(PartSteps { writes: changes.iter().map(one).collect::<Result<_, _>>()?, ..PartSteps::default() });
    }
    let mut sent: BTreeSet<String> = changes.iter().map(|(field, _)| field.clone()).collect();
    for field in fields.iter().filter(|field| is_required(wish.input.kind, &put.call, &field.name)) {
        sent.insert(field.name.clone());
        if wished(wish, field).is_none()
            && !cleared.contains_key(&field.name)
            && let Some(value) = as_it_is(wish, field)
        {
            cleared.insert(field.name.clone(), value);
        }
    }
    let mut writes = Vec::new();
    for (changed, difference) in &changes {
        if let Some(field) = fields.iter().find(|field| field.restart && field.name == *changed) {
            writes.extend(switched_off(wish, name, field, put, difference)?);
        }
    }
    let fields = (put.send == Send::Changed).then_some(&sent);
    let call = wish.subject.fill(&put.call, &Load { fields, cleared: Some(&cleared), ..Load::default() })?;
    writes.push(update_step(name.to_owned(), call, all_changes()));
    Ok(PartSteps { writes, ..PartSteps::default() })
}

/// The step before the change of a setting that cannot be changed while it is on.
fn switched_off(
    wish: &Wish<'_>,
    name: &str,
    field: &Field,
    put: &Write,
    change: &Difference,
) -> Result<Option<Step>, Unfilled> {
    let is_on = |value: Option<&Tree>| value.is_some_and(|value| field.is_on(value));
    let Clear::Value(off) = &field.clear else { return Ok(None) };
    if !(is_on(change.from.as_ref()) && is_on(change.to.as_ref())) {
        return Ok(None);
    }
    let off = Tree::from(off);
    let cleared = BTreeMap::from([(field.name.clone(), completed(wish, field, &put.call, off.clone()))]);
    let load = Load { fields: Some(&BTreeSet::new()), cleared: Some(&cleared), ..Load::default() };
    let call = wish.subject.fill(&put.call, &load)?;
    let change = Difference { to: Some(off), ..change.clone() };
    Ok(Some(update_step(name.to_owned(), call, vec![change])))
}

/// The value that clears a structure, with what the call must have beside it as it is.
fn completed(wish: &Wish<'_>, field: &Field, call: &CallTemplate, value: Tree) -> Tree {
    let kind = wish.input.kind;
    let Seen::Value(seen) = kind.seen(field, wish.observation, None) else { return value };
    let (Tree::Object(seen), Tree::Object(mut members)) = (seen, value.clone()) else { return value };
    for (name, seen) in seen {
        if kind.requires_inside(call, &field.name, &name) {
            members.entry(name).or_insert(seen);
        }
    }
    Tree::Object(members)
}

/// Whether a call cannot be made without the field.
pub(crate) fn is_required(kind: &Kind, call: &CallTemplate, field: &str) -> bool {
    let place = call.carries.iter().find(|carried| carried.field == field).map(|carried| &carried.place);
    let Some(Place::Path(path)) = place else { return false };
    path.split_first().is_some_and(|(member, _)| kind.requires(call, member))
}

/// What a field that nobody wishes for is, so that a write that must carry it changes nothing.
fn as_it_is(wish: &Wish<'_>, field: &Field) -> Option<Tree> {
    match (wish.input.kind.seen(field, wish.observation, None), &field.clear) {
        (Seen::Value(seen), _) => Some(seen),
        (_, Clear::Value(value)) => Some(Tree::from(value)),
        _ => None,
    }
}

fn switch_steps(
    wish: &Wish<'_>,
    part: &Part,
    enable: &CallTemplate,
    disable: &CallTemplate,
    notes: &mut Vec<String>,
) -> Result<PartSteps, Unfilled> {
    let Some(field) = part_fields(wish, part).next() else { return Ok(PartSteps::default()) };
    let (difference, on) = match verdict(wish, field) {
        Verdict::Differs(difference) => {
            let on = difference.to.as_ref().and_then(Tree::as_bool).unwrap_or(false);
            (difference, on)
        }
        Verdict::Removed(difference, value) => (difference, value.as_ref().and_then(Tree::as_bool).unwrap_or(false)),
        Verdict::Unknown(why) => {
            notes.push(format!("{}: {why}", spec_path(&field.name)));
            return Ok(PartSteps::default());
        }
        Verdict::Kept => {
            notes.push(kept(field));
            return Ok(PartSteps::default());
        }
        Verdict::Equal => return Ok(PartSteps::default()),
    };
    let call = wish.subject.fill(if on { enable } else { disable }, &Load::default())?;
    Ok(PartSteps { removals: Vec::new(), writes: vec![update_step(part.name.clone(), call, vec![difference])] })
}

/// The version tag tells who created the resource; another version's value is as good.
const VERSION_TAG: &str = "services.k8s.aws/controller-version";

fn tag_steps(wish: &Wish<'_>, notes: &mut Vec<String>) -> Result<PartSteps, Unfilled> {
    let input = wish.input;
    let Some(tags) = &input.kind.tags else { return Ok(PartSteps::default()) };
    let seen = match &wish.observation.tags {
        Seen::Value(Tree::Object(seen)) => seen,
        Seen::Unknown(why) => {
            notes.push(format!("{}: {why}", spec_path(&tags.field.to_string())));
            return Ok(PartSteps::default());
        }
        _ => return Ok(PartSteps::default()),
    };
    let wished = input.kind.wished_tags(input.spec);
    // What is only looked at carries no tags of ours.
    let wanted = if input.policies.read_only { wished.clone().unwrap_or_default() } else { input.tags() };
    let add: BTreeMap<String, Tree> = wanted
        .iter()
        .filter(|(key, value)| match seen.get(*key) {
            None => true,
            Some(_) if *key == VERSION_TAG => false,
            Some(seen) => seen != *value,
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let was_applied =
        |key: &str| tag_place(input.kind, key).is_some_and(|place| input.record.applied.contains_key(&place));
    let surplus: Vec<String> = seen
        .keys()
        .filter(|key| !wanted.contains_key(*key) && !is_system_tag(key))
        .filter(|key| wished.is_some() || was_applied(key))
        .cloned()
        .collect();
    let change = |key: &String, to: Option<&Tree>, kind| Difference {
        path: format!("{}[{key}]", spec_path(&tags.field.to_string())),
        from: seen.get(key).cloned(),
        to: to.cloned(),
        kind,
    };
    let removed: Vec<Difference> = surplus.iter().map(|key| change(key, None, DifferenceKind::Removal)).collect();
    let added: Vec<Difference> = add
        .iter()
        .map(|(key, value)| {
            let ours = was_applied(key) || is_system_tag(key);
            change(key, Some(value), if ours { DifferenceKind::Drift } else { DifferenceKind::UserChange })
        })
        .collect();
    let step = |name: &str, call: &CallTemplate, load: &Load<'_>, changes: Vec<Difference>| {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![update_step(format!("tags.{name}"), wish.subject.fill(call, load)?, changes)])
    };
    Ok(match &tags.write {
        TagWrite::Each { add: adds, remove } => PartSteps {
            removals: step("remove", remove, &Load { tag_keys: &surplus, ..Load::default() }, removed)?,
            writes: step("add", adds, &Load { tags: Some(&add), ..Load::default() }, added)?,
        },
        TagWrite::Whole(put) => {
            // What is nobody's business stays.
            let mut all = seen.clone();
            all.retain(|key, _| !surplus.contains(key));
            all.extend(add.clone());
            let changes = removed.into_iter().chain(added).collect();
            PartSteps {
                writes: step("put", put, &Load { tags: Some(&all), ..Load::default() }, changes)?,
                ..PartSteps::default()
            }
        }
    })
}

/// `"30" -> "45"`, for sentences.
pub(crate) fn change_text(difference: &Difference) -> String {
    let show = |value: Option<&Tree>| value.map_or_else(|| "nothing".to_owned(), |value| value.shown().to_string());
    format!("{} -> {}", show(difference.from.as_ref()), show(difference.to.as_ref()))
}
