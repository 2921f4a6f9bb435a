//! Laws of what is ours, and of letting go.

use cso_core::owner::OWNER_TAG;
use cso_core::{ErrorClass, Ownership};
use cso_engine::run::Rest;
use cso_schema::kind::{Kind, Pick, Recovery, Revisions, Shape, Source, Table};
use cso_sim::{Behaviour, Life, ModelCloud};
use proptest::prelude::*;
use serde_json::json;

use crate::bench::{Bench, KINDS, annotated, deleting, ensure, for_all, kind, object, paused};
use crate::wishes::{behaviour, wish};

const ELSEWHERE: &str = "ffffffffffffffff";

/// Somebody else's resource where ours should be: made by another state, or with no mark at all.
pub(crate) async fn occupied(wish: &crate::wishes::Wish, marked: bool) -> Result<Bench, String> {
    let other = Bench::on(ModelCloud::new(KINDS.iter().cloned()), ELSEWHERE);
    other.run(&wish.all()).await.all_settled()?;
    if !marked {
        other.cloud.meddle(|resources| resources.iter_mut().for_each(|one| one.tags.clear()));
    }
    let bench = Bench::on(other.cloud.clone(), "0123456789abcdef");
    bench.cloud.forget_calls();
    Ok(bench)
}

/// Whether anybody can find the resource of this wish without having made it: by its name, its natural key or its mark. A
/// grant without a name is known by its maker only.
fn can_be_found(kind: &Kind, wish: &crate::wishes::Wish) -> bool {
    let Recovery::Natural(finder) = &kind.recovery else { return true };
    finder.pick.iter().filter_map(Pick::source).filter(|source| source.may_be_token()).all(|source| {
        let mut fields = source.choices().iter().flat_map(Source::spec_paths);
        fields.any(|field| wish.object.spec.get(field.to_string()).is_some())
    })
}

/// Law 11, Ownership: a resource of somebody else's at our place is not touched: not to change it, not to delete it.
#[test]
fn ownership() {
    for_all(
        16,
        |kind| (wish(kind), any::<bool>()).boxed(),
        |kind, (mut wish, marked)| {
            // Without a name nobody can stand in the way, unless the mark says so.
            if (!marked && matches!(kind.recovery, Recovery::OwnerTag { .. })) || !can_be_found(kind, &wish) {
                return Ok(());
            }
            // The others would be somebody else's too.
            wish.others.clear();
            let alone = wish.object.spec.clone();
            if kind.refs.iter().any(|reference| cso_core::Tree::from(&*alone).at(&reference.field).is_some()) {
                return Ok(());
            }
            paused(async {
                let bench = occupied(&wish, marked).await?;
                let before = bench.cloud.alive(kind.name());
                let ran = bench.run(&wish.all()).await;
                let rest = ran.rest(&wish.object.key);
                let refused = matches!(rest, Rest::Failed { class: ErrorClass::NotOurs, .. });
                ensure(refused, || format!("{rest:?}"))?;
                bench.run(&[deleting(&wish.object)]).await.all_settled()?;
                let calls = bench.cloud.mutations();
                ensure(calls.is_empty(), || format!("{calls:?}"))?;
                ensure(bench.cloud.alive(kind.name()) == before, || "it was changed".to_owned())
            })
        },
    );
}

/// Taken back from a lost state: ours again, without one call.
#[test]
fn take_back() {
    for_all(16, wish, |kind, wish| {
        if !can_be_found(kind, &wish) {
            return Ok(());
        }
        paused(async {
            let mut bench = occupied(&wish, true).await?;
            bench.take_back = true;
            bench.run(&wish.all()).await.all_settled()?;
            let calls = bench.cloud.mutations();
            ensure(calls.is_empty(), || format!("{calls:?}"))?;
            let record = bench.record(&wish.object.key).ok_or("no record")?;
            ensure(matches!(record.ownership, Ownership::TakenBack { .. }), || format!("{:?}", record.ownership))?;
            // What was taken back is ours to delete.
            bench.run(&wish.with(deleting(&wish.object))).await.all_settled()?;
            ensure(bench.cloud.alive(kind.name()).is_empty(), || "it is still there".to_owned())
        })
    });
}

/// Adopted: marked and changed to the wish, never made, and kept or deleted as the object says.
#[test]
fn adoption() {
    for_all(
        16,
        |kind| (wish(kind), any::<bool>()).boxed(),
        |kind, (wish, retain)| {
            // Others that cannot be adopted would be made anew, and be others.
            if !kind.is_named_by_user() || !wish.others.is_empty() {
                return Ok(());
            }
            paused(async {
                let bench = occupied(&wish, false).await?;
                let mut adopting = wish.clone();
                adopting.object = annotated(&wish.object, "services.k8s.aws/adoption-policy", "adopt");
                adopting.others = wish
                    .others
                    .iter()
                    .map(|one| annotated(one, "services.k8s.aws/adoption-policy", "adopt-or-create"))
                    .collect();
                if retain {
                    adopting.object = annotated(&adopting.object, "services.k8s.aws/deletion-policy", "retain");
                }
                bench.run(&adopting.all()).await.all_settled()?;
                let calls = bench.cloud.mutations();
                ensure(!calls.contains(&kind.create.operation), || format!("{calls:?}"))?;
                let marked = bench.cloud.alive(kind.name()).iter().all(|one| one.tags.contains_key(OWNER_TAG));
                ensure(marked || !kind.can_be_marked(), || "it carries no mark".to_owned())?;
                bench.run(&adopting.with(deleting(&adopting.object))).await.all_settled()?;
                let alive = bench.cloud.alive(kind.name()).len();
                ensure(alive == usize::from(retain), || format!("{alive} left"))
            })
        },
    );
}

/// What is to be adopted and does not exist is waited for, not made; with adopt-or-create it is made.
#[test]
fn adoption_of_nothing() {
    for kind in KINDS.iter() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let wish = proptest::strategy::Strategy::new_tree(&wish(kind), &mut runner).expect("a wish");
        let wish = proptest::strategy::ValueTree::current(&wish);
        paused(async {
            for (policy, made) in [("adopt", 0), ("adopt-or-create", 1)] {
                let bench = Bench::new();
                let adopting = annotated(&wish.object, "services.k8s.aws/adoption-policy", policy);
                bench.run(&wish.with(adopting)).await;
                assert_eq!(bench.cloud.alive(kind.name()).len(), made, "{} {policy}", kind.name());
            }
        });
    }
}

/// Read-only: compared, never changed, never deleted.
#[test]
fn read_only() {
    for_all(
        16,
        |kind| (wish(kind), wish(kind)).boxed(),
        |kind, (there, wish)| {
            if !kind.is_named_by_user() {
                return Ok(());
            }
            paused(async {
                let bench = occupied(&there, false).await?;
                let read_only = annotated(&wish.object, "services.k8s.aws/read-only", "true");
                bench.run(std::slice::from_ref(&read_only)).await;
                bench.run(&[deleting(&read_only)]).await;
                let calls = bench.cloud.mutations();
                ensure(calls.is_empty(), || format!("{calls:?}"))
            })
        },
    );
}

/// Somebody took our mark off, or put his own on: his it is.
#[test]
fn a_mark_that_changed_hands_is_respected() {
    for_all(8, wish, |kind, wish| {
        if !kind.can_be_marked() {
            return Ok(());
        }
        paused(async {
            let bench = Bench::new();
            bench.run(&wish.all()).await.all_settled()?;
            bench.cloud.meddle(|resources| {
                for one in resources.iter_mut().filter(|one| one.kind == kind.name()) {
                    one.tags.insert(OWNER_TAG.to_owned(), cso_core::Tree::text(format!("{ELSEWHERE}/a/b.C/d")));
                }
            });
            bench.cloud.forget_calls();
            let ran = bench.run(&wish.all()).await;
            let rest = ran.rest(&wish.object.key);
            ensure(matches!(rest, Rest::Failed { class: ErrorClass::NotOurs, .. }), || format!("{rest:?}"))?;
            bench.run(&wish.with(deleting(&wish.object))).await.all_settled()?;
            let calls = bench.cloud.mutations();
            ensure(calls.is_empty(), || format!("{calls:?}"))
        })
    });
}

/// What reads show for a long time after it is deleted is not deleted in a hurry.
#[test]
fn delete_of_what_is_still_shown() {
    for_all(8, wish, |kind, wish| {
        paused(async {
            let bench = Bench::new();
            bench.run(&wish.all()).await.all_settled()?;
            bench.cloud.behave(Behaviour { lag: 400, ..Behaviour::default() });
            bench.cloud.forget_calls();
            let began = tokio::time::Instant::now();
            bench.run(&wish.with(deleting(&wish.object))).await;
            let seconds = began.elapsed().as_secs();
            let deletes = bench.cloud.mutations().iter().filter(|call| is_delete(kind, call)).count();
            ensure(u64::try_from(deletes).is_ok_and(|deletes| deletes <= 2 + seconds), || {
                format!("{deletes} deletes in {seconds} s")
            })
        })
    });
}

/// Law 16, Delete: from every state the object ends gone, in at most one delete call after those that empty it, or waits for
/// a named reason.
#[test]
fn delete() {
    for_all(
        24,
        |kind| (wish(kind), behaviour(), any::<bool>()).boxed(),
        |kind, (wish, behaviour, gone_already)| {
            paused(async {
                let bench = Bench::new();
                bench.cloud.behave(behaviour);
                bench.run(&wish.all()).await.all_settled()?;
                if gone_already {
                    bench.cloud.meddle(|resources| resources.retain(|one| one.kind != kind.name()));
                }
                bench.cloud.forget_calls();
                bench.run(&wish.with(deleting(&wish.object))).await.all_settled()?;
                let calls = bench.cloud.mutations();
                let deletes = calls.iter().filter(|call| is_delete(kind, call)).count();
                let empties = |call: &&String| emptying_calls(kind).contains(&call.as_str());
                let emptying = calls.iter().filter(empties).count();
                ensure(calls.len() == deletes + emptying && deletes <= 1, || format!("{calls:?}"))?;
                ensure(bench.cloud.alive(kind.name()).is_empty(), || "it is still there".to_owned())?;
                ensure(bench.record(&wish.object.key).is_none(), || "its record is still there".to_owned())
            })
        },
    );
}

/// Whether an operation deletes the resource itself.
fn is_delete(kind: &Kind, operation: &str) -> bool {
    kind.delete.as_ref().is_some_and(|delete| delete.operation == operation)
}

/// Operations that take out what a delete must find empty.
fn emptying_calls(kind: &Kind) -> Vec<&str> {
    let removal = |position: &usize| match &kind.parts[*position].shape {
        Shape::Table(Table { remove, .. }) | Shape::Revisions(Revisions { remove, .. }) => Some(remove),
        _ => None,
    };
    kind.empties.iter().filter_map(removal).map(|call| call.operation.as_str()).collect()
}

/// Deleting what was never made makes no call.
#[test]
fn delete_of_nothing() {
    for_all(8, wish, |_, wish| {
        paused(async {
            let bench = Bench::new();
            bench.run(&[deleting(&wish.object)]).await.all_settled()?;
            ensure(bench.cloud.mutations().is_empty(), || "a call was made".to_owned())
        })
    });
}

/// A name that a soft-deleted resource still takes is waited for; the dead one is not touched.
#[test]
fn tombstone() {
    let secret = kind("Secret");
    let spec = json!({"name": "thing", "secretString": {"name": "credentials", "key": "password"}});
    paused(async {
        let bench = Bench::new();
        let wish = object(secret, "subject", spec);
        bench.run(std::slice::from_ref(&wish)).await.all_settled().expect("made");
        bench.run(&[deleting(&wish)]).await.all_settled().expect("deleted");
        bench.cloud.meddle(|resources| assert!(resources.iter().all(|one| one.life == Life::Tombstone)));
        bench.cloud.forget_calls();
        let ran = bench.run(std::slice::from_ref(&wish)).await;
        assert!(
            matches!(ran.rest(&wish.key), Rest::Failed { class: ErrorClass::Conflict, .. }),
            "{:?}",
            ran.rest(&wish.key)
        );
        assert_eq!(bench.cloud.mutations(), Vec::<String>::new());
    });
}
