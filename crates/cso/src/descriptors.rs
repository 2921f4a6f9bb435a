//! Files of descriptors: which there are, and their text.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cso_schema::compile::Document;

/// Reads files, and every `.yaml` and `.yml` in and below directories, in the order of their names.
///
/// # Errors
/// When one cannot be read, is not UTF-8, or a directory has none.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Document>> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        find(path, &mut files)?;
        if files.len() == before {
            bail!("{}: no descriptor (*.yaml, *.yml) is in this directory", path.display());
        }
    }
    files.sort();
    files.dedup();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Document { file: path.display().to_string(), text })
    };
    files.into_iter().map(read).collect()
}

/// A file that is named counts whatever its ending.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let reading = || format!("cannot read {}", path.display());
    if !fs::metadata(path).with_context(reading)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = entry.path();
        let is_descriptor = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        // Links to directories are not followed: they may lead round in a circle.
        if is_descriptor || entry.file_type().with_context(reading)?.is_dir() {
            find(&path, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_read_with_all_below_them_in_order() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.yaml", "b/x.yml", "a.yaml", "notes.txt"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let texts = |paths: &[PathBuf]| read(paths).unwrap().into_iter().map(|one| one.text).collect::<Vec<_>>();
        assert_eq!(texts(&[folder.path().to_owned()]), ["a.yaml", "b/x.yml", "c.yaml"]);
        assert_eq!(texts(&[folder.path().join("notes.txt")]), ["notes.txt"]);
        let both = [folder.path().to_owned(), folder.path().join("a.yaml")];
        assert_eq!(texts(&both).len(), 3, "a file that is named twice is read once");
        fs::create_dir(folder.path().join("empty")).unwrap();
        let message = read(&[folder.path().join("empty")]).unwrap_err().to_string();
        assert!(message.ends_with("no descriptor (*.yaml, *.yml) is in this directory"), "{message}");
    }
}
