//! Every rule of the compiler, broken once: the message, and the line that it leads to.

use std::sync::Arc;

use cso_facts::api::Service;
use cso_facts::surface::Surface;
use cso_facts::text::{parse_service, parse_surfaces};
use cso_schema::compile::{Document, Facts, compile, compile_all};
use cso_schema::kind::Kind;

const API: &str = "\
service toy
api-version 1
service-id Toy
protocol json-1.0
endpoint-prefix toy
signing-name toy

operation AddLinks POST / input=LinksRequest
operation CreateThing POST / input=CreateRequest output=CreateAnswer
operation DeleteThing POST / input=NameRequest
operation GetRule POST / input=NameRequest output=RuleAnswer
  errors NoRule
operation GetThing POST / input=NameRequest output=GetAnswer
operation ListTags POST / input=NameRequest output=TagsAnswer
operation ListThings POST / input=ListRequest output=ListAnswer
operation Ping POST /
operation PutRule POST / input=PutRuleRequest
operation RemoveLinks POST / input=LinksRequest
operation Subscribe POST / event-stream
operation Tag POST / input=TagRequest
operation Untag POST / input=UntagRequest
operation UpdateThing POST / input=UpdateRequest

shape CreateAnswer structure
  Arn Text
shape CreateRequest structure
  Name Text required
  Mode Mode
  Size Int
  Owner Text
  Password Text
  Token Text token
  Tags TagList
shape GetAnswer structure
  Thing Thing
shape Int integer
shape LinksRequest structure
  Name Text required
  Links Texts
shape ListAnswer structure
  Things Things
shape ListRequest structure
  Owner Text required
shape Mode string
  = fast
  = slow
shape NameRequest structure
  Name Text required
shape NoRule structure error
shape PutRuleRequest structure
  Name Text required
  Rule Text
shape RuleAnswer structure
  Rule Text
shape State string
  = UP
  = DOWN
shape Tag structure
  Key Text
  Value Text
shape TagList list
  member Tag
shape TagRequest structure
  Name Text required
  Tags TagList
shape TagsAnswer structure
  Tags TagList
shape Text string
shape Texts list
  member Text
shape Thing structure
  Name Text
  Arn Text
  Mode Mode
  Size Int
  Owner Text
  State State
  Links Texts
shape Things list
  member Thing
shape UntagRequest structure
  Name Text required
  Keys Texts
shape UpdateRequest structure
  Name Text required
  Mode Mode
  Size Int
  Password Text
";

const SURFACE: &str = "\
surface toy.services.k8s.aws v1 Thing list=ThingList plural=things singular=thing
  field password secret
  field owner
    reference ownerRef iam Role status.ackResourceMetadata.arn
  spec object
    links array
      [] object
        name string
    mode string
    name string required immutable
    owner string
    ownerRef object
      from object
        name string
    password string
    peerRef object
      from object
        name string
    peer string
    rule string
    size integer
    tags array
      [] object
        key string
        value string
  status object
    ackResourceMetadata object
      arn string
    state string
";

/// Compiles; each case breaks one thing of it.
const GOOD: &str = "\
service: toy
errors:
  absent: [NoRule]
kinds:
  Thing:
    api:
      create: {op: CreateThing, out: {status.ackResourceMetadata.arn: Arn}}
      read: {op: GetThing, at: Thing}
      update: {op: UpdateThing, send: changed}
      delete: DeleteThing
    identity:
      name: spec.name
      handle: {Name: spec.name}
      arn: Arn
    fields:
      name: create-only
      mode: {compare: ci, clear: slow}
      owner: create-only
      password: secret
      peer: option
    parts:
      rule:
        config:
          get: {op: GetRule, none: [NoRule]}
          put: PutRule
        field: rule
      links:
        table: {add: {op: AddLinks, in: {Links: items.name}}, remove: {op: RemoveLinks, in: {Links: items.name}}}
        field: links
        key: name
        when: {spec.mode: [unset, fast]}
    tags: {at-create: Tags, read: ListTags, add: Tag, remove: Untag}
    states:
      - at: State
        ready: [UP]
        busy: [DOWN]
    refs:
      ownerRef: iam/Role status.ackResourceMetadata.arn
      peerRef: toy/Thing status.ackResourceMetadata.arn
    options:
      force: {annotation: example.com/force, type: boolean}
    exports: {arn: status.ackResourceMetadata.arn}
";

struct Toy(Arc<Service>, Arc<Surface>);

impl Facts for Toy {
    fn service(&self, name: &str) -> Option<Arc<Service>> {
        (name == "toy").then(|| Arc::clone(&self.0))
    }

    fn services(&self) -> Vec<String> {
        vec!["toy".to_owned()]
    }

    fn surface(&self, group: &str, kind: &str) -> Option<Arc<Surface>> {
        (group == self.1.group && kind == self.1.kind).then(|| Arc::clone(&self.1))
    }

    fn published(&self, group: &str) -> Vec<String> {
        if group == self.1.group { vec![self.1.kind.clone()] } else { Vec::new() }
    }
}

fn toy(api: &str, surface: &str) -> Toy {
    let surface = parse_surfaces("surface", surface).unwrap().remove(0);
    Toy(Arc::new(parse_service("api", api).unwrap()), Arc::new(surface))
}

fn messages(text: &str, facts: &Toy) -> Vec<String> {
    match compile("toy.yaml", text, facts) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_good_descriptor_compiles() {
    assert_eq!(messages(GOOD, &toy(API, SURFACE)), Vec::<String>::new());
}

/// What is replaced, by what, and the message without the file's name.
type Case = (&'static str, &'static str, &'static str);

#[track_caller]
fn check(cases: &[Case]) {
    let facts = toy(API, SURFACE);
    let mut wrong = Vec::new();
    for (from, to, message) in cases {
        assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must be in the descriptor once");
        let found = messages(&GOOD.replace(from, to), &facts);
        if !found.contains(&format!("toy.yaml:{message}")) {
            wrong.push(format!("{from:?} -> {to:?}\n  expected toy.yaml:{message}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A piece of a text, and what it is replaced by.
type Edit = (&'static str, &'static str);

#[track_caller]
fn edited(text: &str, edits: &[Edit]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} must be there once");
        text.replace(from, to)
    })
}

/// The same where facts are edited too.
#[track_caller]
fn check_facts(api: &[Edit], surface: &[Edit], descriptor: &[Edit], message: &str) {
    let found = messages(&edited(GOOD, descriptor), &toy(&edited(API, api), &edited(SURFACE, surface)));
    assert!(found.contains(&format!("toy.yaml:{message}")), "expected {message}\nfound {found:#?}");
}

#[test]
fn what_other_facts_would_break() {
    check_facts(
        &[("  Owner Text\n  Password", "  Owner Text\n  Lease Text required\n  Password")],
        &[],
        &[],
        "7: toy/Thing: CreateThing requires Lease, and no field or source fills it",
    );
    check_facts(
        &[("  Token Text token\n", "  Token Text\n")],
        &[],
        &[("      name: spec.name\n", "      assigned: status.state\n")],
        "11: toy/Thing: the create can be neither repeated by name nor by token: say how it is found again with `recover`",
    );
    check_facts(
        &[("shape ListRequest structure\n  Owner", "shape ListRequest structure\n  Landlord")],
        &[],
        &[(
            "    fields:",
            "    recover: {natural: {op: ListThings, elements: Things, pick: {Name: spec.name}, out: {}}}\n    fields:",
        )],
        "15: toy/Thing: nothing fills the required member Landlord",
    );
    check_facts(
        &[],
        &[("    tags array\n      [] object\n        key string\n        value string\n", "")],
        &[],
        "32: toy/Thing: the kind has no field spec.tags",
    );
    check_facts(
        &[],
        &[("    peer string\n", "")],
        &[("      peer: option\n", "")],
        "38: toy/Thing: there is no field that this reference could fill",
    );
}

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
        messages(&derived("[Tokens]"), &toy(API, SURFACE)),
        ["toy.yaml:16: toy/Thing: neither create, update nor the body has a member Tokens; did you mean Token?"]
    );
}

#[test]
fn a_kind_is_in_one_file() {
    let document = |file: &str, text: &str| Document { file: file.to_owned(), text: text.to_owned() };
    let both = [document("a.yaml", GOOD), document("b.yaml", GOOD)];
    let found = compile_all(&both, &toy(API, SURFACE)).unwrap_err();
    let messages: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(messages, ["b.yaml:5: toy/Thing: a.yaml has this kind too: leave one of them out"]);
    let kinds = compile_all(&[both[0].clone(), document("b.yaml", &derived("[Token]"))], &toy(API, SURFACE)).unwrap();
    let groups: Vec<&str> = kinds.iter().map(Kind::group).collect();
    assert_eq!(groups, ["toy.services.k8s.aws", "toys.example.org"]);
}

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
        let found = messages(&GOOD.replace("      delete: DeleteThing\n", &list(&rest)), &toy(API, SURFACE));
        assert!(found.contains(&format!("toy.yaml:{message}")), "expected {message}\nfound {found:#?}");
    }
}

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

/// The part `rule` as revisions, with one thing of it replaced.
#[track_caller]
fn check_revisions(from: &str, to: &str, message: &str) {
    let config = "        config:\n          get: {op: GetRule, none: [NoRule]}\n          put: PutRule\n";
    let revisions = "        revisions:\n          list: {op: ListThings, at: \"Things[]\"}\n          \
         get: {op: GetRule, in: {Name: item.Name}, at: Rule}\n          add: PutRule\n          \
         remove: {op: DeleteThing, in: {Name: item.Name}}\n          keep: 5\n          current: State\n          oldest: Size\n";
    let good = edited(GOOD, &[(config, revisions)]);
    let api = edited(
        API,
        &[("shape ListRequest structure\n  Owner Text required", "shape ListRequest structure\n  Owner Text")],
    );
    let facts = toy(&api, SURFACE);
    assert_eq!(messages(&good, &facts), Vec::<String>::new());
    assert_eq!(good.matches(from).count(), 1, "{from:?} must be there once");
    let found = messages(&good.replace(from, to), &facts);
    assert!(found.contains(&format!("toy.yaml:{message}")), "expected {message}\nfound {found:#?}");
}

#[test]
fn revisions() {
    check_revisions("current: State", "current: Sate", "22: toy/Thing: elements have no member Sate");
    check_revisions("oldest: Size", "oldest: Sizes", "22: toy/Thing: elements have no member Sizes");
    check_revisions(
        "at: \"Things[]\"",
        "at: \"Thinks[]\"",
        "22: toy/Thing: the answer has no Thinks[]; did you mean Things?",
    );
    check_revisions("at: Rule", "at: Law", "22: toy/Thing: the answer has no Law");
    check_revisions(
        "keep: 5",
        "keep: 1",
        "22: toy/Thing: with less than two revisions there is none to remove: `keep` is at least 2",
    );
    check_revisions(
        "remove: {op: DeleteThing, in: {Name: item.Name}}",
        "remove: DeleteThing",
        "22: toy/Thing: `remove` is not told which revision: say `item.MEMBER` in `in`",
    );
    check_revisions(
        "remove: {op: DeleteThing, in: {Name: item.Name}}",
        "remove: {op: DeleteThing, in: {Name: item.Nam}}",
        "22: toy/Thing: elements have no member Nam",
    );
}

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
