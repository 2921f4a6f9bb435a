//! Desired state from a directory of manifests, memory in one embedded file: the engine without a cluster.
//!
//! ```text
//! dir/**.yaml --manifest::load--> ManifestSet { manifests, problems }      problems say file:line:column
//!                  |                   |--validate (against a kind's surface)--> problems
//!                  |                   `--FileSecrets: values re-read from their file when asked
//!                  `--manifest::Watch: resolves when the set may have changed
//!
//! .cso/state.db --state::StateFile--> Store port: commits share durable transactions, one process writes
//!               `-state::StateReader: records and events, beside a process that writes
//! ```
//!
//! The two families know nothing of each other. [`parallel`] is how the work on many manifests is shared out.
//!
//! ```
//! use cso_local::{manifest, state::StateFile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let dir = scratch.path();
//! std::fs::write(
//!     dir.join("orders.yaml"),
//!     "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {name: orders}\nspec:\n  queueName: orders\n",
//! )?;
//! let set = manifest::load(&[dir], "default");
//! assert!(set.problems.is_empty());
//! assert_eq!(set.manifests[0].object.key.to_string(), "sqs/Queue default/orders");
//! assert_eq!(set.manifests[0].position(&"spec.queueName".parse()?).line, 5);
//!
//! let state = StateFile::open(&dir.join(".cso/state.db"))?;
//! assert!(StateFile::open(&dir.join(".cso/state.db")).is_err(), "one process at a time");
//! # Ok(())
//! # }
//! ```

pub mod manifest;
pub mod parallel;
pub mod state;
