//! Status axes: every value of the API's enum has a class.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_facts::api::{ShapeId, ShapeKind};

use super::Compiler;
use super::lookup::{place, shape_at};
use crate::descriptor::AxisSpec;
use crate::kind::{Axis, BodyRead, Place, State};

impl Compiler<'_> {
    pub(super) fn axis(&mut self, spec: &AxisSpec, read: &BodyRead, body: ShapeId) -> Option<Axis> {
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
        if let Place::Path(name) = &at {
            let api = Arc::clone(&self.api);
            let Some(shape) = shape_at(&api, body, name) else {
                self.fail(&["states"], format!("the body has no member {name}"));
                return None;
            };
            if let ShapeKind::String { values } = &api.shape(shape).kind {
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
}
