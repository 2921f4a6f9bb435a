//! Sections of pages that tests write.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// `docs/compatibility.md`.
pub(crate) fn compatibility() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md")
}

/// A section between two lines that nobody else writes.
pub(crate) struct Section {
    pub(crate) begin: &'static str,
    pub(crate) end: &'static str,
}

impl Section {
    /// Compares what is between the lines, or writes it if `UPDATE_EXPECT` is set; what is wrong, if anything is.
    pub(crate) fn check(&self, path: &Path, body: &str) -> Result<Option<String>> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let place = |line: &str| text.find(line).with_context(|| format!("{} lacks `{line}`", path.display()));
        let (start, end) = (place(self.begin)? + self.begin.len(), place(self.end)?);
        let fresh = format!("{}\n{body}{}", &text[..start], &text[end..]);
        if fresh == text {
            return Ok(None);
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(path, fresh)?;
            return Ok(None);
        }
        Ok(Some(format!("{} is not current: run with UPDATE_EXPECT=1\n{body}", path.display())))
    }
}
