//! Writing the catalogue file: named sections of text, each in a zstd frame of its own.
//!
//! ```text
//! magic "CSOC" | version u32 | sha256 of the sections' text [32] | number of sections u32
//! per section, sorted by name: name length u32 | name | offset u32 | packed length u32 | text length u32
//! frames
//! ```
//!
//! Numbers are little-endian; offsets count from the first frame. Sections are the canonical text itself: one format to
//! parse, review and test. The build script includes this file, so it names nothing else of the crate.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use sha2::{Digest as _, Sha256};

pub(crate) const MAGIC: [u8; 4] = *b"CSOC";
pub(crate) const VERSION: u32 = 1;

/// A file of `facts/` that is for reviewers: changes that were agreed to.
const NOT_FACTS: &str = "allow";

/// Folders below the repository's root that are packed, with the ending of their files.
pub const FOLDERS: [(&str, &str); 2] = [("facts", "txt"), ("kinds", "yaml")];

/// Reads the sections of a repository: `facts/aws/sqs.txt` becomes `aws/sqs`, `kinds/aws/sqs.yaml` becomes `kinds/sqs`.
///
/// # Errors
/// When a file cannot be read, is not UTF-8, or has a section name that another file has.
pub fn collect(root: &Path) -> Result<Vec<(String, String)>> {
    let mut sections = Vec::new();
    for (folder, ending) in FOLDERS {
        let top = root.join(folder);
        for file in files(&top, ending)? {
            let inner = file.strip_prefix(&top).unwrap_or(&file).with_extension("");
            let name = match folder {
                "kinds" => format!("kinds/{}", inner.file_name().unwrap_or_default().to_string_lossy()),
                // Components, so that the name is the same where paths have other separators.
                _ => inner.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"),
            };
            if name == NOT_FACTS {
                continue;
            }
            let text = fs::read_to_string(&file)
                .map_err(|error| Error::new(error.kind(), format!("{}: {error}", file.display())))?;
            sections.push((name, text));
        }
    }
    sections.sort();
    match sections.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Error::new(ErrorKind::AlreadyExists, format!("two files make the section `{}`", pair[1].0))),
        None => Ok(sections),
    }
}

/// Files with an ending anywhere below a folder; none when there is no folder.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Packs sections of (name, text) into a catalogue file; their order does not matter.
pub fn write(sections: &[(String, String)]) -> Vec<u8> {
    let mut sections: Vec<_> = sections.iter().collect();
    sections.sort();
    let mut frames = Vec::new();
    let mut index = Vec::new();
    for (name, text) in &sections {
        let frame = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
        put(&mut index, name.len());
        index.extend_from_slice(name.as_bytes());
        put(&mut index, frames.len());
        put(&mut index, frame.len());
        put(&mut index, text.len());
        frames.extend_from_slice(&frame);
    }
    let mut file = Vec::from(MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&digest(&sections));
    put(&mut file, sections.len());
    file.extend_from_slice(&index);
    file.extend_from_slice(&frames);
    file
}

/// Identifies the content whatever the compressor made of it.
fn digest(sections: &[&(String, String)]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, text) in sections {
        for part in [name, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finalize().into()
}

fn put(out: &mut Vec<u8>, number: usize) {
    // Our own sections together are far below 4 GiB; a wrong number would be refused on reading.
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}
