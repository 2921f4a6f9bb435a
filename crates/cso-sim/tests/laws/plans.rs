//! Laws of plans: what is in them, in which order, and that they are what is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use cso_core::{ErrorClass, Plan, Step, Tree, Verb};
use cso_engine::engine::Preview;
use cso_schema::kind::{Field, Kind, Owner, PartRead, Shape, Table, TagRead, TagWrite};
use cso_sim::Fault;

use crate::bench::{Bench, deleting, ensure, for_all, paused};
use crate::wishes::{Wish, edited, edited_once, is_mutable, maximal, part_applies, unfulfilled, wish};

async fn plan_of(bench: &Bench, wish: &Wish) -> Result<Plan, String> {
    match bench.preview(&wish.all(), &wish.object.key).await {
        Preview::Steps(plan) => Ok(plan),
        Preview::Nothing { notes } => Ok(Plan { verb: Verb::Update, steps: Vec::new(), notes }),
        other => Err(format!("no plan: {other:?}")),
    }
}

/// Law 3, Once: a change of one field is one call that is about that field and nothing else. Elements may need one call
/// each, and revisions one more that makes room.
#[test]
fn once() {
    for_all(
        64,
        |kind| edited_once(kind, is_mutable),
        |kind, (before, after, field)| {
            let Some(field) = field else { return Ok(()) };
            paused(async {
                let bench = Bench::new();
                bench.run(&before.all()).await.all_settled()?;
                let ran = bench.run(&after.all()).await;
                ran.all_settled()?;
                let steps = ran.called(&after.object.key);
                let most = most_calls(kind, &kind.fields[&field], &before, &after);
                ensure(steps.len() <= most, || format!("{} calls for {field}", steps.len()))?;
                let paths: BTreeSet<&str> = paths(&steps).collect();
                let of_field = |path: &str| path.split('[').next() == Some(&format!("spec.{field}"));
                // What has a meaning only with this value of the field comes or goes with it.
                let hangs_on_it = |path: &&str| {
                    let other = path.strip_prefix("spec.").and_then(|name| kind.fields.get(name));
                    let mut tests = other.into_iter().flat_map(|other| &other.when.0);
                    tests.any(|(source, _)| source.spec_paths().iter().any(|path| path.to_string() == field))
                };
                let strange = paths.iter().find(|path| !of_field(path) && !hangs_on_it(path));
                ensure(strange.is_none(), || format!("a change of {field} touches {paths:?}"))?;
                let alive = bench.cloud.alive(kind.name());
                let open = unfulfilled(kind, &alive[0], &after, Some(&before), |reference| bench.companion(reference));
                ensure(open.is_none(), || open.unwrap_or_default())
            })
        },
    );
}

/// How many calls a change of a field may take.
fn most_calls(kind: &Kind, field: &Field, before: &Wish, after: &Wish) -> usize {
    let Owner::Part(position) = field.owner else { return 1 };
    let elements = |wish: &Wish| {
        let referred = kind.refs.iter().any(|one| one.fills.to_string() == field.name);
        let value = wish.object.spec.get(&field.name).cloned().unwrap_or_default();
        // A reference stands for one element.
        Table::elements(&Tree::from(value)).len() + usize::from(referred)
    };
    match &kind.parts[position].shape {
        Shape::Table(table) if table.add.is_for_one() => elements(before) + elements(after),
        Shape::Table(_) | Shape::Revisions(_) => 2,
        Shape::Config { .. } if field.restart => 2,
        Shape::Config { .. } | Shape::Switch { .. } => 1,
    }
}

fn paths(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().flat_map(|step| &step.changes).map(|change| change.path.as_str())
}

/// Law 4, Derivable: every valid wish has a plan, before anything exists.
#[test]
fn derivable() {
    for_all(64, wish, |_, wish| {
        paused(async {
            let bench = Bench::new();
            let plan = plan_of(&bench, &wish).await?;
            let first = plan.steps.first().map(|step| step.verb);
            ensure(first == Some(Verb::Create), || format!("the plan begins with {first:?}"))
        })
    });
}

/// Law 6, Presence: what is not wished for is in no plan, whatever the provider's choices are.
#[test]
fn presence() {
    for_all(48, edited, |kind, (before, after)| {
        paused(async {
            let bench = Bench::new();
            bench.cloud.behave(cso_sim::Behaviour { defaults: true, normalise: true, ..Default::default() });
            let created = plan_of(&bench, &before).await?;
            check_presence(kind, &created, &[&before])?;
            bench.run(&before.all()).await.all_settled()?;
            let changed = plan_of(&bench, &after).await?;
            check_presence(kind, &changed, &[&before, &after])?;
            // What was taken out is in the plan, or its notes say that it is kept.
            for field in kind.fields.values() {
                let set = |wish: &Wish| wish.object.spec.get(&field.name).is_some_and(|value| !value.is_null());
                let spec = Tree::from(&*after.object.spec);
                let kept = changed.notes.iter().any(|note| note.contains(&format!("spec.{} ", field.name)));
                let taken_out =
                    set(&before) && !set(&after) && is_mutable(kind, field) && part_applies(kind, field, &spec);
                let clears = field.clear != cso_schema::kind::Clear::Keep;
                ensure(!taken_out || clears || kept, || format!("nothing is said of spec.{}", field.name))?;
            }
            Ok(())
        })
    });
}

fn check_presence(kind: &Kind, plan: &Plan, wishes: &[&Wish]) -> Result<(), String> {
    let is_said = |name: &str| {
        let by_reference = kind.refs.iter().filter(|r| r.fills.split_first().is_some_and(|(first, _)| first == name));
        let names: Vec<String> =
            by_reference.filter_map(|r| r.field.split_first().map(|(first, _)| first.to_owned())).collect();
        wishes
            .iter()
            .any(|wish| names.iter().map(String::as_str).chain([name]).any(|name| wish.object.spec.get(name).is_some()))
    };
    let names = paths(&plan.steps).filter_map(|path| path.strip_prefix("spec.")?.split('[').next());
    // The owner mark and the other tags of ours are wished for by us.
    let tags = kind.tags.as_ref().map(|tags| tags.field.to_string());
    let strange = names.filter(|name| tags.as_deref() != Some(name)).find(|name| !is_said(name));
    ensure(strange.is_none(), || format!("nobody wished for {strange:?}"))
}

/// Law 7, Silence on unknown: a part that may not be read is neither written nor a reason to write anything else.
#[test]
fn silence_on_unknown() {
    for_all(24, edited, |kind, (before, after)| {
        let parts = kind.parts.iter().filter_map(|part| match &part.read {
            PartRead::Own { call, .. } | PartRead::Listed { list: call, .. } => {
                Some((part.name.clone(), call.operation.clone()))
            }
            PartRead::Body => None,
        });
        let tags = kind.tags.iter().filter_map(|tags| match &tags.read {
            TagRead::Own { call, .. } => Some(("tags".to_owned(), call.operation.clone())),
            TagRead::Body(_) => None,
        });
        for (part, operation) in parts.chain(tags) {
            paused(async {
                let bench = Bench::new();
                bench.run(&before.all()).await.all_settled()?;
                let seeing = plan_of(&bench, &after).await?;
                bench.cloud.fail(Fault::refused(&operation, u32::MAX, ErrorClass::Denied));
                let blind = plan_of(&bench, &after).await?;
                let is_of = |step: &&Step| step.part == part || step.part.starts_with(&format!("{part}."));
                let expected: Vec<&Step> = seeing.steps.iter().filter(|step| !is_of(step)).collect();
                let found: Vec<&Step> = blind.steps.iter().collect();
                ensure(expected == found, || format!("without reading {part}: {found:?}"))
            })?;
        }
        Ok(())
    });
}

/// Law 8, Purity: looking changes nothing, and the same look gives the same bytes.
#[test]
fn purity() {
    for_all(24, edited, |_, (before, after)| {
        paused(async {
            let bench = Bench::new();
            bench.run(&before.all()).await.all_settled()?;
            let (records, calls) = (bench.store.text(), bench.cloud.mutations());
            let text = |preview: &Preview| serde_json::to_string(preview).map_err(|error| error.to_string());
            let first = bench.preview(&after.all(), &after.object.key).await;
            let mut reversed = after.all();
            reversed.reverse();
            let second = bench.preview(&reversed, &after.object.key).await;
            ensure(first == second && text(&first)? == text(&second)?, || "two looks differ".to_owned())?;
            ensure(bench.store.text() == records && bench.cloud.mutations() == calls, || {
                "a look left a trace".to_owned()
            })
        })
    });
}

/// Law 9, Plan = execution: the calls made are the plan's, in its order, equal up to holes.
#[test]
fn plan_is_execution() {
    for_all(48, edited, |_, (before, after)| {
        paused(async {
            let bench = Bench::new();
            // Others first: a plan is about one object.
            bench.run(&before.others).await.all_settled()?;
            for wish in [&before, &after] {
                let plan = plan_of(&bench, wish).await?;
                let ran = bench.run(&wish.all()).await;
                ran.all_settled()?;
                same_calls(&plan.steps, &ran.called(&wish.object.key))?;
            }
            let objects = after.with(deleting(&after.object));
            let Preview::Steps(plan) = bench.preview(&objects, &after.object.key).await else {
                return Err("a delete has no plan".to_owned());
            };
            let ran = bench.run(&objects).await;
            same_calls(&plan.steps, &ran.called(&after.object.key))
        })
    });
}

fn same_calls(planned: &[Step], made: &[Step]) -> Result<(), String> {
    let show = |steps: &[Step]| {
        steps.iter().map(|step| format!("{} {}", step.call.operation, step.call.input.shown())).collect::<Vec<_>>()
    };
    let same = planned.len() == made.len()
        && planned.iter().zip(made).all(|(planned, made)| {
            planned.part == made.part
                && planned.call.operation == made.call.operation
                && equal_up_to_holes(&planned.call.input, &made.call.input)
        });
    ensure(same, || format!("planned {:#?}\nmade {:#?}", show(planned), show(made)))
}

fn equal_up_to_holes(planned: &Tree, made: &Tree) -> bool {
    match (planned, made) {
        (Tree::Hole(_), _) => true,
        (Tree::Object(a), Tree::Object(b)) => {
            a.keys().eq(b.keys()) && a.iter().all(|(name, value)| equal_up_to_holes(value, &b[name]))
        }
        (Tree::List(a), Tree::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal_up_to_holes(a, b)),
        (a, b) => a == b,
    }
}

/// Law 13, Order: removals come before writes; writes go down the list of parts, removals up.
#[test]
fn order() {
    for_all(64, edited, |kind, (before, after)| {
        paused(async {
            let bench = Bench::new();
            bench.run(&before.all()).await.all_settled()?;
            let plan = plan_of(&bench, &after).await?;
            let places: Vec<(bool, usize)> = plan.steps.iter().map(|step| place_of(kind, step)).collect();
            let (removals, writes): (Vec<_>, Vec<_>) = places.iter().copied().partition(|(removes, _)| *removes);
            let sorted = removals.iter().rev().is_sorted() && writes.is_sorted();
            let first = places.iter().take(removals.len()).all(|(removes, _)| *removes);
            ensure(sorted && first, || format!("{places:?}"))
        })
    });
}

/// Whether a step removes, and its place: the body, the parts, the tags.
fn place_of(kind: &Kind, step: &Step) -> (bool, usize) {
    let name = step.part.split('.').next().unwrap_or_default();
    let position = kind.parts.iter().position(|part| part.name == name);
    let removes = match position.map(|position| &kind.parts[position].shape) {
        Some(Shape::Config { delete: Some(delete), .. }) => step.call.operation == delete.operation,
        // What must not be empty in between is filled first.
        Some(Shape::Table(_)) if position.is_some_and(|position| kind.ends_with(position)) => false,
        Some(Shape::Table(_) | Shape::Revisions(_)) => step.part.ends_with(".remove"),
        _ => matches!(
            kind.tags.as_ref().map(|tags| &tags.write),
            Some(TagWrite::Each { remove, .. }) if step.call.operation == remove.operation
        ),
    };
    // Tags are removed after the parts' removals and written after the parts' writes.
    let last = if removes { 0 } else { kind.parts.len() + 1 };
    (removes, if name == "tags" { last } else { position.map_or(0, |position| position + 1) })
}

/// Law 15, Create then look: the create carries everything that it can; only parts that it cannot carry follow.
#[test]
fn create_then_look() {
    for_all(24, maximal, |kind: &Arc<Kind>, wish| {
        paused(async {
            let bench = Bench::new();
            let ran = bench.run(&wish.all()).await;
            ran.all_settled()?;
            let steps = ran.called(&wish.object.key);
            let late = |step: &Step| kind.parts.iter().any(|part| !part.at_create && step.part.starts_with(&part.name));
            let strange = steps.iter().skip(1).find(|step| !late(step));
            ensure(strange.is_none(), || format!("{:?} could have come with the create", strange.map(|s| &s.part)))
        })
    });
}
