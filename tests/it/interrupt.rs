//! Ctrl-C: the first finishes the calls in flight, the second ends at once, and neither loses or doubles anything. The object
//! is a key, because a create of a key that is repeated makes a second one. Judged by boto3.

use anyhow::{Result, ensure};
use cso_testbed::{Kind, Match, Outcome};

use crate::running::{Held, Running, until};
use crate::stage::{APPLY, Stage};

const KEY: &str = "\
apiVersion: kms.services.k8s.aws/v1alpha1
kind: Key
metadata: {name: story}
spec: {description: story}
";

/// An apply whose create is held on its way.
fn in_flight() -> Result<(Stage, Held, Running)> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/key.yaml", KEY)?;
    let held = Held::on(&stage, Match::operation("CreateKey"));
    let apply = Running::start(&stage, &APPLY)?;
    held.has_one()?;
    Ok((stage, held, apply))
}

/// One key, ours, and nothing left to do.
fn is_there_once(stage: &Stage) -> Result<()> {
    stage.cso(&APPLY)?.ends(0)?;
    ensure!(stage.everything()?.len() == 1, "there is {:?}", stage.everything()?);
    stage.rests()
}

#[test]
fn the_first_finishes_the_call_in_flight() -> Result<()> {
    let (stage, held, mut apply) = in_flight()?;
    apply.interrupt()?;
    apply.tells("stopping: finishing 1 call in flight; Ctrl-C again leaves at once")?;
    ensure!(!apply.is_over()?, "it did not wait for the call: {}", apply.told()?);
    drop(held);
    let status = apply.end()?;
    ensure!(status.code() == Some(130), "it ended with {status}: {}", apply.told()?);
    ensure!(apply.told()?.contains("created  kms:CreateKey"), "{}", apply.told()?);
    stage.mutations();
    stage.cso(&["get", "key", "story"])?.ends(0)?;
    is_there_once(&stage)?;
    let again = stage.mutations();
    ensure!(again.iter().all(|call| call.operation != "CreateKey"), "the create was not recorded: {again:?}");
    Ok(())
}

#[test]
fn the_second_ends_at_once_and_the_next_run_finds_out() -> Result<()> {
    let (stage, held, mut apply) = in_flight()?;
    apply.interrupt()?;
    apply.tells("finishing 1 call")?;
    apply.interrupt()?;
    let status = apply.end()?;
    ensure!(status.code() == Some(130), "it ended with {status}: {}", apply.told()?);
    ensure!(apply.told()?.contains("left with calls in flight"), "{}", apply.told()?);
    ensure!(apply.told()?.contains("kms/Key default/story: kms:CreateKey"), "{}", apply.told()?);
    stage.cso(&["describe", "key", "story"])?.ends(0)?.tells("its outcome is not known")?;
    // The call was on its way, and the cloud carries it out although nobody waits for its answer any more.
    drop(held);
    until("the cloud has the call", || {
        let arrived = |call: &cso_testbed::AwsCall| call.operation == "CreateKey" && call.outcome != Outcome::Pending;
        Ok(stage.proxy.calls().iter().any(arrived).then_some(()))
    })?;
    ensure!(stage.everything()?.len() == 1, "the story needs a key that nobody knows of");
    stage.mutations();
    is_there_once(&stage)
}
