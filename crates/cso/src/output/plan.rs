//! A plan as text and as data.

use std::fmt::Write as _;

use cso_core::{Difference, DifferenceKind, ObjectKey, Step, Tree, Verb};
use cso_engine::engine::Preview;
use serde::Serialize;
use serde_json::Value;

use super::{BAD, CHANGE, FAINT, GOOD, STRONG, count, styled};

/// What would be done about all objects.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// In the order in which they can be worked on: targets before the objects that refer to them.
    pub(crate) objects: Vec<Planned>,
    /// Objects whose manifests are gone, when they are only reported.
    pub(crate) manifest_gone: Vec<ObjectKey>,
    pub(crate) summary: Summary,
}

/// What would be done about one object.
#[derive(Debug, Serialize)]
pub(crate) struct Planned {
    pub(crate) object: ObjectKey,
    #[serde(flatten)]
    pub(crate) preview: Preview,
}

/// How many objects would be what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) create: usize,
    pub(crate) change: usize,
    pub(crate) delete: usize,
    pub(crate) release: usize,
    pub(crate) export: usize,
    /// Objects whose resources become ours as they are.
    pub(crate) take_over: usize,
    pub(crate) unchanged: usize,
    pub(crate) waiting: usize,
    pub(crate) blocked: usize,
    /// Calls that make or change something.
    pub(crate) calls: usize,
    /// Calls that put our mark on what is taken over.
    pub(crate) marks: usize,
}

impl Report {
    /// A report with its figures.
    pub(crate) fn new(objects: Vec<Planned>, manifest_gone: Vec<ObjectKey>) -> Self {
        let mut summary = Summary::default();
        for planned in &objects {
            let counter = match &planned.preview {
                Preview::Steps(plan) => {
                    summary.calls += plan.steps.len();
                    match plan.verb {
                        Verb::Create => &mut summary.create,
                        Verb::Update => &mut summary.change,
                        Verb::Delete => &mut summary.delete,
                    }
                }
                Preview::TakesOver(plan) => {
                    summary.marks += plan.steps.len();
                    &mut summary.take_over
                }
                Preview::Nothing { .. } => &mut summary.unchanged,
                Preview::Waits { .. } => &mut summary.waiting,
                Preview::Blocked { .. } => &mut summary.blocked,
                Preview::Releases { .. } => &mut summary.release,
                Preview::Exports { .. } => &mut summary.export,
            };
            *counter += 1;
        }
        Self { objects, manifest_gone, summary }
    }

    /// Whether applying would do anything, now or when what is waited for is there.
    pub(crate) const fn has_changes(&self) -> bool {
        self.summary.calls + self.summary.release + self.summary.export + self.summary.waiting > 0
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for planned in &self.objects {
            describe(&mut text, &planned.object, &planned.preview);
        }
        for key in &self.manifest_gone {
            let gone = "its manifest is gone; reported only: deleted with --prune";
            line(&mut text, &format!("{}: {}", styled(STRONG, key), styled(CHANGE, gone)));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        line(&mut text, &self.summary.text(self.objects.len()));
        text
    }
}

impl Summary {
    fn text(self, objects: usize) -> String {
        let parts: Vec<String> = [
            (self.create, "to create"),
            (self.change, "to change"),
            (self.delete, "to delete"),
            (self.release, "to let go"),
            (self.export, "to export"),
            (self.take_over, "to take over as they are"),
            (self.waiting, "waiting"),
            (self.blocked, "blocked"),
            (self.unchanged, "unchanged"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
        if parts.is_empty() {
            return "0 objects".to_owned();
        }
        let calls = if self.calls > 0 { format!("; {}", count(self.calls, "call")) } else { String::new() };
        let marks = match self.marks {
            0 => String::new(),
            marks => format!("; {} to mark what is taken over", count(marks, "call")),
        };
        let head = format!("{}: {}{calls}{marks}", count(objects, "object"), parts.join(", "));
        let busy = self.create + self.change + self.delete + self.release + self.waiting + self.blocked;
        if busy == 0 { format!("nothing to do: {head}") } else { head }
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn describe(text: &mut String, object: &ObjectKey, preview: &Preview) {
    let name = styled(STRONG, object);
    let notes = match preview {
        Preview::Steps(plan) => {
            let calls = count(plan.steps.len(), "call");
            let how = match plan.verb {
                Verb::Create => styled(GOOD, "create"),
                Verb::Update => styled(CHANGE, "in place"),
                Verb::Delete => styled(BAD, "delete"),
            };
            line(text, &format!("{name}: {calls}, {how}"));
            for (number, step) in plan.steps.iter().enumerate() {
                describe_step(text, number + 1, step);
            }
            &plan.notes
        }
        Preview::TakesOver(plan) => {
            line(text, &format!("{name}: {}", styled(GOOD, "take over as it is")));
            for (number, step) in plan.steps.iter().enumerate() {
                describe_step(text, number + 1, step);
            }
            &plan.notes
        }
        Preview::Nothing { notes } if notes.is_empty() => return,
        Preview::Nothing { notes } => {
            line(text, &format!("{name}: no calls"));
            notes
        }
        Preview::Waits { message } => return line(text, &format!("{name}: waits: {message}")),
        Preview::Blocked { class, message } => {
            return line(text, &format!("{name}: {} ({}): {message}", styled(BAD, "blocked"), class.label()));
        }
        Preview::Exports { from, to, value } => {
            let value = value.as_ref().map(|value| format!(": {value}")).unwrap_or_default();
            let exports = styled(GOOD, "export");
            return line(text, &format!("{name}: {exports}, no calls: {from} -> {to}{value}"));
        }
        Preview::Releases { message } => return line(text, &format!("{name}: let go, no calls: {message}")),
    };
    for note in notes {
        line(text, &format!("  {} {note}", styled(FAINT, "note:")));
    }
}

fn describe_step(text: &mut String, number: usize, step: &Step) {
    let _ = write!(text, "  {number} {}:{}", step.call.service, step.call.operation);
    for (name, value) in step.call.input.as_object().into_iter().flatten() {
        let _ = write!(text, "  {name}={}", plain(value));
    }
    text.push('\n');
    for difference in &step.changes {
        line(text, &format!("    {}", change(difference)));
    }
    if let Some(note) = &step.note {
        line(text, &format!("    {} {note}", styled(FAINT, "note:")));
    }
}

/// One field difference.
fn change(difference: &Difference) -> String {
    let path = &difference.path;
    let shown = |value: &Option<Tree>| match value {
        Some(value) => readable(value.shown()).to_string(),
        None => "(none)".to_owned(),
    };
    let (from, to) = (shown(&difference.from), shown(&difference.to));
    match difference.kind {
        DifferenceKind::FirstWrite => styled(GOOD, format!("+ {path}: {to}")),
        DifferenceKind::UserChange => styled(CHANGE, format!("~ {path}: {from} -> {to}")),
        DifferenceKind::Drift => styled(CHANGE, format!("~ {path}: {from} -> {to}  (drift)")),
        DifferenceKind::Removal => styled(BAD, format!("- {path}: {from}")),
        DifferenceKind::SecretRotated => styled(CHANGE, format!("~ {path}: the secret has another value")),
    }
}

/// A value without what only its author needs: line breaks in JSON documents, members that are not set.
fn readable(value: Value) -> Value {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(&text) {
            Ok(document @ (Value::Object(_) | Value::Array(_))) => Value::String(document.to_string()),
            _ => Value::String(text),
        },
        Value::Array(elements) => elements.into_iter().map(readable).collect(),
        Value::Object(members) => {
            let set = members.into_iter().filter(|(_, member)| !member.is_null());
            set.map(|(name, member)| (name, readable(member))).collect()
        }
        other => other,
    }
}

/// A call's value: texts without quotes where that cannot mislead.
fn plain(value: &Tree) -> String {
    match readable(value.shown()) {
        Value::String(text)
            if !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"{}[],".contains(c)) =>
        {
            text
        }
        _ if matches!(value, Tree::Hole(_)) => value.shown().as_str().unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cso_core::{Call, ErrorClass, Hole, Plan};
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("sqs.services.k8s.aws", "Queue", "default", name)
    }

    fn difference(path: &str, from: serde_json::Value, to: serde_json::Value, kind: DifferenceKind) -> Difference {
        let some = |value: serde_json::Value| (!value.is_null()).then(|| Tree::from(value));
        Difference { path: path.into(), from: some(from), to: some(to), kind }
    }

    fn step(verb: Verb, operation: &str, input: serde_json::Value, changes: Vec<Difference>) -> Step {
        let call = Call { service: "sqs".into(), operation: operation.into(), input: Tree::from(input) };
        Step { verb, part: "body".into(), call, changes, note: None }
    }

    fn report() -> Report {
        let mut create = step(
            Verb::Create,
            "CreateQueue",
            json!({"QueueName": "fresh", "tags": {"team": "blue"}}),
            vec![difference("spec.queueName", json!(null), json!("fresh"), DifferenceKind::FirstWrite)],
        );
        let reference = Hole::Reference { object: key("orders"), path: "status.queueURL".into() };
        create.call.input = match create.call.input {
            Tree::Object(mut members) => {
                members.insert("Target".into(), Tree::Hole(reference));
                Tree::Object(members)
            }
            other => other,
        };
        let update = step(
            Verb::Update,
            "SetQueueAttributes",
            json!({"QueueUrl": "http://host/orders", "Attributes": {"VisibilityTimeout": "45"}}),
            vec![
                difference("spec.visibilityTimeout", json!("30"), json!("45"), DifferenceKind::Drift),
                difference("spec.policy", json!("{}"), json!(null), DifferenceKind::Removal),
            ],
        );
        let mut delete = step(Verb::Delete, "DeleteQueue", json!({"QueueUrl": "http://host/old"}), vec![]);
        delete.note = Some("deleted after 7 days".into());
        let plan = |steps: Vec<Step>, notes| Preview::Steps(Plan { verb: steps[0].verb, steps, notes });
        let blocked = Preview::Blocked { class: ErrorClass::NotOurs, message: "the resource exists already".into() };
        let previews = BTreeMap::from([
            ("fresh", plan(vec![create], vec![])),
            ("kept", Preview::Nothing { notes: vec![] }),
            ("noted", Preview::Nothing { notes: vec!["spec.name is kept as it is".into()] }),
            ("old", plan(vec![delete], vec![])),
            ("orders", plan(vec![update], vec!["read back later".into()])),
            ("other", blocked),
            ("late", Preview::Waits { message: "spec.policyRef waits for iam/Policy default/p".into() }),
        ]);
        let objects =
            previews.into_iter().map(|(name, preview)| Planned { object: key(name), preview }).collect::<Vec<_>>();
        Report::new(objects, vec![key("vanished")])
    }

    #[test]
    fn text_for_people() {
        insta::assert_snapshot!(anstream::adapter::strip_str(&report().text()).to_string());
    }

    #[test]
    fn json_for_programs() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&report()).expect("plain data"));
    }
}
