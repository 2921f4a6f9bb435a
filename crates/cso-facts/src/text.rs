//! The canonical text of facts: what is committed, reviewed as a diff, and packed.
//!
//! A page is a list of lines; two spaces of indentation hang a line below the one above it. A line is a keyword, its
//! values in a fixed order, then attributes: `flag` or `key=value`. A value that is empty, holds white space or `"` is
//! written as a JSON string. Shapes are named, never numbered, so that one more shape changes one place:
//!
//! ```text
//! operation DeleteQueue POST / input=DeleteQueueRequest
//!   errors InvalidAddress QueueDoesNotExist
//! shape DeleteQueueRequest structure
//!   QueueUrl String required
//! ```
//!
//! Printing what was parsed gives the same bytes back.

mod line;
mod partition;
mod service;
mod surface;

pub use partition::{parse_partitions, print_partitions};
pub use service::{parse_service, print_service};
pub use surface::{parse_surfaces, print_surfaces};

/// A page that is not canonical text: where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ParseError {
    /// Name of the page as the caller gave it.
    pub file: String,
    /// Counted from one; zero when the whole page is meant.
    pub line: usize,
    pub message: String,
}
