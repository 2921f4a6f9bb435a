//! Tags, states, references, options, and what is told of a resource.

use super::check;

#[test]
fn tags_and_states() {
    check(&[
        ("at-create: Tags", "at-create: Tag", "32: toy/Thing: CreateThing takes no member Tag"),
        ("{at-create", "{field: labels, at-create", "32: toy/Thing: the kind has no field spec.labels"),
        ("add: Tag, ", "", "32: toy/Thing: say either `add` and `remove`, or `put` (a call that replaces all tags)"),
        (
            "read: ListTags",
            "read: {op: ListTags, none: [NoTags]}",
            "32: toy/Thing: toy has no error NoTags; if it answers it all the same, say so in `unlisted`",
        ),
        ("read: ListTags", "read: GetRule", "32: toy/Thing: GetRule does not answer with tags"),
        ("read: ListTags", "seen: Tags", "32: toy/Thing: the body has no member Tags"),
        ("read: ListTags, ", "", "32: toy/Thing: say either `read` (a call) or `seen` (a member of the body)"),
        ("add: Tag,", "add: DeleteThing,", "32: toy/Thing: DeleteThing takes no list or map of tags"),
        ("at: State", "at: Stat", "33: toy/Thing: the body has no member Stat"),
        ("ready: [UP]", "ready: []", "33: toy/Thing: states of State do not classify UP"),
        ("ready: [UP]", "ready: [UP, UPPER]", "33: toy/Thing: State has no value UPPER"),
        ("ready: [UP]", "ready: [UP, DOWN]", "33: toy/Thing: DOWN is in two classes"),
    ]);
}

#[test]
fn references_options_and_outputs() {
    check(&[
        (
            "      ownerRef: iam/Role status.ackResourceMetadata.arn\n",
            "",
            "37: toy/Thing: spec.ownerRef is published but not declared",
        ),
        (
            "ownerRef: iam/Role status",
            "ownerRef: iam/User status",
            "38: toy/Thing: published as iam/Role status.ackResourceMetadata.arn",
        ),
        (
            "peerRef: toy/Thing status.ackResourceMetadata.arn",
            "peerRef: toy/Thing status.ran",
            "39: toy/Thing: toy/Thing has no field status.ran",
        ),
        ("peerRef: toy/Thing ", "peerRef: toy/Think ", "39: toy/Thing: no kind `Think` is published for service `toy`"),
        (
            "peerRef: toy/Thing status.ackResourceMetadata.arn",
            "peerRef: toy/Thing",
            "39: toy/Thing: a reference is `service/Kind path`",
        ),
        ("      peerRef:", "      pearRef:", "39: toy/Thing: the kind has no field spec.pearRef"),
        (
            "{arn: status.ackResourceMetadata.arn}\n",
            "{password: spec.password}\n",
            "42: toy/Thing: a secret cannot be exported",
        ),
        ("type: boolean", "type: integer", "41: toy/Thing: an option is an `integer` with min and max, or a `boolean`"),
        (
            "exports: {arn: status.ackResourceMetadata.arn}",
            "exports: {arn: status.ran}",
            "42: toy/Thing: Thing has no field status.ran",
        ),
        (
            "exports: {arn: status.ackResourceMetadata.arn}",
            "status: {stat: State}",
            "42: toy/Thing: the kind has no field status.stat",
        ),
        (
            "exports: {arn: status.ackResourceMetadata.arn}",
            "status: {state: Stat}",
            "42: toy/Thing: the answer has no Stat; did you mean State?",
        ),
    ]);
}
