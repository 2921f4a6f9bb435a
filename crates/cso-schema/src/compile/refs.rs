//! References to other kinds.

use std::collections::BTreeSet;
use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::surface::{Reference, Schema};

use super::Compiler;
use super::lookup::schema_at;
use super::surfaces::group_of;
use crate::kind::Ref;
use crate::names::same_name;

impl Compiler<'_> {
    pub(super) fn refs(&mut self) -> Vec<Ref> {
        let surface = Arc::clone(&self.surface);
        let mut declared = BTreeSet::new();
        let mut refs = Vec::new();
        for (field, target) in &self.spec.refs {
            let at = ["refs", field];
            declared.insert(field.clone());
            let path = self.path(&at, field);
            if schema_at(&surface.spec, &path).is_none() {
                self.fail(&at, format!("the kind has no field spec.{field}"));
                continue;
            }
            let Some((kind, target)) = target.split_once(' ') else {
                self.fail(&at, "a reference is `service/Kind path`");
                continue;
            };
            let Some((service, kind)) = kind.split_once('/') else {
                self.fail(&at, "a reference is `service/Kind path`");
                continue;
            };
            match filled_by(field, &surface.spec) {
                Some(fills) => {
                    let reference = Ref {
                        field: path,
                        fills,
                        group: if service.contains('.') { service.to_owned() } else { group_of(service) },
                        kind: kind.to_owned(),
                        path: self.path(&at, target),
                    };
                    self.check_target(field, &reference, service);
                    refs.push(reference);
                }
                None => self.fail(&at, "there is no field that this reference could fill"),
            }
        }
        for missing in all_references(&surface.spec, "").into_iter().filter(|field| !declared.contains(field)) {
            self.fail(&["refs"], format!("spec.{missing} is published but not declared"));
        }
        refs
    }

    /// The target is the published one; where nothing is published, it is a field that the target's kind has.
    fn check_target(&mut self, field: &str, reference: &Ref, service: &str) {
        let Ref { fills, group, kind, path, .. } = reference;
        let at = ["refs", field];
        let published = self.surface.fields.get(&fills.to_string()).and_then(|facts| facts.reference.as_ref());
        if let Some(Reference { service: its, kind: kind_of_it, path: path_of_it, .. }) = published {
            if (its.as_str(), kind_of_it, path_of_it) != (service, kind, &path.to_string()) {
                let message = format!("published as {its}/{kind_of_it} {path_of_it}");
                self.fail(&at, message);
            }
            return;
        }
        let Some(target) = self.facts.surface(group, kind) else {
            self.fail(&at, format!("no kind `{kind}` is published for service `{service}`"));
            return;
        };
        let found = match path.split_first() {
            Some(("spec", rest)) => schema_at(&target.spec, &rest).is_some(),
            Some(("status", rest)) => schema_at(&target.status, &rest).is_some(),
            _ => false,
        };
        if !found {
            self.fail(&at, format!("{service}/{kind} has no field {path}"));
        }
    }
}

/// Whether a field is a reference wrapper: `xRef` with `from`, or a list of such.
pub(super) fn is_reference(name: &str, parent: &Schema) -> bool {
    let Some(schema) = parent.properties.get(name) else { return false };
    (name.ends_with("Ref") && schema.properties.contains_key("from"))
        || (name.ends_with("Refs") && schema.items.as_ref().is_some_and(|items| items.properties.contains_key("from")))
}

fn all_references(schema: &Schema, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, child) in &schema.properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if is_reference(name, schema) {
            found.push(path);
        } else {
            found.extend(all_references(child, &path));
        }
    }
    found
}

/// The field that a reference fills: `kmsKeyRef` fills `kmsKey`, `kmsKeyID`, `kmsKeyARN` or `kmsKeyName` beside it;
/// `policyRefs` fills `policies`, and `roleRefs` `roles`.
fn filled_by(reference: &str, spec: &Schema) -> Option<FieldPath> {
    let (parent, name) = reference.rsplit_once('.').map_or(("", reference), |(parent, name)| (parent, name));
    let parent_path: FieldPath = parent.parse().ok()?;
    let siblings = schema_at(spec, &parent_path)?;
    let candidates: Vec<String> = if let Some(stem) = name.strip_suffix("Refs") {
        let with_y = stem.strip_suffix('y').map(|stem| format!("{stem}ies"));
        ["s", "IDs", "ARNs", "Names"].iter().map(|suffix| format!("{stem}{suffix}")).chain(with_y).collect()
    } else {
        let stem = name.strip_suffix("Ref")?;
        ["", "ID", "ARN", "Name"].iter().map(|suffix| format!("{stem}{suffix}")).collect()
    };
    candidates.iter().find_map(|candidate| {
        siblings
            .properties
            .keys()
            .find(|sibling| same_name(sibling, candidate))
            .map(|sibling| parent_path.child(sibling))
    })
}
