//! What providers' APIs say, as data: names, types, flags. No prose, no behaviour, no I/O.
//!
//! ```text
//! registry packages --(xtask facts extract)--> facts/**.txt --(xtask facts pack)--> catalogue --> Service, Surface
//! ```
//!
//! * [`api`]: the operations and shapes of one AWS service ([`api::Service`]).
//! * [`surface`]: the published Kubernetes surface of one kind ([`surface::Surface`]).
//!
//! The canonical text under `facts/` is the source of record: committed, reviewed as a diff, byte-identical on every
//! extraction. Everything that a program needs at run time comes from the catalogue that is built from it.

pub mod api;
pub mod surface;
