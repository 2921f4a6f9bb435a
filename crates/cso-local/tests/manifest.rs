//! Reading, checking and watching manifests, through files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cso_core::port::SecretError;
use cso_core::{FieldPath, ObjectKey};
use cso_facts::surface::{Schema, SchemaType, Surface};
use cso_local::manifest::{FileSecrets, Manifest, ManifestSet, Watch, load, validate};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a scratch directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("makes");
        fs::write(path, text).expect("writes");
    }
    directory
}

fn load_text(text: &str) -> ManifestSet {
    let directory = directory(&[("a.yaml", text)]);
    load(&[directory.path()], "default")
}

/// Problems as people see them, without the scratch directory.
fn told(set: &ManifestSet) -> Vec<String> {
    let shown = |text: String| text.rsplit_once("/a.yaml:").map_or(text.clone(), |(_, rest)| rest.to_owned());
    set.problems.iter().map(|problem| shown(problem.to_string())).collect()
}

fn keys(set: &ManifestSet) -> Vec<String> {
    set.manifests.iter().map(|manifest| manifest.object.key.to_string()).collect()
}

fn queue(name: &str) -> String {
    format!("apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata:\n  name: {name}\n")
}

fn position(manifest: &Manifest, path: &str) -> (usize, usize) {
    let position = manifest.position(&path.parse().expect("a path"));
    (position.line, position.column)
}

#[test]
fn a_directory_is_read_all_the_way_down_and_only_its_manifests() {
    let json =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "x"}}).to_string();
    let directory = directory(&[
        ("b.yaml", &format!("# only a comment\n---\n{}---\n{}", queue("b1"), queue("b2"))),
        ("sub/deep/a.yml", &queue("a")),
        ("c.json", &json),
        ("README.md", "not: [a manifest"),
        (".hidden.yaml", "not: [a manifest"),
        (".cso/x.yaml", "not: [a manifest"),
    ]);
    let set = load(&[directory.path()], "team");
    assert_eq!(set.problems, []);
    assert!(set.is_complete());
    assert_eq!(keys(&set), ["ConfigMap x/c", "sqs/Queue team/a", "sqs/Queue team/b1", "sqs/Queue team/b2"]);
    assert_eq!(set.manifests[3].source.file, directory.path().join("b.yaml"));
    assert_eq!(set.manifests[3].source.line, 8);
    assert_eq!(set.manifests[3].api_version.to_string(), "sqs.services.k8s.aws/v1alpha1");

    let twice = load(&[directory.path().to_owned(), directory.path().join("b.yaml")], "team");
    assert_eq!(keys(&twice), keys(&set), "a file reached twice is read once");
}

#[test]
fn an_object_is_what_its_manifest_says() {
    let set = load_text(
        "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata:\n  name: orders\n  labels: {app: shop}\n  \
         annotations:\n    example.com/Why: because\nspec:\n  queueName: orders\n  tags: {a: b}\nstatus: {x: 1}\n",
    );
    assert_eq!(told(&set), [""; 0]);
    let object = &set.manifests[0].object;
    assert_eq!(object.key, ObjectKey::new("sqs.services.k8s.aws", "Queue", "default", "orders"));
    assert_eq!(object.labels["app"], "shop");
    assert_eq!(object.annotation("example.com/Why"), Some("because"));
    assert_eq!(*object.spec, json!({"queueName": "orders", "tags": {"a": "b"}}));
    assert!(!object.deleting);
    assert_eq!(*load_text(&queue("bare")).manifests[0].object.spec, json!({}));
}

#[test]
fn scalars_have_the_types_of_the_core_schema() {
    let text = format!(
        "{}spec: [yes, no, on, True, ~, null, , 12, -0, +7, 0x1F, 0o17, 1.5, .5, 1e3, -2.5E-1, 1.2.3, 2026-01-31, 1_000, \
         '7', \"true\", !!str 5, 0x, e5, ., 18446744073709551615]\n",
        queue("a")
    );
    let text = text.replace("null, ,", "null,");
    let set = load_text(&text);
    assert_eq!(told(&set), [""; 0]);
    let expected = json!([
        "yes",
        "no",
        "on",
        true,
        null,
        null,
        12,
        0,
        7,
        31,
        15,
        1.5,
        0.5,
        1000.0,
        -0.25,
        "1.2.3",
        "2026-01-31",
        "1_000",
        "7",
        "true",
        "5",
        "0x",
        "e5",
        ".",
        18_446_744_073_709_551_615_u64
    ]);
    assert_eq!(*set.manifests[0].object.spec, expected);
}

#[test]
fn texts_of_several_lines_keep_their_form() {
    let text = format!(
        "{}spec:\n  policy: |\n    {{\n      \"a\": 1\n    }}\n  folded: >-\n    one\n    two\n  quoted: \"tab\\tend\"\n",
        queue("a")
    );
    let set = load_text(&text);
    let expected = json!({"policy": "{\n  \"a\": 1\n}\n", "folded": "one two", "quoted": "tab\tend"});
    assert_eq!(*set.manifests[0].object.spec, expected);
}

/// Forms that generators of JSON use and YAML's grammar only just allows.
#[test]
fn json_of_other_writers_is_read() {
    let text = "{\n\t\"apiVersion\":\"v1\",\r\n\t\"kind\" : \"Thing\",\n\t\"metadata\": {\"name\":\"a\"},\n\t\"spec\":\n\t{\"emoji\": \
                \"\\ud83d\\ude00\", \"slash\": \"a\\/b\", \"empty\": {}, \"list\": [\n\t],\"e\":1E+2}\n}\n";
    let set = load_text(text);
    assert_eq!(told(&set), [""; 0]);
    let expected = json!({"emoji": "\u{1f600}", "slash": "a/b", "empty": {}, "list": [], "e": 100.0});
    assert_eq!(*set.manifests[0].object.spec, expected);
}

#[test]
fn any_field_has_a_place() {
    let text = "# first\n---\napiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {name: a}\nspec:\n  \
                tags:\n  - key: x\n    value: é\n  -   key: y\n  flow: {ä: 1, b: [1, {c: 2}]}\n";
    let set = load_text(text);
    assert_eq!(told(&set), [""; 0]);
    let manifest = &set.manifests[0];
    assert_eq!(manifest.source.line, 3);
    for (path, expected) in [
        ("", (3, 1)),
        ("spec", (6, 1)),
        ("spec.tags", (7, 3)),
        ("spec.tags[0]", (8, 5)),
        ("spec.tags[0].value", (9, 5)),
        ("spec.tags[1].key", (10, 7)),
        ("spec.flow.b", (11, 16)),
        ("spec.flow.b[1]", (11, 23)),
        ("spec.flow.b[1].c", (11, 24)),
        ("metadata.name", (5, 12)),
        // What is not there is told at what encloses it.
        ("spec.tags[5].key", (7, 3)),
        ("spec.none.deeper", (6, 1)),
        ("spec.tags[].key", (7, 3)),
    ] {
        assert_eq!(position(manifest, path), expected, "{path}");
    }
}

#[test]
fn lists_are_taken_apart_with_the_places_of_their_elements() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n\
                - apiVersion: sqs.services.k8s.aws/v1alpha1\n  kind: QueueList\n  items:\n  - metadata: {name: q}\n    \
                spec: {delaySeconds: 1}\n";
    let set = load_text(text);
    assert_eq!(told(&set), [""; 0]);
    assert_eq!(keys(&set), ["ConfigMap default/a", "sqs/Queue default/q"]);
    assert_eq!(set.manifests[0].source.line, 4);
    assert_eq!(set.manifests[1].source.line, 10);
    assert_eq!(position(&set.manifests[1], "spec.delaySeconds"), (11, 12));

    let set = load_text("apiVersion: v1\nkind: List\nitems:\n- {kind: Queue}\n- 5\n");
    assert_eq!(set.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [4, 4, 5], "{:?}", told(&set));
}

#[test]
fn one_bad_document_hides_no_other() {
    let text = format!(
        "{}---\nbad: [1, 2\n---\n{}---\n\"never closed\n---\n{}---\nx: 1\n y: 2\n---\n{}",
        queue("a"),
        queue("b"),
        queue("c"),
        queue("d")
    );
    let set = load_text(&text);
    assert_eq!(
        keys(&set),
        ["sqs/Queue default/a", "sqs/Queue default/b", "sqs/Queue default/c", "sqs/Queue default/d"]
    );
    assert_eq!(set.problems.len(), 3, "{:?}", told(&set));
    assert!(!set.is_complete());
    for problem in &set.problems {
        assert!(problem.line > 4 && problem.column > 0, "{problem}");
    }
}

#[test]
fn each_problem_names_place_object_field_and_remedy() {
    let head = "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\n";
    let cases = [
        ("- 1\n".to_owned(), "1:1: a manifest is a map, not a list"),
        (
            "replicas: 3\n".to_owned(),
            "1:1: is not a manifest: it has no apiVersion, kind or metadata; move other files out of the directory",
        ),
        ("text\n".to_owned(), "1:1: a manifest is a map, not a text"),
        (
            "apiversion: v1\nkind: ConfigMap\nmetadata: {name: a}\n".to_owned(),
            "1:1: apiVersion: is missing; did you mean it by `apiversion`?",
        ),
        ("apiVersion: v1\nmetadata: {name: a}\n".to_owned(), "1:1: kind: is missing"),
        (head.to_owned(), "1:1: metadata: is missing"),
        (format!("{head}metadata: {{}}\n"), "3:1: metadata.name: is missing"),
        (format!("{head}metadata: x\n"), "3:1: metadata: must be a map, not a text"),
        (
            format!("{head}metadata:\n  generateName: a-\n"),
            "4:3: metadata.generateName: an object needs a fixed name; give it a `name`: without a cluster nobody makes \
             one up",
        ),
        (
            format!("{head}metadata:\n  name: My_Queue\n"),
            "4:3: metadata.name: `My_Queue` is not allowed; use lower-case letters, digits, `-` and `.`, a letter or \
             digit at each end, at most 253 characters",
        ),
        (
            format!("{head}metadata: {{name: 12}}\n"),
            "3:12: metadata.name: must be a text, not a number; put it in quotes",
        ),
        (
            format!("{head}metadata: {{name: a, namespace: a.b}}\n"),
            "3:21: metadata.namespace: `a.b` is not allowed; use lower-case letters, digits and `-`, a letter or \
             digit at each end, at most 63 characters",
        ),
        (
            format!("{head}metadata: {{name: a, labels: {{on: true}}}}\n"),
            "3:30: sqs/Queue default/a: metadata.labels.on: must be a text, not a boolean; put it in quotes",
        ),
        (
            format!("{head}metadata: {{name: a, labels: {{x: a b}}}}\n"),
            "3:30: sqs/Queue default/a: metadata.labels.x: `a b` is not a label value; use letters, digits, `-`, `_` and \
             `.`, a letter or digit at each end, at most 63 characters",
        ),
        (
            format!("{head}metadata: {{name: a, annotations: [x]}}\n"),
            "3:21: sqs/Queue default/a: metadata.annotations: must be a map of texts, not a list",
        ),
        (
            format!("{head}metadata: {{name: a, annotations: {{a/b/c: x}}}}\n"),
            "3:35: sqs/Queue default/a: metadata.annotations.a/b/c: `a/b/c` is not allowed as a name; use letters, digits, \
             `-`, `_` and `.`, at most 63 characters, with an optional `domain/` in front",
        ),
        (
            "apiVersion: a/b/c\nkind: Queue\nmetadata: {name: a}\n".to_owned(),
            "1:1: apiVersion: `a/b/c` is not allowed; use group/version, for example `v1`",
        ),
        (
            format!("{}spec:\n  a: 1\n  b: 2\n  a: 3\n", queue("a")),
            "8:3: sqs/Queue default/a: `a` is there twice, first in line 6; remove one of the two",
        ),
        (
            format!("{}spec: {{id: 0123}}\n", queue("a")),
            "5:12: sqs/Queue default/a: a number with a leading zero is decimal in YAML 1.2, and octal or a text in older \
             YAML; put it in quotes if it is a text, else leave the zero out",
        ),
        (
            format!("{}x: &x {{a: 1}}\nspec:\n  <<: *x\n", queue("a")),
            "7:3: sqs/Queue default/a: merge keys (`<<`) are not part of YAML 1.2; write the fields out",
        ),
        (
            format!("{}spec: {{a: .nan}}\n", queue("a")),
            "5:11: sqs/Queue default/a: is not a number that JSON can hold; put it in quotes if it is a text",
        ),
        (
            format!("{}spec: {{a: 1e999}}\n", queue("a")),
            "5:11: sqs/Queue default/a: is too large for a number; put it in quotes if it is a text",
        ),
        (
            format!("{}spec: {{a: !mine 1}}\n", queue("a")),
            "5:17: sqs/Queue default/a: its tag has no meaning here; remove the tag",
        ),
        (format!("{}spec: {{? [a] : 1}}\n", queue("a")), "5:10: a name must be plain text"),
    ];
    for (text, expected) in cases {
        let set = load_text(&text);
        assert_eq!(told(&set), [expected], "{text}");
        assert_eq!(keys(&set), [""; 0], "{text}");
    }
}

#[test]
fn problems_are_data_too() {
    let set = load_text(&format!("{}spec: {{id: 0123}}\n", queue("a")));
    let value = serde_json::to_value(&set.problems[0]).expect("serialises");
    assert_eq!(value["line"], 5);
    assert_eq!(value["column"], 12);
    assert_eq!(value["object"]["name"], "a");
    assert!(value["file"].as_str().is_some_and(|file| file.ends_with("a.yaml")));
    assert!(value["help"].is_string());
}

#[test]
fn two_declarations_of_one_object_are_both_refused() {
    let directory = directory(&[("a.yaml", &queue("x")), ("b.yaml", &format!("{}---\n{}", queue("y"), queue("x")))]);
    let set = load(&[directory.path()], "default");
    assert_eq!(keys(&set), ["sqs/Queue default/y"]);
    let told: Vec<String> = set.problems.iter().map(ToString::to_string).collect();
    let (a, b) = (directory.path().join("a.yaml"), directory.path().join("b.yaml"));
    let expected = |here: &Path, line, there: &Path, other| {
        format!(
            "{}:{line}:3: sqs/Queue default/x: metadata.name: is also declared at {}:{other}; remove one of the two",
            here.display(),
            there.display()
        )
    };
    assert_eq!(told, [expected(&a, 4, &b, 6), expected(&b, 9, &a, 1)]);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_read() {
    let directory = directory(&[("good.yaml", &queue("good")), ("sub/x.yaml", &queue("x"))]);
    let path = |name: &str| directory.path().join(name);
    fs::write(path("latin.yaml"), b"kind: Queue\nname: caf\xe9\n").expect("writes");
    symlink(directory.path(), path("sub/back")).expect("links");
    symlink(path("turns"), path("turns")).expect("links");
    symlink(path("nowhere"), path("gone.yaml")).expect("links");
    symlink(path("nowhere"), path("gone.txt")).expect("links");
    fs::File::create(path("huge.yaml")).and_then(|file| file.set_len((16 << 20) + 1)).expect("makes");
    let set = load(&[directory.path().to_owned(), path("missing")], "default");
    assert_eq!(keys(&set), ["sqs/Queue default/good", "sqs/Queue default/x"]);
    let problem = |name: &str| {
        let text = set.problems.iter().find(|problem| problem.file == path(name)).map(ToString::to_string);
        text.unwrap_or_else(|| panic!("{name}: {:?}", set.problems))
    };
    assert!(problem("latin.yaml").ends_with(":2:10: is not UTF-8 text from here on; save it as UTF-8"));
    assert!(problem("sub/back").contains("leads back to"));
    assert!(problem("turns").contains("cannot be read"));
    assert!(problem("gone.yaml").contains("cannot be read"));
    assert!(problem("huge.yaml").contains("is larger than 16 MiB; split it"));
    assert!(problem("missing").contains("cannot be read"));
    assert_eq!(set.problems.len(), 6, "{:?}", set.problems);
}

#[test]
fn an_unreadable_directory_or_file_is_told() {
    let directory = directory(&[("a/x.yaml", &queue("x")), ("b.yaml", &queue("b"))]);
    let deny = |name: &str| {
        let path = directory.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("allowed");
        path
    };
    let (a, b) = (deny("a"), deny("b.yaml"));
    let set = load(&[directory.path()], "default");
    // The superuser may read anything.
    let is_superuser = fs::read_dir(&a).is_ok();
    let files: Vec<PathBuf> = set.problems.iter().map(|problem| problem.file.clone()).collect();
    assert_eq!(files, if is_superuser { vec![] } else { vec![a.clone(), b] });
    fs::set_permissions(&a, fs::Permissions::from_mode(0o700)).expect("allowed");
}

#[test]
fn aliases_repeat_and_cannot_explode() {
    let set = load_text(&format!("{}spec: {{a: &a [1, 2], b: *a}}\n", queue("a")));
    assert_eq!(*set.manifests[0].object.spec, json!({"a": [1, 2], "b": [1, 2]}));

    // Ten to the twelfth values in a few lines.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        bomb = format!("{bomb}a{level}: &a{level} [{inner}]\n");
    }
    let set = load_text(&format!("{bomb}---\n{}", queue("after")));
    assert!(told(&set)[0].contains("takes more than 64 MiB from here on"), "{:?}", told(&set));
    assert_eq!(keys(&set), ["sqs/Queue default/after"]);

    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        deep = format!("{deep}a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(told(&load_text(&deep))[0].contains("nested more than 128 levels deep"));
    assert_eq!(told(&load_text(&"[".repeat(100_000))), ["1:256: recursion limit exceeded"]);
    assert!(told(&load_text("a: &a [*a]\n"))[0].contains("inside of what it repeats"));
    assert!(!load_text("a: *nothing\n").is_complete());
}

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  annotations:\n    \
    kubectl.kubernetes.io/last-applied-configuration: '{\"stringData\":{\"b\":\"hunter2\"}}'\ndata:\n  a: aHVudGVyMQ==\n  \
    both: aHVudGVyMQ==\n  binary: /w==\nstringData:\n  b: hunter2\n  both: hunter2\n";

#[test]
fn secret_values_are_read_when_asked_and_stay_out_of_the_set() {
    let directory = directory(&[("s.yaml", &format!("{}---\n{SECRET}", queue("q")))]);
    let file = directory.path().join("s.yaml");
    let set = load(&[directory.path()], "default");
    assert_eq!(set.problems, []);
    let everything = format!("{set:?} {:?}", set.manifests.iter().map(|m| (&m.raw, &m.object)).collect::<Vec<_>>());
    assert!(!everything.contains("hunter") && !everything.contains("aHVudGVy"), "{everything}");

    let secrets = FileSecrets::new(&set, "default");
    let reveal = |name, key| secrets.value("default", name, key).map(|value| value.reveal().to_owned());
    assert_eq!(reveal("db", "a").as_deref(), Ok("hunter1"));
    assert_eq!(reveal("db", "b").as_deref(), Ok("hunter2"));
    assert_eq!(reveal("db", "both").as_deref(), Ok("hunter2"), "stringData wins");
    assert!(matches!(reveal("db", "c"), Err(SecretError::NoKey { .. })));
    assert!(matches!(reveal("none", "a"), Err(SecretError::Missing { .. })));
    assert!(matches!(reveal("db", "binary"), Err(SecretError::Unreadable { .. })));
    assert!(!format!("{secrets:?}").contains("hunter"));

    fs::write(&file, SECRET.replace("hunter2", "rotated")).expect("writes");
    assert_eq!(reveal("db", "b").as_deref(), Ok("rotated"), "never cached");
    fs::write(&file, SECRET.replace("kind: Secret", "kind: Secret\ntype: kubernetes.io/tls")).expect("writes");
    assert!(matches!(reveal("db", "b"), Err(SecretError::WrongType { found, .. }) if found == "kubernetes.io/tls"));
    fs::write(&file, queue("q")).expect("writes");
    assert!(matches!(reveal("db", "b"), Err(SecretError::Missing { .. })));
    fs::remove_file(&file).expect("removes");
    assert!(matches!(reveal("db", "b"), Err(SecretError::Unreadable { .. })));

    let other = load_text(&SECRET.replace("name: db", "name: other"));
    secrets.follow(&other);
    assert!(matches!(reveal("db", "b"), Err(SecretError::Missing { .. })));
}

#[test]
fn problems_of_secrets_do_not_tell_their_values() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata:\n  a: hunter1!\n  b: 12345678901234567890123\n\
                stringData:\n  c: 4711\n  d: 01234567\n";
    let set = load_text(text);
    let expected = [
        "5:3: Secret default/db: data.a: must be base64; or write the plain value under `stringData`",
        "6:6: Secret default/db: is too large for a number; put it in quotes if it is a text",
        "8:3: Secret default/db: stringData.c: must be a text; put it in quotes",
        "9:6: Secret default/db: a number with a leading zero is decimal in YAML 1.2, and octal or a text in older YAML; \
         put it in quotes if it is a text, else leave the zero out",
    ];
    assert_eq!(told(&set), expected);
    assert!(!format!("{set:?}").contains("hunter"));
}

fn surface() -> Surface {
    let of = |schema_type| Schema { schema_type, ..Schema::default() };
    let tag = Schema { properties: [("key".to_owned(), of(SchemaType::String))].into(), ..Schema::default() };
    let properties = [
        ("delaySeconds".to_owned(), of(SchemaType::Integer)),
        ("queueName".to_owned(), of(SchemaType::String)),
        ("tags".to_owned(), Schema { items: Some(Box::new(tag)), ..of(SchemaType::Array) }),
    ];
    let spec = Schema { properties: properties.into(), required: ["queueName".to_owned()].into(), ..Schema::default() };
    Surface {
        group: "sqs.services.k8s.aws".to_owned(),
        version: "v1alpha1".to_owned(),
        kind: "Queue".to_owned(),
        list_kind: "QueueList".to_owned(),
        plural: "queues".to_owned(),
        singular: "queue".to_owned(),
        short_names: Vec::new(),
        namespaced: true,
        columns: Vec::new(),
        spec,
        status: Schema::default(),
        fields: std::collections::BTreeMap::new(),
        terminal_codes: Vec::new(),
        not_found_code: None,
    }
}

#[test]
fn every_violation_of_the_surface_has_its_place() {
    let check = |text: &str| {
        let mut set = load_text(text);
        assert_eq!(told(&set), [""; 0]);
        set.problems = set.manifests.iter().flat_map(|manifest| validate(manifest, &surface())).collect();
        told(&set)
    };
    let text = format!(
        "{}spec:\n  delayseconds: 5\n  queueName: 7\n  tags:\n  - key: a\n  - Key: b\nstatus: {{anything: goes}}\n\
         sepc: {{}}\n",
        queue("orders")
    );
    let expected = [
        "6:3: sqs/Queue default/orders: spec.delayseconds: unknown field; did you mean `delaySeconds`?",
        "7:3: sqs/Queue default/orders: spec.queueName: must be a text, not a number; put it in quotes",
        "10:5: sqs/Queue default/orders: spec.tags[1].Key: unknown field; did you mean `key`?",
        "12:1: sqs/Queue default/orders: sepc: unknown field; did you mean `spec`?",
    ];
    assert_eq!(check(&text), expected);
    assert_eq!(
        check(&queue("a").replace("v1alpha1", "v1")),
        [
            "1:1: sqs/Queue default/a: spec: the required field `queueName` is missing",
            "1:1: sqs/Queue default/a: apiVersion: Queue has no version `v1`; use `sqs.services.k8s.aws/v1alpha1`",
        ]
        .map(str::to_owned)
        .iter()
        .rev()
        .cloned()
        .collect::<Vec<_>>()
    );
    assert_eq!(
        check(&format!("{}spec: []\n", queue("a"))),
        ["5:1: sqs/Queue default/a: spec: must be a map, not a list"]
    );
    assert_eq!(check(&format!("{}spec: {{queueName: a}}\n", queue("a"))), [""; 0]);
}

/// Time stands still but for the timers, so the test waits for nothing.
#[tokio::test(start_paused = true)]
async fn the_watch_tells_each_change_once_it_rests() {
    let directory = directory(&[("a.yaml", &queue("a"))]);
    let path = directory.path().join("a.yaml");
    let mut watch = Watch::new(vec![directory.path().to_owned()], Watch::PERIOD);
    let quiet = Duration::from_secs(60);
    assert!(tokio::time::timeout(quiet, watch.changed()).await.is_err(), "nothing changed");

    let steps: [(&str, &dyn Fn()); 5] = [
        ("a longer text", &|| fs::write(&path, queue("longer")).expect("writes")),
        ("a new file", &|| fs::write(directory.path().join("b.yaml"), queue("b")).expect("writes")),
        ("a replaced file of the same size", &|| {
            fs::write(directory.path().join("b.tmp"), queue("c")).expect("writes");
            fs::rename(directory.path().join("b.tmp"), directory.path().join("b.yaml")).expect("renames");
        }),
        ("a removed file", &|| fs::remove_file(&path).expect("removes")),
        ("a directory that is gone", &|| fs::remove_dir_all(directory.path()).expect("removes")),
    ];
    for (what, step) in steps {
        step();
        assert!(tokio::time::timeout(quiet, watch.changed()).await.is_ok(), "{what}");
        assert!(tokio::time::timeout(quiet, watch.changed()).await.is_err(), "{what}, once");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watch_ignores_what_is_not_read() {
    let directory = directory(&[("a.yaml", &queue("a"))]);
    let mut watch = Watch::new(vec![directory.path().to_owned()], Watch::PERIOD);
    fs::write(directory.path().join(".a.yaml.swp"), "x").expect("writes");
    fs::write(directory.path().join("notes.txt"), "x").expect("writes");
    assert!(tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.is_err());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[0-9.+eExob~ytrufalsn-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z0-9.~/ -]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// JSON is a subset: whatever `serde_json` writes is read as the same value, and every part has a place.
    #[test]
    fn json_is_read_as_it_was_written(spec in any_value()) {
        let document = json!({
            "apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"value": spec},
        });
        let compact = document.to_string();
        let pretty = serde_json::to_string_pretty(&document).expect("serialises");
        for text in [compact, pretty] {
            let set = load_text(&text);
            prop_assert_eq!(told(&set), Vec::<String>::new(), "{}", text);
            prop_assert_eq!(&set.manifests[0].raw, &document);
            let path = FieldPath::root().child("spec").child("value");
            let at = set.manifests[0].position(&path);
            let line = text.lines().nth(at.line - 1).expect("a line");
            let rest: String = line.chars().skip(at.column - 1).collect();
            prop_assert!(rest.starts_with("\"value\""), "{}", rest);
        }
    }

    /// Whatever stands in a file, reading it ends, and says something or gives something.
    #[test]
    fn no_text_breaks_the_reader(text in "[-a-c:{}\\[\\]&*!|>'\"#%@`,?~\n\t 0]{0,60}") {
        let set = load_text(&text);
        for problem in &set.problems {
            prop_assert!(!problem.message.is_empty());
        }
    }
}
