//! Law 10, Crash: killed before or after any call or commit, the next process ends with exactly one resource, no orphan,
//! nothing stuck, and at most one call made twice.

use std::sync::Arc;
use std::time::Duration;

use cso_core::Object;
use cso_schema::kind::Kind;
use cso_sim::{Behaviour, Fault, Kill};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::bench::{Bench, KINDS, deleting, ensure, paused};
use crate::wishes::{Wish, edited_from_maximal, unfulfilled};

/// One story: what is there before the process that dies starts, what it works on, and what the next one finds wished.
struct Story {
    name: &'static str,
    settled: Option<Wish>,
    killed: Vec<Object>,
    next: Vec<Object>,
    /// The wish that must be fulfilled in the end; `None`: the resource must be gone.
    end: Option<Wish>,
}

/// A wish of a kind with everything set, and the longest of many edits that change something, if its kind has anything
/// that can be changed; the same every time.
fn wishes(kind: &Arc<Kind>) -> (Wish, Option<Wish>) {
    let mut runner = TestRunner::deterministic();
    let edits = (0..40).map(|_| edited_from_maximal(kind).new_tree(&mut runner).expect("an edit").current());
    let differs = |(before, after): &(Wish, Wish)| before.object.spec != after.object.spec;
    let size = |(before, after): &(Wish, Wish)| before.others.len() * 10_000 + after.object.spec.to_string().len();
    let (before, after) = edits.max_by_key(|edit| (differs(edit), size(edit))).expect("one");
    let after = (before.object.spec != after.object.spec).then_some(after);
    (before, after)
}

fn stories(kind: &Arc<Kind>) -> Vec<Story> {
    let (whole, after) = wishes(kind);
    let gone = || whole.with(deleting(&whole.object));
    let mut stories = vec![
        Story { name: "create", settled: None, killed: whole.all(), next: whole.all(), end: Some(whole.clone()) },
        Story { name: "create, deleted while down", settled: None, killed: whole.all(), next: gone(), end: None },
        Story { name: "delete", settled: Some(whole.clone()), killed: gone(), next: gone(), end: None },
    ];
    let Some(after) = after else { return stories };
    stories.extend([
        Story {
            name: "create, edited while down",
            settled: None,
            killed: whole.all(),
            next: after.all(),
            end: Some(after.clone()),
        },
        Story {
            name: "update",
            settled: Some(whole.clone()),
            killed: after.all(),
            next: after.all(),
            end: Some(after.clone()),
        },
        Story {
            name: "update, taken back while down",
            settled: Some(whole.clone()),
            killed: after.all(),
            next: whole.all(),
            end: Some(whole.clone()),
        },
        Story {
            name: "update, deleted while down",
            settled: Some(whole.clone()),
            killed: after.all(),
            next: gone(),
            end: None,
        },
    ]);
    stories
}

#[test]
fn crash() {
    let mut broken = Vec::new();
    for kind in KINDS.iter() {
        for story in stories(kind) {
            let most = paused(undisturbed(&story)) + 1;
            // What becomes of an open create depends on how long nobody looked.
            let times: &[(u64, u32)] = if story.settled.is_none() { &[(0, 0), (0, 2), (3600, 0)] } else { &[(0, 0)] };
            for (pause, lag) in times.iter().copied() {
                let mut n = 0;
                let mut died = true;
                while died {
                    n += 1;
                    let result;
                    let behaviour = Behaviour { lag, ..Behaviour::default() };
                    (died, result) = paused(die_and_recover(kind, &story, n, (pause, behaviour), most));
                    if let Err(why) = result {
                        let name = format!("{} {}", kind.name(), story.name);
                        broken.push(format!("{name}, killed at {n}, down {pause} s, {lag} old answers: {why}"));
                    }
                }
                assert!(n > 1, "{} {}: a story without a point is none", kind.name(), story.name);
            }
        }
    }
    assert!(broken.is_empty(), "{} of them\n{}", broken.len(), broken[..broken.len().min(40)].join("\n"));
}

/// Says whether the first process died at all, and what is wrong in the end.
async fn die_and_recover(
    kind: &Kind,
    story: &Story,
    n: usize,
    (pause, behaviour): (u64, Behaviour),
    most: usize,
) -> (bool, Result<(), String>) {
    let bench = Bench::new();
    if let Some(settled) = &story.settled {
        bench.run(&settled.all()).await;
    }
    bench.cloud.forget_calls();
    bench.cloud.behave(behaviour);
    let died = bench.run_until(&story.killed, Kill::at(n)).await.summary.is_none();
    tokio::time::advance(Duration::from_secs(pause)).await;
    let ended = bench.run(&story.next).await.all_settled();
    let calls = bench.cloud.mutations();
    let bounded = || ensure(calls.len() <= most, || format!("{} calls, {most} allowed: {calls:?}", calls.len()));
    (died, ended.and_then(|()| check_end(kind, story, &bench)).and_then(|()| bounded()))
}

/// How many calls it takes to make both wishes true one after the other when nothing happens.
async fn undisturbed(story: &Story) -> usize {
    let bench = Bench::new();
    if let Some(settled) = &story.settled {
        bench.run(&settled.all()).await;
    }
    bench.cloud.forget_calls();
    bench.run(&story.killed).await;
    bench.run(&story.next).await;
    bench.cloud.mutations().len()
}

fn check_end(kind: &Kind, story: &Story, bench: &Bench) -> Result<(), String> {
    let wrong = bench.cloud.wrong();
    ensure(wrong.is_empty(), || format!("calls that the API forbids: {wrong:?}"))?;
    let alive = bench.cloud.alive(kind.name());
    let Some(end) = &story.end else {
        ensure(alive.is_empty(), || format!("{} resources are left", alive.len()))?;
        let key = &story.killed.last().expect("an object").key;
        return ensure(bench.record(key).is_none(), || "its record is left".to_owned());
    };
    ensure(alive.len() == 1, || format!("there are {} resources", alive.len()))?;
    for other in &end.others {
        let companions = bench.cloud.alive(&other.key.kind).len();
        ensure(companions == 1, || format!("{companions} of {}", other.key))?;
    }
    let open = unfulfilled(kind, &alive[0], end, None, |reference| bench.companion(reference));
    ensure(open.is_none(), || open.unwrap_or_default())
}

/// The reply of a call is lost while the process lives, or the request is: the outcome is the same as ever.
#[test]
fn reply_lost() {
    let mut broken = Vec::new();
    for kind in KINDS.iter() {
        for story in stories(kind).into_iter().filter(|story| !story.name.contains("while down")) {
            let operations = paused(async {
                let bench = Bench::new();
                if let Some(settled) = &story.settled {
                    bench.run(&settled.all()).await;
                }
                bench.cloud.forget_calls();
                bench.run(&story.killed).await;
                bench.cloud.made().into_iter().map(|made| made.operation).collect::<std::collections::BTreeSet<_>>()
            });
            for operation in operations {
                for fault in [Fault::reply_lost(&operation), Fault::request_lost(&operation)] {
                    let name = format!("{} {}: {:?} of {operation}", kind.name(), story.name, fault.kind);
                    let result = paused(async {
                        let bench = Bench::new();
                        if let Some(settled) = &story.settled {
                            bench.run(&settled.all()).await.all_settled()?;
                        }
                        bench.cloud.fail(fault);
                        bench.run(&story.killed).await.all_settled()?;
                        check_end(kind, &story, &bench)
                    });
                    broken.extend(result.err().map(|why| format!("{name}: {why}")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{} of them\n{}", broken.len(), broken[..broken.len().min(40)].join("\n"));
}
