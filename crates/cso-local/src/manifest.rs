//! Manifests of a directory: read, checked, and watched.
//!
//! Reading never fails as a whole: what is wrong becomes a [`Problem`] with its place, and everything else is read.

mod files;
mod identity;
mod problem;
mod secrets;
mod validate;
mod watch;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cso_core::{FieldPath, Object, ObjectKey};
use serde::Serialize;
use serde_json::Value;

use crate::parallel;

pub use problem::Problem;
pub use secrets::FileSecrets;
pub use validate::validate;
pub use watch::Watch;

/// What the given files and directories say.
#[derive(Clone, Debug, Default)]
pub struct ManifestSet {
    /// The sound manifests, by key. An object with a problem is not among them, nor is one that is declared twice.
    pub manifests: Vec<Manifest>,
    /// What is wrong, by place.
    pub problems: Vec<Problem>,
}

impl ManifestSet {
    /// Whether everything was understood. Only then does the absence of an object say that nobody wants it.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One object as written.
#[derive(Clone)]
pub struct Manifest {
    pub object: Object,
    pub api_version: ApiVersion,
    pub source: Source,
    /// The whole document. The values of a Secret are not in it.
    pub raw: Value,
    places: yaml::Places,
}

/// Group and version of a kind: `sqs.services.k8s.aws/v1alpha1`, or `v1` for the core group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersion {
    pub group: String,
    pub version: String,
}

/// Where a manifest begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As it was named by the caller, or found below a directory that was.
    pub file: PathBuf,
    /// Of the document or, in a list, of the element. First line is 1.
    pub line: usize,
}

/// A place in a file. Both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Manifest {
    /// Where a field is: its name if it is a member, its value if it is an element. For a field that is not there, the
    /// innermost enclosing one that is.
    pub fn position(&self, path: &FieldPath) -> Position {
        self.places.find(path)
    }
}

/// What users wrote may be anything, so only names are shown.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest").field("key", &self.object.key).field("source", &self.source).finish_non_exhaustive()
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.version) } else { write!(f, "{}/{}", self.group, self.version) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Reads manifests from files, and from directories all the way down.
///
/// In a directory, files named `.yaml`, `.yml` and `.json` are read in the order of their paths; names that begin with a
/// dot are passed over. Lists are taken apart. Objects without a namespace get `default_namespace`.
pub fn load<P: AsRef<Path>>(paths: &[P], default_namespace: &str) -> ManifestSet {
    let mut set = ManifestSet::default();
    let files = files::find(paths, &mut set.problems);
    for file in parallel::map(&files, |file| read_file(&file.path, default_namespace)) {
        set.manifests.extend(file.manifests);
        set.problems.extend(file.problems);
    }
    finish(&mut set);
    set
}

fn read_file(file: &Path, default_namespace: &str) -> ManifestSet {
    let mut set = ManifestSet::default();
    match files::read(file) {
        Ok(text) => read(file, &text, default_namespace, &mut set),
        Err(problem) => set.problems.push(*problem),
    }
    set
}

/// Reads manifests from a text. `file` is its name for messages.
pub fn parse(file: &Path, text: &str, default_namespace: &str) -> ManifestSet {
    let mut set = ManifestSet::default();
    read(file, text, default_namespace, &mut set);
    finish(&mut set);
    set
}

/// Puts everything in order, and takes out what is declared twice.
fn finish(set: &mut ManifestSet) {
    set.manifests.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    refuse_twins(set);
    set.problems.sort_by(|a, b| a.place().cmp(&b.place()));
}

/// Reads the documents of one file.
fn read(file: &Path, text: &str, default_namespace: &str, set: &mut ManifestSet) {
    for document in yaml::documents(text) {
        let Some(node) = document.node else {
            set.problems.extend(document.faults.into_iter().map(|fault| fault.into_problem(file, None)));
            continue;
        };
        let mut drafts = identity::drafts(node, file, default_namespace);
        // A fault of the text belongs to the draft that it lies in: the last one that begins before it.
        for fault in document.faults {
            let draft = drafts.iter_mut().rev().find(|draft| draft.begin() <= fault.at);
            let object = draft.as_ref().and_then(|draft| draft.key());
            let problem = fault.into_problem(file, object);
            match draft {
                Some(draft) => draft.problems.push(problem),
                None => set.problems.push(problem),
            }
        }
        for draft in drafts {
            match draft.finish() {
                Ok(manifest) => set.manifests.push(manifest),
                Err(problems) => set.problems.extend(problems),
            }
        }
    }
}

/// Nobody can say which of two declarations of one object is meant: neither stays, and each is told of the other.
fn refuse_twins(set: &mut ManifestSet) {
    let mut sources: BTreeMap<ObjectKey, Vec<Source>> = BTreeMap::new();
    for manifest in &set.manifests {
        sources.entry(manifest.object.key.clone()).or_default().push(manifest.source.clone());
    }
    set.manifests.retain(|manifest| {
        let declared = &sources[&manifest.object.key];
        let Some(other) = declared.iter().find(|source| **source != manifest.source) else { return true };
        let path = FieldPath::root().child("metadata").child("name");
        set.problems.push(Problem {
            object: Some(manifest.object.key.clone()),
            path: Some(path.clone()),
            help: Some("remove one of the two".to_owned()),
            ..Problem::at(&manifest.source.file, manifest.position(&path), format!("is also declared at {other}"))
        });
        false
    });
}
