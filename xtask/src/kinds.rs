//! `cargo xtask kinds`: the descriptors under `kinds/`, compiled against the facts as they are on disk.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use cso_facts::{Catalog, pack};
use cso_schema::catalog::kinds;
use cso_schema::kind::Kind;

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
    let all = compiled(root)?;
    match command {
        Command::Check => println!("{} kinds compile", all.len()),
        Command::Show { kind } => print!("{}", show::kind(find(&all, &kind)?)),
    }
    Ok(())
}

/// All kinds; an error with a line for each violation.
fn compiled(root: &Path) -> Result<Vec<Kind>> {
    let catalog = Catalog::open(pack::write(&pack::collect(root)?)).context("the catalogue that was just packed")?;
    kinds(&catalog).map_err(|violations| {
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
