//! Downloading the pinned packages through their registries' own clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::lock::{self, Lock, Package, Registry};

/// Where downloads are kept.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join(".cache/sources")
}

/// Downloads what is missing and checks everything.
pub(super) fn run(root: &Path, lock: &Lock) -> Result<()> {
    let folder = folder(root);
    fs::create_dir_all(&folder)?;
    for package in &lock.packages {
        if !folder.join(&package.file).exists() {
            download(&folder, package)?;
        }
        read(root, package)?;
        println!("{} {}: {} ({})", package.name, package.version, package.role, package.licence);
    }
    for source in &lock.folders {
        let lock::Folder { name, upstream, version, licence, role } = source;
        println!("{name} {version}: {role} ({licence}); not fetched, get it from {upstream}");
    }
    Ok(())
}

/// The bytes of a fetched package, checked against its pin.
pub(super) fn read(root: &Path, package: &Package) -> Result<Vec<u8>> {
    let path = folder(root).join(&package.file);
    let bytes = fs::read(&path).with_context(|| format!("{}: run `cargo xtask facts fetch`", path.display()))?;
    package.check(&bytes)?;
    Ok(bytes)
}

fn download(folder: &Path, package: &Package) -> Result<()> {
    let status = match package.registry {
        Registry::Pypi => Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"])
            .arg(folder)
            .arg(format!("{}=={}", package.name, package.version))
            .status()
            .context("python3 -m pip")?,
    };
    ensure!(status.success(), "pip could not download {} {}", package.name, package.version);
    Ok(())
}
