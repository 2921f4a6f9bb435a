//! Surfaces that are derived from the API: what a user gets for a kind that nobody published.

use std::collections::BTreeSet;

use cso_facts::Catalog;
use cso_facts::surface::{Schema, Surface};
use cso_schema::compile::compile;

/// Members that published kinds leave out although their calls take them.
const WITHOUT: [(&str, &str); 5] = [
    ("Group", "NewGroupName"),
    ("User", "NewUserName"),
    ("Key", "CustomerMasterKeySpec, XksKeyId"),
    ("Grant", "DryRun, GranteeServicePrincipal, RetiringServicePrincipal"),
    ("Secret", "SecretBinary, CrossAccountPrimaryARN"),
];

/// Published fields that are not derived, or not like that: entries of attribute maps that no descriptor names, a status
/// field that is called like a field of the spec, and texts that are secrets.
const MISSING: [&str; 19] = [
    "iam/InstanceProfile spec.role String None",
    "iam/ServiceLinkedRole status.maxSessionDuration Integer Some(\"int64\")",
    "secretsmanager/Secret status.replicationStatus Array None",
    "secretsmanager/Secret status.replicationStatus[] Object None",
    "secretsmanager/Secret status.replicationStatus[].kmsKeyID String None",
    "secretsmanager/Secret status.replicationStatus[].lastAccessedDate String Some(\"date-time\")",
    "secretsmanager/Secret status.replicationStatus[].region String None",
    "secretsmanager/Secret status.replicationStatus[].status String None",
    "secretsmanager/Secret status.replicationStatus[].statusMessage String None",
    "sns/PlatformApplication spec.platformCredential String None",
    "sns/PlatformApplication spec.platformPrincipal String None",
    "sns/Subscription status.confirmationWasAuthenticated String None",
    "sns/Subscription status.effectiveDeliveryPolicy String None",
    "sns/Subscription status.owner String None",
    "sns/Subscription status.pendingConfirmation String None",
    "sns/Topic status.effectiveDeliveryPolicy String None",
    "sns/Topic status.owner String None",
    "sns/Topic status.topicARN String None",
    "sqs/Queue status.queueARN String None",
];

/// Kinds that are published, told to derive their surfaces all the same: they compile, and of 714 published paths with
/// their types 695 come out as ACK has them.
#[test]
fn derived_surfaces_are_like_published_ones() {
    let catalog = Catalog::builtin();
    let (mut same, mut missing) = (0, Vec::new());
    for service in ["ecr", "iam", "kms", "secretsmanager", "sns", "sqs"] {
        let text = deriving(catalog.descriptor(service).unwrap());
        for kind in compile(service, &text, catalog).unwrap_or_else(|violations| panic!("{violations:#?}")) {
            let published = lines(&catalog.surface(kind.group(), kind.name()).unwrap());
            let derived = lines(&kind.surface);
            same += published.intersection(&derived).count();
            let lost = published.difference(&derived);
            missing.extend(lost.map(|line| format!("{}/{} {line}", kind.service, kind.name())));
        }
    }
    missing.sort();
    assert_eq!(missing, MISSING);
    assert!(same >= 690, "{same}");
}

/// A descriptor whose kinds ask for derived surfaces. Error codes that only published surfaces know are left out.
fn deriving(text: &str) -> String {
    let mut derived = String::new();
    let mut section = "";
    for line in text.lines() {
        if !line.starts_with(' ') {
            section = line.split(':').next().unwrap_or_default();
        }
        if section == "errors" {
            continue;
        }
        derived.push_str(line);
        derived.push('\n');
        let name =
            line.strip_prefix("  ").and_then(|line| line.strip_suffix(':')).filter(|name| !name.starts_with(' '));
        if let (Some(name), "kinds") = (name, section) {
            let without = WITHOUT.iter().find(|(kind, _)| *kind == name).map_or("", |(_, members)| members);
            derived.push_str(&["    surface: {without: [", without, "]}\n"].concat());
        }
    }
    derived
}

/// Each property with its type, one a line.
fn lines(surface: &Surface) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    properties("spec", &surface.spec, &mut lines);
    properties("status", &surface.status, &mut lines);
    lines
}

fn properties(path: &str, schema: &Schema, lines: &mut BTreeSet<String>) {
    lines.insert(format!("{path} {:?} {:?}", schema.schema_type, schema.format));
    for (name, nested) in &schema.properties {
        properties(&format!("{path}.{name}"), nested, lines);
    }
    for nested in schema.items.iter().chain(&schema.additional) {
        properties(&format!("{path}[]"), nested, lines);
    }
}
