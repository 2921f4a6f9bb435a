//! A `cso` that goes on while a story looks at it, and calls that are held on their way.

use std::borrow::BorrowMut;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::{Action, Match, Rule, Then};

use crate::stage::Stage;

/// Much longer than anything here takes; hit only by a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process in the background. Killed when the story ends early.
pub(crate) struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    /// Starts a command; everything it says goes to one file.
    pub(crate) fn start(stage: &Stage, args: &[&str]) -> Result<Self> {
        Self::spawn(stage.path(), stage.command(args)?)
    }

    /// Starts a command that a story has changed; its log is in a directory.
    pub(crate) fn spawn(directory: &Path, mut command: impl BorrowMut<Command>) -> Result<Self> {
        /// Of this process, so that each has a log of its own.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let log = directory.join(format!("log-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&log)?;
        let child = command.borrow_mut().stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(crate) fn told(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())
    }

    /// Waits until it has said something.
    pub(crate) fn tells(&self, text: &str) -> Result<()> {
        until(&format!("it tells `{text}`"), || Ok(self.told()?.contains(text).then_some(())))
            .with_context(|| self.told().unwrap_or_default())
    }

    /// What Ctrl-C sends.
    pub(crate) fn interrupt(&self) -> Result<()> {
        let status = Command::new("kill").args(["-INT", &self.pid().to_string()]).status()?;
        ensure!(status.success(), "kill ended with {status}");
        Ok(())
    }

    pub(crate) fn is_over(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Result<ExitStatus> {
        until("it ends", || Ok(self.child.try_wait()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A call that waits before the cloud until it is let go, or the story ends.
pub(crate) struct Held {
    pub(crate) rule: Rule,
    _hold: Sender<()>,
}

impl Held {
    /// Holds the first call that matches.
    pub(crate) fn on(stage: &Stage, matches: Match) -> Self {
        let (hold, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let wait = move |_: &_| {
            // Nothing is ever sent: it returns when the other end is dropped.
            let _ = held.lock().map(|held| held.recv());
            Then::GoOn
        };
        Self { rule: stage.proxy.on(matches, Action::before(wait)), _hold: hold }
    }

    /// Waits until a call is held.
    pub(crate) fn has_one(&self) -> Result<()> {
        until("a call is held", || Ok((self.rule.fired() == 1).then_some(())))
    }
}

/// Looks again and again until there is something to see.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("{what}: not within {} s", PATIENCE.as_secs())
}
