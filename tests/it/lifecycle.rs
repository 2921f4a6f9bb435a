//! The life of an object of every kind, on every emulator, judged by boto3 and the proxy.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use cso_testbed::{AwsCall, Kind};
use serde_json::{Map, Value};

use crate::cases::{self, Case, Field, holds};
use crate::gaps::Verdicts;
use crate::stage::{self, APPLY, Stage};

fn every_kind_lives_as_declared(emulator: Kind) -> Result<()> {
    let mut stage = Stage::open(emulator)?;
    let mut verdicts = Verdicts::on(emulator)?;
    for case in &cases::all_on(emulator)? {
        let id = &case.id;
        verdicts.hear(&format!("{id}: life"), life(case, &mut stage));
        for (name, field) in &case.fields {
            verdicts.hear(&format!("{id}.{name}"), field_of(case, name, field, &mut stage));
        }
        for (name, other) in &case.immutable {
            verdicts.hear(&format!("{id}.{name}: immutable"), immutable(case, name, other, &mut stage));
        }
        if let Some(drift) = &case.drift {
            verdicts.hear(&format!("{id}: drift"), drifts(case, drift, &mut stage));
        }
    }
    let checks = verdicts.end()?;
    stage::figures(&format!("life: {checks} checks on {}", emulator.name()));
    Ok(())
}

on_every_emulator!(every_kind_lives_as_declared);

fn names(calls: &[AwsCall]) -> Vec<&str> {
    calls.iter().map(|call| call.operation.as_str()).collect()
}

/// Plan, apply, rest, delete.
fn life(case: &Case, stage: &mut Stage) -> Result<()> {
    let kept = case.set(stage)?;
    let others = stage.everything()?;
    case.declare(stage, &kept, case.spec(&Map::new()))?;
    let plan = stage.cso(&["plan", "-f", "m", "-o", "json"])?.ends(2)?.json()?;
    ensure!(plan["summary"]["create"] == 1, "the plan creates nothing: {plan}");
    ensure!(stage.mutations().is_empty(), "a plan made a mutating call");

    let applied = stage.cso(&["apply", "-f", "m", "--wait", "-o", "json"])?.ends(0)?.json()?;
    ensure!(applied["objects"][0]["state"] == "settled", "apply says {applied}");
    let calls = stage.proxy.calls();
    let made = stage.mutations();
    let planned: Vec<&str> = calls_of(&plan);
    ensure!(names(&made) == planned, "planned {planned:?}, made {:?}", names(&made));
    let cloud_calls = calls.iter().filter(|call| call.service != "sts").count();
    ensure!(case.kind != "Queue" || cloud_calls <= 3, "creating a queue took {cloud_calls} calls: {calls:?}");
    ensure!(stage.everything()?.len() == others.len() + 1, "there is not one more than before");
    stage.rests()?;
    ensure!(stage.cso(&["plan", "-f", "m", "-o", "json"])?.ends(0)?.json()?["summary"]["calls"] == 0, "a plan at rest");

    let objects = stage.cso(&["get", &case.kind, "story", "-o", "json"])?.ends(0)?.json()?;
    let shown = &objects["status"]["ackResourceMetadata"][if case.nameless { "region" } else { "arn" }];
    ensure!(shown.is_string(), "no ARN in {objects}");
    stage.cso(&["delete", "-f", "m", "-o", "json"])?.ends(0)?.json()?;
    let calls = stage.mutations();
    ensure!(calls.len() == 1, "deleting took {:?}", names(&calls));
    ensure!(stage.everything()? == others, "after the delete there is {:?}", stage.everything()?);
    stage.cso(&["delete", "-f", "m"])?.ends(0)?.tells("nothing to do")?;
    Ok(())
}

/// Operations of the only object of a plan.
fn calls_of(plan: &Value) -> Vec<&str> {
    let steps = plan["objects"][0]["steps"].as_array().map_or(&[][..], Vec::as_slice);
    steps.iter().filter_map(|step| step["call"]["operation"].as_str()).collect()
}

/// Set at creation, changed, removed; each time the documented calls and nothing else, and rest afterwards.
fn field_of(case: &Case, name: &str, field: &Field, stage: &mut Stage) -> Result<()> {
    let kept = case.set(stage)?;
    let with = |value: Value| {
        let mut more = field.with.clone();
        more.insert(name.to_owned(), value);
        case.spec(&more)
    };
    case.declare(stage, &kept, with(field.values[0].clone()))?;
    stage.cso(&APPLY)?.ends(0)?;
    case.shows(stage, &kept, &field.at, Some(field.sees(0)))?;
    stage.rests()?;

    case.declare(stage, &kept, with(field.values[1].clone()))?;
    stage.cso(&APPLY)?.ends(0)?;
    let calls = stage.mutations();
    ensure!(names(&calls) == field.change, "the change made {:?}", names(&calls));
    for value in field.carries() {
        let value = crate::steps::filled(&value, &kept);
        ensure!(calls.iter().any(|call| holds(&call.input, &value)), "no call carries {value}: {calls:?}");
    }
    case.shows(stage, &kept, &field.at, Some(field.sees(1)))?;
    stage.rests()?;

    if field.removed == "required" {
        return Ok(());
    }
    case.declare(stage, &kept, with(Value::Null))?;
    let plan = stage.cso(&["plan", "-f", "m"])?;
    stage.cso(&APPLY)?.ends(0)?;
    let calls = stage.mutations();
    match field.removed.as_str() {
        Some("kept") => {
            ensure!(calls.is_empty(), "a kept field was removed by {:?}", names(&calls));
            case.shows(stage, &kept, &field.at, Some(field.sees(1)))?;
            plan.ends(0)?.tells("is kept as it is")?;
            // It is said once; the next look finds nothing to say, and takes the advisory back.
            stage.cso(&APPLY)?.ends(0)?;
        }
        other => {
            let unchanged = alike_or_absent(field, other);
            ensure!(unchanged || names(&calls) == field.removal(), "the removal made {:?}", names(&calls));
            case.shows(stage, &kept, &field.at, (other != Some("absent")).then_some(&field.removed))?;
        }
    }
    stage.rests()
}

/// Whether the second value is what a removal leads to, so that there is nothing to call.
fn alike_or_absent(field: &Field, removed: Option<&str>) -> bool {
    removed != Some("absent") && holds(field.sees(1), &field.removed)
}

/// Refused with a reason, and nothing called.
fn immutable(case: &Case, name: &str, other: &Value, stage: &mut Stage) -> Result<()> {
    let kept = case.set(stage)?;
    case.declare(stage, &kept, case.spec(&Map::new()))?;
    stage.cso(&APPLY)?.ends(0)?;
    stage.mutations();
    let before = stage.everything()?;
    let more = Map::from_iter([(name.to_owned(), other.clone())]);
    case.declare(stage, &kept, case.spec(&more))?;
    let path = format!("spec.{name}");
    for command in [&["plan", "-f", "m"][..], &APPLY] {
        stage.cso(command)?.ends(1)?.tells(&path)?.tells("cannot be changed after creation")?.tells("story")?;
    }
    ensure!(stage.mutations().is_empty(), "a refused change made a call");
    ensure!(stage.everything()? == before, "a refused change changed something");
    case.declare(stage, &kept, case.spec(&Map::new()))?;
    stage.cso(&APPLY)?.ends(0)?;
    Ok(())
}

/// Found by a plan and repaired by an apply.
fn drifts(case: &Case, drift: &cases::Drift, stage: &mut Stage) -> Result<()> {
    let kept = case.set(stage)?;
    case.declare(stage, &kept, case.spec(&drift.spec))?;
    stage.cso(&APPLY)?.ends(0)?;
    let ours = case.see(stage, &kept, &drift.at)?;
    crate::steps::run(&drift.steps, &stage.cloud, &mut kept.clone())?;
    ensure!(case.see(stage, &kept, &drift.at)? != ours, "nothing was changed behind the back");
    stage.mutations();
    stage.cso(&["plan", "-f", "m"])?.ends(2)?;
    ensure!(stage.mutations().is_empty(), "a plan made a mutating call");
    stage.cso(&APPLY)?.ends(0)?;
    let calls = stage.mutations();
    ensure!(calls.len() == 1, "the repair made {:?}", names(&calls));
    case.shows(stage, &kept, &drift.at, ours.as_ref())?;
    stage.rests()
}

/// A field that somebody adds to a kind must be in the table, or say why not.
#[test]
fn the_table_has_every_field() -> Result<()> {
    let stage = Stage::open(Kind::Roto)?;
    for case in cases::one_of_each_kind()? {
        let explained =
            stage.cso(&["explain", &format!("{}.{}", case.kind, service(&case)), "-o", "json"])?.ends(0)?.json()?;
        let fields = explained["fields"].as_array().map_or(&[][..], Vec::as_slice);
        let mut known: BTreeSet<&str> = case.fields.keys().map(String::as_str).collect();
        known.extend(case.immutable.keys().map(String::as_str));
        known.extend(case.untested.keys().map(String::as_str));
        for field in fields {
            let name = field["name"].as_str().unwrap_or_default();
            let refers = field["rules"].to_string().contains("->");
            ensure!(refers || known.contains(name), "{}.{name} is in no row of cases.toml", case.id);
        }
    }
    Ok(())
}

fn service(case: &Case) -> &str {
    case.api.split('.').next().unwrap_or_default()
}
