//! The engine: decides what to do about each object, does it one call at a time, and remembers.
//!
//! ```text
//!            wishes (directory, cluster)              records (store)
//!                     |                                    |
//!   run: queue --> turn: resolve --> read (cloud) --> decide --> intent --> call --> outcome
//!          ^                                            |                             |
//!          +---- wake, poll, retry, sweep <-------------+-----------------------------+
//! ```
//!
//! * [`run`] is the scheduler: many objects at once, one turn of each at a time.
//! * [`engine`] is one turn, and [`engine::Engine::preview`] is the same turn without its call: the plan is the apply.
//! * [`decide`] is the pure middle: from wish, observation and record to a [`decide::Decision`].
//! * [`import`] goes the other way: from resources that exist to wishes for them.
//! * [`conditions`] and [`classify`] are the only places that turn outcomes into conditions, events and retries.
//!
//! The engine knows no cloud and no Kubernetes: it drives the ports of `cso_core::port` and nothing else.

pub mod classify;
pub mod conditions;
pub mod decide;
pub mod dialect;
mod differ;
pub mod engine;
pub mod exports;
mod identity;
mod ignore;
pub mod import;
mod limited;
pub mod object;
pub mod queue;
mod read;
pub mod resolve;
pub mod run;
pub mod world;
