//! `sources.lock`: the pinned sources of facts and the lists of what is taken from them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    #[serde(rename = "package")]
    pub(super) packages: Vec<Package>,
    #[serde(rename = "folder")]
    pub(super) folders: Vec<Folder>,
    pub(super) aws: Selection,
    pub(super) ack: Selection,
}

/// A package of a registry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) registry: Registry,
    pub(super) version: String,
    /// Name of the downloaded file.
    pub(super) file: String,
    /// Lower-case hexadecimal digest of the file.
    pub(super) sha256: String,
    pub(super) licence: String,
    pub(super) role: String,
}

/// Registries whose clients we can drive.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Registry {
    Pypi,
}

/// A source that no registry carries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) upstream: String,
    pub(super) version: String,
    pub(super) licence: String,
    pub(super) role: String,
}

/// What to extract from a source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    pub(super) services: Vec<String>,
}

impl Lock {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join("sources.lock");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).context("sources.lock")
    }

    pub(super) fn package(&self, name: &str) -> Result<&Package> {
        self.packages
            .iter()
            .find(|package| package.name == name)
            .with_context(|| format!("sources.lock lacks the package `{name}`"))
    }
}

impl Package {
    /// Checks downloaded bytes against the pin.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<()> {
        let mut found = String::new();
        for byte in Sha256::digest(bytes) {
            write!(found, "{byte:02x}")?;
        }
        ensure!(found == self.sha256, "{}: sha256 is {found}, sources.lock says {}", self.file, self.sha256);
        Ok(())
    }
}
