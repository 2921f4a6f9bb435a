//! The kinds of a catalogue: its descriptors, compiled against its facts.

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

    fn services(&self) -> Vec<String> {
        Self::services(self).map(str::to_owned).collect()
    }

    fn surface(&self, group: &str, kind: &str) -> Option<Arc<Surface>> {
        Self::surface(self, group, kind).ok()
    }

    fn published(&self, group: &str) -> Vec<String> {
        // A page that does not parse is told where a surface of it is asked for.
        let surfaces = Self::surfaces_of(self, group).unwrap_or_default();
        surfaces.iter().map(|surface| surface.kind.clone()).collect()
    }
}

/// Compiles every descriptor of a catalogue; all that is wrong, if anything is.
pub fn kinds(catalog: &Catalog) -> Result<Vec<Kind>, Vec<Violation>> {
    let mut kinds = Vec::new();
    let mut wrong = Vec::new();
    for name in catalog.descriptors() {
        match service_kinds(catalog, name) {
            Ok(compiled) => kinds.extend(compiled),
            Err(violations) => wrong.extend(violations),
        }
    }
    if wrong.is_empty() { Ok(kinds) } else { Err(wrong) }
}

/// Compiles the descriptors of one service.
pub fn service_kinds(catalog: &Catalog, service: &str) -> Result<Vec<Kind>, Vec<Violation>> {
    let file = format!("kinds/aws/{service}.yaml");
    match catalog.descriptor(service) {
        Ok(text) => compile(&file, text, catalog),
        Err(error) => {
            Err(vec![Violation { file, line: 1, column: None, kind: String::new(), message: error.to_string() }])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_descriptor_compiles() {
        let kinds = kinds(Catalog::builtin()).unwrap_or_else(|wrong| {
            let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"));
        });
        let names: Vec<String> = kinds.iter().map(|kind| format!("{}/{}", kind.service, kind.name())).collect();
        assert_eq!(
            names,
            [
                "dynamodb/Table",
                "dynamodb/GlobalTable",
                "dynamodb/Backup",
                "ecr/Repository",
                "ecr/PullThroughCacheRule",
                "ecr/RepositoryCreationTemplate",
                "iam/Group",
                "iam/InstanceProfile",
                "iam/OpenIDConnectProvider",
                "iam/Policy",
                "iam/Role",
                "iam/ServiceLinkedRole",
                "iam/User",
                "kms/Key",
                "kms/Alias",
                "kms/Grant",
                "s3/Bucket",
                "secretsmanager/Secret",
                "sns/Topic",
                "sns/Subscription",
                "sns/PlatformApplication",
                "sns/PlatformEndpoint",
                "sqs/Queue"
            ]
        );
    }
}
