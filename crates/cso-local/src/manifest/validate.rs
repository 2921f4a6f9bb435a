//! A manifest against the published surface of its kind.

use cso_core::FieldPath;
use cso_facts::surface::Surface;
use cso_schema::names::nearest;
use cso_schema::validate::violations;

use super::{Manifest, Problem};

/// What a manifest may hold at its top. A status is allowed and ignored, as exported objects have one.
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Everything that the surface of its kind forbids in a manifest, by place.
pub fn validate(manifest: &Manifest, surface: &Surface) -> Vec<Problem> {
    let root = FieldPath::root();
    let mut problems = Vec::new();
    let mut tell = |path: FieldPath, message: String, help: Option<String>| {
        let problem = Problem::at(&manifest.source.file, manifest.position(&path), message);
        problems.push(Problem { object: Some(manifest.object.key.clone()), path: Some(path), help, ..problem });
    };
    if manifest.api_version.version != surface.version {
        let message = format!("{} has no version `{}`", surface.kind, manifest.api_version.version);
        let help = format!("use `{}/{}`", surface.group, surface.version);
        tell(root.child("apiVersion"), message, Some(help));
    }
    let fields = manifest.raw.as_object().into_iter().flat_map(|fields| fields.keys());
    for name in fields.filter(|name| !TOP.contains(&name.as_str())) {
        let help = nearest(name, TOP).map(|meant| format!("did you mean `{meant}`?"));
        tell(root.child(name), "unknown field".to_owned(), help);
    }
    let spec = manifest.raw.get("spec").filter(|spec| !spec.is_null()).unwrap_or(&manifest.object.spec);
    for violation in violations(spec, &surface.spec, &root.child("spec")) {
        tell(violation.path, violation.message, violation.help);
    }
    problems.sort_by(|a, b| a.place().cmp(&b.place()));
    problems
}
