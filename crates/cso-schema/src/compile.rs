//! From a descriptor to kinds: every name is looked up in the facts, every default made explicit, every rule checked.
//!
//! A descriptor that compiles cannot make the engine fail: operations, members, fields and codes exist, each field has
//! one owner and a way to be written and read, and each create can be recovered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cso_core::FieldPath;
use cso_facts::api::{Operation, Service, ShapeId};
use cso_facts::surface::Surface;

use self::lookup::shape_at;
use self::position::line_of;
use crate::descriptor::{File, KindSpec};
use crate::kind::{CallTemplate, Kind, Scope};
use crate::names::nearest;

mod calls;
mod errors;
mod fields;
mod identity;
mod list;
mod lookup;
mod options;
mod outputs;
mod parts;
mod position;
mod refs;
mod spelling;
mod states;
mod tags;

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
    let group = format!("{}.services.k8s.aws", parsed.service);
    for (name, spec) in &parsed.kinds {
        let kind = format!("{}/{name}", parsed.service);
        let Some(surface) = facts.surface(&group, name) else {
            let message = format!("no kind `{name}` is published for service `{}`", parsed.service);
            found.push(Violation { file: file.to_owned(), line: line_of(text, &["kinds", name]), kind, message });
            continue;
        };
        let mut compiler = Compiler::new(&parsed, name, spec, &api, surface, facts);
        kinds.extend(compiler.kind());
        for (path, message) in compiler.found {
            let path: Vec<&str> = ["kinds", name].into_iter().chain(path.iter().map(String::as_str)).collect();
            let violation =
                Violation { file: file.to_owned(), line: line_of(text, &path), kind: kind.clone(), message };
            // A handle is looked at for every call; its mistake is one.
            if !found.contains(&violation) {
                found.push(violation);
            }
        }
    }
    let surfaces: Vec<_> = parsed.kinds.keys().filter_map(|kind| facts.surface(&group, kind)).collect();
    found.extend(errors::unknown(&parsed, &api, &surfaces).into_iter().map(|(list, message)| Violation {
        file: file.to_owned(),
        line: line_of(text, &["errors", list]),
        kind: String::new(),
        message,
    }));
    if found.is_empty() { Ok(kinds) } else { Err(found) }
}

struct Compiler<'a> {
    file: &'a File,
    name: &'a str,
    spec: &'a KindSpec,
    api: Arc<Service>,
    surface: Arc<Surface>,
    facts: &'a dyn Facts,
    /// Handles that some call takes.
    handles: BTreeSet<String>,
    /// What is wrong: path of keys below the kind, and message.
    found: Vec<(Vec<String>, String)>,
}

/// Calls whose inputs may use more than the common sources.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    None,
    Change,
    /// All elements of a table, or one.
    Items,
    /// One element of a list.
    Item,
    /// The token of an open create, where its resource is looked for.
    Token,
}

impl<'a> Compiler<'a> {
    fn new(
        file: &'a File,
        name: &'a str,
        spec: &'a KindSpec,
        api: &Arc<Service>,
        surface: Arc<Surface>,
        facts: &'a dyn Facts,
    ) -> Self {
        let api = Arc::clone(api);
        Self { file, name, spec, api, surface, facts, handles: BTreeSet::new(), found: Vec::new() }
    }

    fn fail(&mut self, path: &[&str], message: impl Into<String>) {
        self.found.push((path.iter().map(|part| (*part).to_owned()).collect(), message.into()));
    }

    fn kind(&mut self) -> Option<Kind> {
        let spec = self.spec;
        let identity = self.identity()?;
        let read = self.body_read()?;
        let body = self.body_shape(&read)?;
        let fields = self.fields(&read, body);
        let parts = self.parts(&fields)?;
        let create = self.create(&fields)?;
        self.check_tokens();
        let create_answer = self.api.operation(&spec.api.create.op).and_then(|operation| operation.output);
        let create_out = self.outs(&["api", "create"], &spec.api.create.out, create_answer);
        let update = self.update(&fields);
        let delete = self.delete()?;
        let tags = match &spec.tags {
            Some(tags) => self.tags(tags, body),
            None => None,
        };
        let create = CallTemplate { tags: self.at_create(), ..create };
        self.check_fields(&fields, &parts, &create, update.as_ref());
        let kind = Kind {
            service: self.file.service.clone(),
            scope: self.scope(),
            empties: self.empties(&parts),
            api: Arc::clone(&self.api),
            surface: Arc::clone(&self.surface),
            recovery: self.recovery(&identity, &create)?,
            states: spec.states.iter().filter_map(|axis| self.axis(axis, &read, body)).collect(),
            tombstone: spec.tombstone.as_deref().map(|path| self.answer_path(&["tombstone"], path, Some(body))),
            refs: self.refs(),
            options: self.options(),
            status: self.status(&read, body),
            exports: self.exports(),
            list: spec.api.list.as_ref().and_then(|list| self.listing(list, &identity, &read, body)),
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
        self.check_arn(&kind.identity.arn, body);
        self.check_handles();
        self.found.is_empty().then_some(kind)
    }

    /// The body's delete, if it has one.
    #[expect(clippy::option_option, reason = "outside: whether it compiles")]
    fn delete(&mut self) -> Option<Option<CallTemplate>> {
        let spec = &self.spec.api.delete;
        if spec.op == "none" {
            if self.spec.delete.is_none() {
                self.fail(&["api", "delete"], "without a delete call, `delete: {empty: ...}` must say what ends it");
            }
            return Some(None);
        }
        let mut delete = self.call(&["api", "delete"], spec, Extra::None)?;
        delete.token = None;
        Some(Some(delete))
    }

    fn scope(&mut self) -> Scope {
        match self.file.scope.as_deref() {
            None | Some("region") => Scope::Region,
            Some("partition") => Scope::Partition,
            Some(other) => {
                self.fail(&[], format!("`{other}` is not a scope: region or partition"));
                Scope::Region
            }
        }
    }

    fn operation(&mut self, path: &[&str], name: &str) -> Option<Operation> {
        let api = Arc::clone(&self.api);
        match api.operation(name) {
            Some(operation) if operation.event_stream => {
                self.fail(path, format!("{name} works by an event stream, which is not spoken here"));
                return None;
            }
            Some(operation) => return Some(operation.clone()),
            None => {}
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

    /// A path that an answer of this shape has.
    fn answer_path(&mut self, at: &[&str], text: &str, shape: Option<ShapeId>) -> FieldPath {
        let path = self.path(at, text);
        if shape.and_then(|shape| shape_at(&self.api, shape, &path)).is_none() {
            self.fail(at, format!("the answer has no {text}"));
        }
        path
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
}
