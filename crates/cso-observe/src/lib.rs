//! What a process that stays tells about itself: metrics of every cloud call, and pages that people and programs read.
//!
//! ```text
//! engine --> [`Measured`] --> cloud          GET /metrics
//!                 `--> [`Metrics`] <------------ [`serve`] --> [`Subject`]: is it ready, what is queued, what is watched
//! ```
//!
//! Nothing here names an object but the queue's page, which names their keys. No label of a metric is a name that users give:
//! the number of series depends on the kinds in use, never on the number of objects.

pub mod metrics;
pub mod serve;

pub use metrics::{Measured, Metrics, Snapshot};
pub use serve::{Pages, Subject, serve};
