//! Names of services, kinds and groups; and what a file is.

use cso_schema::compile::{Document, compile_all};
use cso_schema::kind::Kind;

use super::{API, GOOD, SURFACE, check};
use crate::toy::{Toy, edited};

#[test]
fn files_and_errors() {
    check(&[
        (
            "    fields:",
            "    feelds:",
            "15: unknown field `feelds`, expected one of api, identity, surface, recover, tombstone, names, inside, fields, parts, tags, delete, states, refs, options, status, exports at line 15, column 5",
        ),
        ("service: toy", "service: joy", "1: there are no facts of service `joy`; did you mean toy?"),
        (
            "  Thing:",
            "  Things:",
            "5: toy/Things: no kind `Things` is published for service `toy`; did you mean Thing? If not, say `surface: derived`",
        ),
        (
            "absent: [NoRule]",
            "absent: [NoRull]",
            "3: toy has no error NoRull; if it answers it all the same, say so in `unlisted`",
        ),
        ("absent: [NoRule]", "absent: [NoRule]\n  unlisted: [Odd]", "4: Odd is in no other list"),
        (
            "service: toy",
            "service: toy\ngroup: Toys",
            "2: `Toys` is not an API group: lower-case words with dots between them",
        ),
        (
            "    fields:",
            "    surface: own\n    fields:",
            "15: toy/Thing: `own` is not a surface: derived, or {plural, short-names, without}",
        ),
        (
            "      peer: option\n    parts:",
            "      peer: option\n    surface: {plural: things, short-name: t}\n    parts:",
            "21: unknown field `short-name`, expected one of plural, short-names, without at line 21, column 31",
        ),
    ]);
}

/// The good descriptor in a group of its own, where nothing is published.
fn derived(without: &str) -> String {
    edited(
        GOOD,
        &[
            ("service: toy\n", "service: toy\ngroup: toys.example.org\n"),
            ("    fields:", "    surface: {without: WITHOUT}\n    fields:"),
            ("      peer: option\n", ""),
            ("ownerRef: iam/Role", "ownerRef: toy/Thing"),
            ("      peerRef: toy/Thing status", "      ruleRef: toys.example.org/Thing status"),
        ],
    )
    .replace("WITHOUT", without)
}

#[test]
fn what_is_left_out_is_there() {
    assert_eq!(
        Toy::new(API, SURFACE).compiled(&derived("[Tokens]")).unwrap_err(),
        ["toy.yaml:16: toy/Thing: neither create, update nor the body has a member Tokens; did you mean Token?"]
    );
}

#[test]
fn a_kind_is_in_one_file() {
    let document = |file: &str, text: &str| Document { file: file.to_owned(), text: text.to_owned() };
    let both = [document("a.yaml", GOOD), document("b.yaml", GOOD)];
    let found = compile_all(&both, &Toy::new(API, SURFACE)).unwrap_err();
    let messages: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(messages, ["b.yaml:5: toy/Thing: a.yaml has this kind too: leave one of them out"]);
    let kinds =
        compile_all(&[both[0].clone(), document("b.yaml", &derived("[Token]"))], &Toy::new(API, SURFACE)).unwrap();
    let groups: Vec<&str> = kinds.iter().map(Kind::group).collect();
    assert_eq!(groups, ["toy.services.k8s.aws", "toys.example.org"]);
}
