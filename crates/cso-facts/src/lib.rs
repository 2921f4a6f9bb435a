//! What providers' APIs say, as data: names, types, flags. No prose and no behaviour; only [`pack`] touches files.
//!
//! ```text
//! registry packages --(xtask facts extract)--> facts/**.txt --(xtask facts pack)--> catalogue --> Service, Surface
//! ```
//!
//! * [`api`]: the operations and shapes of one AWS service ([`api::Service`]); [`partition`]: the partitions of AWS.
//! * [`surface`]: the published Kubernetes surface of one kind ([`surface::Surface`]).
//! * [`text`]: the canonical text of both.
//! * [`Catalog`]: the compressed collection of everything, decoded piece by piece.
//!
//! The canonical text under `facts/` is the source of record: committed, reviewed as a diff, byte-identical on every
//! extraction. Everything that a program needs at run time comes from the catalogue that is built from it.
//!
//! ```
//! let sqs = cso_facts::Catalog::builtin().service("sqs")?;
//! assert!(sqs.operation("CreateQueue").is_some());
//! # Ok::<(), cso_facts::CatalogError>(())
//! ```

pub mod api;
mod catalog;
mod index;
pub mod pack;
pub mod partition;
pub mod surface;
pub mod text;

pub use catalog::{Catalog, CatalogError};
pub use index::PackError;
