//! The program under test: built once, and killed at will.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Context as _, Error};

/// How often a running process is asked whether it has ended.
const POLL_EVERY: Duration = Duration::from_millis(1);

/// Builds a binary of this workspace and says where it is. Costs a moment when it is built already.
pub fn build(package: &str) -> Result<PathBuf, Error> {
    let what = || format!("building {package}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", package, "--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context(what)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    let missing = || Err(io::Error::other(format!("cargo ended with {} and no executable", output.status)));
    executable.filter(|_| output.status.success()).map_or_else(missing, Ok).context(what)
}

/// A process that somebody else may kill at any moment, from a hook of the proxy as a rule. Clones are the same one.
#[derive(Clone, Default)]
pub struct Victim(Arc<Shared>);

#[derive(Default)]
struct Shared {
    child: Mutex<Option<Child>>,
    started: Condvar,
}

impl Victim {
    /// One that is not started yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts it and waits until it has ended, by itself or by [`Victim::kill`].
    pub fn run(&self, command: &mut Command) -> io::Result<ExitStatus> {
        *self.child() = Some(command.spawn()?);
        self.0.started.notify_all();
        loop {
            // Not `wait`: it would hold the lock that the killer needs.
            if let Some(status) = self.child().as_mut().map(Child::try_wait).transpose()?.flatten() {
                return Ok(status);
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// Sends SIGKILL and returns when the process is gone. Waits for its start if need be.
    pub fn kill(&self) {
        let not_yet = |child: &mut Option<Child>| child.is_none();
        let child = self.0.started.wait_while(self.child(), not_yet);
        if let Some(child) = child.unwrap_or_else(PoisonError::into_inner).as_mut() {
            // A process that is gone already is as good as killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
