//! The laws: what must hold of every kind, checked for every kind. `docs/laws.md` says each in words.
//!
//! The wishes are generated from the kind and its published surface, with a fixed seed; `PROPTEST_CASES` says how many
//! of them each law sees. There is no list of exemptions: a law that fails names a bug.

mod annotations;
mod bench;
mod bounds;
mod convergence;
mod crash;
mod decisions;
mod import;
mod names;
mod ownership;
mod plans;
mod revisions;
mod secrets;
mod values;
mod wishes;
