//! A turn that only says what it would do.

use std::sync::Arc;

use cso_core::export::{Target, is_export};
use cso_core::port::{Clock, Cloud, Purpose, Secrets, Store};
use cso_core::{ErrorClass, ObjectKey, Plan};
use cso_schema::kind::Kind;
use cso_schema::observe::Seen;
use tracing::Instrument as _;

use super::Engine;
use super::prepare::{UNOWNED, Unprepared};
use super::turn::{Turn, failed, is_nothing_of_ours, span};
use crate::decide::{Decision, decide, spec_path};
use crate::dialect::is_system_tag;
use crate::resolve::Mode;

/// What a turn would do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Preview {
    Steps(Plan),
    /// An existing resource becomes ours and is as wished: calls only put our mark on it.
    TakesOver(Plan),
    Nothing {
        notes: Vec<String>,
    },
    Waits {
        message: String,
    },
    Blocked {
        class: ErrorClass,
        message: String,
    },
    Releases {
        message: String,
    },
    /// A value is put under a key of another object. Not known yet, or not to be shown: none.
    Exports {
        from: String,
        to: Target,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
}

impl Preview {
    fn of_turn(turn: Turn) -> Self {
        match turn {
            Turn::Failed { class, message, .. } => Self::Blocked { class, message },
            Turn::WaitsFor { standing, .. } | Turn::Later { standing, .. } => {
                Self::Waits { message: standing.message().to_owned() }
            }
            _ => Self::Nothing { notes: Vec::new() },
        }
    }
}

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Engine<C, S, P, K> {
    /// Looks and decides as a turn does, and does nothing. Steps may have holes for what other objects will bring.
    ///
    /// A resource that was found is remembered in the world, and only there: objects that refer to it and are previewed
    /// after it see what a turn would see. So a preview is for an engine that does not act.
    pub async fn preview(&self, key: &ObjectKey) -> Preview {
        self.look(key).instrument(span(key)).await
    }

    async fn look(&self, key: &ObjectKey) -> Preview {
        if let Some(turn) = self.paused(key) {
            return Preview::of_turn(turn);
        }
        if is_export(key) {
            return self.preview_export(key);
        }
        let prepared = match self.prepare(key, Mode::Plan, Purpose::Change).await {
            Ok(prepared) => prepared,
            Err(Unprepared::Forgotten) => return Preview::Nothing { notes: Vec::new() },
            Err(Unprepared::Unowned) => return Preview::Releases { message: UNOWNED.to_owned() },
            Err(Unprepared::Turn(turn)) => return Preview::of_turn(*turn),
        };
        let observation = match self.observe(&prepared, false).await {
            Ok(observation) => observation,
            Err(error) => return Preview::of_turn(failed(&prepared.kind, error)),
        };
        let mut decision = decide(&self.input(&prepared, &observation));
        if prepared.renamed.is_some() && is_nothing_of_ours(&decision) {
            let message = "a create under the name before may have taken effect; it is looked for first".to_owned();
            return Preview::Waits { message };
        }
        let mut first = None;
        // Taking ownership is a decision of its own, without a call: show what comes after it.
        let kind = Arc::clone(&prepared.kind);
        let mut owned = prepared;
        if let Decision::Own { how, message } = decision {
            owned.record.ownership = how;
            owned.record.intent = None;
            first = Some(message);
            decision = decide(&self.input(&owned, &observation));
        }
        if matches!(observation.body, Seen::Value(_)) && owned.record.ownership.is_ours() {
            owned.learn(&observation);
            self.world().remember(owned.record);
        }
        match decision {
            Decision::Act(mut plan) => {
                let takes_over = first.is_some() && only_marks(&kind, &plan);
                plan.notes.splice(0..0, first);
                if takes_over { Preview::TakesOver(plan) } else { Preview::Steps(plan) }
            }
            Decision::Settle(settled) => Preview::Nothing { notes: first.into_iter().chain(settled.notes).collect() },
            Decision::Wait { message, .. } => Preview::Waits { message },
            Decision::Blocked { class, message, .. } => Preview::Blocked { class, message },
            Decision::Release { message } => Preview::Releases { message },
            Decision::Gone | Decision::Own { .. } => {
                Preview::Releases { message: "the resource is gone already".to_owned() }
            }
        }
    }
}

/// Whether a plan changes nothing but the tags that every resource of ours carries.
fn only_marks(kind: &Kind, plan: &Plan) -> bool {
    let Some(tags) = &kind.tags else { return plan.steps.is_empty() };
    let field = spec_path(&tags.field.to_string());
    let key = |path: &str| path.strip_prefix(&field)?.strip_prefix('[')?.strip_suffix(']').map(str::to_owned);
    let mut changes = plan.steps.iter().flat_map(|step| &step.changes);
    changes.all(|change| key(&change.path).is_some_and(|key| is_system_tag(&key)))
}
