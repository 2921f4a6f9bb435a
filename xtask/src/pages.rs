//! Generated files that are committed: written by an `extract`, compared by a `verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Texts by path below the repository's root.
pub(crate) type Pages = BTreeMap<String, String>;

/// Writes pages and removes files of their folder that are no longer extracted.
pub(crate) fn replace(root: &Path, folder: &str, pages: &Pages) -> Result<()> {
    fs::create_dir_all(root.join(folder))?;
    for name in files(root, folder)? {
        if !pages.contains_key(&name) {
            fs::remove_file(root.join(&name))?;
            println!("removed {name}");
        }
    }
    for (name, text) in pages {
        fs::write(root.join(name), text).with_context(|| name.clone())?;
    }
    println!("{folder}: {} pages", pages.len());
    Ok(())
}

/// What is committed in a folder: every file directly in it. Nothing when there is no such folder.
pub(crate) fn read(root: &Path, folder: &str) -> Result<Pages> {
    let mut pages = Pages::new();
    if root.join(folder).exists() {
        for name in files(root, folder)? {
            let text = fs::read_to_string(root.join(&name)).with_context(|| name.clone())?;
            pages.insert(name, text);
        }
    }
    Ok(pages)
}

fn files(root: &Path, folder: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root.join(folder)).with_context(|| folder.to_owned())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found.insert(format!("{folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(found)
}

/// One sentence for each page that is missing, surplus or different, with the first line that differs.
pub(crate) fn differences(committed: &Pages, extracted: &Pages) -> Vec<String> {
    let names: BTreeSet<&String> = committed.keys().chain(extracted.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (committed.get(name), extracted.get(name)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("{name}:{}: differs from its source", first_difference(old, new))),
            (None, _) => Some(format!("{name}: its source has it, but it is not committed")),
            (_, None) => Some(format!("{name}: committed, but its source does not have it")),
        })
        .collect()
}

/// The first line, counted from one, at which two texts differ.
pub(crate) fn first_difference(a: &str, b: &str) -> usize {
    a.split('\n').zip(b.split('\n')).take_while(|(a, b)| a == b).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing_surplus_and_different() {
        let pages = |list: &[(&str, &str)]| -> Pages {
            list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        let committed = pages(&[("a", "same\n"), ("b", "one\ntwo\n"), ("c", "")]);
        let extracted = pages(&[("a", "same\n"), ("b", "one\n2\n"), ("d", "")]);
        assert_eq!(
            differences(&committed, &extracted),
            [
                "b:2: differs from its source",
                "c: committed, but its source does not have it",
                "d: its source has it, but it is not committed",
            ]
        );
        assert!(differences(&committed, &committed).is_empty());
    }
}
