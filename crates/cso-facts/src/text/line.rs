//! Lines of canonical text: reading them word by word, and writing them.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::ParseError;

/// A line being read from left to right.
pub(super) struct Line<'a> {
    file: &'a str,
    number: usize,
    /// Levels of indentation.
    pub(super) depth: usize,
    rest: &'a str,
}

/// The lines of a page that hold something.
pub(super) fn lines<'a>(file: &'a str, text: &'a str) -> impl Iterator<Item = Result<Line<'a>, ParseError>> {
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(move |(index, line)| {
        let rest = line.trim_start_matches(' ');
        let spaces = line.len() - rest.len();
        let line = Line { file, number: index + 1, depth: spaces / 2, rest };
        match () {
            () if spaces % 2 != 0 => Err(line.error("odd indentation")),
            () if rest.ends_with(' ') => Err(line.error("white space at the end")),
            () => Ok(line),
        }
    })
}

impl<'a> Line<'a> {
    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError { file: self.file.to_owned(), line: self.number, message: message.into() }
    }

    /// Whether all words were read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value; `what` names it in the error when there is none.
    pub(super) fn value(&mut self, what: &str) -> Result<Cow<'a, str>, ParseError> {
        if self.rest.is_empty() {
            return Err(self.error(format!("{what} is missing")));
        }
        let end = if self.rest.starts_with('"') { quoted_len(self.rest) } else { bare_len(self.rest) };
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let value = if word.starts_with('"') {
            Cow::Owned(serde_json::from_str(word).map_err(|error| self.error(format!("bad string: {error}")))?)
        } else {
            Cow::Borrowed(word)
        };
        self.rest = match rest.strip_prefix(' ') {
            Some(next) if !next.starts_with(' ') => next,
            None if rest.is_empty() => "",
            _ => return Err(self.error(format!("one space must follow {what}"))),
        };
        Ok(value)
    }

    /// As [`Line::value`], owned.
    pub(super) fn string(&mut self, what: &str) -> Result<String, ParseError> {
        self.value(what).map(Cow::into_owned)
    }

    /// The rest of the line as a list of values.
    pub(super) fn strings(&mut self, what: &str) -> Result<Vec<String>, ParseError> {
        let mut found = Vec::new();
        while !self.is_done() {
            found.push(self.string(what)?);
        }
        Ok(found)
    }

    /// The key of the next attribute, without its value.
    pub(super) fn attribute(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find([' ', '=']).unwrap_or(self.rest.len());
        let (key, rest) = self.rest.split_at(end);
        self.rest = match rest.strip_prefix(' ') {
            Some(next) => next,
            // The `=` stays for `attribute_value`, so that a flag with a value, and the reverse, are errors.
            None => rest,
        };
        Some(key)
    }

    /// The value of the attribute whose key was just read.
    pub(super) fn attribute_value(&mut self, key: &str) -> Result<Cow<'a, str>, ParseError> {
        self.rest = self.rest.strip_prefix('=').ok_or_else(|| self.error(format!("`{key}` needs `={}`", "VALUE")))?;
        if self.rest.is_empty() || self.rest.starts_with(' ') {
            return Err(self.error(format!("the value of `{key}` is missing")));
        }
        self.value(key)
    }

    /// As [`Line::attribute_value`], owned.
    pub(super) fn attribute_string(&mut self, key: &str) -> Result<String, ParseError> {
        self.attribute_value(key).map(Cow::into_owned)
    }

    /// A comma-separated attribute value.
    pub(super) fn attribute_list(&mut self, key: &str) -> Result<Vec<String>, ParseError> {
        Ok(self.attribute_value(key)?.split(',').map(ToOwned::to_owned).collect())
    }

    pub(super) fn unknown_attribute(&self, key: &str) -> ParseError {
        self.error(format!("unknown attribute `{key}`"))
    }

    /// Fails unless the line ends here.
    pub(super) fn end(&self) -> Result<(), ParseError> {
        if self.is_done() { Ok(()) } else { Err(self.error(format!("`{}` is too much", self.rest))) }
    }

    /// Looks a word up in a table of names.
    pub(super) fn lookup<T: Copy>(&self, table: &[(&str, T)], what: &str, word: &str) -> Result<T, ParseError> {
        table
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, value)| *value)
            .ok_or_else(|| self.error(format!("unknown {what} `{word}`")))
    }
}

/// Length of the JSON string at the start of `text`, or all of `text` when it never ends.
fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn bare_len(text: &str) -> usize {
    text.find(' ').unwrap_or(text.len())
}

/// The name of a value in a table that lists every value.
pub(super) fn name_in<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, listed)| listed == value).map_or("?", |(name, _)| name)
}

/// A page being written.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Starts a line with a keyword.
    pub(super) fn line(&mut self, depth: usize, keyword: &str) -> &mut Self {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        for _ in 0..depth {
            self.text.push_str("  ");
        }
        self.quote(keyword);
        self
    }

    /// Leaves an empty line before the next one.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    pub(super) fn value(&mut self, value: &str) -> &mut Self {
        self.text.push(' ');
        self.quote(value);
        self
    }

    pub(super) fn values<'a>(&mut self, values: impl IntoIterator<Item = &'a String>) -> &mut Self {
        for value in values {
            self.value(value);
        }
        self
    }

    pub(super) fn flag(&mut self, name: &str, set: bool) -> &mut Self {
        if set {
            self.text.push(' ');
            self.text.push_str(name);
        }
        self
    }

    pub(super) fn attribute(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text.push(' ');
            self.text.push_str(key);
            self.text.push('=');
            self.quote(value);
        }
        self
    }

    /// A comma-separated attribute, left out when empty.
    pub(super) fn list(&mut self, key: &str, values: &[String]) -> &mut Self {
        let joined = (!values.is_empty()).then(|| values.join(","));
        self.attribute(key, joined.as_deref())
    }

    pub(super) fn finish(mut self) -> String {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text
    }

    fn quote(&mut self, value: &str) {
        let is_bare = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        if is_bare {
            self.text.push_str(value);
        } else {
            // Writing to a string cannot fail; JSON escapes line ends, so a value never leaves its line.
            let _ = write!(self.text, "{}", serde_json::Value::from(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Line<'_> {
        lines("page", text).next().expect("a line").expect("good indentation")
    }

    #[test]
    fn what_is_written_is_read_back() {
        for value in ["plain", "", "two words", "a\"b", "tab\there", "line\nend", "a=b", "\u{2028}", "back\\slash"] {
            let mut page = Page::default();
            page.line(1, "key").value(value).attribute("wire", Some(value)).flag("last", true);
            let text = page.finish();
            assert_eq!(text.lines().count(), 1, "{value:?}");
            let mut line = only(&text);
            assert_eq!(line.depth, 1);
            assert_eq!(line.value("keyword").as_deref(), Ok("key"));
            assert_eq!(line.value("value").as_deref(), Ok(value));
            assert_eq!(line.attribute(), Some("wire"));
            assert_eq!(line.attribute_value("wire").as_deref(), Ok(value));
            assert_eq!(line.attribute(), Some("last"));
            assert!(line.is_done());
        }
    }

    #[test]
    fn bad_lines_name_the_place() {
        for (text, message) in
            [("one\n\n three", "page:3: odd indentation"), ("one\n  two ", "page:2: white space at the end")]
        {
            let error = lines("page", text).nth(1).and_then(Result::err).expect(message);
            assert_eq!(error.to_string(), message);
        }
        for (text, message) in [
            ("\"open", "page:1: bad string: EOF while parsing a string at line 1 column 5"),
            ("a  b", "page:1: one space must follow word"),
            ("\"a\"b", "page:1: one space must follow word"),
        ] {
            assert_eq!(only(text).value("word").map_err(|error| error.to_string()), Err(message.to_owned()));
        }
        let mut flag = only("required wire=");
        assert_eq!(flag.attribute(), Some("required"));
        assert!(flag.attribute_value("required").is_err(), "a flag has no value");
        assert_eq!(flag.attribute(), Some("wire"));
        assert!(flag.attribute_value("wire").is_err(), "an attribute needs one");
    }
}
