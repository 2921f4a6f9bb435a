//! `cargo xtask facts`: from pinned packages to the canonical text under `facts/` to the catalogue.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;

mod ack;
mod botocore;
mod fetch;
mod rules;

use crate::lock::Lock;
use crate::oracle;
use crate::pages;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Download the packages of `sources.lock` into `.cache/sources/` and check their digests.
    Fetch,
    /// Write `facts/` from the fetched packages and, if it is there, the folder of ACK's CRDs.
    Extract {
        /// Folder with `crds/` and `generator/` [default: ../shared/oracle/ack or .cache/sources/ack]
        #[arg(long)]
        ack: Option<PathBuf>,
    },
    /// Write the catalogue of `facts/` and `kinds/` to a file.
    Pack {
        /// The file to write.
        out: PathBuf,
    },
}

pub(crate) fn run(root: &Path, command: Command) -> Result<()> {
    let lock = Lock::read(root)?;
    match command {
        Command::Fetch => fetch::run(root, &lock),
        Command::Extract { ack } => extract(root, &lock, ack),
        Command::Pack { out } => pack(root, &out),
    }
}

fn extract(root: &Path, lock: &Lock, ack: Option<PathBuf>) -> Result<()> {
    pages::replace(root, "facts/aws", &botocore::pages(root, lock)?)?;
    let Some(folder) = oracle::ack(root, ack)? else {
        println!("facts/ack: {}", oracle::NO_ACK);
        return Ok(());
    };
    pages::replace(root, "facts/ack", &ack::pages(&folder, lock)?)
}

fn pack(root: &Path, out: &Path) -> Result<()> {
    let sections = cso_facts::pack::collect(root)?;
    let file = cso_facts::pack::write(&sections);
    fs::write(out, &file).with_context(|| out.display().to_string())?;
    let text: usize = sections.iter().map(|(_, text)| text.len()).sum();
    println!("{}: {} sections, {text} bytes of text in {} bytes", out.display(), sections.len(), file.len());
    Ok(())
}
