//! Simulated ports: a cloud, a store, secrets and a clock that behave well, badly, or stop in the middle.
//!
//! ```text
//! Engine --call--> ModelCloud (interprets compiled kinds: no code per kind)
//!        --commit-> MemoryStore (records as JSON, survives its engine)
//!        both --point--> Kill (the n-th action never returns: the process died)
//! ```
//!
//! [`ModelCloud`] knows what the API's facts and a kind's descriptor say and nothing else, so it is a mirror of what the
//! descriptor claims, not of what the provider does: emulators and recordings check the claims, this crate checks the
//! engine. `tests/laws.rs` states what must hold of every kind.

mod answer;
mod behaviour;
mod check;
mod clock;
mod cloud;
mod kill;
mod operations;
mod resource;
mod secrets;
mod spelling;
mod store;

pub use behaviour::{Behaviour, Fault, FaultKind};
pub use clock::ManualClock;
pub use cloud::{Made, ModelCloud};
pub use kill::Kill;
pub use resource::{Life, Resource, Revision};
pub use secrets::MapSecrets;
pub use store::MemoryStore;
