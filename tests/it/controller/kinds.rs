//! Every kind through the cluster, beside the same through a directory: the same calls, and boto3 sees the same.

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{AwsCall, Kind};
use serde_json::{Map, Value, json};

use super::scene::Scene;
use crate::cases::{self, Case};
use crate::crash::fields;
use crate::stage::{self, APPLY, DELETE};
use crate::steps::{Kept, filled};

/// What a step of an object's life called.
type Calls = Vec<String>;

/// The spec with the first or second value of each field that the crash matrix changes.
fn spec(case: &Case, which: usize) -> Map<String, Value> {
    let mut more = Map::new();
    for name in fields(case) {
        let field = &case.fields[*name];
        more.extend(field.with.clone());
        more.insert((*name).to_owned(), field.values[which].clone());
    }
    case.spec(&more)
}

/// Operations and what they are about. Owner marks name the state and idempotency tokens the attempt: they differ.
fn names(calls: &[AwsCall]) -> Calls {
    calls.iter().map(|call| format!("{}.{}", call.service, call.operation)).collect()
}

/// The life of an object from a directory: made, changed, deleted.
fn from_a_directory(scene: &mut Scene, case: &Case) -> Result<[Calls; 3]> {
    let kept = case.set(&mut scene.stage)?;
    let mut calls = Vec::new();
    for which in 0..2 {
        case.declare(&scene.stage, &kept, spec(case, which))?;
        scene.stage.cso(&APPLY)?.ends(0)?;
        calls.push(names(&scene.stage.mutations()));
    }
    scene.stage.cso(&DELETE)?.ends(0)?;
    calls.push(names(&scene.stage.mutations()));
    calls.try_into().map_err(|_| anyhow::anyhow!("three steps"))
}

/// The same in the cluster, judged by boto3 after each step.
fn in_the_cluster(scene: &mut Scene, case: &Case) -> Result<[Calls; 3]> {
    let kept = case.set(&mut scene.stage)?;
    if !case.secrets().is_empty() {
        put_secrets(scene, case)?;
    }
    let others = scene.stage.everything()?;
    let subject = scene.subject(&case.api, &case.kind, "story")?;
    let mut controller = scene.controller(&[])?;
    scene.stage.mutations();
    let mut calls = Vec::new();
    for which in 0..2 {
        let wish = filled(&Value::Object(spec(case, which)), &kept);
        let wish = match scene.read(&subject)? {
            None => wish,
            // What the provider chose stays.
            Some(known) => merged(&known["spec"], &wish),
        };
        scene.declare(&subject, &wish)?;
        scene.synced(&subject).with_context(|| controller.told().unwrap_or_default())?;
        calls.push(names(&scene.stage.mutations()));
        shows(scene, case, &kept, which)?;
    }
    scene.delete(&subject)?;
    calls.push(names(&scene.stage.mutations()));
    ensure!(scene.stage.everything()? == others, "left: {:?}", scene.stage.everything()?);
    controller.interrupt()?;
    controller.end()?;
    calls.try_into().map_err(|_| anyhow::anyhow!("three steps"))
}

fn merged(known: &Value, wish: &Value) -> Value {
    let mut all = known.clone();
    for (name, value) in wish.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all
}

fn put_secrets(scene: &Scene, case: &Case) -> Result<()> {
    let metadata = json!({"name": "values", "namespace": "default"});
    let values = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": case.secrets()});
    match scene.reader.create(&values) {
        Err(error) if error.status() == Some(409) => scene.reader.merge(&values).map(drop)?,
        done => drop(done?),
    }
    Ok(())
}

fn shows(scene: &Scene, case: &Case, kept: &Kept, which: usize) -> Result<()> {
    for name in fields(case) {
        let field = &case.fields[*name];
        let seen = case.shows(&scene.stage, kept, &field.at, Some(field.sees(which)));
        seen.with_context(|| format!("{name}, value {which}"))?;
    }
    Ok(())
}

#[test]
fn every_kind_lives_in_a_cluster_as_in_a_directory() -> Result<()> {
    let mut scene = Scene::open()?;
    let cases = cases::one_of_each_kind_on(Kind::Ministack)?;
    let mut wrong = Vec::new();
    for case in &cases {
        let compared = from_a_directory(&mut scene, case).context("in the directory").and_then(|there| {
            let here = in_the_cluster(&mut scene, case).context("in the cluster")?;
            ensure!(there == here, "the directory called {there:?}, the cluster {here:?}");
            Ok(())
        });
        if let Err(error) = compared {
            wrong.push(format!("{}: {error:#}", case.id));
            scene.abandon(&scene.subject(&case.api, &case.kind, "story")?)?;
        }
    }
    stage::figures(&format!("{} kinds in a cluster, {} wrong", cases.len(), wrong.len()));
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
