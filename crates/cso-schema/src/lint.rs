//! What is to be said of descriptors: errors, what could be shorter or safer, and what of the API they leave out.

use std::collections::BTreeSet;
use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::api::{Service, ShapeId, ShapeKind};
use serde::Serialize;

use crate::compile::{Document, Facts, Violation, compile_all};
use crate::kind::{Arn, CallTemplate, Kind, Place, Role, Shape, TagRead};

mod short;

/// What was found in descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The kinds that compile, for example `logs/LogGroup`; none if anything is wrong.
    pub kinds: Vec<String>,
    pub errors: Vec<Violation>,
    /// What compiles and is better written otherwise.
    pub warnings: Vec<Violation>,
    /// What of the API no field covers.
    pub uncovered: Vec<Uncovered>,
}

/// Members of a call that a kind makes, which none of its fields covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// For example `logs/LogGroup`.
    pub kind: String,
    pub operation: String,
    pub members: Vec<String>,
}

/// Compiles descriptors and tells all that can be said of them.
pub fn lint(documents: &[Document], facts: &dyn Facts) -> Report {
    let mut report = Report::default();
    match compile_all(documents, facts) {
        Ok(kinds) => {
            for kind in &kinds {
                report.kinds.push(full_name(kind));
                report.uncovered.extend(uncovered(kind));
            }
            for document in documents {
                report.warnings.extend(short::of(document));
                let own = kinds.iter().filter(|kind| kind.file == document.file);
                report.warnings.extend(own.flat_map(|kind| shown_secrets(kind, document)));
            }
        }
        Err(errors) => report.errors = errors,
    }
    report
}

fn full_name(kind: &Kind) -> String {
    format!("{}/{}", kind.service, kind.name())
}

/// Fields that the API's model marks as sensitive, and that are shown all the same.
fn shown_secrets(kind: &Kind, document: &Document) -> Vec<Violation> {
    let is_sensitive = |place: &Place| match place {
        Place::Path(path) => at(&kind.api, input(kind, &kind.create)?, path).map(|id| kind.api.shape(id).sensitive),
        Place::Attribute { .. } => None,
    };
    let carried = kind.create.carries.iter().filter(|carried| is_sensitive(&carried.place) == Some(true));
    let shown = carried.filter(|carried| {
        kind.fields.get(&carried.field).is_some_and(|field| matches!(field.role, Role::Mutable | Role::CreateOnly))
    });
    let warn = |field: &str| {
        let message = format!("the API's model marks `{field}` as sensitive: say `secret` if it must not be shown");
        document.violation(&["kinds", kind.name(), "fields", field], &full_name(kind), message)
    };
    shown.map(|carried| warn(&carried.field)).collect()
}

/// What the kind's writes could take and its read answers, and nobody sets or shows.
fn uncovered(kind: &Kind) -> Vec<Uncovered> {
    let mut all = Vec::new();
    let update = kind.update.as_ref().map(|update| &update.call);
    let puts = kind.parts.iter().filter_map(|part| match &part.shape {
        Shape::Config { put, .. } => Some(&put.call),
        Shape::Switch { .. } | Shape::Table(_) | Shape::Revisions(_) => None,
    });
    for call in [&kind.create].into_iter().chain(update).chain(puts) {
        let known = sent(call);
        // Which checksum a request has is no wish of anybody.
        let checksum = kind.api.operation(&call.operation).and_then(|operation| operation.checksum_algorithm.as_ref());
        let members = input(kind, call).map(|id| kind.api.shape(id).members()).unwrap_or_default();
        let open = members.iter().map(|member| &member.name);
        let open = open.filter(|name| Some(*name) != checksum && !known.contains(name.as_str()));
        all.push(Uncovered {
            kind: full_name(kind),
            operation: call.operation.clone(),
            members: open.cloned().collect(),
        });
    }
    let known = read(kind);
    let operation = kind.read.call.operation.clone();
    let output = kind.api.operation(&operation).and_then(|operation| operation.output);
    let body = output.and_then(|output| at(&kind.api, output, &kind.read.at));
    let members = body.map(|body| kind.api.shape(body).members()).unwrap_or_default();
    let open = members.iter().map(|member| &member.name).filter(|name| !known.contains(name.as_str()));
    all.push(Uncovered { kind: full_name(kind), operation, members: open.cloned().collect() });
    all.retain(|one| !one.members.is_empty());
    all
}

/// The members that a call fills.
fn sent(call: &CallTemplate) -> BTreeSet<&str> {
    let carried = call.carries.iter().filter_map(|carried| first_of(&carried.place));
    let nested = call.nested.iter().map(|(path, _)| path).chain(&call.tags).filter_map(first);
    let inputs = call.inputs.iter().map(|(name, _)| name.as_str());
    inputs.chain(nested).chain(carried).chain(call.token.as_deref()).collect()
}

/// The members of the body that anybody looks at.
fn read(kind: &Kind) -> BTreeSet<&str> {
    let fields = kind.fields.values().filter_map(|field| first_of(field.read.as_ref()?));
    let status = kind.status.iter().filter_map(|field| first_of(&field.read));
    let arn = match &kind.identity.arn {
        Arn::Read(path) => Some(path),
        Arn::None | Arn::Pattern(_) => None,
    };
    let tags = kind.tags.as_ref().and_then(|tags| match &tags.read {
        TagRead::Body(at) => Some(at),
        TagRead::Own { .. } => None,
    });
    let states = kind.states.iter().filter_map(|axis| first_of(&axis.at));
    let paths = arn.into_iter().chain(tags).chain(&kind.tombstone).filter_map(first);
    let picked = kind.read.pick.iter().filter_map(|pick| first(&pick.member));
    fields.chain(status).chain(states).chain(paths).chain(picked).collect()
}

fn first_of(place: &Place) -> Option<&str> {
    match place {
        Place::Path(path) => first(path),
        Place::Attribute { map, .. } => Some(map),
    }
}

fn first(path: &FieldPath) -> Option<&str> {
    path.split_first().map(|(first, _)| first)
}

fn input(kind: &Kind, call: &CallTemplate) -> Option<ShapeId> {
    kind.api.operation(&call.operation)?.input
}

/// The shape at a path; elements of lists are looked through.
fn at(api: &Arc<Service>, from: ShapeId, path: &FieldPath) -> Option<ShapeId> {
    use cso_core::path::Segment;
    path.segments().iter().try_fold(from, |here, segment| match (segment, &api.shape(here).kind) {
        (Segment::Name(name), _) => api.shape(here).member(name).map(|member| member.shape),
        (_, ShapeKind::List { member, .. }) => Some(member.shape),
        _ => None,
    })
}
