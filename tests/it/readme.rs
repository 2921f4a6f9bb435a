//! The tour of the README, run as it is written.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cso_testbed::Kind;

use crate::stage::{Run, Stage};

/// How each command of the tour ends, in order.
const TOUR: [(&str, i32); 7] =
    [("validate", 0), ("plan", 2), ("apply", 0), ("get", 0), ("describe", 0), ("apply", 0), ("delete", 0)];

/// Commands of the fenced block below a heading, without their comments.
fn commands<'a>(readme: &'a str, heading: &str) -> Result<Vec<&'a str>> {
    let below = readme.split(heading).nth(1).with_context(|| format!("no `{heading}` in the README"))?;
    let block = below.split("```").nth(1).context("no block in the tour")?;
    let lines = block.lines().map(|line| line.split('#').next().unwrap_or(line).trim());
    Ok(lines.filter(|line| line.starts_with("cso ")).collect())
}

#[test]
fn the_tour_works_as_written() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no root")?;
    let readme = fs::read_to_string(root.join("README.md"))?;
    let stage = Stage::open(Kind::Ministack)?;
    for entry in fs::read_dir(root.join("examples/quickstart"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?;
        stage.write(&format!("examples/quickstart/{name}"), &fs::read_to_string(&path)?)?;
    }
    let tour = commands(&readme, "## Five minutes")?;
    ensure!(tour.len() == TOUR.len(), "the tour has other commands: {tour:?}");
    for (line, (command, code)) in tour.iter().zip(TOUR) {
        let args: Vec<&str> = line.split_whitespace().skip(1).collect();
        ensure!(args.first() == Some(&command), "`{line}` is not the {command} of the tour");
        // The ARNs of the quickstart name this region.
        let mut command = stage.command(&args)?;
        Run::of(command.env("AWS_REGION", "us-east-1"))?.ends(code)?;
    }
    Ok(())
}
