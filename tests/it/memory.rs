//! State files and directories that cannot be used: one clear sentence, exit 1, nothing changed.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};
use cso_testbed::{Kind, Match};
use rusqlite::Connection;

use crate::running::{Held, Running};
use crate::stage::{APPLY, Run, Stage};

const QUEUE: &str = "\
apiVersion: sqs.services.k8s.aws/v1alpha1
kind: Queue
metadata: {name: story}
spec: {queueName: story}
";

/// Every way to use a state file.
const COMMANDS: [&[&str]; 5] =
    [&["get"], &["plan", "-f", "m"], &APPLY, &["describe", "queue", "story"], &["delete", "-f", "m"]];

fn stage() -> Result<Stage> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/queue.yaml", QUEUE)?;
    Ok(stage)
}

/// Every command refuses the state file with this sentence, and leaves it and the cloud alone.
fn every_command_refuses(stage: &Stage, sentence: &str) -> Result<()> {
    let path = stage.path().join(".cso/state.db");
    let before = fs::read(&path)?;
    let cloud = stage.everything()?;
    stage.mutations();
    for command in COMMANDS {
        let run = stage.cso(command)?.ends(1)?.tells("state.db")?.tells(sentence)?;
        ensure!(run.stderr.trim().lines().count() == 1, "not one sentence: {run:?}");
        ensure!(fs::read(&path)? == before, "{command:?} changed the file");
    }
    ensure!(stage.mutations().is_empty() && stage.everything()? == cloud, "it acted without its memory");
    Ok(())
}

#[test]
fn a_state_file_of_a_newer_version() -> Result<()> {
    let stage = stage()?;
    stage.cso(&APPLY)?.ends(0)?;
    let file = Connection::open(stage.path().join(".cso/state.db"))?;
    file.pragma_update(None, "user_version", 99)?;
    file.close().map_err(|(_, error)| error)?;
    every_command_refuses(&stage, "has format 99, this cso knows formats up to")
}

#[test]
fn a_state_file_that_is_cut_short_or_garbage() -> Result<()> {
    let stage = stage()?;
    stage.cso(&APPLY)?.ends(0)?;
    let path = stage.path().join(".cso/state.db");
    let whole = fs::read(&path)?;
    for length in [0, 10, 4096, whole.len() / 2] {
        fs::write(&path, &whole[..length])?;
        every_command_refuses(&stage, "is damaged")?;
    }
    fs::write(&path, "somebody's own text\n".repeat(1000))?;
    every_command_refuses(&stage, "is damaged (file is not a database)")?;

    // The same file whole again: nothing was lost.
    for leftover in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(stage.path().join(".cso").join(leftover));
    }
    fs::write(&path, whole)?;
    stage.rests()
}

/// Paths that nobody can read, root included: below a file, and in a circle of links.
#[test]
fn directories_that_cannot_be_read_are_named() -> Result<()> {
    let stage = stage()?;
    for command in COMMANDS {
        let state = stage.cso(&[command, &["--state", "m/queue.yaml/state.db"]].concat())?.ends(1)?;
        state.tells("m/queue.yaml/state.db")?.tells("Not a directory")?;
    }
    symlink("circle", stage.path().join("m/circle"))?;
    for path in ["m/queue.yaml/deeper", "m", "m/circle"] {
        for command in ["plan", "apply", "validate", "delete"] {
            let run = stage.cso(&[command, "-f", path])?.ends(1)?;
            run.tells(if path == "m" { "m/circle" } else { path })?.tells("cannot be read")?;
        }
    }
    ensure!(stage.everything()?.is_empty(), "it acted on what it could read");
    Ok(())
}

#[test]
fn a_second_process_is_refused_and_may_look() -> Result<()> {
    let stage = stage()?;
    let held = Held::on(&stage, Match::operation("CreateQueue"));
    let mut first = Running::start(&stage, &APPLY)?;
    held.has_one()?;
    let run = stage.cso(&APPLY)?.ends(1)?.tells(&format!("is in use by process {}", first.pid()))?;
    ensure!(run.stderr.trim().lines().count() == 1, "not one sentence: {run:?}");
    stage.cso(&["get"])?.ends(0)?;
    stage.cso(&["plan", "-f", "m"])?.ends(2)?;
    drop(held);
    ensure!(first.end()?.success(), "the first was disturbed: {}", first.told()?);
    stage.rests()
}

#[test]
fn without_credentials_or_with_a_wrong_profile_one_sentence_says_what_to_do() -> Result<()> {
    let stage = stage()?;
    let without = |profile: Option<&str>, command: &[&str]| -> Result<Run> {
        let mut command = stage.command(command)?;
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("HOME", stage.path());
        command.envs(profile.map(|profile| ("AWS_PROFILE", profile)));
        let run = Run::of(&mut command)?.ends(1)?.tells("no AWS credentials were found")?;
        ensure!(run.stderr.trim().lines().count() == 1, "not one sentence: {run:?}");
        Ok(run)
    };
    for command in [&["plan", "-f", "m"][..], &APPLY] {
        without(None, command)?;
        without(Some("nowhere"), command)?.tells("AWS_PROFILE is `nowhere`")?;
    }
    ensure!(!stage.path().join(".cso").exists(), "it made a state file for nothing");
    Ok(())
}
