//! The adapter to a Kubernetes API server: wishes are custom resources, and what is remembered of each stands on it.
//!
//! ```text
//! API server --watch--> [`feed`] --> wishes and records --> engine --changes--> [`store`] --patches--> API server
//!                                        ^                              |
//!                                        +---------- [`object`] --------+      (pure: the form of both)
//! ```
//!
//! Nothing is cached here that the engine holds anyway: a [`rows::Row`] for each object says what the server has, so that
//! only differences are written. Secrets and `ConfigMap`s are read by name when a call needs them.

pub mod apply;
pub mod connect;
pub mod crds;
pub mod error;
pub mod events;
pub mod feed;
pub mod fence;
pub mod identity;
pub mod lease;
pub mod object;
pub mod rbac;
pub mod reader;
pub mod resources;
pub mod rows;
pub mod secrets;
pub mod store;

pub use connect::{Cluster, Place};
pub use error::KubeError;
pub use feed::{Feed, News};
pub use fence::{Fence, Fenced};
pub use resources::{Resource, Resources};
pub use store::KubeStore;
