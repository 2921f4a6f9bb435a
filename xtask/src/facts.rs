//! `cargo xtask facts`: from pinned packages to the canonical text under `facts/` to the catalogue.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use cso_facts::text::{
    parse_partitions, parse_service, parse_surfaces, print_partitions, print_service, print_surfaces,
};

mod ack;
mod botocore;
mod diff;
mod fetch;
mod outline;
mod rules;
mod verify;

use crate::lock::Lock;
use crate::oracle;
use crate::pages::{self, Pages};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Download the packages of `sources.lock` into `.cache/sources/` and check their digests.
    Fetch,
    /// Write `facts/` from the fetched packages and, if it is there, the folder of ACK's CRDs.
    Extract(oracle::Ack),
    /// Check what is committed; where the sources are there, extract again and compare.
    Verify(oracle::Ack),
    /// List what an update changes; fail on what could break users unless `facts/allow.txt` lists it.
    Diff {
        /// A git revision, or a folder such as `facts`
        #[arg(default_value = "HEAD")]
        old: String,
        /// The same
        #[arg(default_value = "facts")]
        new: String,
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
        Command::Extract(ack) => extract(root, &lock, ack),
        Command::Verify(ack) => verify::run(root, &lock, ack),
        Command::Diff { old, new } => diff::run(root, &old, &new),
        Command::Pack { out } => pack(root, &out),
    }
}

fn extract(root: &Path, lock: &Lock, ack: oracle::Ack) -> Result<()> {
    pages::replace(root, "facts/aws", &botocore::pages(root, lock)?)?;
    let Some(folder) = ack.folder(root)? else {
        println!("facts/ack: skipped: {}", oracle::NO_ACK);
        return Ok(());
    };
    pages::replace(root, "facts/ack", &ack::pages(&folder, lock)?)
}

/// Every committed page of facts.
fn read(root: &Path) -> Result<Pages> {
    read_folder(&root.join("facts"))
}

/// The pages of a folder like `facts`, named as they are in the repository.
fn read_folder(folder: &Path) -> Result<Pages> {
    let mut all = pages::read(folder, "facts")?;
    all.extend(pages::read(&folder.join("aws"), "facts/aws")?);
    all.extend(pages::read(&folder.join("ack"), "facts/ack")?);
    all.retain(|name, _| is_page(name));
    Ok(all)
}

/// Whether a file below `facts/` is a page of facts.
fn is_page(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "txt") && name != diff::ALLOW
}

/// A page parsed and printed again.
fn print_back(name: &str, text: &str) -> Result<String> {
    Ok(match name.split('/').nth(1) {
        Some("aws") => print_service(&parse_service(name, text)?),
        Some("ack") => print_surfaces(&parse_surfaces(name, text)?),
        _ if name == botocore::PARTITIONS => print_partitions(&parse_partitions(name, text)?),
        _ => bail!("{name}: not a page of facts"),
    })
}

fn pack(root: &Path, out: &Path) -> Result<()> {
    let sections = cso_facts::pack::collect(root)?;
    let file = cso_facts::pack::write(&sections);
    fs::write(out, &file).with_context(|| out.display().to_string())?;
    let text: usize = sections.iter().map(|(_, text)| text.len()).sum();
    println!("{}: {} sections, {text} bytes of text in {} bytes", out.display(), sections.len(), file.len());
    Ok(())
}
