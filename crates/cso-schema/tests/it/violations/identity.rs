//! Names, handles, ARNs, and how a create is found again.

use super::check;

#[test]
fn identity_and_recovery() {
    check(&[
        (
            "      name: spec.name\n",
            "      name: spec.nam\n",
            "12: toy/Thing: Thing has no field spec.nam; did you mean spec.name?",
        ),
        (
            "      name: spec.name\n",
            "      name: spec.name\n      assigned: status.state\n",
            "11: toy/Thing: say either `name` (chosen by the user) or `assigned` (given by the provider)",
        ),
        (
            "      name: spec.name\n",
            "      name: spec.name\n      within: spec.ownr\n",
            "13: toy/Thing: Thing has no field spec.ownr; did you mean spec.owner?",
        ),
        (
            "handle: {Name: spec.name}",
            "handle: {Name: spec.name, Id: spec.name}",
            "13: toy/Thing: no call of Thing takes a member Id",
        ),
        ("arn: Arn\n", "arn: Ran\n", "14: toy/Thing: the answer has no Ran; did you mean Arn?"),
        ("arn: Arn\n", "arn: {pattern: \"arn:{region\"}\n", "14: toy/Thing: a pattern has `{` without `}`"),
        (
            "arn: Arn\n",
            "arn: {pattern: \"arn:{region}{account}\"}\n",
            "14: toy/Thing: two holes of a pattern need text between them, or it cannot be read back: say `one-way`",
        ),
        ("arn: Arn\n", "arn: {pattern: \"ran:{region}\"}\n", "14: toy/Thing: the pattern of an ARN starts with `arn:`"),
        (
            "arn: Arn\n",
            "arn: {pattern: \"arn:{spec.nam or x}\"}\n",
            "14: toy/Thing: Thing has no field spec.nam; did you mean spec.name?",
        ),
        (
            "    fields:",
            "    recover: {natural: {op: ListThings, elements: Things, pick: {Name: {end: x}}, out: {}}}\n    fields:",
            "15: toy/Thing: Name: an element is picked by a source, a list of sources, {pattern: ...} or {ends: ...}",
        ),
        ("service: toy\n", "service: toy\nscope: world\n", "6: toy/Thing: `world` is not a scope: region or partition"),
        (
            "    fields:",
            "    names: {mode: {update: Mod}}\n    fields:",
            "15: toy/Thing: UpdateThing takes no member Mod",
        ),
        (
            "    fields:",
            "    tombstone: Gone\n    fields:",
            "15: toy/Thing: the answer has no Gone; did you mean Mode?",
        ),
        ("    fields:", "    recover: {window: 5m}\n    fields:", "15: toy/Thing: say `natural` or `owner-tag`"),
        (
            "    fields:",
            "    recover: {owner-tag: toy, window: 5h}\n    fields:",
            "15: toy/Thing: `5h` is not a duration such as 60s or 5m",
        ),
        (
            "    fields:",
            "    recover: {natural: {op: ListThings, elements: Thinks, pick: {Owner: spec.owner}, out: {}}}\n    fields:",
            "15: toy/Thing: the answer has no Thinks; did you mean Things?",
        ),
        (
            "    fields:",
            "    recover: {natural: {op: ListThings, elements: Things, pick: {Own: spec.owner}, out: {}}}\n    fields:",
            "15: toy/Thing: the answer has no Own; did you mean Arn?",
        ),
        (
            "    fields:",
            "    recover: {natural: {op: ListThings, elements: Things, pick: {Owner: [spec.owner, tokn]}, out: {}}}\n    fields:",
            "15: toy/Thing: `tokn` is not a source: spec., status., option., arn, account, region or partition",
        ),
        (
            "    fields:",
            "    recover: {natural: {op: ListThings, elements: Things, pick: {Owner: spec.owner}, out: {status.state: Stat}}}\n    fields:",
            "15: toy/Thing: the answer has no Stat; did you mean State?",
        ),
    ]);
}
