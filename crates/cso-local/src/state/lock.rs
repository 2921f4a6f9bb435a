//! One writer at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::error::StateError;
use super::layout::beside;

/// Held while a process may write. The kernel lets go of it when the process ends, however it ends.
///
/// A file of its own, because POSIX drops the database engine's locks when any handle on a locked file is closed. It
/// stays when the lock is let go: removing it would let two processes lock two files of one name.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the state file at `path` without waiting, and leaves our process id in it for others to read.
    pub(super) fn take(path: &Path) -> Result<Self, StateError> {
        let failed = |source| StateError::Io { path: beside(path, ".lock"), doing: "lock the state file", source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(beside(path, ".lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse { path: path.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Only a help for people: a full disk must not keep the state file from being opened.
        let _ = write_pid(&mut file);
        Ok(Self { file })
    }
}

/// Let go of explicitly: a child that was just forked shares the handle until it executes its program, so that closing
/// ours is not enough.
impl Drop for Lock {
    fn drop(&mut self) {
        // It cannot fail on an open handle, and closing the handle is the second way.
        let _ = self.file.unlock();
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
