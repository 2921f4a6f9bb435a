//! The life of an object of every kind, on every emulator, from a directory and in a cluster, judged by boto3 and the proxy.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use cso_testbed::Kind;
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, Directory, InCluster};
use crate::cases::{self, Case, Field, holds};
use crate::controller::scene::Subject;
use crate::gaps::Verdicts;
use crate::play::{self, Play};
use crate::stage::{self, Stage, Tally};

/// Every check of every kind that an emulator plays; those that it cannot pass are listed.
fn every_kind_lives_as_declared(emulator: Kind) -> Result<()> {
    let mut stage = Stage::open(emulator)?;
    let mut verdicts = Verdicts::on(emulator)?;
    for case in &cases::all_on(emulator)? {
        for (id, check) in checks(case) {
            verdicts.hear(&id, play::told(case, &mut Directory::of(&mut stage), check));
        }
    }
    let checks = verdicts.end()?;
    stage::figures(&format!("life: {checks} checks on {}", emulator.name()));
    Ok(())
}

on_every_emulator!(every_kind_lives_as_declared);

/// The same checks in a cluster, but for those that the emulator cannot pass.
fn lives_in_a_cluster(emulator: Kind, plays: impl Fn(&Case) -> bool) -> Result<()> {
    let mut home = InCluster::open(emulator)?;
    let verdicts = Verdicts::on(emulator)?;
    let mut tally = Tally::default();
    for case in cases::all_on(emulator)?.iter().filter(|case| plays(case)) {
        for (id, check) in checks(case).into_iter().filter(|(id, _)| !verdicts.is_listed(id)) {
            tally.add(&id, play::told(case, &mut home, check));
        }
    }
    tally.close(&format!("life in a cluster before {}", emulator.name()))
}

/// Two halves, so that they run side by side.
#[test]
fn roles_and_tables_live_in_a_cluster_as_declared() -> Result<()> {
    lives_in_a_cluster(Kind::Ministack, |case| ["iam", "dynamodb", "s3"].contains(&case.service()))
}

#[test]
fn queues_and_keys_live_in_a_cluster_as_declared() -> Result<()> {
    lives_in_a_cluster(Kind::Ministack, |case| !["iam", "dynamodb", "s3"].contains(&case.service()))
}

#[test]
fn what_the_first_emulator_lacks_lives_in_a_cluster_as_declared() -> Result<()> {
    lives_in_a_cluster(Kind::Moto, |case| play::first_that_plays(case) == Kind::Moto)
}

type Check<'c> = Box<dyn Fn(&mut Play<'_>) -> Result<()> + 'c>;

/// What is checked of a case, each from an empty cloud on.
fn checks(case: &Case) -> Vec<(String, Check<'_>)> {
    let id = &case.id;
    let mut all: Vec<(String, Check<'_>)> = vec![(format!("{id}: life"), Box::new(life))];
    for (name, field) in &case.fields {
        all.push((format!("{id}.{name}"), Box::new(|play| field_of(play, name, field))));
    }
    for (name, other) in &case.immutable {
        all.push((format!("{id}.{name}: immutable"), Box::new(|play| immutable(play, name, other))));
    }
    if let Some(drift) = &case.drift {
        all.push((format!("{id}: drift"), Box::new(|play| drifts(play, drift))));
    }
    all
}

/// Plan, apply, rest, delete.
fn life(play: &mut Play<'_>) -> Result<()> {
    let others = play.everything()?;
    play.declares(&Map::new())?;
    let plan = play.plan()?.ends(2)?.json()?;
    play.settles()?;
    let planned: Vec<&str> = calls_of(&plan);
    ensure!(play.operations() == planned, "planned {planned:?}, made {:?}", play.operations());
    let traffic = play.traffic();
    ensure!(play.case.kind != "Queue" || traffic <= 3, "creating a queue took {traffic} calls");
    ensure!(play.everything()?.len() == others.len() + 1, "there is not one more than before");
    play.rests()?;
    ensure!(play.plan()?.ends(0)?.json()?["summary"]["calls"] == 0, "a plan at rest");

    let object = play.object()?.unwrap_or_default();
    let shown = &object["status"]["ackResourceMetadata"][if play.case.nameless { "region" } else { "arn" }];
    ensure!(shown.is_string(), "no ARN in {object}");
    play.goes()?;
    ensure!(play.calls().len() == 1, "deleting took {:?}", play.operations());
    ensure!(play.everything()? == others, "after the delete there is {:?}", play.everything()?);
    Ok(())
}

/// Operations of the only object of a plan.
fn calls_of(plan: &Value) -> Vec<&str> {
    let steps = plan["objects"][0]["steps"].as_array().map_or(&[][..], Vec::as_slice);
    steps.iter().filter_map(|step| step["call"]["operation"].as_str()).collect()
}

/// Set at creation, changed, removed; each time the documented calls and nothing else, and rest afterwards.
fn field_of(play: &mut Play<'_>, name: &str, field: &Field) -> Result<()> {
    let with = |value: Value| {
        let mut more = field.with.clone();
        more.insert(name.to_owned(), value);
        more
    };
    play.declares(&with(field.values[0].clone()))?;
    play.settles()?;
    play.shows(&field.at, Some(field.sees(0)))?;
    play.rests()?;

    play.declares(&with(field.values[1].clone()))?;
    play.settles()?;
    ensure!(play.operations() == field.change, "the change made {:?}", play.operations());
    for value in field.carries() {
        let value = play.filled(&value);
        let calls = play.calls();
        ensure!(calls.iter().any(|call| holds(&call.input, &value)), "no call carries {value}: {calls:?}");
    }
    play.shows(&field.at, Some(field.sees(1)))?;
    play.rests()?;

    if field.removed == "required" {
        return Ok(());
    }
    play.declares(&with(Value::Null))?;
    let plan = play.plan()?;
    play.settles()?;
    match field.removed.as_str() {
        Some("kept") => {
            ensure!(play.calls().is_empty(), "a kept field was removed by {:?}", play.operations());
            play.shows(&field.at, Some(field.sees(1)))?;
            plan.ends(0)?.tells("is kept as it is")?;
            // It is said once; the next look finds nothing to say, and takes the advisory back.
            play.settles()?;
        }
        other => {
            let unchanged = alike_or_absent(field, other);
            let calls = play.operations();
            ensure!(unchanged || calls == field.removal(), "the removal made {calls:?}");
            play.shows(&field.at, (other != Some("absent")).then_some(&field.removed))?;
        }
    }
    play.rests()
}

/// Whether the second value is what a removal leads to, so that there is nothing to call.
fn alike_or_absent(field: &Field, removed: Option<&str>) -> bool {
    removed != Some("absent") && holds(field.sees(1), &field.removed)
}

/// Refused with a reason, and nothing called.
fn immutable(play: &mut Play<'_>, name: &str, other: &Value) -> Result<()> {
    play.declares(&Map::new())?;
    play.settles()?;
    let before = play.everything()?;
    play.declares(&Map::from_iter([(name.to_owned(), other.clone())]))?;
    let path = format!("spec.{name}");
    let plan = play.plan()?.ends(1)?;
    plan.tells(&path)?.tells("cannot be changed after creation")?.tells("story")?;
    play.is_refused_a_change(&path)?;
    ensure!(play.everything()? == before, "a refused change changed something");
    play.declares(&Map::new())?;
    play.settles()
}

/// Found by a plan and repaired by a look.
fn drifts(play: &mut Play<'_>, drift: &cases::Drift) -> Result<()> {
    play.declares(&drift.spec)?;
    play.settles()?;
    let ours = play.sees(&drift.at)?;
    play.behind_our_back(&drift.steps)?;
    ensure!(play.sees(&drift.at)? != ours, "nothing was changed behind the back");
    play.plan()?.ends(2)?;
    play.settles()?;
    ensure!(play.calls().len() == 1, "the repair made {:?}", play.operations());
    play.shows(&drift.at, ours.as_ref())?;
    play.rests()
}

/// What refers to an object is made after it, and let go before it.
#[test]
fn references_are_filled_and_let_go_in_order() -> Result<()> {
    let cases = cases::one_of_each_kind_on(Kind::Ministack)?;
    let topic = cases.iter().find(|case| case.kind == "Topic").context("there is a topic")?;
    play::alike(topic, &mut InCluster::open(Kind::Ministack)?, |play| {
        let others = play.everything()?;
        play.declares(&Map::new())?;
        let topic = json!({"from": {"name": "story"}});
        play.beside(&json!({
            "apiVersion": play.case.api, "kind": "Subscription", "metadata": {"name": "subscription"},
            "spec": {"protocol": "sqs", "endpoint": "arn:aws:sqs:eu-west-1:000000000000:in", "topicRef": topic},
        }))?;
        play.plan()?.ends(2)?;
        let made = |adapter: &dyn Adapter| Ok(adapter.stage().everything()?.len() == others.len() + 2);
        play.settles_until(made)?;
        ensure!(play.operations() == ["CreateTopic", "Subscribe"], "they were made by {:?}", play.operations());
        play.rests()?;
        play.plan()?.ends(0)?;
        play.goes()?;
        ensure!(play.operations() == ["Unsubscribe", "DeleteTopic"], "they were let go by {:?}", play.operations());
        ensure!(play.everything()? == others, "left: {:?}", play.everything()?);
        Ok(())
    })
}

/// A field that somebody adds to a kind must be in the table, or say why not.
#[test]
fn the_table_has_every_field() -> Result<()> {
    let stage = Stage::open(Kind::Roto)?;
    for case in cases::one_of_each_kind()? {
        let kind = Subject::new(&case.api, &case.kind, "any").full_kind();
        let explained = stage.cso(&["explain", &kind, "-o", "json"])?.ends(0)?.json()?;
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
