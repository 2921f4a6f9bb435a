//! Servers as child processes on a leash (`python/leash.py`).

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Context as _, Error};
use crate::tools::cache_dir;

/// Servers start in seconds; on a machine that does much else, an API server takes a good part of a minute.
const HEALTHY_WITHIN: Duration = Duration::from_mins(2);
/// More than a run of all tests starts servers: the log of the first one that failed is there when the run is over.
const KEEP_LOGS: usize = 200;
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A command that ends when the process that started it ends, however that happens.
pub(crate) fn leashed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/leash.py")).arg(program);
    command
}

/// A running server. Dropping it ends it by SIGKILL.
pub(crate) struct Process {
    name: &'static str,
    leash: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a [`leashed`] command that listens at an address. What it says is added to the log of that name and port.
    pub(crate) fn start(name: &'static str, address: SocketAddr, mut command: Command) -> Result<Self, Error> {
        let logs = cache_dir().join("logs");
        fs::create_dir_all(&logs).context(|| format!("making {}", logs.display()))?;
        forget_old(&logs);
        let log = logs.join(format!("{name}-{}.log", address.port()));
        let output = File::options().create(true).append(true).open(&log);
        let output = output.context(|| format!("opening {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        let leash = command.spawn().context(|| format!("starting {name}"))?;
        Ok(Self { name, leash, log })
    }

    /// What it said, and what a server of the same name and port said before it.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Returns when the server is healthy, or says why it will not be. `look` says what still is amiss.
    pub(crate) fn wait_until(&mut self, mut look: impl FnMut() -> io::Result<()>) -> Result<(), Error> {
        let (name, log) = (self.name, self.log.clone());
        let deadline = Instant::now() + HEALTHY_WITHIN;
        loop {
            let seen = look();
            // Asked after the look: somebody else's server on the port is healthy too, while ours could not bind.
            if let Some(status) = self.leash.try_wait().context(|| format!("watching {name}"))? {
                return Err(Error::Ended { server: name, status: status.to_string(), log });
            }
            match seen {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() >= deadline => {
                    return Err(Error::NotHealthy { server: name, seconds: HEALTHY_WITHIN.as_secs(), why, log });
                }
                Err(_) => thread::sleep(POLL_EVERY),
            }
        }
    }

    /// Stops it from running (SIGSTOP): it keeps its connections and answers nothing.
    pub(crate) fn pause(&mut self) -> Result<(), Error> {
        self.order(b's').context(|| format!("pausing {}", self.name))
    }

    /// Lets it run again.
    pub(crate) fn resume(&mut self) -> Result<(), Error> {
        self.order(b'c').context(|| format!("resuming {}", self.name))
    }

    /// Has the leash do something, and returns when it is done.
    fn order(&mut self, order: u8) -> io::Result<()> {
        let (Some(to), Some(from)) = (&mut self.leash.stdin, &mut self.leash.stdout) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        to.write_all(&[order])?;
        from.read_exact(&mut [0])
    }

    /// Ends it, and returns when it is gone.
    pub(crate) fn end(&mut self) {
        // Closing the pipe is the signal; the leash ends as soon as the server has.
        drop(self.leash.stdin.take());
        let _ = self.leash.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Removes all but the newest logs. Best effort: another process may be doing the same.
fn forget_old(logs: &Path) {
    let files = fs::read_dir(logs).into_iter().flatten().flatten();
    let written = files.filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())));
    for log in all_but_newest(KEEP_LOGS, written.collect()) {
        let _ = fs::remove_file(log);
    }
}

fn all_but_newest(keep: usize, mut files: Vec<(SystemTime, PathBuf)>) -> impl Iterator<Item = PathBuf> {
    files.sort_by_key(|(written, _)| Reverse(*written));
    files.into_iter().skip(keep).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn the_newest_logs_are_kept() {
        let old = |keep| {
            let at = |seconds, name: &str| (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), PathBuf::from(name));
            all_but_newest(keep, vec![at(2, "b"), at(4, "d"), at(1, "a"), at(3, "c")]).collect::<Vec<_>>()
        };
        assert_eq!(old(2), [Path::new("b"), Path::new("a")]);
        assert!(old(4).is_empty());
    }
    /// What a terminal sends to all that run in it when somebody types Ctrl-C, and more: the leash holds until the pipe closes.
    #[test]
    fn a_leash_that_is_told_to_end_holds_until_its_parent_lets_go() {
        let mut command = leashed("sh");
        command.args(["-c", "echo $$ >&2; exec sleep 600"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leash = command.spawn().expect("a leash");
        let mut pid = String::new();
        BufReader::new(leash.stderr.take().expect("a pipe")).read_line(&mut pid).expect("the server's id");
        let server = PathBuf::from(format!("/proc/{}", pid.trim()));
        let mut process = Process { name: "sleep", leash, log: PathBuf::new() };
        process.order(b'c').expect("it holds");
        for signal in ["-HUP", "-INT", "-TERM"] {
            let told = Command::new("kill").args([signal, &process.leash.id().to_string()]).status();
            assert!(told.is_ok_and(|status| status.success()));
        }
        process.order(b'c').expect("it still holds");
        assert!(server.exists());
        process.end();
        assert!(!server.exists(), "the server outlives the leash");
    }
}
