//! `cargo xtask kinds`: the descriptors under `kinds/`, compiled against the facts as they are on disk.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use cso_facts::{Catalog, pack};
use cso_schema::catalog::kinds;
use cso_schema::compile::Document;
use cso_schema::kind::Kind;
use cso_schema::lint::lint;

mod show;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compile all descriptors; say what is wrong with file and line.
    Check,
    /// Print a kind with every default made explicit.
    Show {
        /// For example `Queue` or `sqs/Queue`
        kind: String,
    },
}

pub(crate) fn run(root: &Path, command: Command) -> Result<()> {
    match command {
        Command::Check => check(root),
        Command::Show { kind } => {
            print!("{}", show::kind(find(&compiled(root)?, &kind)?));
            Ok(())
        }
    }
}

/// What `cso kinds lint` tells of descriptors, of those that are on disk here.
fn check(root: &Path) -> Result<()> {
    let catalog = packed(root)?;
    let document = |name: &str| {
        Ok(Document { file: format!("kinds/aws/{name}.yaml"), text: catalog.descriptor(name)?.to_owned() })
    };
    let findings = lint(&catalog.descriptors().map(document).collect::<Result<Vec<_>>>()?, &catalog);
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    if !findings.errors.is_empty() {
        let lines: Vec<String> = findings.errors.iter().map(ToString::to_string).collect();
        bail!("{} violations\n{}", lines.len(), lines.join("\n"));
    }
    println!("{} kinds compile", findings.kinds.len());
    Ok(())
}

/// The catalogue of what is on disk.
fn packed(root: &Path) -> Result<Catalog> {
    Catalog::open(pack::write(&pack::collect(root)?)).context("the catalogue that was just packed")
}

/// All kinds; an error with a line for each violation.
fn compiled(root: &Path) -> Result<Vec<Kind>> {
    kinds(&packed(root)?).map_err(|violations| {
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{} violations\n{}", lines.len(), lines.join("\n"))
    })
}

/// The kind of a name, with or without its service.
fn find<'a>(all: &'a [Kind], name: &str) -> Result<&'a Kind> {
    let full = |kind: &Kind| format!("{}/{}", kind.service, kind.name());
    let found: Vec<&Kind> = all.iter().filter(|kind| kind.name() == name || full(kind) == name).collect();
    let names = |kinds: &[&Kind]| kinds.iter().map(|kind| full(kind)).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [kind] => Ok(kind),
        [] => bail!("there is no kind `{name}`; there are {}", names(&all.iter().collect::<Vec<_>>())),
        many => bail!("`{name}` is the name of several kinds; say which: {}", names(many)),
    }
}
