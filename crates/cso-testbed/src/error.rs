use std::io;
use std::path::PathBuf;

/// Why the test bed cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Python 3.11 or newer with the venv module is needed as `python3` on the PATH: {why}")]
    Python { why: String },
    #[error("{tool} cannot be installed into {}: {why}", .into.display())]
    Install { tool: &'static str, into: PathBuf, why: String },
    #[error("{server} did not get healthy within {seconds} s: {why}; see {}", .log.display())]
    NotHealthy { server: &'static str, seconds: u64, why: io::Error, log: PathBuf },
    #[error("{server} ended while it started ({status}); see {}", .log.display())]
    Ended { server: &'static str, status: String, log: PathBuf },
    #[error("the cluster has no user {name}: give it one with ClusterOptions::user before it starts")]
    UnknownUser { name: String },
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error(transparent)]
    Read(#[from] crate::ReadError),
}

/// Says what was tried when an I/O error came back.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
