//! Laws of getting there, and of staying there.

use std::collections::BTreeSet;

use cso_core::Object;
use cso_engine::conditions::Standing;
use cso_engine::engine::{Preview, Progress};
use proptest::prelude::*;
use serde_json::json;

use crate::bench::{Bench, CONCURRENCY, ensure, for_all, kind, object, paused};
use crate::wishes::{behaviour, edited, unfulfilled, wish};

/// Law 1, Rest: what converged stays as it is: no call changes anything, no commit is made.
#[test]
fn rest() {
    for_all(
        24,
        |kind| (wish(kind), behaviour()).boxed(),
        |kind, (wish, behaviour)| {
            paused(async {
                let bench = Bench::new();
                bench.cloud.behave(behaviour);
                bench.run(&wish.all()).await.all_settled()?;
                let wrong = bench.cloud.wrong();
                ensure(wrong.is_empty(), || format!("calls that the API forbids: {wrong:?}"))?;
                let alive = bench.cloud.alive(kind.name());
                ensure(alive.len() == 1, || format!("there are {} resources", alive.len()))?;
                let open = unfulfilled(kind, &alive[0], &wish, None, |reference| bench.companion(reference));
                ensure(open.is_none(), || open.unwrap_or_default())?;
                let commits = bench.store.commits();
                bench.cloud.forget_calls();
                bench.run(&wish.all()).await.all_settled()?;
                let calls = bench.cloud.mutations();
                ensure(calls.is_empty(), || format!("calls at rest: {calls:?}"))?;
                ensure(bench.store.commits() == commits, || "commits at rest".to_owned())
            })
        },
    );
}

/// Law 2, Progress, and law 6, Presence: an edit converges in as many calls as its plan has steps; what was taken out is
/// cleared, or kept and said so.
#[test]
fn progress() {
    for_all(
        48,
        |kind| (edited(kind), behaviour()).boxed(),
        |kind, ((before, after), behaviour)| {
            paused(async {
                let bench = Bench::new();
                bench.cloud.behave(behaviour);
                bench.run(&before.all()).await.all_settled()?;
                let plan = match bench.preview(&after.all(), &after.object.key).await {
                    Preview::Steps(plan) => plan.steps.len(),
                    Preview::Nothing { .. } => 0,
                    other => return Err(format!("{other:?}")),
                };
                bench.cloud.forget_calls();
                let ran = bench.run(&after.all()).await;
                ran.all_settled()?;
                let calls: Vec<String> =
                    ran.called(&after.object.key).into_iter().map(|step| step.call.operation).collect();
                ensure(calls.len() <= plan, || format!("{} calls for {plan} steps: {calls:?}", calls.len()))?;
                let alive = bench.cloud.alive(kind.name());
                ensure(alive.len() == 1, || format!("there are {} resources", alive.len()))?;
                let open = unfulfilled(kind, &alive[0], &after, Some(&before), |reference| bench.companion(reference));
                ensure(open.is_none(), || open.unwrap_or_default())
            })
        },
    );
}

/// However many objects wait, no more are begun than turns go on at once; the others wait until one is settled.
#[test]
fn begun_is_finished() {
    const OBJECTS: usize = 100;
    let kind = kind("Queue");
    let queues: Vec<Object> = (0..OBJECTS)
        .map(|number| object(kind, &format!("q{number}"), json!({"queueName": format!("q{number}")})))
        .collect();
    let ran = paused(async { Bench::new().run(&queues).await });
    ran.all_settled().expect("each is as wished");
    let (mut begun, mut most) = (BTreeSet::new(), 0);
    for progress in &ran.progress {
        match progress {
            Progress::Calling { object, .. } => begun.insert(object),
            Progress::Standing { object, standing: Standing::Synced { .. } } => begun.remove(object),
            _ => continue,
        };
        most = most.max(begun.len());
    }
    assert!(begun.is_empty(), "called for and never settled: {begun:?}");
    assert!((1..=4 * CONCURRENCY).contains(&most), "{most} of {OBJECTS} were begun and not finished");
}
