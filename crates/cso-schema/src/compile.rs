//! From a descriptor to kinds: every name is looked up in the facts, every default made explicit, every rule checked.
//!
//! A descriptor that compiles cannot make the engine fail: operations, members, fields and codes exist, each field has
//! one owner and a way to be written and read, and each create can be recovered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cso_core::{ErrorClass, FieldPath};
use cso_facts::api::{Member, Operation, Service, Shape, ShapeId, ShapeKind};
use cso_facts::surface::{Schema, Surface};
use serde_json::Value;

use crate::compare::Compare;
use crate::descriptor::{
    ArnSpec, AxisSpec, CallSpec, Errors, FieldSpec, File, KindSpec, OptionSpec, PartSpec, TagsSpec,
};
use crate::kind::{
    Arn, Axis, BodyRead, CallTemplate, Carried, Clear, Context, ErrorTable, Field, Finder, Identity, Kind, Lookup,
    OptionKind, OptionRule, Owner, Part, PartRead, Pattern, PatternPart, Place, Predicate, Recovery, Ref, Role, Send,
    Shape as PartShape, Source, State, StatusField, TagRead, Tags, Write,
};
use crate::lens::Lens;
use crate::names::{nearest, same_name};

/// Facts by name, as the compiler asks for them.
pub trait Facts {
    /// The API of a service.
    fn service(&self, name: &str) -> Option<Arc<Service>>;
    /// The published surface of a kind.
    fn surface(&self, group: &str, kind: &str) -> Option<Arc<Surface>>;
}

/// Something wrong with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    pub file: String,
    /// First line is 1.
    pub line: usize,
    /// For example `kms/Key`; empty when the whole file is meant.
    pub kind: String,
    pub message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.kind.is_empty() {
            write!(f, "{}: ", self.kind)?;
        }
        f.write_str(&self.message)
    }
}

/// Compiles a file of descriptors. `file` is its name for messages.
pub fn compile(file: &str, text: &str, facts: &dyn Facts) -> Result<Vec<Kind>, Vec<Violation>> {
    let parsed: File = match serde_saphyr::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
            let message = error.without_snippet().to_string();
            return Err(vec![Violation { file: file.to_owned(), line, kind: String::new(), message }]);
        }
    };
    let mut found = Vec::new();
    let mut kinds = Vec::new();
    let Some(api) = facts.service(&parsed.service) else {
        let message = format!("there are no facts of service `{}`", parsed.service);
        return Err(vec![Violation {
            file: file.to_owned(),
            line: line_of(text, &["service"]),
            kind: String::new(),
            message,
        }]);
    };
    for (name, spec) in &parsed.kinds {
        let mut compiler = Compiler { file: &parsed, name, spec, api: Arc::clone(&api), found: Vec::new() };
        match facts.surface(&format!("{}.services.k8s.aws", parsed.service), name) {
            Some(surface) => kinds.extend(compiler.kind(&surface)),
            None => compiler.fail(&[], format!("no kind `{name}` is published for service `{}`", parsed.service)),
        }
        found.extend(compiler.found.into_iter().map(|(path, message)| {
            let path: Vec<&str> = ["kinds", name].into_iter().chain(path.iter().map(String::as_str)).collect();
            let kind = format!("{}/{name}", parsed.service);
            Violation { file: file.to_owned(), line: line_of(text, &path), kind, message }
        }));
    }
    if found.is_empty() { Ok(kinds) } else { Err(found) }
}

/// The line that a path of mapping keys leads to; the deepest one found when the rest is written inline.
fn line_of(text: &str, path: &[&str]) -> usize {
    let mut best = 1;
    let mut wanted = path.iter().peekable();
    let mut floor = None;
    for (number, line) in text.lines().enumerate() {
        let Some(key) = wanted.peek() else { break };
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if floor.is_some_and(|floor| indent <= floor) {
            break;
        }
        let trimmed = trimmed.trim_start_matches(['"', '\'']);
        if trimmed.strip_prefix(**key).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':')) {
            best = number + 1;
            floor = Some(indent);
            wanted.next();
        }
    }
    best
}

struct Compiler<'a> {
    file: &'a File,
    name: &'a str,
    spec: &'a KindSpec,
    api: Arc<Service>,
    found: Vec<(Vec<String>, String)>,
}

/// Calls whose inputs may use more than the common sources.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    None,
    Change,
    Items,
}

impl Compiler<'_> {
    fn fail(&mut self, path: &[&str], message: impl Into<String>) {
        self.found.push((path.iter().map(|part| (*part).to_owned()).collect(), message.into()));
    }

    fn kind(&mut self, surface: &Arc<Surface>) -> Option<Kind> {
        let spec = self.spec;
        let identity = self.identity(surface)?;
        let read = self.body_read()?;
        let body = self.body_shape(&read)?;
        let fields = self.fields(surface, &read, body);
        let parts = self.parts(&fields, surface)?;
        let create = self.create(&fields)?;
        let create_out = self.outs(&["api", "create", "out"], &spec.api.create.out);
        let update = self.update(&fields);
        let mut delete = self.call(&["api", "delete"], &spec.api.delete, Extra::None)?;
        delete.token = None;
        let tags = match &spec.tags {
            Some(tags) => self.tags(tags, surface, body),
            None => None,
        };
        let create = CallTemplate { tags: spec.tags.as_ref().and_then(|tags| tags.at_create.clone()), ..create };
        self.check_fields(surface, &fields, &parts, &create, update.as_ref());
        let kind = Kind {
            service: self.file.service.clone(),
            api: Arc::clone(&self.api),
            surface: Arc::clone(surface),
            recovery: self.recovery(&identity, &create)?,
            states: spec.states.iter().filter_map(|axis| self.axis(axis, &read, body)).collect(),
            tombstone: spec.tombstone.as_deref().map(|path| self.path(&["tombstone"], path)),
            refs: self.refs(surface),
            options: self.options(),
            status: self.status(surface, &read, body),
            exports: self.exports(),
            errors: self.errors(&self.file.errors),
            consistency: self.duration(&[], self.file.consistency.as_deref()).unwrap_or(Duration::from_secs(10)),
            identity,
            read,
            create,
            create_out,
            update,
            delete,
            fields,
            parts,
            tags,
        };
        self.found.is_empty().then_some(kind)
    }

    fn operation(&mut self, path: &[&str], name: &str) -> Option<Operation> {
        let api = Arc::clone(&self.api);
        if let Some(operation) = api.operation(name) {
            return Some(operation.clone());
        }
        let hint = nearest(name, api.operations.iter().map(|op| op.name.as_str()));
        let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
        self.fail(path, format!("{} has no operation {name}{hint}", api.name));
        None
    }

    fn path(&mut self, at: &[&str], text: &str) -> FieldPath {
        text.parse().unwrap_or_else(|error: cso_core::path::PathError| {
            self.fail(at, error.to_string());
            FieldPath::root()
        })
    }

    fn duration(&mut self, at: &[&str], text: Option<&str>) -> Option<Duration> {
        let text = text?;
        let parsed = match text.strip_suffix('s') {
            Some(seconds) => seconds.parse().ok().map(Duration::from_secs),
            None => text
                .strip_suffix('m')
                .and_then(|minutes| minutes.parse::<u64>().ok())
                .map(|m| Duration::from_secs(m * 60)),
        };
        if parsed.is_none() {
            self.fail(at, format!("`{text}` is not a duration such as 60s or 5m"));
        }
        parsed
    }

    fn identity(&mut self, surface: &Surface) -> Option<Identity> {
        let spec = &self.spec.identity;
        let name: Vec<FieldPath> = spec
            .name
            .iter()
            .flat_map(|names| &names.0)
            .filter_map(|name| self.rooted(&["identity", "name"], name, "spec", surface))
            .collect();
        let assigned = match &spec.assigned {
            Some(path) => Some(self.rooted(&["identity", "assigned"], path, "status", surface)?),
            None => None,
        };
        if name.is_empty() == assigned.is_none() {
            self.fail(&["identity"], "say either `name` (chosen by the user) or `assigned` (given by the provider)");
            return None;
        }
        let lookup = match &spec.lookup {
            Some(call) => Some(Lookup {
                call: self.call(&["identity", "lookup"], call, Extra::None)?,
                out: self.outs(&["identity", "lookup", "out"], &call.out),
            }),
            None => None,
        };
        let arn = match &spec.arn {
            None => Arn::None,
            Some(ArnSpec::Path(path)) => Arn::Read(self.path(&["identity", "arn"], path)),
            Some(ArnSpec::Pattern { pattern }) => Arn::Pattern(self.pattern(pattern, surface)?),
        };
        Some(Identity { name, assigned, lookup, arn })
    }

    /// A path that starts with `root` and exists on the surface; returned below the root.
    fn rooted(&mut self, at: &[&str], text: &str, root: &str, surface: &Surface) -> Option<FieldPath> {
        let path = self.path(at, text);
        let schema = if root == "spec" { &surface.spec } else { &surface.status };
        match path.split_first() {
            Some((first, rest)) if first == root => {
                if schema_at(schema, &rest).is_none() {
                    let hint = nearest(&rest.to_string(), schema.properties.keys().map(String::as_str));
                    let hint = hint.map(|hint| format!("; did you mean {root}.{hint}?")).unwrap_or_default();
                    self.fail(at, format!("{} has no field {text}{hint}", self.name));
                    return None;
                }
                Some(rest)
            }
            _ => {
                self.fail(at, format!("`{text}` must start with `{root}.`"));
                None
            }
        }
    }

    fn pattern(&mut self, text: &str, surface: &Surface) -> Option<Pattern> {
        let at = ["identity", "arn"];
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(PatternPart::Text(rest[..open].to_owned()));
            }
            let Some(close) = rest.find('}') else {
                self.fail(&at, "a pattern has `{` without `}`");
                return None;
            };
            parts.push(match &rest[open + 1..close] {
                "account" => PatternPart::Context(Context::Account),
                "region" => PatternPart::Context(Context::Region),
                "partition" => PatternPart::Context(Context::Partition),
                spec => PatternPart::Spec(self.rooted(&at, spec, "spec", surface)?),
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(PatternPart::Text(rest.to_owned()));
        }
        if parts.windows(2).any(|pair| !pair.iter().any(|part| matches!(part, PatternPart::Text(_)))) {
            self.fail(&at, "two holes of a pattern need text between them, or it cannot be read back");
        }
        Some(Pattern(parts))
    }

    fn body_read(&mut self) -> Option<BodyRead> {
        let spec = &self.spec.api.read;
        let call = self.call(&["api", "read"], spec, Extra::None)?;
        let at = self.path(&["api", "read", "at"], spec.at.as_deref().unwrap_or_default());
        let pick = spec
            .pick
            .iter()
            .filter_map(|(member, from)| {
                let source = self.source(&["api", "read", "pick"], from, Extra::None)?;
                Some((self.path(&["api", "read", "pick"], member), source))
            })
            .collect();
        Some(BodyRead { call, at, pick, attributes: self.spec.inside.keys().next().cloned() })
    }

    fn body_shape(&mut self, read: &BodyRead) -> Option<ShapeId> {
        let output = self.api.operation(&read.call.operation)?.output?;
        let shape = shape_at(&self.api, output, &read.at);
        if shape.is_none() {
            self.fail(&["api", "read"], format!("{} does not answer with {}", read.call.operation, read.at));
        }
        shape
    }

    /// A status path and an answer path, for each line of an `out`.
    fn outs(&mut self, at: &[&str], out: &BTreeMap<String, String>) -> Vec<(FieldPath, FieldPath)> {
        out.iter()
            .filter_map(|(to, from)| {
                let to = self.path(at, to);
                let Some(("status", to)) = to.split_first() else {
                    self.fail(at, format!("`{to}` must start with `status.`"));
                    return None;
                };
                Some((to, self.path(at, from)))
            })
            .collect()
    }

    /// A call's template: what is said, then handles of the same name, then named fields of the identity.
    fn call(&mut self, at: &[&str], spec: &CallSpec, extra: Extra) -> Option<CallTemplate> {
        let operation = self.operation(at, &spec.op)?;
        let mut inputs: Vec<(String, Source)> = Vec::new();
        let api = Arc::clone(&self.api);
        let input = operation.input.map(|id| api.shape(id));
        for (member, value) in &spec.inputs {
            let Some(found) = input.and_then(|shape| shape.member(member)) else {
                let hint = input.and_then(|shape| nearest(member, shape.members().iter().map(|m| m.name.as_str())));
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                self.fail(at, format!("{} takes no member {member}{hint}", spec.op));
                continue;
            };
            if let Some(source) = self.value_source(at, found, value, extra) {
                inputs.push((member.clone(), source));
            }
        }
        let mut token = None;
        for member in input.map(Shape::members).unwrap_or_default() {
            if inputs.iter().any(|(name, _)| *name == member.name) {
                continue;
            }
            if let Some(sources) = self.spec.identity.handle.get(&member.name) {
                let sources: Vec<Source> = sources
                    .0
                    .clone()
                    .iter()
                    .filter_map(|text| self.source(&["identity", "handle"], text, extra))
                    .collect();
                inputs.push((member.name.clone(), one_or_first(sources)));
            } else if let Some(name) = self.identity_field(&member.name) {
                inputs.push((member.name.clone(), Source::Spec(name)));
            } else if member.idempotency_token {
                token = Some(member.name.clone());
            }
        }
        Some(CallTemplate {
            service: self.file.service.clone(),
            operation: spec.op.clone(),
            inputs,
            carries: Vec::new(),
            token,
            tags: None,
        })
    }

    /// A spec field that identifies the resource and is called like this member.
    fn identity_field(&self, member: &str) -> Option<FieldPath> {
        let names = self.spec.identity.name.as_ref()?;
        names.0.iter().find_map(|path| {
            let field = path.strip_prefix("spec.")?;
            let called = self.spec.names.get(field).map_or(field, String::as_str);
            same_name(called, member).then(|| FieldPath::root().child(field))
        })
    }

    fn value_source(&mut self, at: &[&str], member: &Member, value: &Value, extra: Extra) -> Option<Source> {
        match value {
            Value::String(text) => match self.try_source(text, extra) {
                Some(source) => Some(source),
                None => self.constant(at, member.shape, text),
            },
            Value::Object(map) if map.len() == 1 && map.contains_key("text") => {
                Some(Source::Const(map["text"].clone()))
            }
            Value::Array(list) => {
                let api = Arc::clone(&self.api);
                let ShapeKind::List { member: element, .. } = &api.shape(member.shape).kind else {
                    self.fail(at, format!("{} is not a list", member.name));
                    return None;
                };
                let all: Vec<Source> =
                    list.iter().filter_map(|one| self.value_source(at, element, one, extra)).collect();
                Some(Source::List(all))
            }
            Value::Bool(_) | Value::Number(_) => Some(Source::Const(value.clone())),
            _ => {
                self.fail(at, format!("{}: a value is a source, a constant, or {{text: ...}}", member.name));
                None
            }
        }
    }

    /// A bare word is a constant only where the API has an enum with that value.
    fn constant(&mut self, at: &[&str], shape: ShapeId, text: &str) -> Option<Source> {
        let api = Arc::clone(&self.api);
        if let ShapeKind::String { values } = &api.shape(shape).kind
            && values.iter().any(|value| value == text)
        {
            return Some(Source::Const(Value::String(text.to_owned())));
        }
        self.fail(at, format!("`{text}` is neither a source (spec., status., option., ...) nor a value of the member's enum; free text is {{text: ...}}"));
        None
    }

    fn source(&mut self, at: &[&str], text: &str, extra: Extra) -> Option<Source> {
        let source = self.try_source(text, extra);
        if source.is_none() {
            self.fail(
                at,
                format!("`{text}` is not a source: spec., status., option., arn, account, region or partition"),
            );
        }
        source
    }

    fn try_source(&mut self, text: &str, extra: Extra) -> Option<Source> {
        Some(match text {
            "arn" => Source::Arn,
            "account" => Source::Context(Context::Account),
            "region" => Source::Context(Context::Region),
            "partition" => Source::Context(Context::Partition),
            "change.key" if extra == Extra::Change => Source::ChangeKey,
            "change.value" if extra == Extra::Change => Source::ChangeValue,
            "items" if extra == Extra::Items => Source::Items(None),
            _ => match text.split_once('.')? {
                ("spec", path) => Source::Spec(path.parse().ok()?),
                ("status", path) => Source::Status(path.parse().ok()?),
                ("option", name) => {
                    if !self.spec.options.contains_key(name) {
                        self.fail(&["options"], format!("option `{name}` is used but not declared"));
                    }
                    Source::Option(name.to_owned())
                }
                ("items", member) if extra == Extra::Items => Source::Items(Some(member.to_owned())),
                _ => return None,
            },
        })
    }

    fn fields(&mut self, surface: &Surface, read: &BodyRead, body: ShapeId) -> BTreeMap<String, Field> {
        for name in self.spec.fields.keys() {
            if !surface.spec.properties.contains_key(name) {
                let hint = nearest(name, surface.spec.properties.keys().map(String::as_str));
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                self.fail(&["fields", name], format!("the published kind has no field spec.{name}{hint}"));
            }
        }
        let tags = self.spec.tags.is_some();
        surface
            .spec
            .properties
            .iter()
            .filter(|(name, _)| !is_reference(name, &surface.spec))
            .filter(|(name, _)| !tags || *name != "tags")
            .map(|(name, schema)| (name.clone(), self.field(name, schema, read, body)))
            .collect()
    }

    fn field(&mut self, name: &str, schema: &Schema, read: &BodyRead, body: ShapeId) -> Field {
        let at = ["fields", name];
        let spec = self.spec.fields.get(name).cloned().unwrap_or_default();
        let position = self.spec.parts.values().position(|part| part_fields(part).any(|field| field == name));
        let part = position.and_then(|position| self.spec.parts.get_index(position)).map(|(_, part)| part);
        let role = match spec.role.as_deref() {
            None => Role::Mutable,
            Some("create-only") => Role::CreateOnly,
            Some("secret") => Role::Secret,
            Some("option") => Role::Option,
            Some(other) => {
                self.fail(&at, format!("`{other}` is not a role: create-only, secret or option"));
                Role::Mutable
            }
        };
        let read = if spec.unreadable || matches!(role, Role::Secret | Role::Option) {
            None
        } else {
            self.field_place(name, &spec, part, read, body)
        };
        let clear = match part {
            Some(part) => Self::part_clear(name, part),
            None => spec.clear.clone().map_or(Clear::Keep, Clear::Value),
        };
        let compare = spec.compare.as_deref().or_else(|| part.and_then(|part| part.compare.as_deref()));
        Field {
            name: name.to_owned(),
            schema: schema.clone(),
            owner: position.map_or(Owner::Body, Owner::Part),
            role,
            read,
            compare: self.compare(&at, compare),
            nested: spec.nested.iter().map(|(path, rule)| (path.clone(), self.compare(&at, Some(rule)))).collect(),
            lens: spec.prefix.clone().map_or(Lens::Same, Lens::Prefix),
            clear,
            late: spec.late,
        }
    }

    fn compare(&mut self, at: &[&str], name: Option<&str>) -> Compare {
        let Some(name) = name else { return Compare::Exact };
        Compare::by_name(name).unwrap_or_else(|| {
            self.fail(at, format!("`{name}` is not a comparator: {}", Compare::NAMES.join(", ")));
            Compare::Exact
        })
    }

    fn part_clear(name: &str, part: &PartSpec) -> Clear {
        if part.table.is_some() {
            return Clear::Elements;
        }
        if part.config.as_ref().is_some_and(|config| config.delete.is_some()) {
            return Clear::Delete;
        }
        let said = match (&part.clear, part.fields.is_empty()) {
            (Some(Value::Object(by_field)), false) => by_field.get(name),
            (clear, _) => clear.as_ref(),
        };
        match said {
            None => Clear::Keep,
            Some(Value::String(word)) if word == "omit" => Clear::Omit,
            Some(value) => Clear::Value(value.clone()),
        }
    }

    /// Where a field is read: said, in the attribute map, or the member of the same name.
    fn field_place(
        &mut self,
        name: &str,
        spec: &FieldSpec,
        part: Option<&PartSpec>,
        read: &BodyRead,
        body: ShapeId,
    ) -> Option<Place> {
        let at = ["fields", name];
        if let Some(seen) = spec.seen.as_deref().or_else(|| part.and_then(|part| part.seen.as_deref())) {
            return Some(place(seen, read.attributes.as_deref()));
        }
        if let Some(key) = self.attribute(name) {
            let Some(map) = read.attributes.clone() else {
                self.fail(&at, "`inside` names a map that the read does not return");
                return None;
            };
            return Some(Place::Attribute { map, key });
        }
        let get = part.and_then(|part| {
            part.config
                .as_ref()
                .and_then(|config| config.get.as_ref())
                .or_else(|| part.switch.as_ref().and_then(|s| s.get.as_ref()))
        });
        let shape = match get {
            Some(get) => self.operation(&at, &get.op)?.output?,
            None => body,
        };
        let wanted = part
            .and_then(|part| part.member.as_deref())
            .or_else(|| self.spec.names.get(name).map(String::as_str))
            .unwrap_or(name);
        member_like(self.api.shape(shape), wanted).map(|member| Place::Member(member.name.clone()))
    }

    fn attribute(&self, field: &str) -> Option<String> {
        self.spec.inside.values().find_map(|map| map.get(field)).cloned()
    }

    fn parts(&mut self, fields: &BTreeMap<String, Field>, surface: &Surface) -> Option<Vec<Part>> {
        let specs: Vec<(&String, &PartSpec)> = self.spec.parts.iter().collect();
        specs.into_iter().map(|(name, part)| self.part(name, part, fields, surface)).collect()
    }

    fn part(
        &mut self,
        name: &str,
        part: &PartSpec,
        fields: &BTreeMap<String, Field>,
        surface: &Surface,
    ) -> Option<Part> {
        let at = ["parts", name];
        let owned: Vec<String> = part_fields(part).map(str::to_owned).collect();
        for field in &owned {
            if !fields.contains_key(field) {
                self.fail(&at, format!("the published kind has no field spec.{field}"));
            }
        }
        let get = part
            .config
            .as_ref()
            .and_then(|c| c.get.clone())
            .or_else(|| part.switch.as_ref().and_then(|s| s.get.clone()));
        let read = match &get {
            Some(call) => PartRead::Own { call: self.call(&at, call, Extra::None)?, none: call.none.clone() },
            None => PartRead::Body,
        };
        let shape = match (&part.config, &part.switch, &part.table) {
            (Some(config), None, None) => {
                let mut put = self.call(&at, &config.put, Extra::None)?;
                self.carry(&mut put, part, &owned, fields);
                let delete = match &config.delete {
                    Some(delete) => Some(self.call(&at, delete, Extra::None)?),
                    None => None,
                };
                PartShape::Config { put, delete }
            }
            (None, Some(switch), None) => PartShape::Switch {
                enable: self.call(&at, &switch.enable, Extra::None)?,
                disable: self.call(&at, &switch.disable, Extra::None)?,
            },
            (None, None, Some(table)) => {
                let Some(key) = part.key.clone() else {
                    self.fail(&at, "a table needs the `key` of its elements");
                    return None;
                };
                let mut add = self.call(&at, &table.add, Extra::Items)?;
                self.carry_options(&mut add, fields);
                PartShape::Table { key, add, remove: self.call(&at, &table.remove, Extra::Items)? }
            }
            _ => {
                self.fail(&at, "a part is exactly one of config, switch or table");
                return None;
            }
        };
        let at_create = owned.iter().all(|field| self.create_place(field).is_some());
        let when = part
            .when
            .iter()
            .filter_map(|(source, accepted)| {
                let path = self.rooted(&at, source, "spec", surface)?;
                let accepted =
                    accepted.iter().map(|word| (word != "unset").then(|| Value::String(word.clone()))).collect();
                Some((Source::Spec(path), accepted))
            })
            .collect();
        Some(Part { name: name.to_owned(), fields: owned, read, shape, at_create, when: Predicate(when) })
    }

    /// The part's fields, and the options, in its write.
    fn carry(&mut self, put: &mut CallTemplate, part: &PartSpec, owned: &[String], fields: &BTreeMap<String, Field>) {
        for field in owned {
            let wanted = part.member.as_deref().unwrap_or(field);
            if let Some(member) = self.input_member(&put.operation, wanted) {
                put.carries.push(Carried { field: field.clone(), place: Place::Member(member) });
            } else {
                let operation = put.operation.clone();
                self.fail(&["parts"], format!("{operation} takes no member like {wanted}; name it with `member`"));
            }
        }
        self.carry_options(put, fields);
    }

    fn carry_options(&self, put: &mut CallTemplate, fields: &BTreeMap<String, Field>) {
        for field in fields.values().filter(|field| field.role == Role::Option) {
            if let Some(member) = self.input_member(&put.operation, &field.name) {
                put.carries.push(Carried { field: field.name.clone(), place: Place::Member(member) });
            }
        }
    }

    fn input_member(&self, operation: &str, name: &str) -> Option<String> {
        let shape = self.api.operation(operation)?.input?;
        member_like(self.api.shape(shape), name).map(|member| member.name.clone())
    }

    /// Where the create call carries a field.
    fn create_place(&self, field: &str) -> Option<Place> {
        let operation = &self.spec.api.create.op;
        if let Some(key) = self.attribute(field) {
            let map = self.spec.inside.iter().find(|(_, keys)| keys.contains_key(field)).map(|(map, _)| map.clone())?;
            return self.input_member(operation, &map).map(|map| Place::Attribute { map, key });
        }
        let wanted = self.spec.names.get(field).map_or(field, String::as_str);
        self.input_member(operation, wanted).map(Place::Member)
    }

    fn create(&mut self, fields: &BTreeMap<String, Field>) -> Option<CallTemplate> {
        let at = ["api", "create"];
        let spec = self.spec.api.create.clone();
        let mut create = self.call(&at, &spec, Extra::None)?;
        for field in fields.values() {
            let Some(place) = self.create_place(&field.name) else { continue };
            if let Place::Member(member) = &place {
                // A field of that name is the wish itself: it stands before a handle of the same name.
                create.inputs.retain(|(name, _)| name != member || spec.inputs.contains_key(name));
                if create.inputs.iter().any(|(name, _)| name == member) {
                    continue;
                }
            }
            create.carries.push(Carried { field: field.name.clone(), place });
        }
        let operation = self.operation(&at, &spec.op)?;
        let api = Arc::clone(&self.api);
        for member in operation.input.map(|id| api.shape(id).members()).unwrap_or_default() {
            let known = create.inputs.iter().any(|(name, _)| *name == member.name)
                || create.carries.iter().any(|carried| matches!(&carried.place, Place::Member(name) | Place::Attribute { map: name, .. } if *name == member.name))
                || create.token.as_ref() == Some(&member.name);
            if member.required && !known {
                self.fail(&at, format!("{} requires {}, and no field or source fills it", spec.op, member.name));
            }
        }
        Some(create)
    }

    fn update(&mut self, fields: &BTreeMap<String, Field>) -> Option<Write> {
        let at = ["api", "update"];
        let spec = self.spec.api.update.clone();
        if spec.op == "none" {
            return None;
        }
        let send = match spec.send.as_deref() {
            None | Some("changed") => Send::Changed,
            Some("all") => Send::All,
            Some("one") => Send::One,
            Some(other) => {
                self.fail(&at, format!("`{other}` is not a way to send: changed, all or one"));
                return None;
            }
        };
        let extra = if send == Send::One { Extra::Change } else { Extra::None };
        let mut call = self.call(&at, &spec, extra)?;
        for field in fields
            .values()
            .filter(|f| f.owner == Owner::Body && matches!(f.role, Role::Mutable | Role::Secret | Role::Option))
        {
            if let Some(key) = self.attribute(&field.name) {
                let map = self.spec.inside.keys().next().cloned().unwrap_or_default();
                call.carries.push(Carried { field: field.name.clone(), place: Place::Attribute { map, key } });
                continue;
            }
            let wanted = self.spec.names.get(&field.name).unwrap_or(&field.name);
            if let Some(member) = self.input_member(&spec.op, wanted) {
                call.inputs.retain(|(name, _)| *name != member);
                call.carries.push(Carried { field: field.name.clone(), place: Place::Member(member) });
            }
        }
        Some(Write { call, send })
    }

    fn tags(&mut self, spec: &TagsSpec, surface: &Surface, body: ShapeId) -> Option<Tags> {
        let at = ["tags"];
        let Some(schema) = surface.spec.properties.get("tags") else {
            self.fail(&at, "the published kind has no field spec.tags");
            return None;
        };
        let api = Arc::clone(&self.api);
        let (read, tag_shape) = match (&spec.read, &spec.seen) {
            (Some(call), None) => {
                let template = self.call(&at, call, Extra::None)?;
                let output = self.operation(&at, &call.op)?.output?;
                let member = api.shape(output).members().iter().find(|member| is_tags(&api, member.shape));
                let Some(member) = member else {
                    self.fail(&at, format!("{} does not answer with tags", call.op));
                    return None;
                };
                (TagRead::Own { call: template, at: FieldPath::root().child(&member.name) }, member.shape)
            }
            (None, Some(seen)) => {
                let Some(member) = api.shape(body).member(seen) else {
                    self.fail(&at, format!("the body has no member {seen}"));
                    return None;
                };
                (TagRead::Body(self.path(&at, seen)), member.shape)
            }
            _ => {
                self.fail(&at, "say either `read` (a call) or `seen` (a member of the body)");
                return None;
            }
        };
        let api_names = match &api.shape(tag_shape).kind {
            ShapeKind::List { member, .. } => {
                let members = api.shape(member.shape).members();
                Some((members.first()?.name.clone(), members.get(1)?.name.clone()))
            }
            _ => None,
        };
        let surface_names = match &schema.items {
            Some(items) => {
                let mut names: Vec<&String> = items.properties.keys().collect();
                names.sort_by_key(|name| !name.to_lowercase().ends_with("key"));
                Some(((*names.first()?).clone(), (*names.get(1)?).clone()))
            }
            None => None,
        };
        Some(Tags {
            field: "tags".to_owned(),
            read,
            add: self.tag_call(&spec.add, false)?,
            remove: self.tag_call(&spec.remove, true)?,
            at_create: spec.at_create.is_some(),
            surface_names,
            api_names,
        })
    }

    /// Fills the one member of a tag call that takes tags, or keys of tags.
    fn tag_call(&mut self, spec: &CallSpec, keys: bool) -> Option<CallTemplate> {
        let at = ["tags"];
        let mut call = self.call(&at, spec, Extra::None)?;
        let api = Arc::clone(&self.api);
        let input = self.operation(&at, &spec.op)?.input?;
        let open = api.shape(input).members().iter().find(|member| {
            !call.inputs.iter().any(|(name, _)| *name == member.name)
                && matches!(api.shape(member.shape).kind, ShapeKind::List { .. } | ShapeKind::Map { .. })
        });
        let Some(member) = open else {
            self.fail(&at, format!("{} takes no list or map of tags", spec.op));
            return None;
        };
        call.inputs.push((member.name.clone(), if keys { Source::TagKeys } else { Source::Tags }));
        Some(call)
    }

    fn recovery(&mut self, identity: &Identity, create: &CallTemplate) -> Option<Recovery> {
        let Some(spec) = &self.spec.recover else {
            if !identity.name.is_empty() {
                return Some(Recovery::Name);
            }
            if create.token.is_some() {
                return Some(Recovery::Token);
            }
            self.fail(
                &["identity"],
                "the create can be neither repeated by name nor by token: say how it is found again with `recover`",
            );
            return None;
        };
        if let Some(finder) = &spec.natural {
            let at = ["recover", "natural"];
            let call = CallSpec { op: finder.op.clone(), ..CallSpec::default() };
            let mut call = self.call(&at, &call, Extra::None)?;
            // Members of the finder that are spec fields, such as the parent.
            let api = Arc::clone(&self.api);
            for member in api.operation(&finder.op)?.input.map(|id| api.shape(id).members()).unwrap_or_default() {
                if member.required && !call.inputs.iter().any(|(name, _)| *name == member.name) {
                    call.inputs.push((
                        member.name.clone(),
                        Source::Spec(FieldPath::root().child(&self.spec_field_like(&member.name)?)),
                    ));
                }
            }
            let pick = finder
                .pick
                .iter()
                .filter_map(|(member, from)| Some((self.path(&at, member), self.source(&at, from, Extra::None)?)))
                .collect();
            let elements = self.path(&at, &finder.elements);
            return Some(Recovery::Natural(Finder { call, elements, pick, out: self.outs(&at, &finder.out) }));
        }
        let window = self.duration(&["recover", "window"], spec.window.as_deref()).unwrap_or(Duration::from_secs(300));
        if let Some(resource_type) = &spec.owner_tag {
            Some(Recovery::OwnerTag { resource_type: resource_type.clone(), window })
        } else {
            self.fail(&["recover"], "say `natural` or `owner-tag`");
            None
        }
    }

    /// The spec field spelt like an API member.
    fn spec_field_like(&mut self, member: &str) -> Option<String> {
        let map = self.spec.fields.keys().find(|field| same_name(field, member)).cloned();
        if map.is_none() {
            self.fail(&["recover"], format!("nothing fills the required member {member}"));
        }
        map
    }

    fn axis(&mut self, spec: &AxisSpec, read: &BodyRead, body: ShapeId) -> Option<Axis> {
        let mut classes = BTreeMap::new();
        let mut unset = State::Ready;
        let groups = [
            (&spec.ready, State::Ready),
            (&spec.busy, State::Busy),
            (&spec.failed, State::Failed),
            (&spec.gone, State::Gone),
        ];
        for (values, state) in groups {
            for value in values {
                if value == "unset" {
                    unset = state.clone();
                } else if classes.insert(value.clone(), state.clone()).is_some() {
                    self.fail(&["states"], format!("{value} is in two classes"));
                }
            }
        }
        for (value, sentence) in &spec.waiting {
            classes.insert(value.clone(), State::Waiting(sentence.clone()));
        }
        let at = place(&spec.at, read.attributes.as_deref());
        if let Place::Member(name) = &at {
            let api = Arc::clone(&self.api);
            let Some(member) = api.shape(body).member(name) else {
                self.fail(&["states"], format!("the body has no member {name}"));
                return None;
            };
            if let ShapeKind::String { values } = &api.shape(member.shape).kind {
                let missing: Vec<&str> =
                    values.iter().filter(|v| !classes.contains_key(*v)).map(String::as_str).collect();
                if !missing.is_empty() {
                    self.fail(&["states"], format!("states of {name} do not classify {}", missing.join(", ")));
                }
                for value in classes.keys().filter(|value| !values.is_empty() && !values.contains(value)) {
                    self.fail(&["states"], format!("{name} has no value {value}"));
                }
            }
        }
        Some(Axis { at, classes, unset })
    }

    fn refs(&mut self, surface: &Surface) -> Vec<Ref> {
        let mut declared = BTreeSet::new();
        let mut refs = Vec::new();
        for (field, target) in &self.spec.refs {
            let at = ["refs", field];
            declared.insert(field.clone());
            let path = self.path(&at, field);
            if schema_at(&surface.spec, &path).is_none() {
                self.fail(&at, format!("the published kind has no field spec.{field}"));
                continue;
            }
            let Some((kind, target)) = target.split_once(' ') else {
                self.fail(&at, "a reference is `service/Kind path`");
                continue;
            };
            let Some((service, kind)) = kind.split_once('/') else {
                self.fail(&at, "a reference is `service/Kind path`");
                continue;
            };
            match filled_by(field, &surface.spec) {
                Some(fills) => refs.push(Ref {
                    field: path,
                    fills,
                    group: format!("{service}.services.k8s.aws"),
                    kind: kind.to_owned(),
                    path: self.path(&at, target),
                }),
                None => self.fail(&at, "there is no field that this reference could fill"),
            }
        }
        for missing in all_references(&surface.spec, "").into_iter().filter(|field| !declared.contains(field)) {
            self.fail(&["refs"], format!("spec.{missing} is published but not declared"));
        }
        refs
    }

    fn options(&mut self) -> BTreeMap<String, OptionRule> {
        let specs: Vec<(&String, &OptionSpec)> = self.spec.options.iter().collect();
        specs
            .into_iter()
            .filter_map(|(name, spec)| {
                let kind = match (spec.kind.as_str(), spec.min, spec.max) {
                    ("integer", Some(min), Some(max)) => OptionKind::Integer { min, max },
                    ("boolean", None, None) => OptionKind::Boolean,
                    _ => {
                        self.fail(&["options", name], "an option is an `integer` with min and max, or a `boolean`");
                        return None;
                    }
                };
                Some((
                    name.clone(),
                    OptionRule { annotation: spec.annotation.clone(), kind, default: spec.default.clone() },
                ))
            })
            .collect()
    }

    fn status(&mut self, surface: &Surface, read: &BodyRead, body: ShapeId) -> Vec<StatusField> {
        let api = Arc::clone(&self.api);
        surface
            .status
            .properties
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "conditions" | "ackResourceMetadata"))
            .filter_map(|(name, schema)| {
                let read = if let Some(said) = self.spec.status.get(name) {
                    place(said, read.attributes.as_deref())
                } else if let Some(member) = member_like(api.shape(body), name) {
                    Place::Member(member.name.clone())
                } else {
                    Place::Attribute { map: read.attributes.clone()?, key: name.clone() }
                };
                Some(StatusField { name: name.clone(), schema: schema.clone(), read })
            })
            .collect()
    }

    fn exports(&mut self) -> BTreeMap<String, Source> {
        let specs: Vec<(&String, &String)> = self.spec.exports.iter().collect();
        specs
            .into_iter()
            .filter_map(|(name, from)| {
                let secret = from.strip_prefix("spec.").is_some_and(|field| {
                    self.spec.fields.get(field).is_some_and(|field| field.role.as_deref() == Some("secret"))
                });
                if secret {
                    self.fail(&["exports", name], "a secret cannot be exported");
                }
                Some((name.clone(), self.source(&["exports", name], from, Extra::None)?))
            })
            .collect()
    }

    fn errors(&mut self, spec: &Errors) -> ErrorTable {
        let classes = [
            (&spec.invalid, ErrorClass::Invalid),
            (&spec.conflict, ErrorClass::Conflict),
            (&spec.denied, ErrorClass::Denied),
            (&spec.foreign, ErrorClass::NotOurs),
        ];
        ErrorTable {
            absent: spec.absent.clone(),
            classes: classes
                .iter()
                .flat_map(|(codes, class)| codes.iter().map(|code| (code.clone(), *class)))
                .collect(),
            later: spec
                .later
                .iter()
                .filter_map(|(code, after)| Some((code.clone(), self.duration(&[], Some(after))?)))
                .collect(),
        }
    }

    /// Every field can be written as often as it may change, and read back or said not to be.
    fn check_fields(
        &mut self,
        surface: &Surface,
        fields: &BTreeMap<String, Field>,
        parts: &[Part],
        create: &CallTemplate,
        update: Option<&Write>,
    ) {
        let carried = |call: &CallTemplate, field: &str| call.carries.iter().any(|carried| carried.field == field);
        for field in fields.values() {
            let at = ["fields", field.name.as_str()];
            let name = &field.name;
            let facts = surface.fields.get(name);
            let immutable = field.schema.immutable || facts.is_some_and(|facts| facts.immutable);
            if immutable && field.role != Role::CreateOnly {
                self.fail(&at, format!("field `{name}` is published as immutable: say `create-only`"));
            }
            if facts.is_some_and(|facts| facts.secret) && field.role != Role::Secret {
                self.fail(&at, format!("field `{name}` is published as a secret: say `secret`"));
            }
            let at_create = carried(create, name)
                || create
                    .inputs
                    .iter()
                    .any(|(_, source)| matches!(source, Source::Spec(path) if path.to_string() == *name));
            if field.role == Role::CreateOnly && !at_create {
                self.fail(&at, format!("field `{name}` is create-only, but {} does not carry it", create.operation));
            }
            let updated = match field.owner {
                Owner::Part(position) => parts.get(position).is_some_and(|part| part.fields.contains(name)),
                Owner::Body => update.is_some_and(|update| carried(&update.call, name)),
            };
            if matches!(field.role, Role::Mutable | Role::Secret) && !updated {
                self.fail(
                    &at,
                    format!(
                        "field `{name}` is mutable, but no update call carries it: say `create-only` or add a part"
                    ),
                );
            }
            let unreadable = self.spec.fields.get(name).is_some_and(|spec| spec.unreadable);
            if matches!(field.role, Role::Mutable | Role::CreateOnly) && field.read.is_none() && !unreadable {
                self.fail(&at, format!("field `{name}` is in no answer: say where with `seen`, or `unreadable: true`"));
            }
        }
    }
}

fn one_or_first(mut sources: Vec<Source>) -> Source {
    if sources.len() == 1 { sources.remove(0) } else { Source::FirstKnown(sources) }
}

fn part_fields(part: &PartSpec) -> impl Iterator<Item = &str> {
    part.field.iter().chain(&part.fields).map(String::as_str)
}

fn place(path: &str, attributes: Option<&str>) -> Place {
    match (path.split_once('.'), attributes) {
        (Some((map, key)), Some(attributes)) if map == attributes => {
            Place::Attribute { map: map.to_owned(), key: key.to_owned() }
        }
        _ => Place::Member(path.to_owned()),
    }
}

fn member_like<'a>(shape: &'a Shape, name: &str) -> Option<&'a Member> {
    shape.member(name).or_else(|| shape.members().iter().find(|member| same_name(&member.name, name)))
}

/// Whether a shape is a map of strings, or a list of structures with exactly a key and a value.
fn is_tags(api: &Service, id: ShapeId) -> bool {
    match &api.shape(id).kind {
        ShapeKind::Map { .. } => true,
        ShapeKind::List { member, .. } => {
            let members = api.shape(member.shape).members();
            members.len() == 2 && members.iter().any(|member| member.name.ends_with("Key"))
        }
        _ => false,
    }
}

fn shape_at(api: &Service, from: ShapeId, path: &FieldPath) -> Option<ShapeId> {
    use cso_core::path::Segment;
    path.segments().iter().try_fold(from, |here, segment| match (segment, &api.shape(here).kind) {
        (Segment::Name(name), _) => api.shape(here).member(name).map(|member| member.shape),
        (_, ShapeKind::List { member, .. }) => Some(member.shape),
        _ => None,
    })
}

fn schema_at<'a>(schema: &'a Schema, path: &FieldPath) -> Option<&'a Schema> {
    use cso_core::path::Segment;
    path.segments().iter().try_fold(schema, |here, segment| match segment {
        Segment::Name(name) => here.properties.get(name),
        _ => here.items.as_deref(),
    })
}

/// Whether a field is a reference wrapper: `xRef` with `from`, or a list of such.
fn is_reference(name: &str, parent: &Schema) -> bool {
    let Some(schema) = parent.properties.get(name) else { return false };
    (name.ends_with("Ref") && schema.properties.contains_key("from"))
        || (name.ends_with("Refs") && schema.items.as_ref().is_some_and(|items| items.properties.contains_key("from")))
}

fn all_references(schema: &Schema, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, child) in &schema.properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if is_reference(name, schema) {
            found.push(path);
        } else {
            found.extend(all_references(child, &path));
        }
    }
    found
}

/// The field that a reference fills: `kmsKeyRef` fills `kmsKey`, `kmsKeyID`, `kmsKeyARN` or `kmsKeyName` beside it.
fn filled_by(reference: &str, spec: &Schema) -> Option<FieldPath> {
    let (parent, name) = reference.rsplit_once('.').map_or(("", reference), |(parent, name)| (parent, name));
    let parent_path: FieldPath = parent.parse().ok()?;
    let siblings = schema_at(spec, &parent_path)?;
    let stem = name.strip_suffix("Ref")?;
    ["", "ID", "ARN", "Name"].iter().find_map(|suffix| {
        siblings
            .properties
            .keys()
            .find(|sibling| same_name(sibling, &format!("{stem}{suffix}")))
            .map(|sibling| parent_path.child(sibling))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_of_a_path_of_keys() {
        let text = "a:\n  b: 1\n  c: {d: 2}\n# a comment\ne:\n  b: 3\n";
        assert_eq!(line_of(text, &["a", "b"]), 2);
        assert_eq!(line_of(text, &["a", "c", "d"]), 3);
        assert_eq!(line_of(text, &["e", "b"]), 6);
        assert_eq!(line_of(text, &["a", "missing"]), 1);
    }
}
