//! A compiled kind as text, in the descriptors' own words: left of an arrow where a value goes, right where it is from.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use cso_core::FieldPath;
use cso_schema::kind::{
    Arn, CallTemplate, Clear, Context, Field, Finder, Identity, Kind, Lookup, OptionKind, Owner, Part, PartRead,
    Pattern, PatternPart, Pick, PickTest, Place, Predicate, Recovery, Revisions, Role, Scope, Send, Shape, Source,
    State, Table, TagRead, TagWrite, Tags, Write,
};
use cso_schema::lens::{Answered, Lens};
use serde_json::Value;

/// The whole kind.
pub(super) fn kind(kind: &Kind) -> String {
    let mut page = Page::default();
    page.line(0, format!("{}/{} ({}/{})", kind.service, kind.name(), kind.group(), kind.surface.version));
    if kind.scope == Scope::Partition {
        page.line(0, "scope partition");
    }
    identity(&mut page, &kind.identity);
    recovery(&mut page, &kind.recovery);
    calls(&mut page, kind);
    page.line(0, "fields");
    for one in kind.fields.values() {
        field(&mut page, one, &kind.parts);
    }
    page.line(0, "parts");
    for one in &kind.parts {
        part(&mut page, one);
    }
    if let Some(one) = &kind.tags {
        tags(&mut page, one);
    }
    rest(&mut page, kind);
    page.text
}

/// Indented lines.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, depth: usize, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:width$}{line}", "", width = 2 * depth);
    }

    fn pairs<'a>(&mut self, depth: usize, pairs: impl IntoIterator<Item = &'a (FieldPath, FieldPath)>) {
        for (to, from) in pairs {
            self.line(depth, format!("status.{to} <- answer.{from}"));
        }
    }

    fn picks(&mut self, depth: usize, picks: &[Pick]) {
        for Pick { member, test } in picks {
            self.line(
                depth,
                match test {
                    PickTest::Equals(from) => format!("pick {member} = {}", source(from)),
                    PickTest::Ends(text) => format!("pick {member} that ends in {}", pattern(text)),
                },
            );
        }
    }
}

fn identity(page: &mut Page, identity: &Identity) {
    let Identity { name, assigned, within, lookup, arn } = identity;
    page.line(0, "identity");
    for field in name {
        page.line(1, format!("name spec.{field}"));
    }
    if let Some(field) = assigned {
        page.line(1, format!("assigned status.{field}"));
    }
    for field in within {
        page.line(1, format!("within spec.{field}"));
    }
    match arn {
        Arn::None => {}
        Arn::Read(path) => page.line(1, format!("arn <- body.{path}")),
        Arn::Pattern(parts) => page.line(1, format!("arn <- {}", pattern(parts))),
    }
    if let Some(Lookup { call, out }) = lookup {
        self::call(page, 1, "lookup", call);
        page.pairs(2, out);
    }
}

fn recovery(page: &mut Page, recovery: &Recovery) {
    match recovery {
        Recovery::Name => page.line(0, "recover by name"),
        Recovery::Token => page.line(0, "recover by token"),
        Recovery::OwnerTag { resource_type, window } => {
            page.line(0, format!("recover by owner tag {resource_type}, absent after {}s", window.as_secs()));
        }
        Recovery::Natural(Finder { call, elements, pick, out }) => {
            self::call(page, 0, "recover by list", call);
            page.line(1, format!("elements {elements}"));
            page.picks(1, pick);
            page.pairs(1, out);
        }
    }
}

fn writes(page: &mut Page, depth: usize, what: &str, write: &Write) {
    let Write { call, send, out } = write;
    let send = match send {
        Send::Changed => "changed fields",
        Send::All => "all fields",
        Send::One => "one field a call",
    };
    self::call(page, depth, &format!("{what} ({send})"), call);
    page.pairs(depth + 1, out);
}

fn calls(page: &mut Page, kind: &Kind) {
    call(page, 0, "read", &kind.read.call);
    if !kind.read.at.is_root() {
        page.line(1, format!("body at {}", kind.read.at));
    }
    page.picks(1, &kind.read.pick);
    call(page, 0, "create", &kind.create);
    page.pairs(1, &kind.create_out);
    match &kind.update {
        None => page.line(0, "update none"),
        Some(write) => writes(page, 0, "update", write),
    }
    match &kind.delete {
        Some(delete) => call(page, 0, "delete", delete),
        None => page.line(0, "delete none"),
    }
    for part in kind.empties.iter().filter_map(|position| kind.parts.get(*position)) {
        page.line(1, format!("first empties {}", part.name));
    }
}

fn call(page: &mut Page, depth: usize, what: &str, call: &CallTemplate) {
    let CallTemplate { service: _, operation, inputs, nested, carries, token, tags } = call;
    page.line(depth, format!("{what} {operation}"));
    for (member, from) in inputs {
        page.line(depth + 1, format!("{member} <- {}", source(from)));
    }
    for carried in carries {
        page.line(depth + 1, format!("{} <- field {}", place(&carried.place), carried.field));
    }
    if let Some(member) = token {
        page.line(depth + 1, format!("{member} <- idempotency token"));
    }
    for (path, from) in nested {
        page.line(depth + 1, format!("{path} <- {}", source(from)));
    }
    if let Some(path) = tags {
        page.line(depth + 1, format!("{path} <- tags"));
    }
}

fn field(page: &mut Page, field: &Field, parts: &[Part]) {
    let Field {
        name,
        schema: _,
        owner,
        role,
        read,
        compare,
        nested,
        lens,
        clear,
        late,
        start,
        when,
        off,
        restart,
        shared,
    } = field;
    let owner = match owner {
        Owner::Body => "body".to_owned(),
        Owner::Part(at) => format!("part {}", parts.get(*at).map_or("?", |part| part.name.as_str())),
    };
    let role = match role {
        Role::Mutable => "mutable",
        Role::CreateOnly => "create-only",
        Role::Secret => "secret",
        Role::Option => "option",
    };
    let read = read.as_ref().map_or("unreadable".to_owned(), |read| format!("read at {}", place(read)));
    let clear = match clear {
        Clear::Keep => "kept".to_owned(),
        Clear::Value(value) => format!("set to {value}"),
        Clear::Omit => "left out".to_owned(),
        Clear::Delete => "deleted with the part".to_owned(),
        Clear::Elements => "removed by element".to_owned(),
    };
    let late = if *late { ", shown late" } else { "" };
    page.line(1, format!("{name}: {role}, of {owner}, {read}, compared {compare:?}, cleared: {clear}{late}"));
    for (path, compare) in nested {
        page.line(2, format!("{path}: compared {compare:?}"));
    }
    if let Some(start) = start {
        page.line(2, format!("starts as {}", source(start)));
    }
    match lens {
        Lens::Same => {}
        Lens::Prefix(prefix) => page.line(2, format!("prefix {prefix}")),
        Lens::UrlEncoded => page.line(2, "answered URL-encoded"),
        Lens::Words(words) => self::words(page, "", words),
        Lens::Members(members) => {
            for (name, Answered { at, words }) in members {
                if let Some(at) = at {
                    page.line(2, format!("{name} is answered at {at}"));
                }
                self::words(page, &format!("{name}: "), words);
            }
        }
    }
    tests(page, when);
    if let Some(member) = off {
        let restart = if *restart { ", changed by off and on again" } else { "" };
        page.line(2, format!("off where {member} is false{restart}"));
    }
    if let Some(key) = shared {
        page.line(2, format!("shared by {key}"));
    }
}

fn words(page: &mut Page, whose: &str, words: &BTreeMap<String, Value>) {
    for (word, value) in words {
        page.line(2, format!("{whose}answered {word} for {value}"));
    }
}

fn tests(page: &mut Page, Predicate(tests): &Predicate) {
    for (from, accepted) in tests {
        let accepted: Vec<String> =
            accepted.iter().map(|value| value.as_ref().map_or("unset".to_owned(), ToString::to_string)).collect();
        page.line(2, format!("when {} in {}", source(from), accepted.join(", ")));
    }
}

fn part(page: &mut Page, part: &Part) {
    let Part { name, fields, read, shape, at_create, when } = part;
    let at_create = if *at_create { ", create carries it" } else { "" };
    page.line(1, format!("{name}: {}{at_create}", fields.join(", ")));
    tests(page, when);
    match read {
        PartRead::Body => page.line(2, "read with the body"),
        PartRead::Own { call, none } => {
            self::call(page, 2, "read", call);
            for code in none {
                page.line(3, format!("none on {code}"));
            }
        }
        PartRead::Listed { list, elements, get, value } => {
            self::call(page, 2, "list", list);
            page.line(3, format!("elements {elements}"));
            self::call(page, 2, "get", get);
            page.line(3, format!("value {value}"));
        }
    }
    match shape {
        Shape::Config { put, delete } => {
            writes(page, 2, "put", put);
            if let Some(delete) = delete {
                call(page, 2, "delete", delete);
            }
        }
        Shape::Switch { enable, disable } => {
            call(page, 2, "enable", enable);
            call(page, 2, "disable", disable);
        }
        Shape::Table(Table { key, add, change, fixed, remove, skip }) => {
            page.line(2, format!("key {}", key.as_deref().unwrap_or("is the element")));
            call(page, 2, "add", add);
            if let Some(change) = change {
                call(page, 2, "change", change);
                if !fixed.is_empty() {
                    page.line(3, format!("cannot change {}", fixed.join(", ")));
                }
            }
            call(page, 2, "remove", remove);
            for (member, from) in skip {
                page.line(2, format!("nobody's where {member} is {}", source(from)));
            }
        }
        Shape::Revisions(Revisions { add, remove, keep, key, current, oldest }) => {
            page.line(2, format!("keep {keep} by {key}, current where {current}, oldest by {oldest}"));
            call(page, 2, "add", add);
            call(page, 2, "remove", remove);
        }
    }
}

fn tags(page: &mut Page, tags: &Tags) {
    let Tags { field, read, write, at_create, surface_names, api_names } = tags;
    let at_create = if *at_create { ", create carries them" } else { "" };
    page.line(0, format!("tags: spec.{field}{at_create}"));
    for (whose, names) in [("surface", surface_names), ("API", api_names)] {
        if let Some((key, value)) = names {
            page.line(1, format!("{whose} list of {key}, {value}"));
        }
    }
    match read {
        TagRead::Body(path) => page.line(1, format!("read at body.{path}")),
        TagRead::Own { call, at, none } => {
            self::call(page, 1, "read", call);
            page.line(2, format!("at {at}"));
            if !none.is_empty() {
                page.line(2, format!("none: {}", none.join(", ")));
            }
        }
    }
    match write {
        TagWrite::Each { add, remove } => {
            call(page, 1, "add", add);
            call(page, 1, "remove", remove);
        }
        TagWrite::Whole(put) => call(page, 1, "put", put),
    }
}

fn rest(page: &mut Page, kind: &Kind) {
    for axis in &kind.states {
        page.line(0, format!("states of {}", place(&axis.at)));
        for (value, class) in &axis.classes {
            page.line(1, format!("{value}: {}", state(class)));
        }
        page.line(1, format!("unset: {}", state(&axis.unset)));
    }
    if let Some(path) = &kind.tombstone {
        page.line(0, format!("tombstone body.{path}"));
    }
    page.line(0, "refs");
    for one in &kind.refs {
        page.line(1, format!("spec.{} <- spec.{} = {}/{} {}", one.fills, one.field, one.group, one.kind, one.path));
    }
    page.line(0, "options");
    for (name, rule) in &kind.options {
        let range = match &rule.kind {
            OptionKind::Integer { min, max } => format!("{min} to {max}"),
            OptionKind::Boolean => "boolean".to_owned(),
        };
        let default = rule.default.as_ref().map(|value| format!(", default {value}")).unwrap_or_default();
        page.line(1, format!("{name} <- annotation {}: {range}{default}", rule.annotation));
    }
    page.line(0, "status");
    for one in &kind.status {
        page.line(1, format!("{} <- {}", one.name, place(&one.read)));
    }
    page.line(0, "exports");
    for (name, from) in &kind.exports {
        page.line(1, format!("{name} <- {}", source(from)));
    }
    page.line(0, "errors");
    for code in &kind.errors.absent {
        page.line(1, format!("{code}: absent"));
    }
    for (code, class) in &kind.errors.classes {
        page.line(1, format!("{code}: {class:?}"));
    }
    for (code, pause) in &kind.errors.later {
        page.line(1, format!("{code}: later, after {}s", pause.as_secs()));
    }
    page.line(0, format!("consistency {}s", kind.consistency.as_secs()));
}

fn source(source: &Source) -> String {
    match source {
        Source::Const(value) => value.to_string(),
        Source::Spec(path) => format!("spec.{path}"),
        Source::Status(path) => format!("status.{path}"),
        Source::Context(context) => self::context(*context).to_owned(),
        Source::Option(name) => format!("option.{name}"),
        Source::Pattern(parts) => pattern(parts),
        Source::Arn => "arn".to_owned(),
        Source::Token => "token".to_owned(),
        Source::FirstKnown(sources) => sources.iter().map(self::source).collect::<Vec<_>>().join(" or "),
        Source::List(sources) => format!("[{}]", sources.iter().map(self::source).collect::<Vec<_>>().join(", ")),
        Source::Structure(members) => {
            let members = members.iter().map(|(name, from)| format!("{name}: {}", self::source(from)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Source::Unless(source, value) => format!("{} unless {value}", self::source(source)),
        Source::ChangeKey => "change.key".to_owned(),
        Source::ChangeValue => "change.value".to_owned(),
        Source::Items(None) => "items".to_owned(),
        Source::Items(Some(member)) => format!("items.{member}"),
        Source::Item(None) => "item".to_owned(),
        Source::Item(Some(member)) => format!("item.{member}"),
        Source::Tags => "tags".to_owned(),
        Source::TagKeys => "keys of tags".to_owned(),
    }
}

fn pattern(Pattern(parts): &Pattern) -> String {
    let part = |part: &PatternPart| match part {
        PatternPart::Text(text) => text.clone(),
        PatternPart::Context(context) => format!("{{{}}}", self::context(*context)),
        PatternPart::Spec { path, default: None } => format!("{{spec.{path}}}"),
        PatternPart::Spec { path, default: Some(default) } => format!("{{spec.{path} or {default}}}"),
    };
    parts.iter().map(part).collect()
}

fn context(context: Context) -> &'static str {
    match context {
        Context::Account => "account",
        Context::Region => "region",
        Context::Partition => "partition",
    }
}

fn place(place: &Place) -> String {
    match place {
        Place::Path(path) => path.to_string(),
        Place::Attribute { map, key } => format!("{map}.{key}"),
    }
}

fn state(state: &State) -> String {
    match state {
        State::Ready => "ready".to_owned(),
        State::Busy => "busy".to_owned(),
        State::Waiting(sentence) => format!("waiting: {sentence}"),
        State::Failed => "failed".to_owned(),
        State::Gone => "gone".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use cso_facts::Catalog;
    use cso_schema::catalog::kinds;

    use super::*;

    /// Lines of a built-in kind that could only come from this rule or that.
    #[test]
    fn shows_where_everything_comes_from() {
        let all = kinds(Catalog::builtin()).expect("the built-in descriptors compile");
        let shown = |name: &str| kind(all.iter().find(|kind| kind.name() == name).expect(name));
        let cases = [
            ("Queue", "sqs/Queue (sqs.services.k8s.aws/v1alpha1)\n"),
            ("Queue", "  name spec.queueName\n"),
            (
                "Queue",
                "  lookup GetQueueUrl\n    QueueName <- spec.queueName\n    status.queueURL <- answer.QueueUrl\n",
            ),
            ("Queue", "  Attributes.Policy <- field policy\n"),
            ("Queue", "  tags <- tags\n"),
            ("Queue", "update (changed fields) SetQueueAttributes\n  QueueUrl <- status.queueURL\n"),
            ("Key", "recover by owner tag kms:key, absent after 300s\n"),
            ("Key", "\nread DescribeKey\n"),
            ("Key", "    when spec.keySpec in unset, \"SYMMETRIC_DEFAULT\"\n"),
            ("Key", "states of KeyState\n  Creating: busy\n"),
            ("Key", "  pendingWindow <- annotation kms.services.k8s.aws/pending-window-in-days: 7 to 30, default 7\n"),
            ("Alias", "    prefix alias/\n"),
            ("Secret", "  ClientRequestToken <- idempotency token\n"),
            ("Secret", "  SecretId <- status.id or spec.name\n"),
            ("Secret", "      RemoveReplicaRegions <- items.region\n"),
            ("Topic", "  arn <- arn:{partition}:sns:{region}:{account}:{spec.name}\n"),
            ("Subscription", "recover by list ListSubscriptionsByTopic\n"),
            ("Repository", "      none on LifecyclePolicyNotFoundException\n"),
            ("Role", "\nscope partition\n"),
            ("Role", "    put (all fields) UpdateAssumeRolePolicy\n"),
            ("Role", "delete DeleteRole\n  RoleName <- spec.name\n  first empties policies\n  first empties inline\n"),
            ("Role", "    read ListAttachedRolePolicies\n"),
            ("Role", "      PolicyDocument <- item.value\n"),
            ("Role", "    answered URL-encoded\n"),
            ("Group", "  NewPath <- field path\n"),
            ("Policy", "  arn <- arn:{partition}:iam::{account}:policy{spec.path or /}{spec.name}\n"),
            ("Policy", "    keep 5 by VersionId, current where IsDefaultVersion, oldest by CreateDate\n"),
            ("ServiceLinkedRole", "  pick RoleName that ends in _{spec.customSuffix}\n"),
        ];
        for (name, lines) in cases {
            let text = shown(name);
            assert!(text.contains(lines), "{name} lacks {lines:?}:\n{text}");
        }
    }
}
