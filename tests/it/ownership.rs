//! Whose resource it is: foreign ones are refused, lost states taken back, and what is let go of stays.

use std::fs;

use anyhow::{Result, ensure};
use cso_testbed::Kind;
use serde_json::{Map, Value, json};

use crate::cases::{self, Case};
use crate::stage::{APPLY, Stage};
use crate::steps::{self, Kept};

/// Everything boto3 can say about the case's resource.
fn portrait(case: &Case, stage: &Stage, kept: &Kept) -> Value {
    let views = case.view.iter().map(|(name, steps)| {
        let answer = steps::run(steps, &stage.cloud, &mut kept.clone());
        // Some policies are missing by an error.
        let mut answer = answer.unwrap_or_else(|error| error.to_string().into());
        // Looking at a secret's value changes this.
        answer.as_object_mut().and_then(|answer| answer.remove("LastAccessedDate"));
        (name.clone(), answer)
    });
    Value::Object(views.collect())
}

/// Each kind in turn, with the name of the kind on what goes wrong.
fn for_each_kind(emulator: Kind, story: impl Fn(&Case, &mut Stage) -> Result<()>) -> Result<()> {
    let mut stage = Stage::open(emulator)?;
    let results = cases::one_of_each_kind_on(emulator)?;
    let wrong: Vec<String> =
        results.iter().filter_map(|case| Some(format!("{}: {:#}", case.id, story(case, &mut stage).err()?))).collect();
    ensure!(wrong.is_empty(), "{}:\n{}", emulator.name(), wrong.join("\n"));
    Ok(())
}

fn a_foreign_resource_is_refused(emulator: Kind) -> Result<()> {
    for_each_kind(emulator, |case, stage| {
        if case.foreign.is_empty() {
            return Ok(());
        }
        let mut kept = case.set(stage)?;
        steps::run(&case.foreign, &stage.cloud, &mut kept)?;
        let before = (stage.everything()?, portrait(case, stage, &kept));
        case.declare(stage, &kept, case.spec(&Map::new()))?;
        stage.cso(&["plan", "-f", "m"])?.ends(1)?.tells("adopt")?.tells("story")?;
        stage.cso(&APPLY)?.ends(1)?.tells("adopt")?.tells("story")?;
        // Nothing of it is ours, so a delete lets it be.
        stage.cso(&["delete", "-f", "m"])?.ends(0)?;
        ensure!(stage.mutations().is_empty(), "a foreign resource was touched");
        ensure!((stage.everything()?, portrait(case, stage, &kept)) == before, "a foreign resource was changed");
        Ok(())
    })
}

fn adopted_on_the_users_word(emulator: Kind) -> Result<()> {
    for_each_kind(emulator, |case, stage| {
        if case.foreign.is_empty() {
            return Ok(());
        }
        let mut kept = case.set(stage)?;
        let adopt = json!({"services.k8s.aws/adoption-policy": "adopt"});
        case.declare_with(stage, &kept, case.spec(&Map::new()), &adopt)?;
        stage.cso(&APPLY)?.ends(1)?.tells("the resource to adopt does not exist")?;
        ensure!(stage.mutations().is_empty(), "made what was to be adopted");
        steps::run(&case.foreign, &stage.cloud, &mut kept)?;
        let before = stage.everything()?;
        case.declare_with(stage, &kept, case.spec(&Map::new()), &adopt)?;
        stage.cso(&["plan", "-f", "m"])?.tells("adopted")?;
        stage.cso(&APPLY)?.ends(0)?;
        ensure!(stage.everything()? == before, "adoption made or lost something");
        stage.rests()?;
        stage.cso(&["delete", "-f", "m"])?.ends(0)?;
        ensure!(stage.everything()?.len() + 1 == before.len(), "an adopted resource was not deleted");
        Ok(())
    })
}

fn a_lost_state_is_no_disaster(emulator: Kind) -> Result<()> {
    for_each_kind(emulator, |case, stage| {
        let kept = case.set(stage)?;
        let spec = || case.spec(&case.drift.as_ref().map_or(Map::new(), |drift| drift.spec.clone()));
        case.declare(stage, &kept, spec())?;
        stage.cso(&APPLY)?.ends(0)?;
        let there = stage.everything()?;
        stage.mutations();
        fs::remove_dir_all(stage.path().join(".cso"))?;

        stage.cso(&APPLY)?.ends(1)?.tells("story")?;
        ensure!(stage.everything()? == there, "a second clone made a second one");
        ensure!(stage.mutations().is_empty(), "a second clone made a mutating call");
        let unmarked = [
            "Alias",
            "Backup",
            "Grant",
            "Group",
            "PlatformApplication",
            "PlatformEndpoint",
            "ServiceLinkedRole",
            "Subscription",
        ];
        let marked = !unmarked.contains(&case.kind.as_str());
        if marked {
            stage.cso(&APPLY)?.ends(1)?.tells("--take-back")?;
        }
        stage.cso(&["apply", "-f", "m", "--wait", "--take-back"])?.ends(0)?;
        let calls = stage.mutations();
        ensure!(calls.is_empty(), "taking back made mutating calls: {calls:?}");
        stage.rests()?;
        if let Some(drift) = &case.drift {
            let ours = case.see(stage, &kept, &drift.at)?;
            steps::run(&drift.steps, &stage.cloud, &mut kept.clone())?;
            stage.cso(&APPLY)?.ends(0)?;
            case.shows(stage, &kept, &drift.at, ours.as_ref())?;
        }
        stage.cso(&["delete", "-f", "m"])?.ends(0)?;
        ensure!(stage.everything()?.len() + 1 == there.len(), "what was taken back was not deleted");
        Ok(())
    })
}

fn retained_on_the_users_word(emulator: Kind) -> Result<()> {
    for_each_kind(emulator, |case, stage| {
        let kept = case.set(stage)?;
        case.declare_with(
            stage,
            &kept,
            case.spec(&Map::new()),
            &json!({"services.k8s.aws/deletion-policy": "retain"}),
        )?;
        stage.cso(&APPLY)?.ends(0)?;
        let there = stage.everything()?;
        stage.mutations();
        stage.cso(&["delete", "-f", "m"])?.ends(0)?.tells("retain")?;
        ensure!(stage.mutations().is_empty() && stage.everything()? == there, "a retained resource was touched");
        stage.cso(&["get", &case.kind, "story"])?.ends(1)?;
        Ok(())
    })
}

fn read_only_reads_only(emulator: Kind) -> Result<()> {
    for_each_kind(emulator, |case, stage| {
        let Some(drift) = case.drift.as_ref().filter(|_| !case.foreign.is_empty()) else { return Ok(()) };
        let mut kept = case.set(stage)?;
        let annotations = json!({"services.k8s.aws/read-only": "true"});
        case.declare_with(stage, &kept, case.spec(&drift.spec), &annotations)?;
        stage.cso(&APPLY)?.ends(1)?.tells("read-only")?;
        steps::run(&case.foreign, &stage.cloud, &mut kept)?;
        let before = (stage.everything()?, portrait(case, stage, &kept));
        stage.cso(&APPLY)?.ends(0)?;
        stage.cso(&["plan", "-f", "m"])?.ends(0)?.tells("read-only")?;
        stage.cso(&["delete", "-f", "m"])?.ends(0)?;
        ensure!(stage.mutations().is_empty(), "read-only made a mutating call");
        ensure!((stage.everything()?, portrait(case, stage, &kept)) == before, "read-only changed something");
        Ok(())
    })
}

/// A manifest that disappears is reported; its resource goes only with `--prune`, which a plan shows first.
fn pruned_on_the_users_word(emulator: Kind) -> Result<()> {
    for_each_kind(emulator, |case, stage| {
        let kept = case.set(stage)?;
        let others = stage.everything()?;
        case.declare(stage, &kept, case.spec(&Map::new()))?;
        stage.cso(&APPLY)?.ends(0)?;
        let there = stage.everything()?;
        stage.remove("m/object.yaml")?;
        stage.mutations();
        stage.cso(&["plan", "-f", "m"])?.ends(0)?.tells("manifest is gone")?;
        stage.cso(&APPLY)?.ends(0)?.tells("manifest is gone")?;
        ensure!(
            stage.mutations().is_empty() && stage.everything()? == there,
            "a gone manifest took its resource along"
        );
        let plan = stage.cso(&["plan", "-f", "m", "--prune", "-o", "json"])?.ends(2)?.json()?;
        ensure!(plan["summary"]["delete"] == 1, "the plan with --prune deletes nothing: {plan}");
        stage.cso(&["apply", "-f", "m", "--wait", "--prune"])?.ends(0)?;
        ensure!(stage.everything()? == others, "--prune left {:?}", stage.everything()?);
        Ok(())
    })
}

on_every_emulator!(
    a_foreign_resource_is_refused,
    adopted_on_the_users_word,
    a_lost_state_is_no_disaster,
    retained_on_the_users_word,
    read_only_reads_only,
    pruned_on_the_users_word,
);
