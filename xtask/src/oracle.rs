//! Where third-party data lies that no registry carries. Nothing that users or `make test` run needs it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The folder with ACK's `crds/`, `generator/` and `traces/`: the one given, else the one beside the checkout, else the
/// one among the fetched sources, else none.
///
/// # Errors
/// When the folder that was given does not exist.
pub(crate) fn ack(root: &Path, given: Option<PathBuf>) -> Result<Option<PathBuf>> {
    if let Some(folder) = given {
        ensure!(folder.is_dir(), "--ack {}: there is no such folder", folder.display());
        return Ok(Some(folder));
    }
    let usual = [root.join("../shared/oracle/ack"), root.join(".cache/sources/ack")];
    Ok(usual.into_iter().find(|folder| folder.is_dir()))
}

/// What to say when there is none.
pub(crate) const NO_ACK: &str =
    "there is neither --ack, nor ../shared/oracle/ack beside the checkout, nor .cache/sources/ack";
