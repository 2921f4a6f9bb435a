//! `cargo xtask facts`: from pinned packages to the canonical text under `facts/` to the catalogue.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;

mod ack;
mod botocore;
mod fetch;
mod lock;
mod rules;

use lock::Lock;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Download the packages of `sources.lock` into `.cache/sources/` and check their digests.
    Fetch,
    /// Write `facts/` from the fetched packages and, if it is there, the folder of ACK's CRDs.
    Extract {
        /// Folder with `crds/` and `generator/` [default: .cache/sources/ack, if there]
        #[arg(long)]
        ack: Option<PathBuf>,
    },
    /// Write the catalogue of `facts/` and `kinds/` to a file.
    Pack {
        /// The file to write.
        out: PathBuf,
    },
}

/// Pages by path below the repository's root.
type Pages = BTreeMap<String, String>;

pub(crate) fn run(root: &Path, command: Command) -> Result<()> {
    let lock = Lock::read(root)?;
    match command {
        Command::Fetch => fetch::run(root, &lock),
        Command::Extract { ack } => extract(root, &lock, ack),
        Command::Pack { out } => pack(root, &out),
    }
}

fn extract(root: &Path, lock: &Lock, ack: Option<PathBuf>) -> Result<()> {
    replace(root, "facts/aws", &botocore::pages(root, lock)?)?;
    if let Some(folder) = ack_folder(root, ack) {
        replace(root, "facts/ack", &ack::pages(&folder, lock)?)?;
    } else {
        println!("facts/ack: skipped, for want of the folder (--ack)");
    }
    Ok(())
}

fn ack_folder(root: &Path, given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| Some(fetch::folder(root).join("ack")).filter(|folder| folder.exists()))
}

/// Writes pages and removes those in their folder that are no longer extracted.
fn replace(root: &Path, folder: &str, pages: &Pages) -> Result<()> {
    let folder = root.join(folder);
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if !pages.keys().any(|page| root.join(page) == path) {
            fs::remove_file(&path)?;
            println!("removed {}", path.display());
        }
    }
    for (page, text) in pages {
        let path = root.join(page);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    println!("{}: {} pages", folder.display(), pages.len());
    Ok(())
}

fn pack(root: &Path, out: &Path) -> Result<()> {
    let sections = cso_facts::pack::collect(root)?;
    let file = cso_facts::pack::write(&sections);
    fs::write(out, &file).with_context(|| out.display().to_string())?;
    let text: usize = sections.iter().map(|(_, text)| text.len()).sum();
    println!("{}: {} sections, {text} bytes of text in {} bytes", out.display(), sections.len(), file.len());
    Ok(())
}
