//! The engine: decides what to do about each object, does it one call at a time, and remembers.
pub mod decide;
pub mod dialect;
mod differ;
