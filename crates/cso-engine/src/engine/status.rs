//! What was seen of a resource, as the object shows it.

use cso_core::{FieldPath, Tree};
use cso_schema::convert;
use cso_schema::fill::Subject;
use cso_schema::kind::Kind;
use cso_schema::observe::{Observation, Seen};
use serde_json::Value;

use super::prepare::Prepared;
use crate::read;

impl Prepared {
    /// Puts what was seen into the record's status.
    pub(super) fn learn(&mut self, observation: &Observation) {
        let mut status = Tree::from(&self.record.status);
        read::lay_over(&mut status, &self.kind.status_of(observation));
        self.put_status(status);
    }

    /// Puts a status into the record, with what every resource has.
    pub(super) fn put_status(&mut self, mut status: Tree) {
        let at = FieldPath::root().child("ackResourceMetadata");
        let surroundings = &self.surroundings;
        for (name, value) in [
            ("ownerAccountID", &surroundings.account),
            ("region", &surroundings.region),
            ("partition", &surroundings.partition),
        ] {
            status.set(&at.child(name), Tree::text(value));
        }
        let arn = {
            let subject = Subject {
                kind: &self.kind,
                spec: &self.spec,
                chosen: &self.record.late,
                status: &status,
                surroundings,
                options: &self.options,
                made_by: None,
                token: None,
            };
            subject.arn()
        };
        if let Some(arn) = arn {
            status.set(&at.child("arn"), arn);
        }
        if let Value::Object(members) = without_empty_lists(status.shown()) {
            self.record.status = members;
        }
    }
}

/// The status without lists that hold nothing: the dialect leaves them out.
fn without_empty_lists(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.as_array().is_some_and(Vec::is_empty))
            .map(|(name, member)| (name, without_empty_lists(member)))
            .collect(),
        other => other,
    }
}

/// The status values in a create's answer, which may wrap the resource in one member.
pub(super) fn created_status(kind: &Kind, answer: &Tree) -> Tree {
    let body = match answer.as_object() {
        Some(members) if members.len() == 1 => {
            members.values().next().filter(|only| only.as_object().is_some()).unwrap_or(answer)
        }
        _ => answer,
    };
    let mut status = kind.status_of(&Observation { body: Seen::Value(body.clone()), ..Observation::nothing() });
    for field in &kind.status {
        let value = body.as_object().and_then(|members| convert::member_like(members, &field.name));
        if let Some(value) = value {
            status.set(&FieldPath::root().child(&field.name), convert::from_api(value, &field.schema));
        }
    }
    read::lay_over(&mut status, &read::outs(answer, &kind.create_out));
    status
}
