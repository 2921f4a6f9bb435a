//! Laws of enough: how many calls, how many writes, and when to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cso_core::port::Effect;
use cso_core::{Object, ObjectKey};
use cso_schema::kind::{Kind, State};
use cso_sim::Behaviour;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::bench::{Bench, KINDS, deleting, ensure, for_all, paused};
use crate::wishes::{Wish, edited_once, is_mutable, maximal, wish};

/// Reads and mutating calls of one process.
async fn calls(bench: &Bench, objects: &[Object]) -> String {
    bench.cloud.forget_calls();
    bench.run(objects).await.all_settled().expect("it settles");
    let made = bench.cloud.made();
    let mutations = made.iter().filter(|made| made.effect == Effect::Mutates).count();
    format!("{}+{mutations}", made.len() - mutations)
}

fn minimal(kind: &Arc<Kind>) -> Wish {
    let mut runner = TestRunner::deterministic();
    let mut wishes = (0..60).map(|_| wish(kind).new_tree(&mut runner).expect("a wish").current());
    let literal = wishes.by_ref().filter(|wish| wish.others.is_empty());
    literal.min_by_key(|wish| wish.object.spec.to_string().len()).expect("a wish without references")
}

fn whole(kind: &Arc<Kind>) -> Wish {
    let mut runner = TestRunner::deterministic();
    let mut wishes = (0..60).map(|_| maximal(kind).new_tree(&mut runner).expect("a wish").current());
    wishes.find(|wish| wish.others.is_empty()).expect("a wish without references")
}

/// Law 21, Bounded: reads + mutating calls of each kind, a golden number. Fewer is better: change it, and be glad.
#[test]
fn bounded() {
    let golden = "\
kind                         smallest: create no-op delete   largest: create no-op delete
Table                                  2+1    2+0   3+1               13+4    6+0   7+3
GlobalTable                            2+1    1+0   2+1                2+1    1+0   3+2
Backup                                 2+1    1+0   2+1                2+1    1+0   2+1
Repository                             2+1    2+0   3+1               10+3    4+0   3+1
PullThroughCacheRule                   2+1    1+0   2+1                2+1    1+0   2+1
RepositoryCreationTemplate             2+1    1+0   2+1                2+1    1+0   2+1
Group                                  2+1    1+0   4+1                4+1    3+0   4+1
InstanceProfile                        2+1    1+0   2+1                3+2    1+0   3+2
OpenIDConnectProvider                  2+1    1+0   2+1                2+1    1+0   2+1
Policy                                 2+1    3+0   3+1                2+1    3+0   3+1
Role                                   3+1    2+0   4+1               11+4    4+0  13+4
ServiceLinkedRole                      2+1    1+0   2+1                2+1    1+0   2+1
User                                   2+1    1+0   4+1                6+2    3+0   7+2
Key                                    2+1    2+0   3+1                3+1    4+0   3+1
Alias                                  2+1    1+0   2+1                2+1    1+0   2+1
Grant                                  2+1    1+0   2+1                2+1    1+0   2+1
Bucket                                19+4   10+0   3+1              60+14   21+0   3+1
Secret                                 2+1    1+0   2+1                2+1    1+0   2+1
Topic                                  2+1    2+0   3+1                2+1    3+0   3+1
Subscription                           2+1    1+0   2+1                2+1    1+0   2+1
PlatformApplication                    2+1    1+0   2+1                2+1    1+0   2+1
PlatformEndpoint                       2+1    1+0   2+1                2+1    1+0   2+1
Queue                                  2+1    2+0   3+1                2+1    2+0   3+1
";
    let mut found =
        String::from("kind                         smallest: create no-op delete   largest: create no-op delete\n");
    for kind in KINDS.iter() {
        let row: Vec<String> = [minimal(kind), whole(kind)]
            .iter()
            .flat_map(|wish| {
                paused(async {
                    let bench = Bench::new();
                    let create = calls(&bench, &wish.all()).await;
                    let nothing = calls(&bench, &wish.all()).await;
                    let delete = calls(&bench, &wish.with(deleting(&wish.object))).await;
                    [create, nothing, delete]
                })
            })
            .collect();
        let cells = row.iter().zip([13, 6, 5, 18, 6, 5]).map(|(cell, width)| format!(" {cell:>width$}"));
        writeln!(found, "{:<28}{}", kind.name(), cells.collect::<String>()).expect("a String takes all");
    }
    assert_eq!(found, golden, "\n{found}");
}

/// Creating a queue takes at most three calls, and looking again only reads.
#[test]
fn a_queue_is_made_in_three_calls() {
    let wish = minimal(crate::bench::kind("Queue"));
    paused(async {
        let bench = Bench::new();
        bench.run(&wish.all()).await.all_settled().expect("it settles");
        assert!(bench.cloud.made().len() <= 3, "{:?}", bench.cloud.made());
    });
}

/// Ten minutes at rest, with a look at each: only reads, and nothing to remember.
#[test]
fn rest_writes_nothing() {
    const OBJECTS: usize = 500;
    let wish = minimal(crate::bench::kind("Queue")).object;
    let numbered = |number| {
        let name = format!("queue-{number}");
        let mut spec = serde_json::Value::clone(&wish.spec);
        spec["queueName"] = name.as_str().into();
        let key = ObjectKey::new(&wish.key.group, &wish.key.kind, &wish.key.namespace, &name);
        Object { key, spec: Arc::new(spec), ..wish.clone() }
    };
    let objects: Vec<Object> = (0..OBJECTS).map(numbered).collect();
    paused(async {
        let bench = Bench::new();
        let mut stay = bench.stay(&objects).await;
        stay.live_for(Duration::from_mins(5)).await;
        assert_eq!(bench.cloud.alive("Queue").len(), OBJECTS);
        let commits = bench.store.commits();
        bench.cloud.forget_calls();
        stay.live_for(Duration::from_mins(10)).await;
        assert_eq!(bench.cloud.mutations(), Vec::<String>::new());
        assert_eq!(bench.store.commits(), commits);
        assert_eq!(bench.cloud.made().len(), 2 * OBJECTS, "each was looked at once");
    });
}

/// Law 12, Guards: while a resource is busy it is not written to.
#[test]
fn guards() {
    for_all(
        16,
        |kind| (maximal(kind), 1u32..6).boxed(),
        |kind, (wish, busy)| {
            let has_busy = kind.states.iter().any(|axis| axis.classes.values().any(|class| *class == State::Busy));
            if !has_busy {
                return Ok(());
            }
            paused(async {
                let bench = Bench::new();
                bench.cloud.behave(Behaviour { busy, ..Behaviour::default() });
                bench.run(&wish.all()).await.all_settled()?;
                let made = bench.cloud.made();
                let created =
                    made.iter().position(|made| made.operation == kind.create.operation).ok_or("no create")?;
                let reads = made[created + 1..].iter().take_while(|made| made.effect == Effect::Reads);
                let looks = reads.filter(|made| made.operation == kind.read.call.operation).count();
                ensure(looks > busy as usize, || format!("written to after {looks} looks, busy for {busy}"))
            })
        },
    );
}

/// Law 22, Convergence guard: a provider that drops a field's writes hears each call at most three times, and the object
/// says which path it is.
#[test]
fn convergence_guard() {
    for_all(
        48,
        |kind| edited_once(kind, is_mutable),
        |kind, (before, after, field)| {
            let Some(field) = field else { return Ok(()) };
            paused(async {
                let bench = Bench::new();
                bench.run(&before.all()).await.all_settled()?;
                let ignore = BTreeMap::from([(kind.name().to_owned(), BTreeSet::from([field.clone()]))]);
                bench.cloud.behave(Behaviour { ignore, ..Behaviour::default() });
                bench.cloud.forget_calls();
                let ran = bench.run(&after.all()).await;
                let writes = bench.cloud.mutations().len();
                // Twice more an hour later: it stays with that.
                for _ in 0..2 {
                    tokio::time::advance(Duration::from_secs(3600)).await;
                    bench.run(&after.all()).await;
                }
                let made = bench.cloud.made();
                let calls: Vec<String> = made
                    .iter()
                    .filter(|made| made.effect == Effect::Mutates)
                    .map(|made| format!("{} {}", made.operation, made.input))
                    .collect();
                let most =
                    calls.iter().map(|call| calls.iter().filter(|other| *other == call).count()).max().unwrap_or(0);
                ensure(most <= 3 && calls.len() == writes, || {
                    format!("{writes} writes, then {:?}", &calls[..calls.len().min(9)])
                })?;
                if writes < 2 {
                    return Ok(());
                }
                ran.all_settled()?;
                let record = bench.record(&after.object.key).ok_or("no record")?;
                let path = format!("spec.{field}");
                let says = record.conditions.iter().any(|condition| condition.message.contains(&path));
                ensure(says, || format!("no condition names {path}: {:?}", record.conditions))
            })
        },
    );
}

/// Drift is repaired as often as it happens: the guard is against writes without effect, not against repair.
#[test]
fn drift_is_repaired_every_time() {
    for_all(12, wish, |kind, wish| {
        paused(async {
            let bench = Bench::new();
            bench.run(&wish.all()).await.all_settled()?;
            let made = bench.cloud.alive(kind.name());
            for _ in 0..4 {
                tokio::time::advance(Duration::from_secs(600)).await;
                bench.cloud.meddle(|resources| {
                    for one in resources.iter_mut().filter(|one| one.kind == kind.name()) {
                        let mutable = |name: &String| {
                            kind.fields.get(name).is_none_or(|f| !is_mutable(kind, f) || f.read.is_none())
                        };
                        one.values.retain(|name, _| mutable(name));
                    }
                });
                bench.run(&wish.all()).await.all_settled()?;
                let now = bench.cloud.alive(kind.name());
                let values = |of: &[cso_sim::Resource]| of.iter().map(|one| one.values.clone()).collect::<Vec<_>>();
                let open =
                    crate::wishes::unfulfilled(kind, &now[0], &wish, None, |reference| bench.companion(reference));
                ensure(open.is_none(), || format!("{open:?} {:?} {:?}", values(&made), values(&now)))?;
            }
            Ok(())
        })
    });
}
