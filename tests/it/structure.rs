//! Who may depend on whom: the map in ARCHITECTURE.md, held against `cargo metadata`.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// Each crate of ours, and the crates of ours it may build upon. Development dependencies are free, except that no
/// product crate builds upon the test bed.
const MAY_USE: [(&str, &[&str]); 17] = [
    ("cso-core", &[]),
    ("cso-facts", &[]),
    ("cso-schema", &["cso-core", "cso-facts"]),
    ("cso-engine", &["cso-core", "cso-facts", "cso-schema"]),
    ("cso-kube", &["cso-core", "cso-facts", "cso-schema"]),
    ("cso-local", &["cso-core", "cso-facts", "cso-schema"]),
    // The two clouds never see each other, nor Kubernetes, nor the engine; their clients know nothing but the wire.
    ("cso-smithy", &["cso-core", "cso-facts"]),
    ("cso-aws", &["cso-core", "cso-facts", "cso-schema", "cso-smithy"]),
    ("cso-arm", &["cso-core", "cso-facts"]),
    ("cso-azure", &["cso-core", "cso-facts", "cso-schema", "cso-arm"]),
    ("cso-observe", &["cso-core"]),
    ("cso-sim", &["cso-core", "cso-facts", "cso-schema"]),
    ("cso", &["*"]),
    ("xtask", &["*", "cso-testbed"]),
    // It throws bytes at every reader there is.
    ("cso-fuzz", &["cso-core", "cso-facts", "cso-local", "cso-schema", "cso-smithy"]),
    // It knows what requests mean, and nothing of the product.
    ("cso-testbed", &["cso-facts"]),
    ("it", &[]),
];

/// Packages of others that are confined: a prefix of their names, and who may name them.
const CONFINED: [(&str, &[&str]); 5] = [
    ("aws-", &["cso-smithy"]),
    ("azure_", &["cso-arm"]),
    ("kube", &["cso-kube"]),
    ("k8s-openapi", &["cso-kube"]),
    // Errors without a type are for those that only show them.
    ("anyhow", &["cso", "xtask", "it"]),
];

/// Crates that do no I/O, and the packages that would let them.
const PURE: [&str; 3] = ["cso-core", "cso-facts", "cso-schema"];
const IO: [&str; 8] = ["tokio", "futures", "async-std", "smol", "hyper", "reqwest", "axum", "rusqlite"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing.
    kind: Option<String>,
}

/// The sentence for a forbidden dependency, or nothing if it is fine.
fn objection(package: &str, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    let may_use = MAY_USE.iter().find(|(ours, _)| *ours == package).map(|(_, may_use)| *may_use);
    let Some(may_use) = may_use else {
        return Some(format!("{package} has no place in the map: give it one in MAY_USE and in ARCHITECTURE.md"));
    };
    let is_ours = MAY_USE.iter().any(|(ours, _)| *ours == name);
    let is_for_tests = dependency.kind.as_deref() == Some("dev");
    let is_allowed = may_use.contains(&name) || (may_use.contains(&"*") && name != "cso-testbed");
    if is_ours && !is_for_tests && !is_allowed {
        return Some(format!("{package} may not depend on {name}"));
    }
    let is_foreign_to = |(prefix, users): &(&str, &[&str])| name.starts_with(prefix) && !users.contains(&package);
    if !is_ours && !is_for_tests && CONFINED.iter().any(is_foreign_to) {
        return Some(format!("{package} may not name {name}: another crate confines it"));
    }
    (PURE.contains(&package) && !is_for_tests && IO.contains(&name)).then(|| format!("{package} does no I/O: {name}"))
}

fn metadata() -> Result<Metadata> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().context("running cargo metadata")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[test]
fn dependencies_point_one_way() -> Result<()> {
    let metadata = metadata()?;
    ensure!(metadata.packages.iter().any(|package| package.name == "cso-core"), "the workspace was not found");
    let edges = metadata.packages.iter().flat_map(|package| package.dependencies.iter().map(move |d| (package, d)));
    let objections: Vec<String> = edges.filter_map(|(package, dep)| objection(&package.name, dep)).collect();
    ensure!(objections.is_empty(), "{}", objections.join("\n"));
    Ok(())
}

#[test]
fn forbidden_dependencies_are_seen() {
    let edge = |package: &str, name: &str, kind: Option<&str>| {
        let dependency = Dependency { name: name.to_owned(), kind: kind.map(ToOwned::to_owned) };
        objection(package, &dependency).is_some()
    };
    let forbidden = [
        ("cso-core", "cso-schema"),
        ("cso-core", "tokio"),
        ("cso-aws", "cso-engine"),
        ("cso-aws", "cso-azure"),
        ("cso-aws", "aws-sigv4"),
        ("cso-engine", "cso-local"),
        ("cso-engine", "kube-client"),
        ("cso", "cso-testbed"),
        ("stranger", "serde"),
    ];
    for (package, name) in forbidden {
        assert!(edge(package, name, None), "{package} -> {name}");
    }
    let fine = [("cso", "cso-engine"), ("xtask", "cso-testbed"), ("cso-smithy", "aws-sigv4"), ("cso-core", "serde")];
    for (package, name) in fine {
        assert!(!edge(package, name, None), "{package} -> {name}");
    }
    assert!(!edge("cso-aws", "cso-testbed", Some("dev")));
}

#[test]
fn the_map_names_each_crate_once() {
    let mut places = BTreeMap::new();
    for (name, _) in MAY_USE {
        *places.entry(name).or_insert(0) += 1;
    }
    assert!(places.values().all(|count| *count == 1), "{places:?}");
}
