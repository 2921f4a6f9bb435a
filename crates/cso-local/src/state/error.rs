//! Why a state file cannot be used, each with what to do about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cso_core::port::{Reach, StoreError};
use rusqlite::ErrorCode;

use super::layout::FORMAT;

/// A state file that cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "{} is in use by {}: one process at a time may change what it manages; let it finish or stop it, \
         or read beside it",
        path.display(), holder(*pid)
    )]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("there is no state file {}: nothing was applied with it yet", path.display())]
    Missing { path: PathBuf },
    #[error(
        "{} has format {found}, this cso knows formats up to {FORMAT}: use the cso that wrote it or a later one; \
         nothing was changed", path.display()
    )]
    Newer { path: PathBuf, found: i64 },
    #[error("{} is not a state file of cso: name another path; nothing was changed", path.display())]
    NotState { path: PathBuf },
    #[error(
        "{} is damaged ({what}): restore it and its `-wal` file from a backup, or move both away and take the resources \
         back with a new state; nothing was changed", path.display()
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{} is gone but its log {} is not: put the file back beside its log, or move the log away to begin anew",
        path.display(), log.display()
    )]
    LogWithoutFile { path: PathBuf, log: PathBuf },
    #[error(
        "the file system of {} is full: make room on it; nothing that was recorded is lost, and writing goes on by \
         itself once there is room", path.display()
    )]
    Full { path: PathBuf },
    #[error("another process has taken over {}: this one must stop before it changes anything", path.display())]
    TakenOver { path: PathBuf },
    #[error("the writer of {} has stopped: restart the process", path.display())]
    Stopped { path: PathBuf },
    #[error("cannot {doing} ({}): {source}", path.display())]
    Io { path: PathBuf, doing: &'static str, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Engine { path: PathBuf, source: rusqlite::Error },
}

impl StateError {
    /// Finds the class of an error of the database engine.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, what: source.to_string() }
            }
            _ => Self::Engine { path, source },
        }
    }
}

impl From<StateError> for StoreError {
    fn from(error: StateError) -> Self {
        shared(Arc::new(error))
    }
}

/// Callers that shared one transaction share its failure.
pub(super) fn shared(error: Arc<StateError>) -> StoreError {
    StoreError { message: error.to_string(), reach: Reach::Store, source: Some(Box::new(error)) }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
