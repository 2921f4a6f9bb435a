//! Walks the pages of a list operation.

use cso_core::ErrorClass;
use cso_facts::api::Paginator;
use serde_json::{Map, Value};

use super::failure::Failure;

/// Whether a call wants all pages: not when it brings a page token of its own.
pub(super) fn applies(paginator: &Paginator, input: &Value) -> bool {
    paginator.input_tokens.iter().all(|path| get(input, path).is_none_or(Value::is_null))
}

/// Refuses a paginator that needs more than member names.
pub(super) fn check(paginator: &Paginator) -> Result<(), Failure> {
    let paths = paginator.output_tokens.iter().chain(&paginator.result_keys).chain(&paginator.more_results);
    let is_plain = |path: &&String| path.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
    match paths.chain(&paginator.input_tokens).find(|path| !is_plain(path)) {
        Some(path) => Err(Failure::local(
            "unsupported-paginator",
            ErrorClass::Unsupported,
            format!("the page path `{path}` is more than member names"),
        )),
        None => Ok(()),
    }
}

/// The pages so far.
pub(super) struct Walk<'p> {
    paginator: &'p Paginator,
    pages_left: usize,
    merged: Option<Value>,
    last_tokens: Vec<Value>,
}

impl<'p> Walk<'p> {
    pub(super) const fn new(paginator: &'p Paginator, max_pages: usize) -> Self {
        Self { paginator, pages_left: max_pages, merged: None, last_tokens: Vec::new() }
    }

    /// Takes a page in. `Ok(true)`: there is another, and `input` asks for it.
    pub(super) fn take(&mut self, page: Value, input: &mut Value) -> Result<bool, Failure> {
        let tokens = self.next_tokens(&page);
        match &mut self.merged {
            None => self.merged = Some(page),
            Some(merged) => {
                for key in &self.paginator.result_keys {
                    if let Some(more) = get(&page, key) {
                        append(entry(merged, key), more.clone());
                    }
                }
            }
        }
        let Some(tokens) = tokens else { return Ok(false) };
        if tokens == self.last_tokens {
            return Err(endless("the service hands out the same page again"));
        }
        self.pages_left = self.pages_left.saturating_sub(1);
        if self.pages_left == 0 {
            return Err(endless("the list has more pages than are read"));
        }
        for (path, token) in self.paginator.input_tokens.iter().zip(&tokens) {
            *entry(input, path) = token.clone();
        }
        self.last_tokens = tokens;
        Ok(true)
    }

    /// All pages as one, without what only leads from page to page.
    pub(super) fn finish(self) -> Value {
        let mut merged = self.merged.unwrap_or_else(|| Value::Object(Map::new()));
        for path in self.paginator.output_tokens.iter().chain(&self.paginator.more_results) {
            remove(&mut merged, path);
        }
        merged
    }

    /// Tokens of the next page; nothing on the last one. An empty token means the end, too.
    fn next_tokens(&self, page: &Value) -> Option<Vec<Value>> {
        if let Some(more) = &self.paginator.more_results
            && get(page, more) != Some(&Value::Bool(true))
        {
            return None;
        }
        let present = |token: &&Value| !token.is_null() && token.as_str() != Some("");
        let tokens: Vec<Value> = self
            .paginator
            .output_tokens
            .iter()
            .map(|path| get(page, path).filter(present).cloned().unwrap_or(Value::Null))
            .collect();
        tokens.iter().any(|token| !token.is_null()).then_some(tokens)
    }
}

fn endless(message: &str) -> Failure {
    Failure::local("endless-pages", ErrorClass::Transient, message)
}

fn get<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, name| value.get(name))
}

/// The place at a path, made if it is not there.
fn entry<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(value, |value, name| {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        // Indexing an object by name inserts null where there is nothing.
        &mut value[name]
    })
}

fn remove(value: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let place =
        if parent.is_empty() { Some(value) } else { value.pointer_mut(&format!("/{}", parent.replace('.', "/"))) };
    if let Some(Value::Object(members)) = place {
        members.remove(name);
    }
}

fn append(all: &mut Value, more: Value) {
    match (all, more) {
        (Value::Array(all), Value::Array(more)) => all.extend(more),
        (Value::Object(all), Value::Object(more)) => all.extend(more),
        (all @ Value::Null, more) => *all = more,
        // Counts and strings: the first page's stand.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paginator() -> Paginator {
        Paginator {
            input_tokens: vec!["Marker".into()],
            output_tokens: vec!["List.Next".into()],
            result_keys: vec!["List.Items".into()],
            more_results: None,
            limit_key: None,
        }
    }

    #[test]
    fn pages_become_one_and_tokens_go() {
        let paginator = paginator();
        let mut walk = Walk::new(&paginator, 10);
        let mut input = json!({"Max": 2});
        assert!(walk.take(json!({"List": {"Items": [1, 2], "Next": "b"}, "Name": "x"}), &mut input).unwrap());
        assert_eq!(input, json!({"Max": 2, "Marker": "b"}));
        assert!(walk.take(json!({"List": {"Items": [3], "Next": "c"}}), &mut input).unwrap());
        assert!(!walk.take(json!({"List": {"Items": [], "Next": ""}}), &mut input).unwrap());
        assert_eq!(walk.finish(), json!({"List": {"Items": [1, 2, 3]}, "Name": "x"}));
    }

    #[test]
    fn a_flag_ends_the_list_even_beside_a_token() {
        let paginator = Paginator { more_results: Some("More".into()), ..paginator() };
        let mut walk = Walk::new(&paginator, 10);
        assert!(!walk.take(json!({"List": {"Items": [1], "Next": "b"}, "More": false}), &mut json!({})).unwrap());
    }

    #[test]
    fn a_list_that_does_not_end_is_an_error() {
        let paginator = paginator();
        let mut walk = Walk::new(&paginator, 10);
        let mut input = json!({});
        let page = json!({"List": {"Items": [1], "Next": "b"}});
        assert!(walk.take(page.clone(), &mut input).unwrap());
        assert_eq!(walk.take(page.clone(), &mut input).unwrap_err().code, "endless-pages");
        assert_eq!(Walk::new(&paginator, 1).take(page, &mut input).unwrap_err().code, "endless-pages");
    }

    #[test]
    fn a_call_with_its_own_token_and_an_expression_are_left_alone() {
        assert!(applies(&paginator(), &json!({"Marker": null})));
        assert!(!applies(&paginator(), &json!({"Marker": "b"})));
        let odd = Paginator { output_tokens: vec!["A || B[-1].Key".into()], ..paginator() };
        assert_eq!(check(&odd).unwrap_err().code, "unsupported-paginator");
    }
}
