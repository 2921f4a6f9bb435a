//! Law 18, Replace: what cannot change is not changed; neither is a resource left behind, nor another made in its place.

use std::sync::Arc;

use cso_core::ErrorClass;
use cso_engine::run::Rest;
use cso_schema::kind::{Field, Kind, Role};
use proptest::strategy::{Strategy as _, ValueTree as _};
use serde_json::json;

use crate::bench::{Bench, KINDS, ensure, for_all, paused};
use crate::wishes::{Wish, edited_once, wish};

fn is_fixed(_: &Kind, field: &Field) -> bool {
    field.role == Role::CreateOnly
}

#[test]
fn replace() {
    for_all(
        64,
        |kind| edited_once(kind, is_fixed),
        |kind, (before, after, field)| {
            let value = |wish: &Wish, name: &str| wish.object.spec.get(name).cloned();
            // What cannot be read back is refused as soon as the user says otherwise.
            let unreadable = field.as_ref().filter(|name| kind.fields[*name].read.is_none());
            let must_refuse = unreadable
                .is_some_and(|name| value(&after, name).is_some() && value(&before, name) != value(&after, name));
            paused(async {
                let bench = Bench::new();
                bench.run(&before.all()).await.all_settled()?;
                bench.cloud.forget_calls();
                let ran = bench.run(&after.all()).await;
                let calls = bench.cloud.mutations();
                ensure(calls.is_empty(), || format!("{calls:?}"))?;
                let rest = ran.rest(&after.object.key);
                let expected = match rest {
                    Rest::Settled => !must_refuse,
                    rest => matches!(rest, Rest::Failed { class: ErrorClass::Invalid, .. }),
                };
                ensure(expected, || format!("{rest:?}"))
            })
        },
    );
}

/// The object gets another name, or another natural key, while its resource exists.
#[test]
fn rename() {
    for_all(16, wish, |kind, wish| {
        // Part of a natural key may change with its resource: that is an update as any other.
        for field in kind.fields.values().filter(|field| is_fixed(kind, field) && kind.is_identity(&field.name)) {
            let mut other = wish.object.clone();
            if other.spec.get(&field.name).is_none() {
                continue;
            }
            Arc::make_mut(&mut other.spec)[&field.name] = json!("another");
            paused(async {
                let bench = Bench::new();
                bench.run(&wish.all()).await.all_settled()?;
                bench.cloud.forget_calls();
                let ran = bench.run(&wish.with(other.clone())).await;
                let calls = bench.cloud.mutations();
                ensure(calls.is_empty(), || format!("{}: {calls:?}", field.name))?;
                let rest = ran.rest(&other.key);
                ensure(matches!(rest, Rest::Failed { class: ErrorClass::Invalid, .. }), || format!("{rest:?}"))?;
                // And back again: nothing happened.
                bench.run(&wish.all()).await.all_settled()?;
                ensure(bench.cloud.mutations().is_empty(), || "not as before".to_owned())?;
                // What was renamed is deleted all the same.
                let mut gone = other.clone();
                gone.deleting = true;
                bench.run(&wish.with(gone)).await.all_settled()?;
                let left = bench.cloud.alive(kind.name()).len();
                ensure(left == 0, || format!("{left} resources are left"))
            })?;
        }
        Ok(())
    });
}

/// The object gets another name while the outcome of its create is not known: the first resource is found, not lost.
#[test]
fn rename_of_an_open_create() {
    let mut broken = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.is_named_by_user()) {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let wish = wish(kind).new_tree(&mut runner).expect("a wish").current();
        let mut other = wish.object.clone();
        Arc::make_mut(&mut other.spec)[kind.identity.name[0].to_string()] = json!("another");
        let result: Result<(), String> = paused(async {
            // Find the point after the create's effect.
            for n in 1.. {
                let bench = Bench::new();
                bench.run(&wish.others).await.all_settled()?;
                let died = bench.run_until(&wish.all(), cso_sim::Kill::at(n)).await.summary.is_none();
                if bench.cloud.alive(kind.name()).is_empty() && died {
                    continue;
                }
                bench.run(&wish.with(other.clone())).await;
                let alive = bench.cloud.alive(kind.name()).len();
                ensure(alive == 1, || format!("killed at {n}: {alive} resources"))?;
                bench.run(&wish.with(crate::bench::deleting(&other))).await.all_settled()?;
                let left = bench.cloud.alive(kind.name()).len();
                ensure(left == 0, || format!("killed at {n}: {left} resources are left"))?;
                if !died {
                    break;
                }
            }
            Ok(())
        });
        broken.extend(result.err().map(|why| format!("{}: {why}", kind.name())));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
