//! The file of settings, followed while the controller works: what is safe to change counts at once, what is not is told, and
//! a file that cannot be used changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cso_engine::engine::Settings;
use cso_observe::Metrics;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::args::{Changed, Cli, Command, FileSettings};
use crate::commands::Origin;
use crate::logs;
use crate::session::{self, Choices};

/// How often the file is looked at. It is small, and a mounted `ConfigMap` is replaced as a whole: its text tells, not its time.
const LOOK: Duration = Duration::from_secs(2);

/// Flags whose new value counts without a restart. Every other one decides what a process is connected to or who it is, once.
pub(super) const LIVE: [&str; 11] = [
    "allow-cross-namespace",
    "concurrency",
    "consistency",
    "default-tag",
    "deletion-policy",
    "enable-cross-namespace",
    "log-level",
    "reconcile-default-resync-seconds",
    "take-back",
    "verbose",
    "verify-every",
];

/// What may change while the controller works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) settings: Settings,
    pub(super) verify_every: Duration,
}

/// Follows the file.
pub(super) struct Reload {
    path: PathBuf,
    typed: Vec<std::ffi::OsString>,
    /// What the file said when the process began: what needs a restart is still as it says.
    first: FileSettings,
    last: FileSettings,
    /// The file's text when it was last looked at, or why it had none.
    text: Result<String, String>,
    live: watch::Sender<Live>,
    metrics: Arc<Metrics>,
    hangup: Signal,
}

impl Reload {
    /// Begins with what was read when the process began.
    pub(super) fn new(path: PathBuf, origin: Origin, live: watch::Sender<Live>, metrics: Arc<Metrics>) -> Result<Self> {
        let Origin { typed, file } = origin;
        // From here on SIGHUP does not end the process.
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        // Whatever it was: what is there at the first look is read again, and then compared by what it says.
        let text = Err(String::new());
        Ok(Self { path, typed, first: file.clone(), last: file, text, live, metrics, hangup })
    }

    /// Looks at the file again and again. Never ends.
    pub(super) async fn follow(mut self) {
        loop {
            let text = std::fs::read_to_string(&self.path).map_err(|error| error.to_string());
            if text != self.text {
                self.text = text;
                self.read();
            }
            let next = Instant::now() + LOOK;
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                _ = self.hangup.recv() => {}
            }
        }
    }

    /// Takes in what the file says by now.
    fn read(&mut self) {
        let (cli, file) = match self.understood() {
            Ok(read) => read,
            Err(why) => {
                self.metrics.reloaded(false);
                error!(target: "cso::controller", why = format!("{why:#}"), "the settings stay as they are: the file cannot be used");
                return;
            }
        };
        let changed = self.last.changed(&file);
        if changed.is_empty() {
            return;
        }
        for change in &changed {
            self.tell(change, &file);
        }
        self.last = file;
        self.metrics.reloaded(true);
        logs::set(cli.logs().0);
        if let Ok(next) = self.next(&cli) {
            self.live.send_if_modified(|live| {
                let is_other = *live != next;
                *live = next;
                is_other
            });
        }
    }

    /// The command line with what the file says by now; refused as it would be at the start.
    fn understood(&self) -> Result<(Cli, FileSettings)> {
        let (cli, file) = Cli::read(&self.typed)?;
        self.next(&cli)?;
        Ok((cli, file))
    }

    /// What counts at once. Regions are where resources are: no change of a file moves objects that name none.
    fn next(&self, cli: &Cli) -> Result<Live> {
        let known = self.live.borrow();
        let Command::Controller(args) = &cli.command else { return Ok(known.clone()) };
        let (global, verify_every) = super::honoured(&cli.global, args)?;
        let choices = Choices { take_back: args.take_back, stays: true };
        let settings = session::settings(&global, known.settings.region.clone(), choices);
        Ok(Live { settings, verify_every })
    }

    fn tell(&self, change: &Changed, now: &FileSettings) {
        let setting = change.name.as_str();
        if change.overridden {
            warn!(target: "cso::controller", setting, "changed in the file without effect: a flag or the environment says it");
        } else if LIVE.contains(&setting) {
            info!(target: "cso::controller", setting, "changed, and counts from now on");
        } else if now.agrees(&self.first, setting) {
            info!(target: "cso::controller", setting, "changed back to what this process began with");
        } else {
            warn!(target: "cso::controller", setting, "changed, and counts after a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// A flag that was renamed would need a restart from then on, and nobody would see why.
    #[test]
    fn every_live_setting_is_a_flag_and_documented() {
        const DOCUMENTED: &str = include_str!("../../../../../docs/controller.md");
        let mut command = Cli::command();
        command.build();
        let controller = command.find_subcommand("controller").expect("the command");
        for name in LIVE {
            let arg = controller.get_arguments().find(|arg| arg.get_long() == Some(name));
            let arg = arg.unwrap_or_else(|| panic!("there is no --{name}"));
            assert!(arg.is_hide_set() || DOCUMENTED.contains(&format!("| `{name}` |")), "{name} is not documented");
        }
    }
}
