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
pub(crate) struct Lock {
    #[serde(rename = "package")]
    pub(crate) packages: Vec<Package>,
    #[serde(rename = "folder")]
    pub(crate) folders: Vec<Folder>,
    pub(crate) aws: Selection,
    pub(crate) ack: Selection,
    pub(crate) common: Common,
    pub(crate) traces: Recordings,
}

/// A package of a registry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) registry: Registry,
    pub(crate) version: String,
    /// Name of the downloaded file.
    pub(crate) file: String,
    /// Lower-case hexadecimal digest of the file.
    pub(crate) sha256: String,
    pub(crate) licence: String,
    pub(crate) role: String,
}

/// Registries whose clients we can drive.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registry {
    Pypi,
}

/// A source that no registry carries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Folder {
    pub(crate) name: String,
    pub(crate) upstream: String,
    pub(crate) version: String,
    pub(crate) licence: String,
    pub(crate) role: String,
}

/// Kinds that belong to no service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Common {
    pub(crate) kinds: Vec<String>,
}

/// What to extract from a source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    pub(crate) services: Vec<String>,
}

/// Which recorded traces to take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recordings {
    pub(crate) recordings: Vec<String>,
}

impl Lock {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let path = root.join("sources.lock");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).context("sources.lock")
    }

    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        self.packages
            .iter()
            .find(|package| package.name == name)
            .with_context(|| format!("sources.lock lacks the package `{name}`"))
    }
}

impl Package {
    /// Checks downloaded bytes against the pin.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<()> {
        let mut found = String::new();
        for byte in Sha256::digest(bytes) {
            write!(found, "{byte:02x}")?;
        }
        ensure!(found == self.sha256, "{}: sha256 is {found}, sources.lock says {}", self.file, self.sha256);
        Ok(())
    }
}
