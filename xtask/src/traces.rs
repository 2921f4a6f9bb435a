//! `cargo xtask traces`: recordings of ACK's own controllers, as JSON lines under `tests/traces/`.
//!
//! ```text
//! traces/sqs_Queue.json --extract--> tests/traces/sqs_Queue.jsonl
//! {"account":..,"blocks":..,"emulator":..,"kind":..,"namespace":..,"service":..}      the header
//! {"name":..,"steps":[..]}                                                            then a scenario a line
//! ```
//!
//! Canonical: members sorted, no white space, notes of the people who recorded them left out.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::lock::Lock;
use crate::oracle;
use crate::pages::{self, Pages};

/// Where the recordings are committed.
const FOLDER: &str = "tests/traces";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write `tests/traces/` from the folder of recordings.
    Extract(oracle::Ack),
    /// Check that the recordings are canonical and, if their folder is there, that they are what it says.
    Verify(oracle::Ack),
}

pub(crate) fn run(root: &Path, command: Command) -> Result<()> {
    let lock = Lock::read(root)?;
    match command {
        Command::Extract(ack) => {
            let folder = ack.folder(root)?.with_context(|| format!("{FOLDER}: {}", oracle::NO_ACK))?;
            pages::replace(root, FOLDER, &extract(&folder, &lock)?)
        }
        Command::Verify(ack) => verify(root, &lock, ack),
    }
}

fn verify(root: &Path, lock: &Lock, ack: oracle::Ack) -> Result<()> {
    let committed = pages::read(&root.join(FOLDER), FOLDER)?;
    let mut wrong: Vec<String> = Vec::new();
    for (name, text) in &committed {
        wrong.extend(canonical(text).err().map(|error| format!("{name}:{error:#}")));
    }
    println!("{FOLDER}: {} recordings are canonical JSON lines", committed.len() - wrong.len());
    match ack.folder(root)? {
        Some(folder) => {
            println!("{FOLDER}: compared with {}", folder.display());
            wrong.extend(pages::differences(&committed, &extract(&folder, lock)?));
        }
        None => println!("{FOLDER}: comparison skipped: {}", oracle::NO_ACK),
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Checks that every line prints back as it is, and that the first is a header and the others are scenarios.
fn canonical(text: &str) -> Result<()> {
    for (number, line) in (1..).zip(text.lines()) {
        let value: Value = serde_json::from_str(line).with_context(|| number.to_string())?;
        let printed = value.to_string();
        ensure!(printed == line, "{number}: not canonical JSON");
        let member = if number == 1 { "kind" } else { "steps" };
        ensure!(value.get(member).is_some(), "{number}: lacks `{member}`");
    }
    ensure!(text.ends_with('\n'), "1: the last line has no end");
    Ok(())
}

/// A page for each recording in the lock file.
fn extract(folder: &Path, lock: &Lock) -> Result<Pages> {
    let page = |name: &String| {
        let path = folder.join(format!("traces/{name}.json"));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let text = lines(&text).with_context(|| path.display().to_string())?;
        Ok((format!("{FOLDER}/{name}.jsonl"), text))
    };
    lock.traces.recordings.iter().map(page).collect()
}

/// A recording as it is published. A member that is not listed is refused, so that none is lost unnoticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    account: Value,
    #[serde(default)]
    blocks: Map<String, Value>,
    /// Which controller it was; `sources.lock` says so for all.
    #[serde(rename = "controller_version")]
    _controller: String,
    emulator: Value,
    kind: Value,
    namespace: Value,
    service: Value,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: Value,
    steps: Value,
    /// Prose.
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// The JSON lines of a recording.
fn lines(text: &str) -> Result<String> {
    let Recording { account, blocks, emulator, kind, namespace, service, scenarios, .. } = serde_json::from_str(text)?;
    if scenarios.is_empty() {
        bail!("there are no scenarios");
    }
    let header = serde_json::json!({
        "account": account, "blocks": blocks, "emulator": emulator,
        "kind": kind, "namespace": namespace, "service": service,
    });
    let mut out = header.to_string();
    for Scenario { name, steps, .. } in scenarios {
        out.push('\n');
        out.push_str(&serde_json::json!({"name": name, "steps": steps}).to_string());
    }
    out.push('\n');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = r#"{
        "service": "s", "kind": "K", "controller_version": "c", "emulator": "e", "account": "0", "namespace": "n",
        "scenarios": [{"name": "one", "note": "prose", "steps": [{"writes": 1, "calls": []}]}]
    }"#;

    #[test]
    fn a_recording_becomes_a_header_and_a_line_for_each_scenario() {
        let lines = lines(RECORDING).unwrap();
        assert_eq!(
            lines,
            concat!(
                r#"{"account":"0","blocks":{},"emulator":"e","kind":"K","namespace":"n","service":"s"}"#,
                "\n",
                r#"{"name":"one","steps":[{"calls":[],"writes":1}]}"#,
                "\n"
            )
        );
        canonical(&lines).unwrap();
    }

    #[test]
    fn a_line_that_is_not_canonical_is_named() {
        for (text, message) in [
            ("{\"kind\":\"K\"}\n{\"steps\": []}\n", "2: not canonical JSON"),
            ("{\"kind\":\"K\"}\n{}\n", "2: lacks `steps`"),
            ("{}\n", "1: lacks `kind`"),
            ("{\"kind\":\"K\"}", "1: the last line has no end"),
        ] {
            assert_eq!(canonical(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_unknown_member_is_refused() {
        assert!(lines(&RECORDING.replace("\"note\"", "\"remark\"")).is_err());
    }
}
