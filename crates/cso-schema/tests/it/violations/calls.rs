//! Operations, their members, and what fills them.

use super::check;

#[test]
fn calls() {
    check(&[
        (
            "delete: DeleteThing",
            "delete: DeleteThink",
            "10: toy/Thing: toy has no operation DeleteThink; did you mean DeleteThing?",
        ),
        (
            "delete: DeleteThing",
            "delete: Subscribe",
            "10: toy/Thing: Subscribe works by an event stream, which is not spoken here",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, token: Name}",
            "10: toy/Thing: only a create takes a `token`",
        ),
        ("op: CreateThing,", "op: CreateThing, token: Nam,", "7: toy/Thing: CreateThing takes no member Nam"),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Nam: spec.name}}",
            "10: toy/Thing: DeleteThing takes no member Nam; did you mean Name?",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Name.First: spec.name}}",
            "10: toy/Thing: DeleteThing takes no Name.First",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Name: {source: spec.nam, unless: a}}}",
            "10: toy/Thing: Thing has no field spec.nam; did you mean spec.name?",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Name: spec.nam}}",
            "10: toy/Thing: Thing has no field spec.nam; did you mean spec.name?",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Name: [spec.name]}}",
            "10: toy/Thing: Name is not a list",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Name: {a: 1}}}",
            "10: toy/Thing: Name: a value is a source, a constant, {text: ...}, {pattern: ...} or {source: ..., unless: ...}",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Name: all}}",
            "10: toy/Thing: `all` is neither a source (spec., status., option., ...) nor a value of the member's enum; free text is {text: ...}",
        ),
        (
            "delete: DeleteThing",
            "delete: {op: DeleteThing, in: {Name: option.gently}}",
            "40: toy/Thing: option `gently` is used but not declared",
        ),
        ("at: Thing}", "at: Think}", "8: toy/Thing: GetThing does not answer with Think"),
        ("at: Thing}", "at: Thing, pick: {Nam: spec.name}}", "8: toy/Thing: the answer has no Nam; did you mean Name?"),
        (
            "at: Thing}",
            "at: Thing, pick: {Name: name}}",
            "8: toy/Thing: `name` is not a source: spec., status., option., arn, account, region or partition",
        ),
        ("send: changed", "send: some", "9: toy/Thing: `some` is not a way to send: changed, all or one"),
        (
            "{status.ackResourceMetadata.arn: Arn}",
            "{ackResourceMetadata.arn: Arn}",
            "7: toy/Thing: `ackResourceMetadata.arn` must start with `status.`",
        ),
        (
            "{status.ackResourceMetadata.arn: Arn}",
            "{status.ackResourceMetadata.arn: Ran}",
            "7: toy/Thing: the answer has no Ran; did you mean Arn?",
        ),
    ]);
}

#[test]
fn lists() {
    let list = |rest: &str| format!("      delete: DeleteThing\n      list: {{op: ListThings, {rest}}}\n");
    let me = "in: {Owner: {text: me}}, elements: Things";
    let cases = [
        (
            "elements: Things, gives: {spec.name: Name}".to_owned(),
            "11: toy/Thing: ListThings requires Owner: say it with `in`, or leave `list` out",
        ),
        (
            "in: {Owner: {text: me}}, elements: Rings, gives: {spec.name: Name}".to_owned(),
            "11: toy/Thing: the answer has no Rings; did you mean Things?",
        ),
        (format!("{me}, gives: {{spec.name: Nam}}"), "11: toy/Thing: the answer has no Nam; did you mean Name?"),
        (
            format!("{me}, gives: {{status.state: State}}"),
            "11: toy/Thing: `gives` does not tell which resource an element is: give its name, its ARN or its handle",
        ),
        (
            format!("{me}, gives: {{spec.name: Name}}, unless: {{Color: red}}"),
            "11: toy/Thing: neither an element nor the body has Color",
        ),
    ];
    for (rest, message) in cases {
        check(&[("      delete: DeleteThing\n", &list(&rest), message)]);
    }
}
