//! References to other kinds.

use std::collections::BTreeSet;

use cso_core::FieldPath;
use cso_facts::surface::{Schema, Surface};

use super::Compiler;
use super::lookup::schema_at;
use crate::kind::Ref;
use crate::names::same_name;

impl Compiler<'_> {
    pub(super) fn refs(&mut self, surface: &Surface) -> Vec<Ref> {
        let mut declared = BTreeSet::new();
        let mut refs = Vec::new();
        for (field, target) in &self.spec.refs {
            let at = ["refs", field];
            declared.insert(field.clone());
            let path = self.path(&at, field);
            if schema_at(&surface.spec, &path).is_none() {
                self.fail(&at, format!("the published kind has no field spec.{field}"));
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
                Some(fills) => refs.push(Ref {
                    field: path,
                    fills,
                    group: format!("{service}.services.k8s.aws"),
                    kind: kind.to_owned(),
                    path: self.path(&at, target),
                }),
                None => self.fail(&at, "there is no field that this reference could fill"),
            }
        }
        for missing in all_references(&surface.spec, "").into_iter().filter(|field| !declared.contains(field)) {
            self.fail(&["refs"], format!("spec.{missing} is published but not declared"));
        }
        refs
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

/// The field that a reference fills: `kmsKeyRef` fills `kmsKey`, `kmsKeyID`, `kmsKeyARN` or `kmsKeyName` beside it.
fn filled_by(reference: &str, spec: &Schema) -> Option<FieldPath> {
    let (parent, name) = reference.rsplit_once('.').map_or(("", reference), |(parent, name)| (parent, name));
    let parent_path: FieldPath = parent.parse().ok()?;
    let siblings = schema_at(spec, &parent_path)?;
    let stem = name.strip_suffix("Ref")?;
    ["", "ID", "ARN", "Name"].iter().find_map(|suffix| {
        siblings
            .properties
            .keys()
            .find(|sibling| same_name(sibling, &format!("{stem}{suffix}")))
            .map(|sibling| parent_path.child(sibling))
    })
}
