//! Named comparators: when two spellings are the same wish. A closed list; descriptors can only name them.

use std::collections::BTreeMap;

use cso_core::Tree;
use serde_json::Value;

/// How a value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// Scalars exactly, objects by the members that are wished for, lists in order.
    #[default]
    Exact,
    /// A list whose order does not count.
    Set,
    /// JSON documents as text, compared as values.
    Json,
    /// IAM policy documents as text: JSON, where a one-element list equals its element and lists of names are sets.
    Policy,
    /// Case does not count.
    CaseInsensitive,
    /// Numbers as text: `30` equals `30.0`.
    Number,
    /// A KMS key by id, ARN or alias.
    KmsKey,
}

impl Compare {
    /// A comparator by the name descriptors use.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "exact" => Self::Exact,
            "set" => Self::Set,
            "json" => Self::Json,
            "policy" => Self::Policy,
            "ci" => Self::CaseInsensitive,
            "number" => Self::Number,
            "kms-key" => Self::KmsKey,
            _ => return None,
        })
    }

    /// The rule's name in descriptors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Set => "set",
            Self::Json => "json",
            Self::Policy => "policy",
            Self::CaseInsensitive => "ci",
            Self::Number => "number",
            Self::KmsKey => "kms-key",
        }
    }

    /// Every name, for messages.
    pub const NAMES: [&'static str; 7] = ["exact", "set", "json", "policy", "ci", "number", "kms-key"];

    /// Whether `seen` fulfils `wished`. A rule for texts holds for each of a list or map. Unknown values (holes) never equal anything: what is not known is not settled.
    pub fn equal(self, wished: &Tree, seen: &Tree) -> bool {
        self.equal_at(wished, seen, &BTreeMap::new(), "")
    }

    /// The same, with comparators for nested members by dotted path.
    pub fn equal_with(self, wished: &Tree, seen: &Tree, nested: &BTreeMap<String, Self>) -> bool {
        self.equal_at(wished, seen, nested, "")
    }

    fn equal_at(self, wished: &Tree, seen: &Tree, nested: &BTreeMap<String, Self>, path: &str) -> bool {
        match (self, wished, seen) {
            (_, Tree::Hole(_), _) | (_, _, Tree::Hole(_)) => false,
            (Self::Json, Tree::Text(a), Tree::Text(b)) => {
                a == b || both_parse(a, b, |a, b| loose_scalars(a) == loose_scalars(b))
            }
            (Self::Policy, Tree::Text(a), Tree::Text(b)) => a == b || both_parse(a, b, same_policy),
            (Self::CaseInsensitive, Tree::Text(a), Tree::Text(b)) => a.eq_ignore_ascii_case(b),
            (Self::Number, Tree::Text(a), Tree::Text(b)) => {
                a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a.total_cmp(&b).is_eq())
            }
            (Self::KmsKey, Tree::Text(a), Tree::Text(b)) => kms_tail(a) == kms_tail(b),
            (Self::Set, Tree::List(a), Tree::List(b)) => pair_up(a, b),
            (_, Tree::Object(wished), Tree::Object(seen)) => wished.iter().all(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let rule = nested.get(&path).copied().unwrap_or(self);
                value.is_null() || rule.equal_at(value, seen.get(name).unwrap_or(&Tree::Null), nested, &path)
            }),
            (_, Tree::List(a), Tree::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.equal_at(a, b, nested, &format!("{path}[]")))
            }
            // An empty list and an absent one are the same wish.
            (_, Tree::List(a), Tree::Null) => a.is_empty(),
            // So are an empty text, or structure, and an absent one.
            (_, Tree::Text(a), Tree::Null) => a.is_empty(),
            (_, Tree::Object(a), Tree::Null) => a.is_empty(),
            (_, a, b) => a == b,
        }
    }
}

/// Whether each wished element has a seen one of its own, and no seen one is left over. One that says little fits many, so
/// it may have to leave its partner to another (Kuhn's matching).
fn pair_up(wished: &[Tree], seen: &[Tree]) -> bool {
    let mut partners = vec![None; seen.len()];
    wished.len() == seen.len()
        && (0..wished.len()).all(|one| finds_partner(one, wished, seen, &mut partners, &mut vec![false; seen.len()]))
}

fn finds_partner(
    one: usize,
    wished: &[Tree],
    seen: &[Tree],
    partners: &mut [Option<usize>],
    asked: &mut [bool],
) -> bool {
    for (place, other) in seen.iter().enumerate() {
        if asked[place] || !Compare::Exact.equal(&wished[one], other) {
            continue;
        }
        asked[place] = true;
        let free = match partners[place] {
            None => true,
            Some(rival) => finds_partner(rival, wished, seen, partners, asked),
        };
        if free {
            partners[place] = Some(one);
            return true;
        }
    }
    false
}

fn both_parse(a: &str, b: &str, same: impl Fn(&Value, &Value) -> bool) -> bool {
    match (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)) {
        (Ok(a), Ok(b)) => same(&a, &b),
        // What is not JSON on both sides is compared as text, which the caller has done.
        _ => false,
    }
}

/// `key/ID` of an ARN, `ID` alone, or `alias/NAME`: what is left when partition, account and region are dropped.
fn kms_tail(reference: &str) -> &str {
    let tail =
        if reference.starts_with("arn:") { reference.splitn(6, ':').last().unwrap_or(reference) } else { reference };
    tail.strip_prefix("key/").unwrap_or(tail)
}

/// A document with numbers and truth values as text: providers answer `"3"` with `3`.
fn loose_scalars(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), loose_scalars(member))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(loose_scalars).collect()),
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Number(number) => Value::String(number.to_string()),
        other => other.clone(),
    }
}

fn same_policy(a: &Value, b: &Value) -> bool {
    normal_policy(a) == normal_policy(b)
}

/// A policy with its freedoms of spelling taken away: lists of strings are sorted, single ones are unwrapped, and a
/// lone statement stands in a list. Statement order is kept: AWS keeps it, and people read it.
fn normal_policy(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| {
                    let member = match (name.as_str(), member) {
                        ("Statement", Value::Object(_)) => Value::Array(vec![normal_policy(member)]),
                        ("Statement", Value::Array(list)) => Value::Array(list.iter().map(normal_policy).collect()),
                        ("AWS", Value::String(principal)) => Value::String(normal_principal(principal)),
                        ("AWS", Value::Array(list)) => normal_policy(&Value::Array(
                            list.iter()
                                .map(|one| one.as_str().map_or_else(|| one.clone(), |one| normal_principal(one).into()))
                                .collect(),
                        )),
                        _ => normal_policy(member),
                    };
                    (name.clone(), member)
                })
                .collect(),
        ),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(normal_policy).collect();
            if list.iter().all(Value::is_string) {
                list.sort_by_key(Value::to_string);
                list.dedup();
            }
            if list.len() == 1 { list.remove(0) } else { Value::Array(list) }
        }
        // Condition values: AWS takes `true` and `"true"` alike.
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Number(number) => Value::String(number.to_string()),
        other => other.clone(),
    }
}

/// An account id alone means its root user.
fn normal_principal(principal: &str) -> String {
    principal.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root")).unwrap_or(principal).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(value: Value) -> Tree {
        Tree::from(value)
    }

    /// Each comparator with pairs that must be equal and pairs that must differ.
    #[test]
    fn comparators_know_equal_and_different() {
        let policy = |action: Value| {
            json!(json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action}]}).to_string())
        };
        for (rule, wished, seen, equal) in [
            (Compare::Exact, json!("a"), json!("a"), true),
            (Compare::Exact, json!("a"), json!("A"), false),
            (Compare::Exact, json!({"a": 1}), json!({"a": 1, "b": 2}), true),
            (Compare::Exact, json!({"a": 1, "b": 2}), json!({"a": 1}), false),
            (Compare::Exact, json!(["a", "b"]), json!(["b", "a"]), false),
            (Compare::Exact, json!([]), json!(null), true),
            (Compare::Set, json!(["a", "b"]), json!(["b", "a"]), true),
            (Compare::Set, json!(["a", "a"]), json!(["a", "b"]), false),
            (Compare::Set, json!(["a"]), json!(["a", "b"]), false),
            (Compare::Set, json!([{"a": 1}, {"a": 1, "b": 2}]), json!([{"a": 1, "b": 2}, {"a": 1, "c": 3}]), true),
            (Compare::Set, json!([{"a": 1, "b": 2}, {"a": 1, "b": 2}]), json!([{"a": 1, "b": 2}, {"a": 1}]), false),
            (Compare::Exact, json!(""), json!(null), true),
            (Compare::Exact, json!({"a": {}}), json!({}), true),
            (Compare::Json, json!("{\"a\": 1}"), json!("{\"a\":1}"), true),
            (Compare::Json, json!("{\"a\": 1}"), json!("{\"a\":2}"), false),
            (Compare::Json, json!("{\"a\": \"3\"}"), json!("{\"a\":3}"), true),
            (Compare::Json, json!("not json"), json!("{}"), false),
            (Compare::Policy, policy(json!("s3:Get")), policy(json!(["s3:Get"])), true),
            (Compare::Policy, policy(json!(["a", "b"])), policy(json!(["b", "a"])), true),
            (Compare::Policy, policy(json!("s3:Get")), policy(json!("s3:Put")), false),
            (Compare::CaseInsensitive, json!("AES256"), json!("aes256"), true),
            (Compare::CaseInsensitive, json!("AES256"), json!("KMS"), false),
            (Compare::Number, json!("30"), json!("30.0"), true),
            (Compare::Number, json!("30"), json!("31"), false),
            (Compare::KmsKey, json!("1234"), json!("arn:aws:kms:eu-west-1:1:key/1234"), true),
            (Compare::KmsKey, json!("alias/a"), json!("arn:aws:kms:eu-west-1:1:alias/a"), true),
            (Compare::KmsKey, json!("1234"), json!("arn:aws:kms:eu-west-1:1:key/12345"), false),
            (Compare::Json, json!({"a": "{\"b\": 1}"}), json!({"a": "{\"b\":1}"}), true),
            (Compare::Json, json!({"a": "{\"b\": 1}"}), json!({"a": "{\"b\":2}"}), false),
        ] {
            assert_eq!(rule.equal(&tree(wished.clone()), &tree(seen.clone())), equal, "{rule:?} {wished} {seen}");
        }
    }

    #[test]
    fn every_name_leads_back() {
        for name in Compare::NAMES {
            assert_eq!(Compare::by_name(name).map(Compare::name), Some(name));
        }
    }

    #[test]
    fn nested_members_have_rules_of_their_own() {
        let nested = BTreeMap::from([("kmsKey".to_owned(), Compare::KmsKey)]);
        let wished = tree(json!({"kmsKey": "1234"}));
        let seen = tree(json!({"kmsKey": "arn:aws:kms:eu-west-1:1:key/1234", "encryptionType": "KMS"}));
        assert!(Compare::Exact.equal_with(&wished, &seen, &nested));
        assert!(!Compare::Exact.equal(&wished, &seen));
    }
}
