//! Whose resource it is: foreign ones are refused, lost states taken back, and what is let go of stays. From a directory and
//! in a cluster alike.

use anyhow::{Context as _, Result, ensure};
use cso_testbed::Kind;
use serde_json::{Map, json};

use crate::adapter::InCluster;
use crate::cases;
use crate::play::{alike, of_each_kind};
use crate::stage::{APPLY, Stage};

fn a_foreign_resource_is_refused(emulator: Kind) -> Result<()> {
    of_each_kind(emulator, |play| {
        if play.case.foreign.is_empty() {
            return Ok(());
        }
        play.behind_our_back(&play.case.foreign)?;
        let before = (play.everything()?, play.portrait());
        play.declares(&Map::new())?;
        play.plan()?.ends(1)?.tells("adopt")?.tells("story")?;
        play.is_refused(&["adopt"])?;
        // Nothing of it is ours, so a delete lets it be.
        play.goes()?;
        ensure!(play.calls().is_empty(), "a foreign resource was touched: {:?}", play.operations());
        ensure!((play.everything()?, play.portrait()) == before, "a foreign resource was changed");
        Ok(())
    })
}

fn adopted_on_the_users_word(emulator: Kind) -> Result<()> {
    let adopt = json!({"services.k8s.aws/adoption-policy": "adopt"});
    of_each_kind(emulator, |play| {
        if play.case.foreign.is_empty() {
            return Ok(());
        }
        play.declares_with(&Map::new(), &adopt)?;
        play.is_refused(&["the resource to adopt does not exist"])?;
        play.goes()?;
        play.behind_our_back(&play.case.foreign)?;
        let before = play.everything()?;
        play.plan()?.tells("adopted")?;
        play.settles()?;
        ensure!(play.everything()? == before, "adoption made or lost something");
        play.rests()?;
        play.goes()?;
        ensure!(play.everything()?.len() + 1 == before.len(), "an adopted resource was not deleted");
        Ok(())
    })
}

/// Taken if it is there, made if it is not.
fn adopted_or_created(emulator: Kind) -> Result<()> {
    let either = json!({"services.k8s.aws/adoption-policy": "adopt-or-create"});
    of_each_kind(emulator, |play| {
        if play.case.foreign.is_empty() {
            return Ok(());
        }
        let others = play.everything()?;
        play.declares_with(&Map::new(), &either)?;
        play.settles()?;
        ensure!(play.everything()?.len() == others.len() + 1, "it was not made");
        play.rests()?;
        play.goes()?;
        if play.case.lingers {
            return Ok(());
        }
        play.behind_our_back(&play.case.foreign)?;
        let before = play.everything()?;
        play.settles()?;
        ensure!(play.everything()? == before, "adoption made or lost something");
        play.goes()?;
        ensure!(play.everything()? == others, "an adopted resource was not deleted");
        Ok(())
    })
}

fn a_lost_state_is_no_disaster(emulator: Kind) -> Result<()> {
    of_each_kind(emulator, |play| {
        let case = play.case;
        play.declares(&case.drift.as_ref().map_or(Map::new(), |drift| drift.spec.clone()))?;
        play.settles()?;
        let there = play.everything()?;
        play.is_forgotten()?;
        let remedy = if case.carries_mark() { "--take-back" } else { "adopt" };
        play.is_refused(&[remedy])?;
        ensure!(play.everything()? == there, "a second clone made a second one");
        play.is_taken_back()?;
        ensure!(play.calls().is_empty(), "taking back made mutating calls: {:?}", play.operations());
        play.rests()?;
        if let Some(drift) = &case.drift {
            let ours = play.sees(&drift.at)?;
            play.behind_our_back(&drift.steps)?;
            play.settles()?;
            play.shows(&drift.at, ours.as_ref())?;
        }
        play.goes()?;
        ensure!(play.everything()?.len() + 1 == there.len(), "what was taken back was not deleted");
        Ok(())
    })
}

fn retained_on_the_users_word(emulator: Kind) -> Result<()> {
    of_each_kind(emulator, |play| {
        play.declares_with(&Map::new(), &json!({"services.k8s.aws/deletion-policy": "retain"}))?;
        play.settles()?;
        let there = play.everything()?;
        let told = play.goes()?;
        ensure!(told.contains("retain"), "it is not told why it stays: {told}");
        ensure!(play.calls().is_empty() && play.everything()? == there, "a retained resource was touched");
        Ok(())
    })
}

fn read_only_reads_only(emulator: Kind) -> Result<()> {
    of_each_kind(emulator, |play| {
        let case = play.case;
        let Some(drift) = case.drift.as_ref().filter(|_| !case.foreign.is_empty()) else { return Ok(()) };
        play.declares_with(&drift.spec, &json!({"services.k8s.aws/read-only": "true"}))?;
        play.is_refused(&["read-only"])?;
        play.behind_our_back(&case.foreign)?;
        let before = (play.everything()?, play.portrait());
        play.settles()?;
        ensure!(play.calls().is_empty(), "read-only made mutating calls: {:?}", play.operations());
        play.plan()?.ends(0)?.tells("read-only")?;
        play.goes()?;
        ensure!(play.calls().is_empty(), "read-only made mutating calls: {:?}", play.operations());
        ensure!((play.everything()?, play.portrait()) == before, "read-only changed something");
        Ok(())
    })
}

/// What the provider does not let go of stays an object, which tells why and goes when it may.
fn a_refused_delete_is_told_and_repeated(emulator: Kind) -> Result<()> {
    of_each_kind(emulator, |play| {
        let case = play.case;
        let emulator = play.emulator().name();
        let Some(held) = case.held.as_ref().filter(|held| !held.missing.contains_key(emulator)) else { return Ok(()) };
        let others = play.everything()?;
        play.declares(&Map::new())?;
        play.settles()?;
        play.behind_our_back(&held.by)?;
        play.stays(&held.tells)?;
        ensure!(play.object()?.is_some(), "the object went without its resource");
        play.behind_our_back(&held.until)?;
        play.goes()?;
        ensure!(play.everything()? == others, "left: {:?}", play.everything()?);
        Ok(())
    })
}

/// boto3 looks in one region only: the call that would have deleted the queue is what counts.
#[test]
fn a_namespace_says_region_and_policy() -> Result<()> {
    let says = json!({
        "services.k8s.aws/default-region": "eu-central-1",
        "sqs.services.k8s.aws/deletion-policy": "retain",
    });
    let cases = cases::one_of_each_kind_on(Kind::Ministack)?;
    let queue = cases.iter().find(|case| case.kind == "Queue").context("there is a queue")?;
    alike(queue, &mut InCluster::open(Kind::Ministack)?, |play| {
        play.namespace_says(&says)?;
        play.declares(&Map::new())?;
        play.plan()?.ends(2)?;
        play.settles()?;
        let regions: Vec<&str> = play.calls().iter().map(|call| call.region.as_str()).collect();
        ensure!(regions == ["eu-central-1"], "the create went to {regions:?}");
        let object = play.object()?.unwrap_or_default();
        ensure!(object["status"]["ackResourceMetadata"]["region"] == "eu-central-1", "it is in {object}");
        play.rests()?;
        play.goes()?;
        ensure!(play.calls().is_empty(), "what the namespace retains was touched: {:?}", play.operations());
        Ok(())
    })
}

/// A manifest that disappears is reported; its resource goes only with `--prune`, which a plan shows first. In a cluster an
/// object goes by its own deletion: nobody compares it with manifests.
fn pruned_on_the_users_word(emulator: Kind) -> Result<()> {
    let mut stage = Stage::open(emulator)?;
    let mut wrong = Vec::new();
    for case in &cases::one_of_each_kind_on(emulator)? {
        wrong.extend(pruned(case, &mut stage).err().map(|error| format!("{}: {error:#}", case.id)));
    }
    ensure!(wrong.is_empty(), "{}:\n{}", emulator.name(), wrong.join("\n"));
    Ok(())
}

fn pruned(case: &cases::Case, stage: &mut Stage) -> Result<()> {
    let kept = case.set(stage)?;
    let others = stage.everything()?;
    case.declare(stage, &kept, case.spec(&Map::new()))?;
    stage.cso(&APPLY)?.ends(0)?;
    let there = stage.everything()?;
    stage.remove("m/object.yaml")?;
    stage.mutations();
    stage.cso(&["plan", "-f", "m"])?.ends(0)?.tells("manifest is gone")?;
    stage.cso(&APPLY)?.ends(0)?.tells("manifest is gone")?;
    ensure!(stage.mutations().is_empty() && stage.everything()? == there, "a gone manifest took its resource along");
    let plan = stage.cso(&["plan", "-f", "m", "--prune", "-o", "json"])?.ends(2)?.json()?;
    ensure!(plan["summary"]["delete"] == 1, "the plan with --prune deletes nothing: {plan}");
    stage.cso(&["apply", "-f", "m", "--wait", "--prune"])?.ends(0)?;
    ensure!(stage.everything()? == others, "--prune left {:?}", stage.everything()?);
    Ok(())
}

on_every_emulator!(
    a_foreign_resource_is_refused,
    adopted_on_the_users_word,
    adopted_or_created,
    a_lost_state_is_no_disaster,
    retained_on_the_users_word,
    read_only_reads_only,
    a_refused_delete_is_told_and_repeated,
    pruned_on_the_users_word,
);
