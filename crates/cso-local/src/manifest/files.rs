//! Which files hold manifests, and their text.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Problem;
use super::yaml::position;

/// The largest file that is read. A thousand objects take about one megabyte.
const MAX_BYTES: u64 = 16 << 20;

/// A file to read.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
}

/// The files to read, each once however often it is reached, in the order of the roots and then of paths.
pub(super) fn find<P: AsRef<Path>>(roots: &[P], problems: &mut Vec<Problem>) -> Vec<Found> {
    let mut walk = Walk { found: Vec::new(), seen: HashSet::new(), above: Vec::new(), problems };
    for root in roots.iter().map(AsRef::as_ref) {
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => walk.directory(root, &metadata),
            // Named by the user: read whatever it is called, also a pipe.
            Ok(metadata) => walk.file(root, metadata),
            Err(error) => walk.problem(root, &error),
        }
    }
    walk.found
}

/// Device and inode: what a file is, under whatever name. Asking for its real path instead costs a call for each part.
type FileId = (u64, u64);

fn id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

struct Walk<'a> {
    found: Vec<Found>,
    seen: HashSet<FileId>,
    /// The directories around the current one.
    above: Vec<(FileId, PathBuf)>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, metadata: &Metadata) {
        if let Some((_, holder)) = self.above.iter().find(|(above, _)| *above == id(metadata)) {
            let message = format!("is a symbolic link that leads back to {}, which holds it", holder.display());
            let help = Some("remove the link".to_owned());
            return self.problems.push(Problem { help, ..Problem::of_file(directory, message) });
        }
        let listed = fs::read_dir(directory)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>());
        let mut paths = match listed {
            Ok(paths) => paths,
            Err(error) => return self.problem(directory, &error),
        };
        paths.sort();
        self.above.push((id(metadata), directory.to_owned()));
        for path in paths.iter().filter(|path| !is_hidden(path)) {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => self.directory(path, &metadata),
                Ok(metadata) if is_manifest(path) && metadata.is_file() => self.file(path, metadata),
                Ok(_) if is_manifest(path) => {
                    self.problems.push(Problem::of_file(path, "is neither a file nor a directory"));
                }
                Err(error) if is_manifest(path) || error.kind() != io::ErrorKind::NotFound => {
                    self.problem(path, &error);
                }
                // Some other file, or a link to nothing under a name that is none of ours.
                Ok(_) | Err(_) => {}
            }
        }
        self.above.pop();
    }

    fn file(&mut self, path: &Path, metadata: Metadata) {
        if self.seen.insert(id(&metadata)) {
            self.found.push(Found { path: path.to_owned(), metadata });
        }
    }

    fn problem(&mut self, path: &Path, error: &io::Error) {
        self.problems.push(unreadable(path, error));
    }
}

/// Names with a dot in front are editors' leftovers, version control, our own state, or the hidden half of a mounted
/// ConfigMap.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known))
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::of_file(path, format!("cannot be read: {error}"))
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Box<Problem>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| Box::new(unreadable(path, &error)))?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("is larger than {} MiB", MAX_BYTES >> 20);
        return Err(Box::new(Problem { help: Some("split it".to_owned()), ..Problem::of_file(path, message) }));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let help = Some("save it as UTF-8".to_owned());
        Box::new(Problem { help, ..Problem::at(path, position(&before), "is not UTF-8 text from here on") })
    })
}
