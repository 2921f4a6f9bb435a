//! Reading the catalogue file; [`crate::pack`] describes its layout.

use std::io::Read as _;

use ruzstd::decoding::StreamingDecoder;

use crate::pack::{MAGIC, VERSION};

/// Largest text of one section, in bytes: ten times the largest service known, so that a damaged file cannot exhaust memory.
const MAX_TEXT: u32 = 32 << 20;

/// Why a file is not a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    #[error("not a catalogue: it does not start with `CSOC`")]
    Magic,
    #[error(
        "catalogue format {found} is not supported, only {VERSION}: rebuild it with this program's `xtask facts pack`"
    )]
    Version { found: u32 },
    #[error("the catalogue is damaged: {0}")]
    Damaged(String),
}

/// One entry of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    offset: usize,
    packed_len: usize,
    text_len: u32,
}

/// What stands before the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) digest: [u8; 32],
    /// Sorted by name.
    pub(crate) entries: Vec<Entry>,
}

impl Index {
    /// Reads the index of a file; returns it with the frames.
    pub(crate) fn read(file: &[u8]) -> Result<(Self, &[u8]), PackError> {
        let mut rest = file;
        if take(&mut rest, 4).ok() != Some(&MAGIC) {
            return Err(PackError::Magic);
        }
        let found = number(&mut rest)?;
        if found != VERSION {
            return Err(PackError::Version { found });
        }
        let digest = take(&mut rest, 32)?.try_into().map_err(|_| truncated())?;
        let count = number(&mut rest)?;
        let entries = (0..count).map(|_| Entry::read(&mut rest)).collect::<Result<Vec<_>, _>>()?;
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(PackError::Damaged(format!("section `{}` is out of order", pair[1].name)));
        }
        if let Some(entry) = entries.iter().find(|entry| entry.frame(rest).is_none()) {
            return Err(PackError::Damaged(format!("section `{}` is cut off", entry.name)));
        }
        Ok((Self { digest, entries }, rest))
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()
    }
}

impl Entry {
    fn read(rest: &mut &[u8]) -> Result<Self, PackError> {
        let name_len = number(rest)?;
        let name = std::str::from_utf8(take(rest, name_len as usize)?)
            .map_err(|_| PackError::Damaged("the name of a section is not UTF-8".to_owned()))?
            .to_owned();
        let (offset, packed_len, text_len) = (number(rest)?, number(rest)?, number(rest)?);
        Ok(Self { name, offset: offset as usize, packed_len: packed_len as usize, text_len })
    }

    fn frame<'a>(&self, frames: &'a [u8]) -> Option<&'a [u8]> {
        frames.get(self.offset..self.offset.checked_add(self.packed_len)?)
    }

    /// Decodes the text of this section.
    pub(crate) fn text(&self, frames: &[u8]) -> Result<String, PackError> {
        let damaged = |why: String| PackError::Damaged(format!("section `{}`: {why}", self.name));
        if self.text_len > MAX_TEXT {
            return Err(damaged(format!("{} bytes of text are more than {MAX_TEXT}", self.text_len)));
        }
        let frame = self.frame(frames).ok_or_else(truncated)?;
        let decoder = StreamingDecoder::new(frame).map_err(|error| damaged(error.to_string()))?;
        let mut text = String::with_capacity(self.text_len as usize);
        // One byte more than stated tells a frame that is too long from one that fits.
        let read = decoder.take(u64::from(self.text_len) + 1).read_to_string(&mut text);
        match read {
            Ok(len) if len == self.text_len as usize => Ok(text),
            Ok(_) => Err(damaged("the text has another length than the index states".to_owned())),
            Err(error) => Err(damaged(error.to_string())),
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], PackError> {
    let (head, tail) = rest.split_at_checked(len).ok_or_else(truncated)?;
    *rest = tail;
    Ok(head)
}

fn number(rest: &mut &[u8]) -> Result<u32, PackError> {
    let bytes = take(rest, 4)?.try_into().map_err(|_| truncated())?;
    Ok(u32::from_le_bytes(bytes))
}

fn truncated() -> PackError {
    PackError::Damaged("it ends too early".to_owned())
}
