//! Kinds from a catalogue: its descriptors, compiled against its facts.

use std::sync::Arc;

use cso_facts::Catalog;
use cso_facts::api::Service;
use cso_facts::surface::Surface;

use crate::compile::{Facts, Violation, compile};
use crate::kind::Kind;

impl Facts for Catalog {
    fn service(&self, name: &str) -> Option<Arc<Service>> {
        Self::service(self, name).ok()
    }

    fn surface(&self, group: &str, kind: &str) -> Option<Arc<Surface>> {
        Self::surface(self, group, kind).ok()
    }
}

/// Every kind that the catalogue has a descriptor for.
///
/// # Errors
/// All that is wrong with its descriptors. The embedded catalogue has been checked: with it this cannot fail.
pub fn kinds(catalog: &Catalog) -> Result<Vec<Kind>, Vec<Violation>> {
    let mut kinds = Vec::new();
    let mut found = Vec::new();
    for name in catalog.descriptors() {
        let file = format!("kinds/aws/{name}.yaml");
        match catalog.descriptor(name) {
            Ok(text) => match compile(&file, text, catalog) {
                Ok(compiled) => kinds.extend(compiled),
                Err(violations) => found.extend(violations),
            },
            Err(error) => found.push(Violation { file, line: 1, kind: String::new(), message: error.to_string() }),
        }
    }
    if found.is_empty() { Ok(kinds) } else { Err(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_descriptor_of_this_build_compiles() {
        let kinds = kinds(Catalog::builtin()).unwrap_or_else(|found| {
            panic!("{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        });
        let names: Vec<String> = kinds.iter().map(|kind| format!("{}/{}", kind.service, kind.name())).collect();
        assert!(names.contains(&"sqs/Queue".to_owned()), "{names:?}");
    }
}
