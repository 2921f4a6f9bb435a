//! Comparing a recording, which has placeholders, with what we saw.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Number, Value};

use super::recording::RecordedCall;
use super::wire::Made;

/// The mark that we put on resources and ACK does not know.
const OWNER_TAG: &str = "services.k8s.aws/owner";

/// What the placeholders of one scenario stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings {
    values: BTreeMap<String, String>,
    /// Identifiers that the script's own calls brought, oldest first, until a placeholder claims them.
    offers: Vec<Offer>,
    claims: bool,
    invented: u32,
}

/// An identifier, and the word that placeholders for such begin with.
#[derive(Clone, Debug)]
struct Offer {
    word: &'static str,
    id: String,
}

impl Bindings {
    /// `claims`: whether the script's placeholders mean what its own calls brought.
    pub(super) fn new(claims: bool) -> Self {
        Self { claims, ..Self::default() }
    }

    /// Keeps an identifier for the next placeholder of the script that stands for nothing yet.
    pub(super) fn offer(&mut self, word: &'static str, id: &str) {
        if self.claims {
            self.offers.push(Offer { word, id: id.to_owned() });
        }
    }

    /// Keeps the identifiers in the answer to a call. The one that the resource goes by, if the provider gave one.
    pub(super) fn hear(&mut self, operation: &str, answer: &Value) -> Option<String> {
        let creates = operation.to_ascii_lowercase().starts_with("create");
        let created = answer["ARN"].as_str().filter(|_| creates);
        if let Some((_, suffix)) = created.and_then(|arn| arn.rsplit_once('-')) {
            self.learn("suffix", suffix);
        }
        let arn = answer["SubscriptionArn"].as_str().and_then(|arn| arn.rsplit(':').next());
        let endpoint = answer["EndpointArn"].as_str().and_then(|arn| arn.rsplit('/').next());
        let id = answer["KeyMetadata"]["KeyId"].as_str().or(arn).or(endpoint);
        if let Some(id) = id {
            self.offer(if id.starts_with("mrk-") { "mrk" } else { "uuid" }, id);
        }
        if let Some(id) = answer["GrantId"].as_str() {
            self.offer("hex", id);
        }
        id.map(str::to_owned)
    }

    /// Fixes what a placeholder stands for.
    pub(super) fn learn(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// The script's value with its placeholders filled. One that nobody knows stands for something that never existed.
    pub(super) fn fill(&mut self, value: &Value, endpoint: &str) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill_text(text, endpoint)),
            Value::Array(items) => items.iter().map(|item| self.fill(item, endpoint)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), self.fill(member, endpoint))).collect()
            }
            other => other.clone(),
        }
    }

    fn fill_text(&mut self, text: &str, endpoint: &str) -> String {
        pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Placeholder("endpoint") => endpoint.to_owned(),
                Piece::Placeholder(name) => self.claim(name),
            })
            .collect()
    }

    fn claim(&mut self, name: &str) -> String {
        if let Some(known) = self.values.get(name) {
            return known.clone();
        }
        let taken: BTreeSet<&String> = self.values.values().collect();
        let fits = |offer: &&Offer| name.starts_with(offer.word) && !taken.contains(&offer.id);
        let offered = self.offers.iter().find(fits).map(|offer| offer.id.clone());
        let value = offered.unwrap_or_else(|| {
            self.invented += 1;
            format!("00000000-0000-4000-8000-{:012}", self.invented)
        });
        self.values.insert(name.to_owned(), value.clone());
        value
    }

    /// Whether our text is what the recorded one stands for; learns what placeholders stand for if it is.
    fn unify_text(&mut self, recorded: &str, ours: &str) -> bool {
        let mut learned = self.values.clone();
        if unify_pieces(&pieces(recorded), ours, &mut learned) {
            self.values = learned;
            return true;
        }
        false
    }

    /// Where ours differs from the recorded value.
    pub(super) fn differences(&mut self, path: &str, recorded: &Value, ours: &Value, out: &mut Vec<Difference>) {
        match (recorded, ours) {
            (Value::Object(theirs), Value::Object(mine)) => {
                for name in theirs.keys().chain(mine.keys()).collect::<BTreeSet<_>>() {
                    let (theirs, mine) = (theirs.get(name), mine.get(name));
                    let path = format!("{path}.{name}");
                    self.differences(&path, theirs.unwrap_or(&Value::Null), mine.unwrap_or(&Value::Null), out);
                }
            }
            (Value::Array(theirs), Value::Array(mine)) if theirs.len() == mine.len() => {
                let (theirs, mine) = (sorted_tags(theirs), sorted_tags(mine));
                for (index, (theirs, mine)) in theirs.iter().zip(&mine).enumerate() {
                    self.differences(&format!("{path}[{index}]"), theirs, mine, out);
                }
            }
            (theirs, mine) if self.equal(theirs, mine) => {}
            (theirs, mine) => out.push(Difference { path: path.to_owned(), text: format!("{mine}, ACK {theirs}") }),
        }
    }

    fn equal(&mut self, recorded: &Value, ours: &Value) -> bool {
        match (recorded, ours) {
            (Value::String(text), ours) if pieces(text) == [Piece::Placeholder("time")] => !ours.is_null(),
            (Value::String(theirs), Value::String(mine)) => {
                if let (Some(theirs), Some(mine)) = (document(theirs), document(mine)) {
                    return self.covered(&theirs, &mine) && self.covered(&mine, &theirs);
                }
                self.unify_text(theirs, mine)
            }
            // The query protocol knows texts only.
            (Value::String(theirs), Value::Bool(ours)) => theirs.parse() == Ok(*ours),
            (Value::String(theirs), Value::Number(ours)) => theirs.parse().is_ok_and(|theirs: Number| theirs == *ours),
            (Value::Array(_) | Value::Object(_), _) => {
                let mut found = Vec::new();
                if std::mem::discriminant(recorded) != std::mem::discriminant(ours) {
                    return false;
                }
                if let (Value::Array(theirs), Value::Array(mine)) = (recorded, ours)
                    && theirs.len() != mine.len()
                {
                    return false;
                }
                self.differences("", recorded, ours, &mut found);
                found.is_empty()
            }
            (theirs, mine) => theirs == mine,
        }
    }

    /// Whether everything in our parameters is in the recorded ones.
    fn covered(&mut self, recorded: &Value, ours: &Value) -> bool {
        match (recorded, ours) {
            (Value::Object(theirs), Value::Object(mine)) => mine.iter().all(|(name, mine)| {
                let theirs = theirs.get(name);
                theirs.is_some_and(|theirs| self.covered(theirs, mine))
            }),
            (Value::Array(theirs), Value::Array(mine)) => {
                mine.iter().all(|mine| theirs.iter().any(|theirs| self.covered(theirs, mine)))
            }
            (theirs, mine) => self.equal(theirs, mine),
        }
    }

    /// Our calls that ACK did not make, with the same parameters or more. Failed calls are compared by kind, not by
    /// number: how often ACK tried again before the recording ended means nothing.
    pub(super) fn surplus_calls(&mut self, recorded: &[RecordedCall], ours: &[Made], home: &str) -> Vec<Difference> {
        let mut left: Vec<&RecordedCall> = recorded.iter().filter(|call| call.mutates()).collect();
        let mut surplus = Vec::new();
        for made in ours {
            let mut input = without_owner_tag(&made.input);
            // A token is fresh for each attempt, and whose attempts are how many is not compared.
            input.as_object_mut().map(|members| members.remove("ClientRequestToken"));
            // A grant that nobody names carries its token as a name.
            if made.operation == "CreateGrant" && input["Name"].as_str().is_some_and(is_token) {
                input.as_object_mut().map(|members| members.remove("Name"));
            }
            if is_empty_tagging(&input) {
                continue;
            }
            let fits = |bindings: &mut Self, call: &RecordedCall| {
                call.operation == made.operation
                    && call.succeeded == made.succeeded
                    && call.region.as_deref().unwrap_or(home) == made.region
                    && bindings.covered(&call.params, &input)
            };
            match left.iter().position(|call| fits(self, call)) {
                Some(index) if made.succeeded => {
                    left.remove(index);
                }
                Some(_) => {}
                None => {
                    let how = if made.succeeded { "" } else { " (failed)" };
                    surplus
                        .push(Difference { path: format!("calls.{}", made.operation), text: format!("{input}{how}") });
                }
            }
        }
        surplus
    }
}

/// Whether a text looks like an idempotency token: a UUID.
fn is_token(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// One place where we differ from the recording.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// `http://<endpoint>/q1` as text, placeholder, text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    const NAMES: [&str; 10] =
        ["time", "request-id", "endpoint", "suffix", "controller-version", "uuid", "hex", "mrk", "id", "grant-token"];
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(start) = rest[from..].find('<').map(|at| at + from) {
        let name = rest[start + 1..].split_once('>').map(|(name, _)| name);
        let is_known =
            |name: &&str| NAMES.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-'));
        match name.filter(is_known) {
            Some(name) => {
                if start > 0 {
                    pieces.push(Piece::Text(&rest[..start]));
                }
                pieces.push(Piece::Placeholder(name));
                rest = &rest[start + name.len() + 2..];
                from = 0;
            }
            None => from = start + 1,
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// Matches from left to right; a placeholder takes the shortest text that lets the next piece follow.
fn unify_pieces(pieces: &[Piece<'_>], ours: &str, values: &mut BTreeMap<String, String>) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return ours.is_empty() };
    match first {
        Piece::Text(text) => ours.strip_prefix(text).is_some_and(|ours| unify_pieces(rest, ours, values)),
        Piece::Placeholder(name) => {
            if let Some(known) = values.get(*name) {
                let known = known.clone();
                return ours.strip_prefix(known.as_str()).is_some_and(|ours| unify_pieces(rest, ours, values));
            }
            let end = match rest.first() {
                Some(Piece::Text(text)) => ours.find(text),
                _ => Some(ours.len()),
            };
            let Some(end) = end.filter(|end| *end > 0) else { return false };
            if name.ends_with(|c: char| c.is_ascii_digit()) {
                values.insert((*name).to_owned(), ours[..end].to_owned());
            }
            unify_pieces(rest, &ours[end..], values)
        }
    }
}

/// A text that is a JSON object or list.
fn document(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

fn tag_key(tag: &Value) -> Option<&str> {
    ["Key", "TagKey", "key", "tagKey"].iter().find_map(|name| tag.get(name)).and_then(Value::as_str)
}

/// A list of tags by key; others as they are.
fn sorted_tags(list: &[Value]) -> Vec<Value> {
    let mut list = list.to_vec();
    if list.iter().all(|element| tag_key(element).is_some()) {
        list.sort_by(|a, b| tag_key(a).cmp(&tag_key(b)));
    }
    list
}

/// The value without our owner mark, wherever it is.
pub(super) fn without_owner_tag(value: &Value) -> Value {
    match value {
        Value::Array(items) => items
            .iter()
            .filter(|item| tag_key(item) != Some(OWNER_TAG) && item.as_str() != Some(OWNER_TAG))
            .map(without_owner_tag)
            .collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != OWNER_TAG)
            .map(|(name, member)| (name.clone(), without_owner_tag(member)))
            .collect(),
        other => other.clone(),
    }
}

/// Whether a call was about our owner mark alone.
fn is_empty_tagging(input: &Value) -> bool {
    let empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    input.as_object().is_some_and(|members| {
        members.iter().any(|(name, value)| matches!(name.as_str(), "Tags" | "tags") && empty(value))
            && members.len() == 2
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_stand_for_one_value_in_a_scenario() {
        let mut bindings = Bindings::default();
        assert!(bindings.unify_text("arn:aws:kms:r:a:key/<uuid-1>", "arn:aws:kms:r:a:key/one"));
        assert!(bindings.unify_text("<uuid-1>", "one"));
        assert!(!bindings.unify_text("<uuid-1>", "two"));
        assert!(bindings.unify_text("http://<endpoint>/q1", "http://127.0.0.1:1/q1"));
        assert!(!bindings.unify_text("http://<endpoint>/q1", "http://127.0.0.1:1/q2"));
        assert!(bindings.unify_text("<b>", "<b>"));
    }

    #[test]
    fn every_place_that_differs_is_named() {
        let mut found = Vec::new();
        let recorded = json!({"a": "1", "b": "{\"x\":[1]}", "tags": [{"Key": "p", "Value": "1"}], "at": "<time>"});
        let ours = json!({"a": "2", "b": "{ \"x\": [1] }", "tags": [{"Key": "p", "Value": "2"}], "at": 5, "c": true});
        Bindings::default().differences("cloud", &recorded, &ours, &mut found);
        let paths: Vec<&str> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths, ["cloud.a", "cloud.c", "cloud.tags[0].Value"]);
    }

    #[test]
    fn a_call_may_say_less_than_acks_but_not_more_and_not_more_often() {
        let recorded = [RecordedCall {
            operation: "Set".to_owned(),
            params: json!({"A": "1", "B": "2"}),
            region: None,
            succeeded: true,
        }];
        let made = |input: Value| Made {
            operation: "Set".to_owned(),
            region: "here".to_owned(),
            input,
            succeeded: true,
            mutates: true,
        };
        let surplus = |ours: &[Made]| Bindings::default().surplus_calls(&recorded, ours, "here").len();
        assert_eq!(surplus(&[made(json!({"A": "1"}))]), 0);
        assert_eq!(surplus(&[made(json!({"A": "1", "C": "3"}))]), 1);
        assert_eq!(surplus(&[made(json!({"A": "1"})), made(json!({"B": "2"}))]), 1);
    }
}
