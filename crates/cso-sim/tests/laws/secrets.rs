//! Law 17, Secrets: no byte of a secret is in a plan, a record, an error, a condition or an event.

use cso_core::ErrorClass;
use cso_schema::kind::Role;
use cso_sim::Fault;
use proptest::prelude::*;

use crate::bench::{Bench, NAMESPACE, Ran, SECRET, deleting, ensure, for_all, paused};
use crate::wishes::{edited, rotated, wish};

const ROTATED: &str = "c0rrect-h0rse-also-never-to-be-seen";

fn check(bench: &Bench, ran: &Ran, more: &str) -> Result<(), String> {
    let told = format!("{:?} {:?} {more} {}", ran.progress, ran.summary, bench.store.text());
    let leaked = [SECRET, ROTATED].into_iter().find(|secret| told.contains(&secret[..8]));
    ensure(leaked.is_none(), || "a secret was told".to_owned())
}

#[test]
fn secrets() {
    for_all(
        24,
        |kind| (edited(kind), any::<bool>()).boxed(),
        |kind, ((before, after), refuse)| {
            paused(async {
                let bench = Bench::new();
                if refuse {
                    bench.cloud.fail(Fault::refused(&kind.create.operation, 1, ErrorClass::Transient));
                    if let Some(update) = &kind.update {
                        bench.cloud.fail(Fault::refused(&update.call.operation, 1, ErrorClass::Throttled));
                    }
                }
                let after = rotated(kind, &after, ROTATED);
                for (wish, secret) in [(&before, SECRET), (&after, ROTATED)] {
                    bench.secrets.set(NAMESPACE, "credentials", "password", secret);
                    let plan = bench.preview(&wish.all(), &wish.object.key).await;
                    let shown = serde_json::to_string(&plan).map_err(|error| error.to_string())?;
                    let ran = bench.run(&wish.all()).await;
                    ran.all_settled()?;
                    check(&bench, &ran, &format!("{plan:?} {shown}"))?;
                }
                let ran = bench.run(&after.with(deleting(&after.object))).await;
                check(&bench, &ran, "")
            })
        },
    );
}

/// Another value behind the same reference is one write, and reaches the cloud.
#[test]
fn a_rotated_secret_is_written_once() {
    for_all(8, wish, |kind, wish| {
        let secret = kind.fields.values().find(|field| field.role == Role::Secret);
        let Some(field) = secret.filter(|field| wish.object.spec.get(&field.name).is_some()) else { return Ok(()) };
        paused(async {
            let bench = Bench::new();
            bench.run(&wish.all()).await.all_settled()?;
            bench.cloud.forget_calls();
            bench.secrets.set(NAMESPACE, "credentials", "password", ROTATED);
            bench.run(&rotated(kind, &wish, ROTATED).all()).await.all_settled()?;
            let stored = bench.cloud.alive(kind.name())[0].values.get(&field.name).cloned();
            ensure(stored == Some(cso_core::Tree::text(ROTATED)), || "the old value is still there".to_owned())?;
            ensure(bench.cloud.mutations().len() == 1, || format!("{:?}", bench.cloud.mutations()))
        })
    });
}
