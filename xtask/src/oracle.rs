//! Where third-party data lies that no registry carries. Nothing that users or `make test` run needs it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;

/// Where ACK's data lies.
#[derive(Args)]
pub(crate) struct Ack {
    /// Folder with `crds/`, `generator/` and `traces/` [default: ../shared/oracle/ack or .cache/sources/ack]
    #[arg(long = "ack", value_name = "ACK")]
    given: Option<PathBuf>,
}

impl Ack {
    /// The folder that was given, else the one beside the checkout, else the one among the fetched sources, else none.
    ///
    /// # Errors
    /// When the folder that was given does not exist.
    pub(crate) fn folder(self, root: &Path) -> Result<Option<PathBuf>> {
        if let Some(folder) = self.given {
            ensure!(folder.is_dir(), "--ack {}: there is no such folder", folder.display());
            return Ok(Some(folder));
        }
        let usual = [root.join("../shared/oracle/ack"), root.join(".cache/sources/ack")];
        Ok(usual.into_iter().find(|folder| folder.is_dir()))
    }
}

/// What to say when there is none.
pub(crate) const NO_ACK: &str =
    "there is neither --ack, nor ../shared/oracle/ack beside the checkout, nor .cache/sources/ack";
