//! Something wrong with a manifest, for people and for programs.

use std::fmt;
use std::path::{Path, PathBuf};

use cso_core::{FieldPath, ObjectKey};
use serde::Serialize;

use super::Position;

/// Something wrong, where it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: PathBuf,
    /// 0 when the file as a whole is meant.
    pub line: usize,
    /// 0 when the file as a whole is meant.
    pub column: usize,
    /// The object it belongs to, if that much could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<FieldPath>,
    pub message: String,
    /// What to do, if the message does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub(super) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self::at(file, Position { line: 0, column: 0 }, message)
    }

    pub(super) fn at(file: &Path, at: Position, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            object: None,
            path: None,
            message: message.into(),
            help: None,
        }
    }

    /// What problems are sorted by.
    pub(super) fn place(&self) -> (&Path, usize, usize, &str) {
        (&self.file, self.line, self.column, &self.message)
    }
}

/// ``dir/a.yaml:12:5: sqs/Queue default/orders: spec.delayseconds: unknown field; did you mean `delaySeconds`?``
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        if let Some(path) = self.path.as_ref().filter(|path| !path.is_root()) {
            write!(f, ": {path}")?;
        }
        write!(f, ": {}", self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}
