//! The turn of a field export: no call, only memory.

use std::sync::Arc;

use cso_core::export::{Export, Target};
use cso_core::port::{Clock, Cloud, EventKind, Reach, Secrets, Store, StoreError};
use cso_core::{ErrorClass, Exported, Object, ObjectKey, Record};

use super::{Engine, Preview, Progress};
use crate::conditions::Standing;
use crate::engine::Turn;
use crate::exports::{self, Surroundings, Unexported};
use crate::resolve::Others as _;

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Engine<C, S, P, K> {
    /// Writes what a field export asks for, or takes it away with the export.
    pub(super) async fn turn_export(&self, key: &ObjectKey) -> Result<Turn, StoreError> {
        let (object, known) = self.known(key);
        let Some(object) = object else { return Ok(Turn::Forgotten) };
        if object.deleting {
            let before = known.and_then(|record| record.exported);
            return self.forget(key, taken_away(before.as_ref())).await;
        }
        let exported = match self.exported(&object) {
            Ok(exported) => exported,
            Err(Unexported::Refused { class, message }) => {
                return self.stand_with(&object, known, Turn::Failed { class, error: None, message }).await;
            }
            Err(Unexported::Waits { on, message }) => {
                let standing = Standing::Unresolved { message };
                return self.stand_with(&object, known, Turn::WaitsFor { on, standing }).await;
            }
        };
        let known = self.kept(known, &exported).await?;
        let mut record = self.current_record(&object, known.clone(), Arc::clone(&object.spec));
        let is_new = record.exported.as_ref() != Some(&exported);
        let standing = Standing::Synced { notes: Vec::new(), late: false, references: true, rival: None };
        self.conclude(&mut record, &standing);
        let message = format!("exported to {}", exported.target);
        record.exported = Some(exported);
        let event = is_new.then(|| ("Exported", message.clone(), EventKind::Normal));
        match self.save(record, event).await {
            // As with a Secret that is read: whoever keeps the target can make it be there.
            Err(StoreError { message, reach: Reach::Export, .. }) => {
                let turn = Turn::Failed { class: ErrorClass::Waiting, error: None, message };
                return self.stand_with(&object, known, turn).await;
            }
            saved => saved?,
        }
        if is_new {
            self.tell(Progress::Exported { object: key.clone(), message });
            return Ok(Turn::Again { fresh: false });
        }
        self.tell(Progress::Standing { object: key.clone(), standing });
        Ok(Turn::Settled)
    }

    /// What is known of an export that is as it should be. If somebody took its value away, or put another there, it is not
    /// exported: it will be, as for the first time.
    async fn kept(&self, known: Option<Record>, exported: &Exported) -> Result<Option<Record>, StoreError> {
        match known {
            Some(record) if record.exported.as_ref() == Some(exported) && !self.ports.store.keeps(exported).await => {
                let record = Record { exported: None, ..record };
                self.save(record.clone(), None).await?;
                Ok(Some(record))
            }
            known => Ok(known),
        }
    }

    /// What a turn would write.
    pub(super) fn preview_export(&self, key: &ObjectKey) -> Preview {
        let (object, known) = self.known(key);
        let before = known.and_then(|record| record.exported);
        let Some(object) = object else { return Preview::Nothing { notes: Vec::new() } };
        if object.deleting {
            return Preview::Releases { message: taken_away(before.as_ref()) };
        }
        match self.exported(&object) {
            Ok(exported) if before.as_ref() == Some(&exported) => Preview::Nothing { notes: Vec::new() },
            Ok(exported) => Preview::of_export(&object, exported.target, Some(exported.value)),
            Err(Unexported::Refused { class, message }) => Preview::Blocked { class, message },
            // What a plan waits for, the apply brings: only a source that nobody declares is waited for in vain.
            Err(Unexported::Waits { on, message }) => match Export::read(key, &object.spec) {
                Ok(export) if self.world().wish(&on).is_some_and(|source| !source.deleting) => {
                    Preview::of_export(&object, export.target, None)
                }
                _ => Preview::Waits { message },
            },
        }
    }

    fn exported(&self, object: &Object) -> Result<Exported, Unexported> {
        let refused = |class, message| Unexported::Refused { class, message };
        let export =
            Export::read(&object.key, &object.spec).map_err(|error| refused(ErrorClass::Invalid, error.to_string()))?;
        let Some(kind) = self.kinds.of(&export.source) else {
            let message =
                format!("spec.from.resource: there is no kind {}/{}", export.source.group, export.source.kind);
            return Err(refused(ErrorClass::Invalid, message));
        };
        exports::leads_to_value(&kind.surface, &export.path).map_err(|(message, help)| {
            let help = help.map_or_else(String::new, |help| format!("; {help}"));
            refused(ErrorClass::Invalid, format!("spec.from.path: {}: {message}{help}", kind.name()))
        })?;
        let world = self.world();
        let rival = world.rival(&object.key, &export.target);
        let source = world.record(&export.source);
        let around = Surroundings {
            source: source.as_deref(),
            hidden: world.is_hidden(&export.source),
            rival: rival.as_ref(),
            cross_namespace: self.settings().cross_namespace,
        };
        exports::exported(object, &export, &around)
    }
}

impl Preview {
    fn of_export(object: &Object, target: Target, value: Option<String>) -> Self {
        let source = exports::source(object).map(|source| source.to_string()).unwrap_or_default();
        let path = object.spec.pointer("/from/path").and_then(serde_json::Value::as_str).unwrap_or_default();
        // A value on its way into a Secret is nobody's to read here.
        let value = value.filter(|_| target.kind == cso_core::export::TargetKind::ConfigMap);
        Self::Exports { from: format!("{path} of {source}"), to: target, value }
    }
}

fn taken_away(exported: Option<&Exported>) -> String {
    match exported {
        Some(exported) => format!("{} is taken away", exported.target),
        None => "nothing was exported".to_owned(),
    }
}
