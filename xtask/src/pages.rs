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
    for name in read(&root.join(folder), folder)?.into_keys().filter(|name| !pages.contains_key(name)) {
        fs::remove_file(root.join(&name))?;
        println!("removed {name}");
    }
    for (name, text) in pages {
        fs::write(root.join(name), text).with_context(|| name.clone())?;
    }
    println!("{folder}: {} pages", pages.len());
    Ok(())
}

/// The files directly in a folder, named as if it were called `name`; none when there is no such folder.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Pages> {
    let mut pages = Pages::new();
    if !folder.exists() {
        return Ok(pages);
    }
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let path = entry.path();
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            pages.insert(format!("{name}/{}", entry.file_name().to_string_lossy()), text);
        }
    }
    Ok(pages)
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
