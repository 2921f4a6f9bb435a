//! What people see on a terminal, and what programs see in a pipe.

use std::process::Command;

use anyhow::{Result, ensure};
use cso_testbed::Kind;

use crate::stage::{APPLY, Run, Stage};

const MANIFESTS: &str = "\
apiVersion: kms.services.k8s.aws/v1alpha1
kind: Key
metadata: {name: story}
spec: {description: story}
---
apiVersion: kms.services.k8s.aws/v1alpha1
kind: Alias
metadata: {name: story}
spec: {name: alias/story, targetKeyRef: {from: {name: story}}}
";

/// Begins a style; the terminal's other sequences move the cursor or clear a line.
const BOLD: &str = "\u{1b}[1m";
const GREEN: &str = "\u{1b}[32m";
const CLEAR_LINE: &str = "\u{1b}[2K";

fn stage() -> Result<Stage> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/objects.yaml", MANIFESTS)?;
    Ok(stage)
}

/// The same command on a pseudo-terminal, its output as it arrives there.
fn on_a_terminal(stage: &Stage, args: &[&str], variables: &[(&str, &str)]) -> Result<Run> {
    let cso = stage.command(args)?;
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/terminal.py")).arg(cso.get_program()).args(cso.get_args());
    python.current_dir(stage.path()).envs(cso.get_envs().filter_map(|(name, value)| Some((name, value?))));
    python.env_remove("NO_COLOR").env("TERM", "xterm-256color").envs(variables.iter().copied());
    Run::of(&mut python)
}

/// Whether a text holds a style: an escape sequence that ends in `m`.
fn has_style(text: &str) -> bool {
    let sequences = text.split("\u{1b}[").skip(1);
    let end = |sequence: &str| sequence.find(|character: char| character.is_ascii_alphabetic());
    sequences.filter_map(|sequence| sequence.get(end(sequence)?..)).any(|rest| rest.starts_with('m'))
}

#[test]
fn a_terminal_shows_a_line_for_each_object_in_colour_and_redraws_it() -> Result<()> {
    let stage = stage()?;
    let run = on_a_terminal(&stage, &APPLY, &[])?.ends(0)?;
    for told in ["kms/Key default/story", "kms/Alias default/story", "2 of 2 settled", BOLD, GREEN, CLEAR_LINE] {
        ensure!(run.stdout.contains(told), "{told:?} is missing:\n{:?}", run.stdout);
    }
    // What lasts is written once, whatever was redrawn below it.
    for lasting in ["kms:CreateKey\u{1b}[0m\r\n", "kms:CreateAlias\u{1b}[0m\r\n"] {
        ensure!(run.stdout.matches(lasting).count() == 1, "{lasting:?} is not there once:\n{:?}", run.stdout);
    }
    ensure!(run.stdout.trim_end().ends_with("2 objects: 2 as wished, 0 not; 2 calls"), "{:?}", run.stdout);
    Ok(())
}

#[test]
fn no_color_is_honoured_on_a_terminal() -> Result<()> {
    let stage = stage()?;
    for (args, variables) in [(&APPLY[..], &[("NO_COLOR", "1")][..]), (&["delete", "-f", "m", "--color", "never"], &[])]
    {
        let run = on_a_terminal(&stage, args, variables)?.ends(0)?;
        ensure!(run.stdout.contains(CLEAR_LINE), "it is not redrawn in place: {:?}", run.stdout);
        ensure!(!has_style(&run.stdout), "{args:?} has styles: {:?}", run.stdout);
    }
    ensure!(has_style(BOLD) && has_style(GREEN) && !has_style(CLEAR_LINE), "the test sees no styles");
    Ok(())
}

/// Lines of a log and lines that are redrawn do not go together.
#[test]
fn with_v_a_terminal_shows_plain_lines() -> Result<()> {
    let stage = stage()?;
    let run = on_a_terminal(&stage, &[&APPLY[..], &["-v"]].concat(), &[])?.ends(0)?;
    ensure!(!run.stdout.contains(CLEAR_LINE) && run.stdout.contains("CreateAlias"), "{:?}", run.stdout);
    Ok(())
}

#[test]
fn a_pipe_gets_plain_lines() -> Result<()> {
    let stage = stage()?;
    for args in [&["plan", "-f", "m"][..], &APPLY, &["get"], &["describe", "key", "story"], &["delete", "-f", "m"]] {
        let run = stage.cso(args)?;
        ensure!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{args:?}: {run:?}");
        ensure!(run.stdout.contains("story"), "{args:?}: {run:?}");
    }
    Ok(())
}

#[test]
fn completion_scripts_know_every_command() -> Result<()> {
    let stage = Stage::open(Kind::Ministack)?;
    let help = stage.cso(&["--help"])?.ends(0)?;
    let commands: Vec<&str> = help
        .stdout
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    ensure!(commands.contains(&"apply") && commands.contains(&"completion"), "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = stage.cso(&["completion", shell])?.ends(0)?;
        let missing: Vec<_> = commands.iter().filter(|command| !script.stdout.contains(**command)).collect();
        ensure!(missing.is_empty() && script.stderr.is_empty(), "{shell} does not know {missing:?}");
    }
    // The one shell that is everywhere takes its script and completes with it.
    let script = stage.cso(&["completion", "bash"])?.stdout;
    let ask = "COMP_WORDS=(cso pl) COMP_CWORD=1 COMP_LINE='cso pl'; _cso cso pl cso; echo \"${COMPREPLY[@]}\"";
    stage.write("ask.sh", &format!("{script}\n{ask}\n"))?;
    let answer = Run::of(Command::new("bash").arg(stage.path().join("ask.sh")).env_clear())?.ends(0)?;
    ensure!(answer.stdout.trim() == "plan", "{answer:?}");
    Ok(())
}
