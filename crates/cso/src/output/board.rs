//! What people are told while objects are worked on: from events to sentences, each said once. Pure.

use std::collections::{BTreeMap, BTreeSet};

use cso_core::{ErrorClass, ObjectKey, Step, Verb};
use cso_engine::conditions::Standing;
use cso_engine::engine::Progress;
use cso_engine::run::Rest;

use super::{BAD, CHANGE, FAINT, GOOD, STRONG, styled};

/// Memory of a run: what was said, what is in flight.
#[derive(Debug, Default)]
pub(crate) struct Board {
    in_flight: BTreeMap<ObjectKey, String>,
    /// Objects of which something was told, with what was told last.
    said: BTreeMap<ObjectKey, String>,
    at_rest: BTreeSet<ObjectKey>,
    calls: usize,
    /// Something was done without a call: a resource was taken over or let go.
    decided: bool,
}

/// A sentence about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Worth keeping on a screen that shows the present state anyway.
    pub(crate) lasting: bool,
}

impl Board {
    /// Takes an event in; tells what it means if that is new.
    pub(crate) fn hear(&mut self, event: &Progress) -> Option<Line> {
        match event {
            Progress::Calling { object, step } => {
                self.at_rest.remove(object);
                self.in_flight.insert(object.clone(), action(step));
                self.calls += 1;
                None
            }
            Progress::Called { object, step, error } => {
                self.in_flight.remove(object);
                // A failure is told by the standing that follows it.
                if error.is_some() { None } else { self.say(object, &action(step), &done(step), true) }
            }
            Progress::Standing { object, standing } => self.stand(object, standing),
            Progress::Owned { object, message } | Progress::Exported { object, message } => {
                self.decided = true;
                self.say(object, message, &styled(GOOD, message), true)
            }
            Progress::Forgotten { object, message } => {
                self.decided = true;
                self.at_rest.insert(object.clone());
                self.say(object, message, &(styled(GOOD, "gone") + ": " + message), true)
            }
        }
    }

    fn stand(&mut self, object: &ObjectKey, standing: &Standing) -> Option<Line> {
        match standing {
            Standing::Synced { notes, .. } => {
                self.at_rest.insert(object.clone());
                let quiet = !self.said.contains_key(object) && notes.is_empty();
                if quiet {
                    return None;
                }
                let noted: Vec<String> = notes.iter().map(|note| format!("; {note}")).collect();
                self.say(
                    object,
                    &format!("settled{}", noted.concat()),
                    &(styled(GOOD, "settled") + &noted.concat()),
                    true,
                )
            }
            // The reason tells a new wait from the same one: messages count seconds.
            Standing::Working { reason, message, .. } => {
                self.at_rest.remove(object);
                self.say(object, reason, &(styled(FAINT, "waits") + ": " + message), false)
            }
            Standing::Unresolved { message } => {
                self.say(object, message, &(styled(FAINT, "waits") + ": " + message), false)
            }
            Standing::Failed { class, message, .. } => {
                self.say(object, message, &format!("{} ({}): {message}", styled(BAD, "failed"), class.label()), true)
            }
        }
    }

    fn say(&mut self, object: &ObjectKey, gist: &str, sentence: &str, lasting: bool) -> Option<Line> {
        let before = self.said.insert(object.clone(), gist.to_owned());
        let text = format!("{}: {sentence}", styled(STRONG, object));
        (before.as_deref() != Some(gist)).then_some(Line { text, lasting })
    }

    /// What an object is at: the call in flight, or nothing if it rests.
    pub(crate) fn present(&self, object: &ObjectKey) -> Option<&str> {
        match self.in_flight.get(object) {
            Some(action) => Some(action),
            None if self.at_rest.contains(object) => None,
            None => Some("waits"),
        }
    }

    /// Mutating calls that have not come back.
    pub(crate) const fn in_flight(&self) -> &BTreeMap<ObjectKey, String> {
        &self.in_flight
    }

    /// Objects that are as wished, or gone.
    pub(crate) fn resting(&self) -> usize {
        self.at_rest.len()
    }

    /// Mutating calls made.
    pub(crate) const fn calls(&self) -> usize {
        self.calls
    }

    /// Whether nothing was done at all.
    pub(crate) const fn is_idle(&self) -> bool {
        self.calls == 0 && !self.decided
    }
}

fn action(step: &Step) -> String {
    format!("{}:{}", step.call.service, step.call.operation)
}

fn done(step: &Step) -> String {
    let what = match step.verb {
        Verb::Create => styled(GOOD, "created"),
        Verb::Update => styled(CHANGE, "changed"),
        Verb::Delete => styled(BAD, "deleting"),
    };
    let fields: Vec<&str> = match step.verb {
        Verb::Update => step.changes.iter().map(|change| change.path.as_str()).collect(),
        Verb::Create | Verb::Delete => Vec::new(),
    };
    let fields = if fields.is_empty() { String::new() } else { format!(" {}", fields.join(", ")) };
    format!("{what}{fields}  {}", styled(FAINT, action(step)))
}

/// Why an object is not as wished and what to do about it; `None` if it is.
pub(crate) fn unrest(rest: &Rest) -> Option<String> {
    Some(match rest {
        Rest::Settled | Rest::Forgotten => return None,
        Rest::Waiting { message } => format!("waits: {message}"),
        Rest::Pending { message } => format!("not yet: {message}; run again, or longer with --wait"),
        Rest::Failed { class, message } => format!("failed ({}): {message}{}", class.label(), remedy(*class)),
        Rest::Unfinished => "not worked on to the end; run again".to_owned(),
    })
}

/// What helps against a class of failures, where the message does not say it.
const fn remedy(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Transient => "; it may pass: run again",
        ErrorClass::Throttled => "; the provider asks for a slower pace: run again, or with a lower --concurrency",
        ErrorClass::Conflict => "; run again",
        ErrorClass::Denied => "; renew the credentials, or give their identity this permission, then run again",
        ErrorClass::Invalid => "; correct the manifest, then apply it again",
        ErrorClass::Waiting | ErrorClass::NotOurs | ErrorClass::Unsupported => "",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cso_core::{Call, CallError, Outcome, Tree};

    use super::*;

    fn key() -> ObjectKey {
        ObjectKey::new("sqs.services.k8s.aws", "Queue", "default", "orders")
    }

    fn step(verb: Verb, operation: &str) -> Arc<Step> {
        let call = Call { service: "sqs".into(), operation: operation.into(), input: Tree::object() };
        Arc::new(Step { verb, part: "body".into(), call, changes: Vec::new(), note: None })
    }

    fn told(board: &mut Board, event: &Progress) -> Option<String> {
        board.hear(event).map(|line| anstream::adapter::strip_str(&line.text).to_string())
    }

    fn synced() -> Progress {
        Progress::Standing {
            object: key(),
            standing: Standing::Synced { notes: Vec::new(), late: false, references: false, rival: None },
        }
    }

    #[test]
    fn an_object_at_rest_is_not_mentioned() {
        let mut board = Board::default();
        assert_eq!(told(&mut board, &synced()), None);
        assert!(board.is_idle());
        assert_eq!(board.resting(), 1);
    }

    #[test]
    fn a_create_is_told_once_when_it_came_back_and_once_when_it_rests() {
        let mut board = Board::default();
        let step = step(Verb::Create, "CreateQueue");
        assert_eq!(told(&mut board, &Progress::Calling { object: key(), step: step.clone() }), None);
        assert_eq!(board.in_flight().len(), 1);
        assert_eq!(
            told(&mut board, &Progress::Called { object: key(), step, error: None }).as_deref(),
            Some("sqs/Queue default/orders: created  sqs:CreateQueue")
        );
        assert!(board.in_flight().is_empty());
        assert_eq!(told(&mut board, &synced()).as_deref(), Some("sqs/Queue default/orders: settled"));
        assert_eq!(told(&mut board, &synced()), None);
        assert!(!board.is_idle());
    }

    #[test]
    fn a_wait_that_counts_seconds_is_told_once() {
        let mut board = Board::default();
        let waits = |left| Progress::Standing {
            object: key(),
            standing: Standing::Working { reason: "Recovering", message: format!("{left} s"), references: false },
        };
        assert!(told(&mut board, &waits(5)).is_some());
        assert_eq!(told(&mut board, &waits(4)), None);
        assert_eq!(board.present(&key()), Some("waits"));
    }

    #[test]
    fn a_failed_call_is_told_by_its_standing() {
        let mut board = Board::default();
        let error = CallError {
            action: "sqs:CreateQueue".into(),
            code: "AccessDenied".into(),
            message: String::new(),
            request_id: None,
            status: Some(403),
            outcome: Outcome::Refused,
            class: ErrorClass::Denied,
            retry_after: None,
        };
        let step = step(Verb::Create, "CreateQueue");
        assert_eq!(told(&mut board, &Progress::Called { object: key(), step, error: Some(error) }), None);
        let standing = Standing::Failed { class: ErrorClass::Denied, message: "no".into(), references: false };
        assert_eq!(
            told(&mut board, &Progress::Standing { object: key(), standing }).as_deref(),
            Some("sqs/Queue default/orders: failed (denied): no")
        );
    }
}
