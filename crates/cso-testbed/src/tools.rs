//! Installs the third-party parts, once, from pinned lists.

mod kubernetes;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{Context as _, Error};

pub(crate) use kubernetes::Program;

/// A part that is installed from the Python package index into its own environment.
///
/// One environment each, because their dependencies contradict each other (ministack and boto3 want different botocores).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Ministack,
    Moto,
    Roto,
    Boto3,
    KubernetesClient,
    Go,
}

/// Where everything that is installed or logged goes: `.cache` of the checkout, ignored by git.
pub fn cache_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).join(".cache")
}

impl Tool {
    /// Name of the environment and of the list of pins.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ministack => "ministack",
            Self::Moto => "moto",
            Self::Roto => "roto",
            Self::Boto3 => "boto3",
            Self::KubernetesClient => "kubernetes-client",
            Self::Go => "go",
        }
    }

    fn pins(self) -> &'static str {
        match self {
            Self::Ministack => include_str!("../tools/ministack.txt"),
            Self::Moto => include_str!("../tools/moto.txt"),
            Self::Roto => include_str!("../tools/roto.txt"),
            Self::Boto3 => include_str!("../tools/boto3.txt"),
            Self::KubernetesClient => include_str!("../tools/kubernetes-client.txt"),
            Self::Go => include_str!("../tools/go.txt"),
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Ministack => "emulates AWS for the demo and the tests",
            Self::Moto => "emulates AWS too: a second opinion for the tests",
            Self::Roto => "emulates AWS fast enough for benchmarks",
            Self::Boto3 => "reads the cloud back independently",
            Self::KubernetesClient => "reads the cluster back independently",
            Self::Go => "builds the cluster's programs",
        }
    }

    /// Path of a program of this tool, after installing the tool if it is missing or its pins have changed.
    ///
    /// Safe when several processes start at once: the first installs, the others wait.
    pub(crate) fn program(self, name: &str) -> Result<PathBuf, Error> {
        let place = Place::hold(self.name())?;
        let home = &place.home;
        // An environment cannot be moved, so its place is part of what was installed.
        let stamp = format!("{}\n{}", home.display(), self.pins());
        if fs::read_to_string(home.join("stamp")).ok().as_deref() != Some(&stamp) {
            self.install(home)?;
            fs::write(home.join("stamp"), stamp).context(|| format!("stamping {}", home.display()))?;
        }
        Ok(home.join("bin").join(name))
    }

    /// Makes the environment from nothing. Only the stamp, written afterwards, makes it count.
    fn install(self, home: &Path) -> Result<(), Error> {
        say(&format!("installing {} into {} ({})", self.name(), home.display(), self.purpose()));
        let fail = |why| Error::Install { tool: self.name(), into: home.to_path_buf(), why };
        match fs::remove_dir_all(home) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error.to_string())),
            _ => {}
        }
        run(python()?.args(["-m", "venv"]).arg(home)).map_err(fail)?;
        let pins = home.join("requirements.txt");
        fs::write(&pins, self.pins()).context(|| format!("writing {}", pins.display()))?;
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"]);
        run(pip.arg(pins)).map_err(fail)
    }
}

/// Where something is installed, held against every other process until it is dropped.
struct Place {
    home: PathBuf,
    _lock: File,
}

impl Place {
    fn hold(name: &str) -> Result<Self, Error> {
        let tools = cache_dir().join("tools");
        fs::create_dir_all(&tools).context(|| format!("making {}", tools.display()))?;
        // Checkouts that share a cache by a link must agree on its place, or each installs over the others.
        let tools = tools.canonicalize().context(|| format!("resolving {}", tools.display()))?;
        let lock = tools.join(format!("{name}.lock"));
        let lock = File::create(&lock).context(|| format!("opening {}", lock.display()))?;
        lock.lock().context(|| format!("waiting for another installation of {name}"))?;
        Ok(Self { home: tools.join(name), _lock: lock })
    }
}

/// `python3`, if it is new enough and complete.
fn python() -> Result<Command, Error> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11) and sys.version)";
    run(Command::new("python3").args(["-c", check])).map_err(|why| Error::Python { why })?;
    Ok(Command::new("python3"))
}

/// Runs a command to its end; a failure is told in the command's own last words.
fn run(command: &mut Command) -> Result<(), String> {
    let Output { status, stderr, .. } = command.output().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&stderr);
    let mut last: Vec<&str> = stderr.trim().lines().rev().take(8).collect();
    last.reverse();
    Err(format!("{status}\n{}", last.join("\n")))
}

/// Tells the person who waits. Goes past the test harness's capture on purpose: an install takes seconds.
fn say(message: &str) {
    // Nobody listening is no reason to fail.
    let _ = writeln!(io::stderr(), "test bed: {message}");
}
