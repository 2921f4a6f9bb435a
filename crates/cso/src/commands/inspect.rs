//! `get`, `describe`, `events`: what the state file holds, also while another process applies.

use anyhow::{Result, anyhow, bail};
use cso_core::Record;
use cso_core::port::Clock as _;
use cso_engine::world::Kinds;
use cso_facts::surface::Surface;
use cso_local::state::{EventFilter, StateFile};
use cso_schema::kind::Kind;
use serde_json::Value;

use super::Exit;
use crate::args::{self, Global, Report, View};
use crate::clock::SystemClock;
use crate::kinds::{builtin, find, full_name};
use crate::output::{self, describe, object};

/// Objects and how they stand.
pub(super) fn get(global: &Global, args: &args::Get) -> Result<Exit> {
    let kinds = builtin()?;
    let kind = args.kind.as_deref().map(|word| find(&kinds, word)).transpose()?;
    let mut records = StateFile::open_read_only(&global.state)?.records()?;
    records.retain(|record| is_wanted(record, global, kind, args.name.as_deref()));
    if let (Some(kind), Some(name), true) = (kind, &args.name, records.is_empty()) {
        return Err(missing(kind, name, global));
    }
    let surface_of = |record: &Record| surface(&kinds, record);
    let now = SystemClock.now();
    match args.output {
        View::Table => output::result(&describe::tables(&records, surface_of, false, now)),
        View::Wide => output::result(&describe::tables(&records, surface_of, true, now)),
        View::Json => output::json(&objects(&records, surface_of, args.name.is_some()))?,
        View::Yaml => output::result(&output::yaml(&objects(&records, surface_of, args.name.is_some()))?),
    }
    Ok(Exit::Done)
}

/// Objects as one value: a list, unless one was asked for by name.
fn objects<'a>(records: &[Record], surface: impl Fn(&Record) -> Option<&'a Surface>, named: bool) -> Value {
    let mut objects: Vec<Value> = records.iter().map(|record| object::object(record, surface(record))).collect();
    if named && objects.len() == 1 { objects.remove(0) } else { object::list(objects) }
}

fn surface<'a>(kinds: &'a Kinds, record: &Record) -> Option<&'a Surface> {
    kinds.of(&record.key).map(|kind| kind.surface.as_ref())
}

fn is_wanted(record: &Record, global: &Global, kind: Option<&Kind>, name: Option<&str>) -> bool {
    let key = &record.key;
    kind.is_none_or(|kind| kind.group() == key.group && kind.name() == key.kind)
        && name.is_none_or(|name| name == key.name)
        && global.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
}

fn missing(kind: &Kind, name: &str, global: &Global) -> anyhow::Error {
    let place = global.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    let word = full_name(kind);
    anyhow!("{} holds no {word} `{name}`{place}; `cso get {word}` lists those it holds", global.state.display())
}

/// The one record that a kind and a name mean.
pub(super) fn the_one(records: Vec<Record>, global: &Global, kind: &Kind, name: &str) -> Result<Record> {
    let mut found: Vec<Record> =
        records.into_iter().filter(|record| is_wanted(record, global, Some(kind), Some(name))).collect();
    if found.len() > 1 {
        let places: Vec<&str> = found.iter().map(|record| record.key.namespace.as_str()).collect();
        bail!("`{name}` is in the namespaces {}: say which with --namespace", places.join(", "));
    }
    found.pop().ok_or_else(|| missing(kind, name, global))
}

/// All about one object.
pub(super) fn describe(global: &Global, args: &args::Named) -> Result<Exit> {
    let kinds = builtin()?;
    let kind = find(&kinds, &args.kind)?;
    let state = StateFile::open_read_only(&global.state)?;
    let record = the_one(state.records()?, global, kind, &args.name)?;
    let events = state.events(&EventFilter { limit: Some(20), ..EventFilter::of(&record.key) })?;
    output::result(&describe::description(&record, &kind.surface, &events, SystemClock.now())?);
    Ok(Exit::Done)
}

/// What happened, oldest first.
pub(super) fn events(global: &Global, args: &args::Events) -> Result<Exit> {
    let kinds = builtin()?;
    let kind = args.kind.as_deref().map(|word| find(&kinds, word)).transpose()?;
    let filter = EventFilter {
        group: kind.map(|kind| kind.group().to_owned()),
        kind: kind.map(|kind| kind.name().to_owned()),
        namespace: global.namespace.clone(),
        name: args.name.clone(),
        limit: None,
    };
    let events = StateFile::open_read_only(&global.state)?.events(&filter)?;
    match args.output {
        Report::Json => output::json(&events)?,
        Report::Text => output::result(&describe::events(&events, true, SystemClock.now())),
    }
    Ok(Exit::Done)
}
