//! Laws of parts that keep versions: the newest wish is the current one, and room is made as it is needed.

use cso_core::Object;
use cso_schema::kind::{Kind, Revisions, Shape};
use cso_sim::{Behaviour, Kill};
use serde_json::json;

use crate::bench::{Bench, KINDS, deleting, object, paused};

fn versioned() -> impl Iterator<Item = (&'static Kind, &'static str, &'static Revisions)> {
    KINDS.iter().flat_map(|kind| {
        kind.parts.iter().filter_map(|part| match &part.shape {
            Shape::Revisions(revisions) => Some((&**kind, part.fields[0].as_str(), revisions)),
            _ => None,
        })
    })
}

/// The object with its `n`-th document.
fn edition(kind: &Kind, field: &str, n: usize) -> Object {
    let document = json!({"Version": "2012-10-17", "Statement": [{"Sid": format!("S{n}"), "Effect": "Deny"}]});
    let mut spec = json!({});
    for name in &kind.identity.name {
        spec[name.to_string()] = json!("thing");
    }
    spec[field] = json!(document.to_string());
    object(kind, "subject", spec)
}

/// A cloud that has as many versions as it takes.
async fn full(kind: &Kind, field: &str, revisions: &Revisions) -> Bench {
    let bench = Bench::new();
    for n in 0..revisions.keep {
        bench.run(&[edition(kind, field, n)]).await.all_settled().expect("an edition");
    }
    assert_eq!(bench.cloud.alive(kind.name())[0].revisions.len(), revisions.keep);
    bench.cloud.forget_calls();
    bench
}

fn numbers(bench: &Bench, kind: &Kind) -> Vec<u32> {
    bench.cloud.alive(kind.name())[0].revisions.iter().map(|revision| revision.number).collect()
}

#[test]
fn the_oldest_makes_room() {
    assert!(versioned().next().is_some(), "a kind has revisions");
    for (kind, field, revisions) in versioned() {
        paused(async {
            let bench = full(kind, field, revisions).await;
            let next = edition(kind, field, revisions.keep);
            bench.run(std::slice::from_ref(&next)).await.all_settled().expect("one more");
            let calls = [revisions.remove.operation.as_str(), revisions.add.operation.as_str()];
            assert_eq!(bench.cloud.mutations(), calls);
            let first_left = 2;
            let expected: Vec<u32> = (first_left..).take(revisions.keep).collect();
            assert_eq!(numbers(&bench, kind), expected);
            bench.run(&[deleting(&next)]).await.all_settled().expect("deleted");
            assert!(bench.cloud.alive(kind.name()).is_empty());
        });
    }
}

/// Killed anywhere, with old answers or without, an edit costs one superseded version and makes one new one.
#[test]
fn a_crash_costs_no_version() {
    for (kind, field, revisions) in versioned() {
        for lag in 0..4 {
            for n in 1.. {
                let died = paused(async {
                    let bench = full(kind, field, revisions).await;
                    bench.cloud.behave(Behaviour { lag, ..Behaviour::default() });
                    let next = [edition(kind, field, revisions.keep)];
                    let died = bench.run_until(&next, Kill::at(n)).await.summary.is_none();
                    bench
                        .run(&next)
                        .await
                        .all_settled()
                        .unwrap_or_else(|why| panic!("killed at {n}, lag {lag}: {why}"));
                    let expected: Vec<u32> = (2..).take(revisions.keep).collect();
                    assert_eq!(
                        numbers(&bench, kind),
                        expected,
                        "killed at {n}, lag {lag}: {:?}",
                        bench.cloud.mutations()
                    );
                    died
                });
                if !died {
                    break;
                }
            }
        }
    }
}
