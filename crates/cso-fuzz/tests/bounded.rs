//! The corpus as it is, and mutated by a seed: the same cases every time, in seconds, on stable Rust.
//!
//! A case that fails is shown as text; `fuzz/README.md` says how to keep it in the corpus.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use cso_fuzz::{TARGETS, Target};

/// What mutations splice in: the words and signs of the formats, and numbers at their edges.
const WORDS: [&[u8]; 40] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"[]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e309",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"NaN",
    b"<",
    b"</",
    b"/>",
    b"<a>",
    b"&amp;",
    b"&#0;",
    b"&x;",
    b"<![CDATA[",
    b"<!DOCTYPE a [<!ENTITY x 'x'>]>",
    b"xmlns:a='b'",
    b"\n",
    b"\r\n",
    b"  ",
    b"\t",
    b"- ",
    b"---\n",
    b"&a ",
    b"*a",
    b"!!binary ",
    b"|\n",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\xef\xbb\xbf",
];

/// Cases of each input besides the whole of it. State files are slow to make.
const CASES: usize = 400;
const CASES_OF_FILES: usize = 60;
const SEED: u64 = 20_261_121;

struct Mutator(fastrand::Rng);

impl Mutator {
    /// The bytes with one to four changes in them.
    fn mutate(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..self.0.usize(1..=4) {
            self.change(&mut bytes, other);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.0.usize(..=bytes.len());
        let end = (at + self.0.usize(..=16)).min(bytes.len());
        match self.0.u8(..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.0.u8(..8),
            1 if at < bytes.len() => bytes[at] = self.0.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            // Nesting and repetition: what runs away, runs away here.
            4 => {
                let copies = bytes[at..end].repeat(self.0.usize(1..=300));
                bytes.splice(at..at, copies);
            }
            5 => {
                let from = self.0.usize(..=other.len());
                let part = &other[from..(from + self.0.usize(..=64)).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
            6 => drop(bytes.splice(at..end, self.word())),
            _ => drop(bytes.splice(at..at, self.word())),
        }
    }

    fn word(&mut self) -> Vec<u8> {
        WORDS[self.0.usize(..WORDS.len())].to_vec()
    }
}

/// Every input of a target, by the name of its file.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = files
        .map(|file| {
            let file = file.expect("a file");
            (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).expect("readable"))
        })
        .collect();
    inputs.sort();
    inputs
}

fn holds(target: &Target, what: &str, bytes: &[u8]) {
    let held = catch_unwind(|| (target.run)(bytes)).is_ok();
    assert!(held, "{}: {what} (the panic is above): {:?}", target.name, String::from_utf8_lossy(bytes));
}

fn bounded(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let inputs = corpus(target);
    assert!(inputs.len() >= 2, "{name} has no corpus");
    let cases = if name == "state" { CASES_OF_FILES } else { CASES };
    for (place, (file, bytes)) in inputs.iter().enumerate() {
        holds(target, file, bytes);
        let mut mutator = Mutator(fastrand::Rng::with_seed(SEED + place as u64));
        for case in 0..cases {
            let other = &inputs[mutator.0.usize(..inputs.len())].1;
            holds(target, &format!("{file}, case {case}"), &mutator.mutate(bytes, other));
        }
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { bounded(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($name)),*]);
        }
    };
}

targets!(json_answer, query_answer, xml_answer, manifest, descriptor, path, facts, record, state);
