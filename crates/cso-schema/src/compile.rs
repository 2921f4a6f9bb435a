//! From a descriptor to kinds: every name is looked up in the facts, every default made explicit, every rule checked.
//!
//! A descriptor that compiles cannot make the engine fail: operations, members, fields and codes exist, each field has
//! one owner and a way to be written and read, and each create can be recovered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cso_core::FieldPath;
use cso_facts::api::{Operation, Service, ShapeId};
use cso_facts::surface::Surface;

use self::lookup::shape_at;
use self::position::line_of;
pub use self::surfaces::group_of;
use crate::descriptor::{File, KindSpec};
use crate::kind::{CallTemplate, Kind, Scope};
use crate::names::nearest;

mod calls;
mod derive;
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
mod surfaces;
mod tags;

/// Facts by name, as the compiler asks for them.
pub trait Facts {
    /// The API of a service.
    fn service(&self, name: &str) -> Option<Arc<Service>>;
    /// The services of which there are facts; only for proposals.
    fn services(&self) -> Vec<String> {
        Vec::new()
    }
    /// The surface of a kind.
    fn surface(&self, group: &str, kind: &str) -> Option<Arc<Surface>>;
    /// The kinds that have a surface in a group; only to tell a misspelt one.
    fn published(&self, _group: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Something wrong with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    pub file: String,
    /// First line is 1.
    pub line: usize,
    /// Where in the line, from 1, if it is known: where a file is not even in the form of one.
    pub column: Option<usize>,
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

/// A file of descriptors: its name for messages, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub file: String,
    pub text: String,
}

/// Compiles a file of descriptors. `file` is its name for messages.
pub fn compile(file: &str, text: &str, facts: &dyn Facts) -> Result<Vec<Kind>, Vec<Violation>> {
    compile_all(&[Document { file: file.to_owned(), text: text.to_owned() }], facts)
}

/// Compiles files whose kinds may refer to each other.
///
/// A kind has its published surface; one that is not published, or says `surface`, has one that is derived from the API.
///
/// # Errors
/// All that is wrong, in the order of files and kinds.
pub fn compile_all(documents: &[Document], facts: &dyn Facts) -> Result<Vec<Kind>, Vec<Violation>> {
    let mut found = Vec::new();
    let mut opened = Vec::new();
    for document in documents {
        match Opened::of(document, facts) {
            Ok((file, wrong)) => {
                opened.push(file);
                found.extend(wrong);
            }
            Err(violation) => found.push(violation),
        }
    }
    found.extend(surfaces::twice(&opened));
    let known = surfaces::WithDerived::new(facts, &opened);
    let mut kinds = Vec::new();
    for file in &opened {
        match file.compile(&known) {
            Ok(compiled) => kinds.extend(compiled),
            Err(violations) => found.extend(violations),
        }
    }
    if found.is_empty() { Ok(kinds) } else { Err(found) }
}

/// A file that parsed, with what its kinds are compiled against.
struct Opened<'a> {
    document: &'a Document,
    parsed: File,
    api: Arc<Service>,
    /// By kind; one that has none is told as wrong.
    surfaces: BTreeMap<String, Arc<Surface>>,
}

impl<'a> Opened<'a> {
    /// Parses a file and finds the surfaces of its kinds; what is wrong with these.
    fn of(document: &'a Document, facts: &dyn Facts) -> Result<(Self, Vec<Violation>), Violation> {
        let parsed: File = serde_saphyr::from_str(&document.text).map_err(|error| {
            let location = error.location().map(|at| (usize::try_from(at.line()), usize::try_from(at.column())));
            let (line, column) = location.map_or((1, None), |(line, column)| (line.unwrap_or(1), column.ok()));
            let message = error.without_snippet().to_string();
            Violation { file: document.file.clone(), line, column, kind: String::new(), message }
        })?;
        let Some(api) = facts.service(&parsed.service) else {
            let known = facts.services();
            let hint = match nearest(&parsed.service, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are of {}", known.join(", ")),
            };
            let message = format!("there are no facts of service `{}`; {hint}", parsed.service);
            return Err(document.violation(&["service"], "", message));
        };
        let group = surfaces::group(&parsed).map_err(|message| document.violation(&["group"], "", message))?;
        let mut found = Vec::new();
        let mut surfaces = BTreeMap::new();
        for (name, spec) in &parsed.kinds {
            match surfaces::of_kind(&parsed, &group, (name, spec), &api, facts) {
                Ok(surface) => {
                    surfaces.insert(name.clone(), surface);
                }
                Err((path, message)) => {
                    let path: Vec<&str> = ["kinds", name].into_iter().chain(path).collect();
                    found.push(document.violation(&path, &format!("{}/{name}", parsed.service), message));
                }
            }
        }
        Ok((Self { document, parsed, api, surfaces }, found))
    }

    fn compile(&self, facts: &dyn Facts) -> Result<Vec<Kind>, Vec<Violation>> {
        let Self { document, parsed, api, surfaces } = self;
        let mut found = Vec::new();
        let mut kinds = Vec::new();
        for (name, spec) in &parsed.kinds {
            let Some(surface) = surfaces.get(name) else { continue };
            let kind = format!("{}/{name}", parsed.service);
            let mut compiler = Compiler::new(&document.file, parsed, name, spec, api, Arc::clone(surface), facts);
            kinds.extend(compiler.kind());
            for (path, message) in compiler.found {
                let path: Vec<&str> = ["kinds", name].into_iter().chain(path.iter().map(String::as_str)).collect();
                let violation = document.violation(&path, &kind, message);
                // A handle is looked at for every call; its mistake is one.
                if !found.contains(&violation) {
                    found.push(violation);
                }
            }
        }
        let surfaces: Vec<_> = surfaces.values().cloned().collect();
        let codes = errors::unknown(parsed, api, &surfaces);
        found.extend(codes.into_iter().map(|(list, message)| document.violation(&["errors", list], "", message)));
        if found.is_empty() { Ok(kinds) } else { Err(found) }
    }
}

impl Document {
    /// Something wrong at a path of keys.
    pub(crate) fn violation(&self, path: &[&str], kind: &str, message: String) -> Violation {
        Violation {
            file: self.file.clone(),
            line: line_of(&self.text, path),
            column: None,
            kind: kind.to_owned(),
            message,
        }
    }
}

struct Compiler<'a> {
    /// The file's name.
    document: &'a str,
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
        document: &'a str,
        file: &'a File,
        name: &'a str,
        spec: &'a KindSpec,
        api: &Arc<Service>,
        surface: Arc<Surface>,
        facts: &'a dyn Facts,
    ) -> Self {
        let api = Arc::clone(api);
        Self { document, file, name, spec, api, surface, facts, handles: BTreeSet::new(), found: Vec::new() }
    }

    fn fail(&mut self, path: &[&str], message: impl Into<String>) {
        self.found.push((path.iter().map(|part| (*part).to_owned()).collect(), message.into()));
    }

    fn kind(&mut self) -> Option<Kind> {
        let spec = self.spec;
        if !self.operations_exist() {
            return None;
        }
        let identity = self.identity()?;
        let read = self.body_read()?;
        let body = self.body_shape(&read)?;
        let fields = self.fields(&read, body);
        let parts = self.parts(&fields)?;
        self.check_without(body);
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
            file: self.document.to_owned(),
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
            let api = Arc::clone(&self.api);
            let members = shape.map(|shape| api.shape(shape).members()).unwrap_or_default();
            let hint = nearest(text, members.iter().map(|member| member.name.as_str()));
            let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
            self.fail(at, format!("the answer has no {text}{hint}"));
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
