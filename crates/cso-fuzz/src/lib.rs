//! What must hold for any bytes that a reader is given. Development code: each function panics when it does not hold.
//!
//! ```text
//! fuzz/corpus/NAME/* --+--> tests/bounded.rs: as they are, and mutated by a seed, on stable Rust in `make test`
//!                      `--> fuzz/: libFuzzer, for as long as one likes
//! ```
//!
//! A reader must never panic and never run away. Beyond that, every target states what its reader promises: what was
//! accepted is whole, what was refused is told with a place that exists, and what is written again is the same.

mod answer;
mod state;
mod text;

/// One reader under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name of the target and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Reads the bytes.
    ///
    /// # Panics
    /// When a promise of the reader does not hold.
    pub run: fn(&[u8]),
}

/// Every reader of bytes that come from outside.
pub const TARGETS: [Target; 9] = [
    Target { name: "json_answer", run: answer::json },
    Target { name: "query_answer", run: answer::query },
    Target { name: "xml_answer", run: answer::rest_xml },
    Target { name: "manifest", run: text::manifest },
    Target { name: "descriptor", run: text::descriptor },
    Target { name: "path", run: text::path },
    Target { name: "facts", run: text::facts },
    Target { name: "record", run: state::record },
    Target { name: "state", run: state::file },
];

/// Reads the bytes with the target of this name.
///
/// # Panics
/// When a promise of the reader does not hold, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target `{name}`")).run)(bytes);
}
