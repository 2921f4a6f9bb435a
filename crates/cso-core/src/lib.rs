//! The vocabulary every other crate speaks: what is wanted, what was seen, what will be called, what is remembered.
//!
//! ```text
//! Object (wanted) + Observation (seen) + Record (remembered) --decide--> Plan of Steps --driver--> Call --> Cloud
//!                                                                                   \--> Record --> Store
//! ```
//!
//! Nothing here does I/O, knows Kubernetes, or knows a cloud. [`port`] holds the traits that adapters implement.

pub mod call;
pub mod condition;
pub mod digest;
pub mod error;
pub mod export;
pub mod key;
pub mod object;
pub mod owner;
pub mod packed;
pub mod path;
pub mod port;
pub mod record;
pub mod secret;
pub mod tree;

pub use call::{Call, Difference, DifferenceKind, Plan, Step, Verb};
pub use condition::{Condition, ConditionStatus};
pub use digest::{Digest, DigestKey};
pub use error::{CallError, ErrorClass, Outcome};
pub use export::{Export, Exported};
pub use key::{KeyParts, ObjectKey};
pub use object::{Life, Object, Rival};
pub use owner::OwnerMark;
pub use path::FieldPath;
pub use record::{Intent, LastWish, Ownership, Record};
pub use secret::SecretValue;
pub use tree::{Hole, Tree};
