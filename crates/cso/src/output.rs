//! The only place that prints. Results go to stdout, everything about the way there to stderr.
//!
//! The modules below turn values into text and are pure; styles are in the text and vanish where they are not wanted.

pub(crate) mod board;
pub(crate) mod describe;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod live;
pub(crate) mod manifest;
pub(crate) mod object;
pub(crate) mod plan;
pub(crate) mod table;

use std::fmt;
use std::io::Write as _;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;

use crate::args::When;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const CHANGE: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();

/// A text in a style.
pub(crate) fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Says for the whole process when colours are used.
pub(crate) fn choose_color(when: When) {
    let choice = match when {
        When::Auto => anstream::ColorChoice::Auto,
        When::Always => anstream::ColorChoice::Always,
        When::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether colours reach stderr.
pub(crate) fn colors_stderr() -> bool {
    AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Prints a result. Whether it ends in a line break does not matter; nothing is printed of an empty text.
///
/// A reader that went away is not an error: `cso get | head` succeeds.
pub(crate) fn result(text: &str) {
    let text = text.trim_end();
    if !text.is_empty() {
        print(std::io::stdout().lock(), text);
    }
}

/// Writes a text and a line break, in one piece however many lines and styles it has.
fn print<S: anstream::stream::RawStream>(mut stream: S, text: &str) {
    let mut styled = AutoStream::new(Vec::new(), AutoStream::choice(&stream));
    // Whoever closed the other end does not want to know.
    let _ = writeln!(styled, "{text}").and_then(|()| stream.write_all(&styled.into_inner()));
}

/// Prints a result byte by byte, without styles.
pub(crate) fn raw(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// Prints a result for programs.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    result(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Tells something beside the result.
pub(crate) fn note(text: &str) {
    print(std::io::stderr().lock(), text.trim_end());
}

/// Tells why a command failed, with everything that led to it.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("{} {error:#}", styled(BAD.bold(), "error:")));
}

/// A value as YAML, in canonical order.
pub(crate) fn yaml(value: &Value) -> anyhow::Result<String> {
    // Kubernetes reads YAML 1.1: strings such as `on` are quoted by default.
    Ok(serde_saphyr::to_string(value)?)
}

/// `1 call`, `2 calls`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}
