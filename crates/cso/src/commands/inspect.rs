//! `get`, `describe`, `events`: what the state file or a cluster holds, also while another process works.

use anyhow::{Result, anyhow, bail};
use cso_core::export::TargetKind;
use cso_core::port::Clock as _;
use cso_core::{ObjectKey, Record};
use cso_engine::exports::{self, ExportedObject};
use cso_engine::world::Kinds;
use cso_facts::surface::Surface;
use cso_kube::reader::Scope;
use cso_local::state::EventFilter;
use serde_json::Value;

use super::Exit;
use crate::args::{self, Global, Report, View};
use crate::clock::SystemClock;
use crate::kinds::{Known, exported, field_export, find, of_session};
use crate::memory::{self, Memory};
use crate::output::{self, describe, export, object};

/// Objects and how they stand.
pub(super) async fn get(global: &Global, args: &args::Get) -> Result<Exit> {
    let kinds = of_session(global)?;
    let wanted = Wanted::of(&kinds, global, args.kind.as_deref(), args.name.as_deref())?;
    let memory = Memory::open(global).await?;
    let (records, exported) = wanted.read(&kinds, &memory).await?;
    if args.name.is_some() && records.is_empty() && exported.is_empty() {
        return Err(wanted.missing(&memory.place()));
    }
    let surface_of = |record: &Record| surface(&kinds, record);
    let tables = |wide| {
        let tables = [
            (!records.is_empty()).then(|| describe::tables(&records, surface_of, wide, SystemClock.now())),
            (!exported.is_empty()).then(|| export::table(&exported)),
        ];
        let tables: Vec<String> = tables.into_iter().flatten().collect();
        if tables.is_empty() { "no objects".to_owned() } else { tables.join("\n\n") }
    };
    let objects = || {
        let records = records.iter().map(|record| object::object(record, surface_of(record)));
        let mut objects: Vec<Value> =
            records.chain(exported.iter().map(|exported| export::object(exported, args.show_secrets))).collect();
        if args.name.is_some() && objects.len() == 1 { objects.remove(0) } else { object::list(objects) }
    };
    match args.output {
        View::Table => output::result(&tables(false)),
        View::Wide => output::result(&tables(true)),
        View::Json => output::json(&objects())?,
        View::Yaml => output::result(&output::yaml(&objects())?),
    }
    Ok(Exit::Done)
}

fn surface<'a>(kinds: &'a Kinds, record: &Record) -> Option<&'a Surface> {
    Known::of(kinds, &record.key).map(Known::surface)
}

/// Which objects are asked for.
struct Wanted<'a> {
    global: &'a Global,
    word: Option<&'a str>,
    /// The kind of the word. A word may name both: `secret` is what Secrets Manager keeps and what is exported.
    kind: Option<Known<'a>>,
    exported: Option<TargetKind>,
    name: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(kinds: &'a Kinds, global: &'a Global, word: Option<&'a str>, name: Option<&'a str>) -> Result<Self> {
        let exported = word.and_then(exported);
        let kind = match word.map(|word| find(kinds, word)) {
            Some(Err(_)) if exported.is_some() => None,
            found => found.transpose()?,
        };
        Ok(Self { global, word, kind, exported, name })
    }

    /// Reads what is wanted.
    async fn read(&self, kinds: &'a Kinds, memory: &Memory) -> Result<(Vec<Record>, Vec<ExportedObject>)> {
        let scope = Scope { namespace: self.global.namespace.as_deref(), name: self.name };
        // The name is that of what an export fills, not of the export.
        let of_exports = Scope { name: None, ..scope };
        let exports = memory::Kinds::Any(vec![Known::Export(field_export())]);
        let records = match (self.kind, self.exported) {
            (Some(kind), None) => memory.records(&memory::Kinds::Named(vec![kind]), scope).await?,
            (None, Some(_)) => memory.records(&exports, of_exports).await?,
            (Some(kind), Some(_)) => {
                let all = memory::Kinds::Any(vec![kind, Known::Export(field_export())]);
                memory.records(&all, of_exports).await?
            }
            (None, None) => memory.records(&memory::Kinds::Any(Known::all(kinds).collect()), scope).await?,
        };
        Ok(self.among(records))
    }

    /// What is wanted of all that there is.
    fn among(&self, records: Vec<Record>) -> (Vec<Record>, Vec<ExportedObject>) {
        let mut exported = exports::objects(&records);
        exported.retain(|object| {
            let is_asked = self.exported.map_or(self.word.is_none(), |kind| kind == object.kind);
            is_asked && self.is_there(&object.key)
        });
        let mut records = records;
        records.retain(|record| {
            let is_asked = self.kind.map_or(self.word.is_none(), |kind| kind.is_of(&record.key));
            is_asked && self.is_there(&record.key)
        });
        (records, exported)
    }

    fn is_there(&self, key: &ObjectKey) -> bool {
        self.name.is_none_or(|name| name == key.name)
            && self.global.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
    }

    /// `holder`: where was looked.
    fn missing(&self, holder: &str) -> anyhow::Error {
        let namespace = self.global.namespace.as_ref();
        let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        let word = match (self.kind, self.exported) {
            (Some(kind), _) => kind.full_name(),
            (None, Some(kind)) => format!("exported {}", kind.name()),
            (None, None) => String::new(),
        };
        let asked = self.word.unwrap_or_default();
        let name = self.name.unwrap_or_default();
        let lists = self.kind.map_or_else(|| asked.to_owned(), Known::full_name);
        anyhow!("{holder} holds no {word} `{name}`{place}; `cso get {lists}` lists those it holds")
    }

    /// The one key that is left.
    fn the_one<T>(&self, mut found: Vec<T>, key: impl Fn(&T) -> &ObjectKey) -> Result<Option<T>> {
        if found.len() > 1 {
            let places: Vec<&str> = found.iter().map(|one| key(one).namespace.as_str()).collect();
            let name = self.name.unwrap_or_default();
            bail!("`{name}` is in the namespaces {}: say which with --namespace", places.join(", "));
        }
        Ok(found.pop())
    }
}

/// The one record that a kind and a name mean.
pub(super) fn the_one(records: Vec<Record>, global: &Global, kinds: &Kinds, word: &str, name: &str) -> Result<Record> {
    let kind = Some(find(kinds, word)?);
    let wanted = Wanted { global, word: Some(word), kind, exported: None, name: Some(name) };
    let (records, _) = wanted.among(records);
    wanted.the_one(records, |record| &record.key)?.ok_or_else(|| wanted.missing(&global.state.display().to_string()))
}

/// All about one object.
pub(super) async fn describe(global: &Global, args: &args::Named) -> Result<Exit> {
    let kinds = of_session(global)?;
    let wanted = Wanted::of(&kinds, global, Some(&args.kind), Some(&args.name))?;
    let memory = Memory::open(global).await?;
    let (records, exported) = wanted.read(&kinds, &memory).await?;
    let record = wanted.the_one(records, |record| &record.key)?;
    let exported = wanted.the_one(exported, |exported| &exported.key)?;
    let text = match (record, exported) {
        (Some(record), None) => {
            let filter = EventFilter { limit: Some(20), ..EventFilter::of(&record.key) };
            let events = memory.events(&filter, wanted.kind).await?;
            let surface = wanted.kind.map(Known::surface);
            describe::description(&record, surface, &events, SystemClock.now())?
        }
        (None, Some(exported)) => export::description(&exported),
        (Some(record), Some(exported)) => {
            let (word, kind) = (&args.kind, exported.kind.name());
            bail!("`{word} {}` may be {} or v1/{kind}: say which", args.name, full_name_of(&kinds, &record));
        }
        (None, None) => return Err(wanted.missing(&memory.place())),
    };
    output::result(&text);
    Ok(Exit::Done)
}

fn full_name_of(kinds: &Kinds, record: &Record) -> String {
    Known::of(kinds, &record.key).map_or_else(|| record.key.kind.clone(), Known::full_name)
}

/// What happened, oldest first.
pub(super) async fn events(global: &Global, args: &args::Events) -> Result<Exit> {
    let kinds = of_session(global)?;
    let kind = args.kind.as_deref().map(|word| find(&kinds, word)).transpose()?;
    let filter = EventFilter {
        group: kind.map(|kind| kind.surface().group.clone()),
        kind: kind.map(|kind| kind.surface().kind.clone()),
        namespace: global.namespace.clone(),
        name: args.name.clone(),
        limit: None,
    };
    let events = Memory::open(global).await?.events(&filter, kind).await?;
    match args.output {
        Report::Json => output::json(&events)?,
        Report::Text => output::result(&describe::events(&events, true, SystemClock.now())),
    }
    Ok(Exit::Done)
}
