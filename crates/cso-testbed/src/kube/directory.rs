//! The files of a cluster, and the end of those that nobody removed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::tools::cache_dir;

/// A directory of its own, under `.cache/clusters`. Removed when this is dropped.
///
/// A process may end without dropping it: it is killed, or the cluster is in a static. So the directory belongs to the
/// process that holds its lock, and whoever starts a cluster removes those that belong to nobody.
pub(super) struct Directory {
    path: PathBuf,
    _owned: File,
}

impl Directory {
    pub(super) fn make() -> io::Result<Self> {
        Self::make_in(&cache_dir().join("clusters"))
    }

    fn make_in(all: &Path) -> io::Result<Self> {
        fs::create_dir_all(all)?;
        // One at a time: between its making and its locking, a directory belongs to nobody.
        let turn = File::create(all.join("lock"))?;
        turn.lock()?;
        remove_orphans(all)?;
        // Random, and for nobody else to read: there are tokens in it.
        let path = tempfile::Builder::new().prefix("cluster-").tempdir_in(all)?.keep();
        let owned = File::create(path.join(LOCK))?;
        owned.lock()?;
        Ok(Self { path, _owned: owned })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

const LOCK: &str = "lock";

fn remove_orphans(all: &Path) -> io::Result<()> {
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        if path.is_dir() && !is_owned(&path)? {
            // Best effort: its servers may be about to end, and still writing.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

fn is_owned(path: &Path) -> io::Result<bool> {
    match File::open(path.join(LOCK)) {
        // Somebody else is removing it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(lock) => match lock.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_owns_is_removed() {
        let all = tempfile::tempdir().unwrap();
        let orphan = all.path().join("cluster-of-a-killed-process");
        fs::create_dir(&orphan).unwrap();
        File::create(orphan.join(LOCK)).unwrap();

        let first = Directory::make_in(all.path()).unwrap();
        assert!(!orphan.exists());
        let second = Directory::make_in(all.path()).unwrap();
        assert!(first.path().exists(), "it is in use");
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
        assert!(second.path().exists());
    }
}
