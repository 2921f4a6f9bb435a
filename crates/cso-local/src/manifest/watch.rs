//! Noticing that manifests changed.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::files;

/// Watches the files that [`super::load`] would read, by looking at their metadata each period.
///
/// Looking is chosen over the kernel's notifications: these do not work on network and container mounts, miss what is
/// behind symbolic links, run out of handles on large trees, and tell of every step of an editor's save. A look at 1,000
/// files takes about 2.5 ms.
#[derive(Debug)]
pub struct Watch {
    roots: Vec<PathBuf>,
    period: Duration,
    /// As last told to the caller.
    known: Snapshot,
    /// A newer state that may still be in the middle of being written.
    unsettled: Option<Snapshot>,
}

/// What the files look like from outside. Unreadable places are part of it, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Snapshot {
    files: BTreeMap<PathBuf, Stamp>,
    problems: Vec<String>,
}

/// Changes whenever a file is written, replaced or restored. The change time cannot be set back, as the other can.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// The usual period.
    pub const PERIOD: Duration = Duration::from_secs(1);

    /// Begins to watch. Begin before loading, so that no change falls between the two.
    pub fn new(roots: Vec<PathBuf>, period: Duration) -> Self {
        let known = Snapshot::take(&roots);
        Self { roots, period, known, unsettled: None }
    }

    /// Resolves when files have changed since the last time it did, and have rested for one period: what is being
    /// written is not reported half done. May be dropped and called again at any time without missing a change.
    pub async fn changed(&mut self) {
        loop {
            tokio::time::sleep(self.period).await;
            let roots = self.roots.clone();
            // Only a panic or a runtime that shuts down can fail here: nothing is known then.
            let Ok(now) = tokio::task::spawn_blocking(move || Snapshot::take(&roots)).await else { continue };
            if now == self.known {
                self.unsettled = None;
            } else if self.unsettled.as_ref() == Some(&now) {
                self.known = now;
                self.unsettled = None;
                return;
            } else {
                self.unsettled = Some(now);
            }
        }
    }
}

impl Snapshot {
    fn take(roots: &[PathBuf]) -> Self {
        let mut problems = Vec::new();
        let found = files::find(roots, &mut problems);
        let files = found.into_iter().map(|file| (file.path, Stamp::of(&file.metadata))).collect();
        Self { files, problems: problems.iter().map(ToString::to_string).collect() }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
