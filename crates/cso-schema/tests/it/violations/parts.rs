//! Settings with calls of their own.

use super::{API, GOOD, SURFACE, check};
use crate::toy::{Toy, edited};

#[test]
fn parts() {
    check(&[
        (
            "        field: rule",
            "        field: rull",
            "22: toy/Thing: the kind has no field spec.rull; did you mean rule?",
        ),
        (
            "        field: rule",
            "        field: rule\n        member: Law",
            "22: toy/Thing: PutRule takes no member like Law; name it with `member`",
        ),
        (
            "        field: rule",
            "        fields: [rule]\n        clear: {rull: omit}",
            "22: toy/Thing: `clear` speaks of rull, which is not a field of the part",
        ),
        (
            "none: [NoRule]",
            "none: [NoLaw]",
            "22: toy/Thing: toy has no error NoLaw; if it answers it all the same, say so in `unlisted`",
        ),
        (
            "          put: PutRule\n",
            "          put: PutRule\n        switch: {enable: Ping, disable: Ping}\n",
            "22: toy/Thing: a part is exactly one of config, switch, table or revisions",
        ),
        ("        key: name\n", "", "27: toy/Thing: a table needs the `key` of its elements"),
        ("        key: name\n", "        key: id\n", "27: toy/Thing: elements have no member id"),
        (
            "add: {op: AddLinks, in: {Links: items.name}}",
            "add: {op: AddLinks, in: {Links: items.id}}",
            "27: toy/Thing: elements have no member id",
        ),
        (
            "add: {op: AddLinks, in: {Links: items.name}}",
            "add: AddLinks",
            "27: toy/Thing: AddLinks is not told which elements: say `items` or `item` in `in`",
        ),
        (
            "        table: {add: {op: AddLinks",
            "        table: {change: {op: AddLinks, in: {Links: item.id}}, add: {op: AddLinks",
            "27: toy/Thing: elements have no member id",
        ),
        (
            "        table: {add",
            "        table: {list: {op: ListThings, at: \"Thinks[]\"}, get: {op: GetRule, at: Rule}, add",
            "27: toy/Thing: the answer has no Thinks[]; did you mean Things?",
        ),
        (
            "        table: {add",
            "        table: {list: {op: GetThing, at: \"Thing.Links[]\"}, get: {op: GetRule, in: {Name: item}, at: Law}, add",
            "27: toy/Thing: the answer has no Law",
        ),
        (
            "        field: links\n        key: name\n",
            "        fields: [links, size]\n        key: name\n",
            "27: toy/Thing: a table has one `field`",
        ),
        (
            "        field: links\n        key: name\n",
            "        field: size\n        key: name\n",
            "27: toy/Thing: elements that are no structures have no `key` but themselves, or that of the map",
        ),
        (
            "          put: PutRule\n",
            "          put: {op: PutRule, send: some}\n",
            "22: toy/Thing: `some` is not a way to send: changed, all or one",
        ),
        (
            "    tags: {at-create",
            "    delete: {empty: [link]}\n    tags: {at-create",
            "32: toy/Thing: there is no part link; did you mean links?",
        ),
        (
            "    tags: {at-create",
            "    delete: {empty: [rule]}\n    tags: {at-create",
            "32: toy/Thing: part rule has nothing in it that could be removed",
        ),
        ("[unset, fast]", "[unset, faster]", "27: toy/Thing: spec.mode has no value faster"),
        (
            "when: {spec.mode:",
            "when: {spec.mood:",
            "27: toy/Thing: Thing has no field spec.mood; did you mean spec.mode?",
        ),
    ]);
}

/// The part `rule` as revisions.
#[test]
fn revisions() {
    let config = "        config:\n          get: {op: GetRule, none: [NoRule]}\n          put: PutRule\n";
    let revisions = "        revisions:\n          list: {op: ListThings, at: \"Things[]\"}\n          \
         get: {op: GetRule, in: {Name: item.Name}, at: Rule}\n          add: PutRule\n          \
         remove: {op: DeleteThing, in: {Name: item.Name}}\n          keep: 5\n          current: State\n          oldest: Size\n";
    let good = edited(GOOD, &[(config, revisions)]);
    let api = edited(
        API,
        &[("shape ListRequest structure\n  Owner Text required", "shape ListRequest structure\n  Owner Text")],
    );
    let facts = Toy::new(&api, SURFACE);
    assert_eq!(facts.compiled(&good).err(), None);
    let cases = [
        ("current: State", "current: Sate", "22: toy/Thing: elements have no member Sate"),
        ("oldest: Size", "oldest: Sizes", "22: toy/Thing: elements have no member Sizes"),
        ("at: \"Things[]\"", "at: \"Thinks[]\"", "22: toy/Thing: the answer has no Thinks[]; did you mean Things?"),
        ("at: Rule", "at: Law", "22: toy/Thing: the answer has no Law"),
        (
            "keep: 5",
            "keep: 1",
            "22: toy/Thing: with less than two revisions there is none to remove: `keep` is at least 2",
        ),
        (
            "remove: {op: DeleteThing, in: {Name: item.Name}}",
            "remove: DeleteThing",
            "22: toy/Thing: `remove` is not told which revision: say `item.MEMBER` in `in`",
        ),
        (
            "remove: {op: DeleteThing, in: {Name: item.Name}}",
            "remove: {op: DeleteThing, in: {Name: item.Nam}}",
            "22: toy/Thing: elements have no member Nam",
        ),
    ];
    facts.tells_each(&good, &cases);
}
