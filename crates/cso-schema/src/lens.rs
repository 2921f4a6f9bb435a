//! Lenses: one mapping between the user's spelling of a value and the provider's, used in both directions.

use cso_core::Tree;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// How a value is spelt in the API. Of a list or a map, how each element is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lens {
    #[default]
    Same,
    /// Requests have this in front of the value, answers may; the user may leave it out.
    Prefix(String),
    /// Answers have the text URL-encoded (RFC 3986); requests have it plain.
    UrlEncoded,
}

impl Lens {
    /// A lens by the name descriptors use; a prefix has a key of its own.
    pub fn by_name(name: &str) -> Option<Self> {
        (name == "url-encoded").then_some(Self::UrlEncoded)
    }

    /// The spelling of a wish in requests.
    pub fn put(&self, value: &Tree) -> Tree {
        match (self, value) {
            (Self::Prefix(prefix), Tree::Text(text)) if !text.starts_with(prefix.as_str()) => {
                Tree::Text(format!("{prefix}{text}"))
            }
            (Self::Prefix(_), Tree::List(_) | Tree::Object(_)) => each(value, |element| self.put(element)),
            _ => value.clone(),
        }
    }

    /// The user's spelling of what an answer has, given how he spells his wish: with the prefix or without.
    pub fn get(&self, seen: &Tree, wished: Option<&Tree>) -> Tree {
        match (self, seen, wished) {
            (Self::Prefix(prefix), Tree::Text(text), Some(Tree::Text(wished))) => {
                let bare = text.strip_prefix(prefix.as_str()).unwrap_or(text);
                Tree::Text(if wished.starts_with(prefix.as_str()) {
                    format!("{prefix}{bare}")
                } else {
                    bare.to_owned()
                })
            }
            (Self::UrlEncoded, Tree::Text(text), _) => Tree::Text(decoded(text)),
            (Self::UrlEncoded, Tree::List(_) | Tree::Object(_), _) => each(seen, |element| self.get(element, None)),
            _ => seen.clone(),
        }
    }

    /// The spelling in answers of what a request carried. Only a simulated provider needs it.
    pub fn answered(&self, put: &Tree) -> Tree {
        match (self, put) {
            (Self::UrlEncoded, Tree::Text(text)) => Tree::Text(utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()),
            (Self::UrlEncoded, Tree::List(_) | Tree::Object(_)) => each(put, |element| self.answered(element)),
            _ => put.clone(),
        }
    }

    /// A text without what requests have in front of it.
    pub fn bare<'a>(&self, text: &'a str) -> &'a str {
        match self {
            Self::Prefix(prefix) => text.strip_prefix(prefix.as_str()).unwrap_or(text),
            _ => text,
        }
    }
}

/// The text before it was encoded. Documents are JSON, which has characters that an encoded text cannot have; one with
/// them was not encoded, and a percent sign in it means itself.
fn decoded(text: &str) -> String {
    if text.contains(['{', '"', ' ']) {
        return text.to_owned();
    }
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Into::into)
}

fn each(value: &Tree, map: impl Fn(&Tree) -> Tree) -> Tree {
    match value {
        Tree::List(elements) => Tree::List(elements.iter().map(map).collect()),
        Tree::Object(members) => {
            Tree::Object(members.iter().map(|(name, member)| (name.clone(), map(member))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_added_once_and_taken_off_as_the_user_spells_it() {
        let lens = Lens::Prefix("alias/".into());
        for wish in ["a", "alias/a"] {
            let wish = Tree::text(wish);
            assert_eq!(lens.put(&wish), Tree::text("alias/a"));
            assert_eq!(lens.get(&lens.put(&wish), Some(&wish)), wish);
            // Some providers answer without it.
            assert_eq!(lens.get(&Tree::text("a"), Some(&wish)), wish);
        }
        assert_eq!((lens.bare("alias/a"), lens.bare("a")), ("a", "a"));
    }

    #[test]
    fn documents_come_back_encoded_or_not() {
        let lens = Lens::UrlEncoded;
        let document = Tree::text(r#"{"Resource": "arn:aws:s3:::a/${aws:username}/100%25"}"#);
        assert_eq!(lens.put(&document), document);
        assert_eq!(lens.get(&lens.answered(&document), None), document);
        assert_eq!(lens.get(&document, None), document);
        let map = Tree::Object([("a b".to_owned(), document.clone())].into());
        assert_eq!(lens.get(&lens.answered(&map), None), map);
    }
}
