//! Every rule of the compiler, broken once: the message, and the line that it leads to.

mod calls;
mod fields;
mod files;
mod identity;
mod outputs;
mod parts;

use crate::toy::{Toy, edited};

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

#[test]
fn the_good_descriptor_compiles() {
    assert_eq!(Toy::new(API, SURFACE).compiled(GOOD).err(), None);
}

/// What is replaced, by what, and the message without the file's name.
#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    Toy::new(API, SURFACE).tells_each(GOOD, cases);
}

/// A piece of a text, and what it is replaced by.
type Edit = (&'static str, &'static str);

/// The same where facts are edited too.
#[track_caller]
fn check_facts(api: &[Edit], surface: &[Edit], descriptor: &[Edit], message: &str) {
    Toy::new(&edited(API, api), &edited(SURFACE, surface)).tells(&edited(GOOD, descriptor), message);
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
