//! What a kind or a field takes: names, types and rules, from its facts and its descriptor.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use cso_core::FieldPath;
use cso_facts::surface::{Schema, SchemaType};
use cso_schema::kind::{Clear, Field, Kind, Owner, Role};
use cso_schema::names::nearest;
use serde::Serialize;

use super::{FAINT, STRONG, count, styled, table};
use crate::kinds::Known;

/// Everything that is known of one place in a kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    kind: String,
    api_version: String,
    /// Empty for the kind as a whole.
    path: String,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    /// What applies to it, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Row>,
}

/// One field below.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
}

/// Explains a kind, or the field at a path. A path may leave `spec` out.
pub(crate) fn explain(kind: Known<'_>, path: &str) -> Result<Explanation> {
    let names: Vec<&str> =
        path.split('.').map(|name| name.trim_end_matches("[]")).filter(|name| !name.is_empty()).collect();
    let surface = kind.surface();
    let (root, below) = match names.split_first() {
        Some((&"status", below)) => ("status", below),
        Some((&"spec", below)) => ("spec", below),
        _ => ("spec", names.as_slice()),
    };
    let top = if root == "status" { &surface.status } else { &surface.spec };
    let mut here = top;
    let mut required = false;
    for (depth, name) in below.iter().enumerate() {
        let parent = here.element();
        required = parent.required.contains(*name);
        here = parent.properties.get(*name).ok_or_else(|| no_field(kind, root, &below[..depth], name, parent))?;
    }
    let is_kind = names.is_empty();
    let path = std::iter::once(&root).chain(below).copied().collect::<Vec<_>>().join(".");
    let mut facts = BTreeMap::new();
    if is_kind {
        facts = kind.managed().map(kind_facts).unwrap_or_default();
    } else if root == "spec" {
        facts = kind.managed().map(|kind| field_facts(kind, below, here)).unwrap_or_default();
        if required {
            facts.insert("required", "yes".to_owned());
        }
    }
    Ok(Explanation {
        kind: kind.full_name(),
        api_version: format!("{}/{}", surface.group, surface.version),
        path: if is_kind { String::new() } else { path.clone() },
        type_name: type_name(here),
        values: here.element().values.clone(),
        facts,
        fields: rows(kind.managed(), root, below, here.element()),
    })
}

fn no_field(kind: Known<'_>, root: &str, parents: &[&str], name: &str, parent: &Schema) -> anyhow::Error {
    let place = std::iter::once(&root).chain(parents).copied().collect::<Vec<_>>().join(".");
    let hint = match nearest(name, parent.properties.keys().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    anyhow!("{}: {place} has no field `{name}`{hint}", kind.full_name())
}

fn kind_facts(kind: &Kind) -> BTreeMap<&'static str, String> {
    let mut facts = BTreeMap::from([
        ("create", kind.create.operation.clone()),
        ("read", kind.read.call.operation.clone()),
        (
            "delete",
            kind.delete.as_ref().map_or("none: it ends when it is empty".to_owned(), |call| call.operation.clone()),
        ),
    ]);
    if let Some(update) = &kind.update {
        facts.insert("update", update.call.operation.clone());
    }
    let identity = &kind.identity;
    let named = |paths: &[FieldPath], root: &str| {
        paths.iter().map(|path| format!("{root}.{path}")).collect::<Vec<_>>().join(", ")
    };
    facts.insert(
        "identity",
        match &identity.assigned {
            Some(path) => format!("status.{path}, given by the provider"),
            None => named(&identity.name, "spec"),
        },
    );
    facts
}

fn field_facts(kind: &Kind, below: &[&str], schema: &Schema) -> BTreeMap<&'static str, String> {
    let mut facts = BTreeMap::new();
    let path = below.join(".");
    if let Some(reference) = kind.refs.iter().find(|reference| reference.field.to_string() == path) {
        let service = reference.group.split('.').next().unwrap_or(&reference.group);
        facts.insert("refers to", format!("{service}/{} {}", reference.kind, reference.path));
        facts.insert("fills", format!("spec.{}", reference.fills));
    }
    if let Some(reference) = kind.refs.iter().find(|reference| reference.fills.to_string() == path) {
        facts.insert("or by reference", format!("spec.{}", reference.field));
    }
    let Some(field) = below.first().and_then(|top| kind.fields.get(*top)) else { return facts };
    if schema.immutable || field.role == Role::CreateOnly {
        facts.insert("immutable", "yes: fixed at creation".to_owned());
    }
    if below.len() > 1 {
        if let Some(rule) = field.nested.get(&below[1..].join(".")) {
            facts.insert("compared", rule.name().to_owned());
        }
        return facts;
    }
    facts.insert("written by", owner(kind, field));
    match field.role {
        Role::Secret => drop(facts.insert("compared", "by digest: a secret, never shown".to_owned())),
        Role::Option => drop(facts.insert("compared", "never: sent with calls that take it".to_owned())),
        Role::Mutable | Role::CreateOnly => drop(facts.insert("compared", field.compare.name().to_owned())),
    }
    facts.insert("when taken out", cleared(&field.clear));
    if field.late {
        facts.insert("left open", "the provider's choice is shown".to_owned());
    }
    facts
}

fn owner(kind: &Kind, field: &Field) -> String {
    match field.owner {
        Owner::Part(position) => kind.parts.get(position).map_or_else(String::new, |part| part.name.clone()),
        Owner::Body => match (&kind.update, field.role) {
            (Some(update), Role::Mutable | Role::Secret) => update.call.operation.clone(),
            _ => kind.create.operation.clone(),
        },
    }
}

fn cleared(clear: &Clear) -> String {
    match clear {
        Clear::Keep => "kept as it is, no longer managed".to_owned(),
        Clear::Value(value) => format!("set to {value}"),
        Clear::Omit => "cleared".to_owned(),
        Clear::Delete => "deleted".to_owned(),
        Clear::Elements => "what was applied is removed".to_owned(),
    }
}

fn rows(kind: Option<&Kind>, root: &str, below: &[&str], schema: &Schema) -> Vec<Row> {
    schema
        .properties
        .iter()
        .map(|(name, child)| {
            let mut rules = Vec::new();
            if root == "spec" {
                let path: Vec<&str> = below.iter().copied().chain([name.as_str()]).collect();
                let facts = kind.map(|kind| field_facts(kind, &path, child)).unwrap_or_default();
                if schema.required.contains(name) {
                    rules.push("required".to_owned());
                }
                if facts.contains_key("immutable") && path.len() == 1 {
                    rules.push("immutable".to_owned());
                }
                let field = kind.and_then(|kind| kind.fields.get(name));
                if field.is_some_and(|field| field.role == Role::Secret) && path.len() == 1 {
                    rules.push("secret".to_owned());
                }
                rules.extend(facts.get("refers to").map(|target| format!("-> {target}")));
            }
            if !child.element().values.is_empty() {
                rules.push(child.element().values.join("|"));
            }
            Row { name: name.clone(), type_name: type_name(child), rules }
        })
        .collect()
}

/// The type as people write it: `string`, `[]object`, `map of string`, `integer (int64)`.
fn type_name(schema: &Schema) -> String {
    if let Some(items) = &schema.items {
        return format!("[]{}", type_name(items));
    }
    if let Some(values) = &schema.additional {
        return format!("map of {}", type_name(values));
    }
    let name = cso_schema::crd::type_name(schema.schema_type);
    match &schema.format {
        Some(format) if schema.schema_type != SchemaType::Object => format!("{name} ({format})"),
        _ => name.to_owned(),
    }
}

impl Explanation {
    /// The explanation for people.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("{}  {}", styled(STRONG, &self.kind), styled(FAINT, &self.api_version))];
        if !self.path.is_empty() {
            lines.push(format!("{}  {}", styled(STRONG, &self.path), self.type_name));
        }
        if !self.values.is_empty() {
            lines.push(format!("  one of: {}", self.values.join(", ")));
        }
        lines.extend(self.facts.iter().map(|(name, value)| format!("  {name}: {value}")));
        if !self.fields.is_empty() {
            lines.push(String::new());
            let rows: Vec<Vec<String>> = self
                .fields
                .iter()
                .map(|row| vec![row.name.clone(), row.type_name.clone(), row.rules.join(", ")])
                .collect();
            lines.push(table::table(&["FIELD", "TYPE", "RULES"], &rows));
            lines.push(styled(FAINT, count(rows.len(), "field")));
        }
        lines.join("\n")
    }
}

/// Splits `queue.redrivePolicy`, `sqs/Queue.spec.tags` or `queue.sqs.tags` into what names the kind and the path below
/// it: the longest beginning that names a kind.
pub(crate) fn split<K>(what: &str, find: impl Fn(&str) -> Result<K>) -> Result<(K, &str)> {
    let mut ends: Vec<usize> = what.match_indices('.').map(|(at, _)| at).chain([what.len()]).collect();
    ends.reverse();
    for end in &ends {
        if let Ok(kind) = find(&what[..*end]) {
            return Ok((kind, what[*end..].trim_start_matches('.')));
        }
    }
    match find(ends.last().map_or(what, |end| &what[..*end])) {
        Ok(_) => bail!("`{what}` names no kind"),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    fn plain(what: &str) -> String {
        let all = kinds::builtin();
        let (kind, path) = split(what, |word| kinds::find(&all, word)).expect("a kind");
        anstream::adapter::strip_str(&explain(kind, path).expect("a field").text()).to_string()
    }

    #[test]
    fn fields_and_kinds() {
        insta::assert_snapshot!("queue", plain("queue"));
        insta::assert_snapshot!("queue_visibility", plain("queue.visibilityTimeout"));
        insta::assert_snapshot!("queue_key_reference", plain("queues.sqs.spec.kmsMasterKeyRef"));
        insta::assert_snapshot!("repository_encryption", plain("ecr/Repository.encryptionConfiguration"));
        insta::assert_snapshot!("secret_string", plain("secretsmanager/Secret.secretString"));
    }

    #[test]
    fn a_field_that_does_not_exist_leads_to_one_that_does() {
        let all = kinds::builtin();
        let (kind, path) = split("queue.visbilityTimeout", |word| kinds::find(&all, word)).expect("a kind");
        let error = explain(kind, path).expect_err("no such field").to_string();
        assert_eq!(error, "sqs/Queue: spec has no field `visbilityTimeout`; did you mean `visibilityTimeout`?");
    }
}
