//! Lenses: one mapping between the user's spelling of a value and the provider's, used in both directions.

use std::collections::BTreeMap;

use cso_core::{FieldPath, Tree};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// How a value is spelt in the API. Of a list or a map, how each element is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lens {
    #[default]
    Same,
    /// Requests have this in front of the value, answers may; the user may leave it out.
    Prefix(String),
    /// Answers have the text URL-encoded (RFC 3986); requests have it plain.
    UrlEncoded,
    /// Answers have words for values.
    Words(BTreeMap<String, Value>),
    /// Answers have members of the structure, or of each element of the list, elsewhere or in other words.
    Members(BTreeMap<String, Answered>),
}

/// How answers have a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Where, if not in the member of its name.
    pub at: Option<FieldPath>,
    /// Its words for values; none if it has the values themselves.
    pub words: BTreeMap<String, Value>,
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
            (Self::Words(words), Tree::Text(word), _) => meaning(words, word),
            (Self::Members(_), Tree::List(elements), _) => {
                Tree::List(elements.iter().map(|element| self.get(element, None)).collect())
            }
            (Self::Members(rules), Tree::Object(members), _) => {
                let mut members = members.clone();
                for (name, rule) in rules {
                    if let Some(Tree::Text(word)) = members.get(name) {
                        let value = meaning(&rule.words, word);
                        members.insert(name.clone(), value);
                    }
                }
                Tree::Object(members)
            }
            _ => seen.clone(),
        }
    }

    /// An answer with its members under the user's names.
    #[must_use]
    pub fn named(&self, seen: &Tree) -> Tree {
        match (self, seen) {
            (Self::Members(_), Tree::List(elements)) => {
                Tree::List(elements.iter().map(|element| self.named(element)).collect())
            }
            (Self::Members(rules), Tree::Object(members)) => {
                let elsewhere = rules.iter().filter_map(|(name, rule)| {
                    let value = seen.at(rule.at.as_ref()?)?;
                    Some((name.clone(), value.clone()))
                });
                Tree::Object(members.clone().into_iter().chain(elsewhere).collect())
            }
            _ => seen.clone(),
        }
    }

    /// The spelling in answers of what a request carried. Only a simulated provider needs it.
    pub fn answered(&self, put: &Tree) -> Tree {
        match (self, put) {
            (Self::UrlEncoded, Tree::Text(text)) => Tree::Text(utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()),
            (Self::UrlEncoded, Tree::List(_) | Tree::Object(_)) => each(put, |element| self.answered(element)),
            (Self::Words(words), value) => word(words, value),
            (Self::Members(_), Tree::List(elements)) => {
                Tree::List(elements.iter().map(|element| self.answered(element)).collect())
            }
            (Self::Members(rules), Tree::Object(members)) => {
                let mut answer = Tree::object();
                for (name, value) in members {
                    let rule = rules.get(name);
                    let at = rule.and_then(|rule| rule.at.clone()).unwrap_or_else(|| FieldPath::root().child(name));
                    answer.set(&at, rule.map_or_else(|| value.clone(), |rule| word(&rule.words, value)));
                }
                answer
            }
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

/// The value that a word stands for; a word that stands for nothing is itself.
fn meaning(words: &BTreeMap<String, Value>, word: &str) -> Tree {
    words.get(word).map_or_else(|| Tree::text(word), Tree::from)
}

/// The first word for a value.
fn word(words: &BTreeMap<String, Value>, value: &Tree) -> Tree {
    let word = words.iter().find(|(_, meant)| Tree::from(*meant) == *value);
    word.map_or_else(|| value.clone(), |(word, _)| Tree::text(word))
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
    fn words_stand_for_values_and_members_may_be_elsewhere() {
        let truth = |words: [(&str, bool); 3]| words.map(|(word, on)| (word.to_owned(), Value::Bool(on))).into();
        let words: BTreeMap<String, Value> = truth([("DISABLED", false), ("ENABLED", true), ("ENABLING", true)]);
        let lens = Lens::Words(words.clone());
        assert_eq!(lens.get(&Tree::text("ENABLING"), None), Tree::Bool(true));
        assert_eq!(lens.get(&Tree::text("FAILED"), None), Tree::text("FAILED"));
        assert_eq!(lens.answered(&Tree::Bool(true)), Tree::text("ENABLED"));

        let at = Some(FieldPath::root().child("Summary").child("Status"));
        let lens = Lens::Members([("enabled".to_owned(), Answered { at, words })].into());
        let wish = Tree::from(serde_json::json!([{"enabled": true, "name": "a"}]));
        let answer = lens.answered(&wish);
        assert_eq!(answer.shown(), serde_json::json!([{"Summary": {"Status": "ENABLED"}, "name": "a"}]));
        let named = lens.get(&lens.named(&answer), None);
        assert_eq!(named.shown()[0]["enabled"], true);
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
