//! What people write: manifests, descriptors, paths, facts.

use std::path::Path;

use cso_core::FieldPath;
use cso_facts::Catalog;
use cso_facts::text::{
    ParseError, parse_partitions, parse_service, parse_surfaces, print_partitions, print_service, print_surfaces,
};
use cso_local::manifest;
use cso_schema::compile::compile;

/// Every problem has a place in the file; what is sound has a key and places, and can be held against its kind's surface.
pub(crate) fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let set = manifest::parse(Path::new("m.yaml"), text, "default");
    let lines = lines(text);
    for problem in &set.problems {
        assert!(problem.line <= lines, "{problem} in a file of {lines} lines");
        assert!(!problem.message.is_empty(), "{problem:?}");
    }
    for found in &set.manifests {
        let key = &found.object.key;
        assert!(!key.kind.is_empty() && !key.name.is_empty() && !key.namespace.is_empty(), "{key}");
        assert!((1..=lines).contains(&found.source.line), "{key} at {}", found.source);
        assert!((1..=lines).contains(&found.position(&FieldPath::root().child("spec")).line), "{key}");
        if let Ok(surface) = Catalog::builtin().surface(&key.group, &key.kind) {
            for problem in manifest::validate(found, &surface) {
                assert!((1..=lines).contains(&problem.line), "{problem}");
            }
        }
    }
    let keys: Vec<_> = set.manifests.iter().map(|found| &found.object.key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "declared twice: {keys:?}");
}

/// It compiles, or at least one sentence with a place says why not.
pub(crate) fn descriptor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Err(violations) = compile("k.yaml", text, Catalog::builtin()) else { return };
    assert!(!violations.is_empty(), "it did not compile, and nothing is wrong");
    let lines = lines(text);
    for violation in violations {
        assert!((1..=lines).contains(&violation.line), "{violation} in a file of {lines} lines");
        assert!(!violation.message.is_empty(), "{violation:?}");
    }
}

/// A path is written as it was read.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<FieldPath>() {
        Ok(path) => {
            let written = path.to_string();
            assert_eq!(written.parse(), Ok(path), "`{text}` is written as `{written}`");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads one form of text and prints what was read.
type Form = fn(&str) -> Result<String, ParseError>;

/// What is printed is canonical: it is read and printed as it is. What is refused has a line.
pub(crate) fn facts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let forms: [Form; 3] = [
        |text| parse_service("f", text).map(|service| print_service(&service)),
        |text| parse_surfaces("f", text).map(|surfaces| print_surfaces(&surfaces)),
        |text| parse_partitions("f", text).map(|partitions| print_partitions(&partitions)),
    ];
    for form in forms {
        match form(text) {
            Ok(printed) => assert_eq!(form(&printed).as_ref(), Ok(&printed)),
            Err(error) => assert!(error.line <= lines(text), "{error}"),
        }
    }
}

/// How many lines there are; the place behind the last line break is one, too.
fn lines(text: &str) -> usize {
    text.replace("\r\n", "\n").split(['\n', '\r']).count()
}
