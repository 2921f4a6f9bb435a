//! Field exports among manifests: everything that can be told of them without asking anybody.

use std::collections::BTreeMap;

use cso_core::export::{BadExport, Export, Target, is_export};
use cso_core::{FieldPath, ObjectKey, Record};
use cso_engine::exports::leads_to_value;
use cso_engine::world::Kinds;
use cso_local::manifest::{self, Manifest, ManifestSet, Problem};
use cso_schema::names::nearest;

use super::{Remembered, problem};
use crate::kinds::field_export;

/// Who writes which key: by the manifests, else as the state remembers.
pub(super) struct Writers(BTreeMap<Target, ObjectKey>);

impl Writers {
    pub(super) fn of(set: &ManifestSet, known: &Remembered) -> Self {
        let mut writers = known.exported.clone();
        for manifest in set.manifests.iter().filter(|manifest| is_export(&manifest.object.key)) {
            if let Ok(export) = Export::read(&manifest.object.key, &manifest.object.spec) {
                // Of two that want one key, the first by name: the other is told.
                writers
                    .entry(export.target)
                    .and_modify(|writer| {
                        if *writer > manifest.object.key {
                            writer.clone_from(&manifest.object.key);
                        }
                    })
                    .or_insert_with(|| manifest.object.key.clone());
            }
        }
        Self(writers)
    }

    /// Who writes a key.
    pub(super) fn writer(&self, target: &Target) -> Option<&ObjectKey> {
        self.0.get(target)
    }

    /// Somebody who writes into an object.
    fn into(&self, object: &ObjectKey) -> Option<&ObjectKey> {
        self.0.iter().find(|(target, _)| target.object() == *object).map(|(_, writer)| writer)
    }
}

/// What records have exported.
pub(super) fn remembered(records: &[Record]) -> BTreeMap<Target, ObjectKey> {
    let exported = |record: &Record| Some((record.exported.as_ref()?.target.clone(), record.key.clone()));
    records.iter().filter_map(exported).collect()
}

/// What is wrong with a field export. `exists`: whether an object is there, or `None` if that cannot be told; `holder`: where
/// else than among the manifests it may be.
pub(super) fn check(
    manifest: &Manifest,
    kinds: &Kinds,
    writers: &Writers,
    exists: Option<&dyn Fn(&ObjectKey) -> bool>,
    holder: &str,
) -> Vec<Problem> {
    let problems = manifest::validate(manifest, field_export());
    if !problems.is_empty() {
        return problems;
    }
    let at = |field: &str, message: String, help: Option<String>| {
        problem(manifest, field.parse().unwrap_or_default(), message, help)
    };
    let key = &manifest.object.key;
    let export = match Export::read(key, &manifest.object.spec) {
        Ok(export) => export,
        Err(BadExport { field, message }) => return vec![at(field, message, None)],
    };
    let mut problems = Vec::new();
    match kinds.of(&export.source) {
        None => {
            let known = kinds.iter().map(|kind| format!("{}/{}", kind.group(), kind.name()));
            let named = format!("{}/{}", export.source.group, export.source.kind);
            let known: Vec<String> = known.collect();
            let near = nearest(&named, known.iter().map(String::as_str));
            let help = near.map_or_else(|| "`cso kinds` lists all".to_owned(), |near| format!("did you mean {near}?"));
            problems.push(at("spec.from.resource.kind", format!("there is no kind {named}"), Some(help)));
        }
        Some(kind) => {
            if let Err((message, help)) = leads_to_value(&kind.surface, &export.path) {
                problems.push(at("spec.from.path", format!("{}: {message}", kind.name()), help));
            }
            if exists.is_some_and(|exists| !exists(&export.source)) {
                let message = format!("refers to {}, which is neither declared nor in {holder}", export.source);
                problems.push(at("spec.from.resource.name", message, Some("declare it".to_owned())));
            }
        }
    }
    if let Some(rival) = writers.writer(&export.target).filter(|writer| *writer != key) {
        let message = format!("{} is written by {rival} already", export.target);
        problems.push(at("spec.to", message, Some("give spec.to.key another name".to_owned())));
    }
    problems
}

/// Manifests of objects that exports would fill: what users wrote is never overwritten.
pub(super) fn collisions(set: &ManifestSet, writers: &Writers) -> Vec<Problem> {
    let collide = |manifest: &Manifest| {
        let writer = writers.into(&manifest.object.key)?;
        let message = format!("{writer} exports to it, and an export never writes into what a manifest declares");
        let help = format!(
            "give one of the two another name, or take the export away with `cso delete fieldexport {}`",
            writer.name
        );
        Some(problem(manifest, FieldPath::root().child("metadata").child("name"), message, Some(help)))
    };
    set.manifests.iter().filter_map(collide).collect()
}
