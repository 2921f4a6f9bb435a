//! Records and events for people.

use anyhow::Result;
use cso_core::export::is_export;
use cso_core::port::{Event, EventKind};
use cso_core::{ConditionStatus, Ownership, Record};
use cso_engine::conditions::READY;
use cso_facts::surface::Surface;
use jiff::Timestamp;
use serde_json::Value;

use super::{BAD, CHANGE, FAINT, GOOD, STRONG, object, styled, table};

/// One table a kind, because each has columns of its own.
pub(crate) fn tables<'a>(
    records: &[Record],
    surface: impl Fn(&Record) -> Option<&'a Surface>,
    wide: bool,
    now: Timestamp,
) -> String {
    if records.is_empty() {
        return "no objects".to_owned();
    }
    let kinds = records.chunk_by(|a, b| (&a.key.group, &a.key.kind) == (&b.key.group, &b.key.kind));
    let tables: Vec<String> = kinds.map(|group| one_table(group, surface(&group[0]), wide, now)).collect();
    tables.join("\n\n")
}

fn one_table(records: &[Record], surface: Option<&Surface>, wide: bool, now: Timestamp) -> String {
    let columns = surface.into_iter().flat_map(|surface| &surface.columns);
    let columns: Vec<_> = columns.filter(|column| wide || column.priority == 0).collect();
    let mut heading = vec!["NAMESPACE".to_owned(), "NAME".to_owned()];
    heading.extend(columns.iter().map(|column| column.name.to_uppercase()));
    heading.push("STANDING".to_owned());
    let row = |record: &Record| {
        let shown = object::object(record, surface);
        let key = &record.key;
        let mut row = vec![key.namespace.clone(), format!("{}/{}/{}", key.service(), key.kind, key.name)];
        row.extend(columns.iter().map(|column| object::cell(&shown, column, now)));
        row.push(standing(record));
        row
    };
    table::table(&heading, &records.iter().map(row).collect::<Vec<_>>())
}

/// How an object stands, in a word or a sentence.
fn standing(record: &Record) -> String {
    match record.conditions.iter().find(|condition| condition.kind == READY) {
        Some(ready) if ready.status == ConditionStatus::True => styled(GOOD, "settled"),
        Some(ready) => styled(BAD, &ready.message),
        None => styled(FAINT, "not worked on to the end yet"),
    }
}

/// Everything about one object.
pub(crate) fn description(
    record: &Record,
    surface: Option<&Surface>,
    events: &[Event],
    now: Timestamp,
) -> Result<String> {
    let shown = object::object(record, surface);
    let mut parts = vec![styled(STRONG, &record.key)];
    let mut part = |title: &str, body: &str| {
        let body: Vec<String> = body.trim_end().lines().map(|line| format!("  {line}")).collect();
        parts.push(format!("{}\n{}", styled(STRONG, format!("{title}:")), body.join("\n")));
    };
    part("Standing", &standing(record));
    match &record.exported {
        Some(exported) => part("Exports", &format!("to {}", exported.target)),
        None if is_export(&record.key) => part("Exports", "nothing yet"),
        None => part("Resource", ownership(&record.ownership)),
    }
    if let Some(intent) = &record.intent {
        let age = object::age(intent.opened, now);
        part("In doubt", &format!("{} was sent {age} ago; its outcome is not known", intent.operation));
    }
    part("Metadata", &super::yaml(&shown["metadata"])?);
    part("Spec", &super::yaml(&shown["spec"])?);
    if !record.status.is_empty() {
        part("Status", &super::yaml(&Value::Object(record.status.clone()))?);
    }
    if !record.conditions.is_empty() {
        part("Conditions", &conditions(record, now));
    }
    if !events.is_empty() {
        part("Events", &self::events(events, false, now));
    }
    Ok(parts.join("\n"))
}

const fn ownership(ownership: &Ownership) -> &'static str {
    match ownership {
        Ownership::None => "none that is ours",
        Ownership::Created => "created by this object",
        Ownership::Adopted => "adopted",
        Ownership::TakenBack { .. } => "taken back from a lost state file",
        Ownership::TakenOver => "taken over from another controller",
    }
}

fn conditions(record: &Record, now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = record
        .conditions
        .iter()
        .map(|condition| {
            let age = object::age(condition.last_transition_time, now);
            vec![condition.kind.clone(), format!("{:?}", condition.status), age, condition.message.clone()]
        })
        .collect();
    table::table(&["TYPE", "STATUS", "AGE", "MESSAGE"], &rows)
}

/// What happened, as it comes.
pub(crate) fn events(events: &[Event], with_object: bool, now: Timestamp) -> String {
    if events.is_empty() {
        return "no events".to_owned();
    }
    let mut heading = vec!["AGE", "TYPE", "REASON"];
    heading.extend(with_object.then_some("OBJECT"));
    heading.push("MESSAGE");
    let row = |event: &Event| {
        let kind = match event.kind {
            EventKind::Normal => "Normal".to_owned(),
            EventKind::Warning => styled(CHANGE, "Warning"),
        };
        let mut row = vec![object::age(event.at, now), kind, event.reason.clone()];
        row.extend(with_object.then(|| event.object.to_string()));
        row.push(event.message.clone());
        row
    };
    table::table(&heading, &events.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use cso_core::{Condition, DigestKey, ObjectKey};
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn record(name: &str) -> Record {
        let key = ObjectKey::new("sqs.services.k8s.aws", "Queue", "default", name);
        let digest = DigestKey::from_bytes([1; 32]).digest("spec", &Value::Null);
        let mut record = Record::new(key, format!("uid-of-{name}"), digest);
        record.created = Some(at(0));
        record.wish.spec = std::sync::Arc::new(json!({"queueName": name, "visibilityTimeout": "45"}));
        record.late = serde_json::Map::from_iter([("delaySeconds".to_owned(), json!("0"))]);
        record.status = serde_json::Map::from_iter([("queueURL".to_owned(), json!(format!("http://host/{name}")))]);
        record.ownership = Ownership::Created;
        record.conditions = vec![
            Condition {
                kind: "ACK.ResourceSynced".into(),
                status: ConditionStatus::True,
                reason: String::new(),
                message: "Resource synced successfully".into(),
                last_transition_time: at(60),
            },
            Condition {
                kind: READY.into(),
                status: ConditionStatus::True,
                reason: String::new(),
                message: String::new(),
                last_transition_time: at(60),
            },
        ];
        record
    }

    fn surface() -> std::sync::Arc<Surface> {
        cso_facts::Catalog::builtin().surface("sqs.services.k8s.aws", "Queue").expect("a published kind")
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn objects_as_tables() {
        let surface = surface();
        let mut failed = record("broken");
        failed.conditions[1].status = ConditionStatus::False;
        failed.conditions[1].message = "the provider refuses the value".into();
        let records = [failed, record("orders")];
        insta::assert_snapshot!("table", plain(&tables(&records, |_| Some(&surface), false, at(600))));
        insta::assert_snapshot!("wide", plain(&tables(&records, |_| Some(&surface), true, at(600))));
    }

    #[test]
    fn one_object_in_full() {
        let surface = surface();
        let event = Event {
            at: at(30),
            object: record("orders").key,
            kind: EventKind::Normal,
            reason: "Created".into(),
            message: "CreateQueue made the resource".into(),
        };
        let text = description(&record("orders"), Some(&surface), &[event], at(600)).expect("plain data");
        insta::assert_snapshot!("description", plain(&text));
        let yaml = super::super::yaml(&object::object(&record("orders"), Some(&surface))).expect("plain data");
        insta::assert_snapshot!("yaml", yaml);
    }
}
