//! Rules of single fields.

use super::check;

#[test]
fn fields() {
    check(&[
        (
            "      owner: create-only",
            "      owner: create-only\n      links: secret",
            "19: toy/Thing: field `links` is neither a text nor a reference to a key of a Secret",
        ),
        (
            "      owner: create-only",
            "      ownr: create-only",
            "18: toy/Thing: the kind has no field spec.ownr; did you mean owner?",
        ),
        (
            "      owner: create-only",
            "      owner: const",
            "18: toy/Thing: `const` is not a role: create-only, secret or option",
        ),
        (
            "      owner: create-only",
            "      owner: {}",
            "18: toy/Thing: field `owner` is mutable, but no update call carries it: say `create-only` or add a part",
        ),
        (
            "      name: create-only",
            "      name: {compare: exact}",
            "16: toy/Thing: field `name` is published as immutable: say `create-only`",
        ),
        (
            "      peer: option",
            "      peer: create-only",
            "20: toy/Thing: field `peer` is create-only, but CreateThing does not carry it",
        ),
        (
            "      peer: option",
            "      peer: create-only",
            "20: toy/Thing: field `peer` is in no answer: say where with `seen`, or `unreadable: true`",
        ),
        (
            "      owner: create-only",
            "      owner: {role: create-only, seen: Own}",
            "18: toy/Thing: the answer has no Own; did you mean Arn?",
        ),
        (
            "compare: ci",
            "compare: cj",
            "17: toy/Thing: `cj` is not a comparator: exact, set, json, policy, ci, number, kms-key",
        ),
        (
            "      password: secret",
            "      password: option",
            "19: toy/Thing: field `password` is published as a secret: say `secret`",
        ),
        ("compare: ci", "nested: {inner: ci}", "17: toy/Thing: field `mode` has no member inner"),
        ("clear: slow", "clear: slower", "17: toy/Thing: `clear: slower` is not a value of Mode"),
        ("clear: slow", "clear: 1", "17: toy/Thing: `clear: 1` is not a value of the field"),
        ("    fields:", "    names: {siz: Size}\n    fields:", "15: toy/Thing: the kind has no field spec.siz"),
        (
            "    fields:",
            "    names: {size: Sise}\n    fields:",
            "15: toy/Thing: neither create, update nor the body has a member Sise",
        ),
        (
            "    fields:",
            "    inside: {Attributes: {siz: Size}}\n    fields:",
            "15: toy/Thing: the kind has no field spec.siz",
        ),
        (
            "    fields:",
            "    inside: {Attributes: {size: Size}}\n    fields:",
            "15: toy/Thing: GetThing does not answer with Attributes.Size",
        ),
    ]);
}
