//! The engine: decides what to do about each object, does it one call at a time, and remembers.
pub mod classify;
pub mod conditions;
pub mod decide;
pub mod dialect;
mod differ;
pub mod engine;
pub mod queue;
mod read;
pub mod resolve;
pub mod run;
pub mod world;
