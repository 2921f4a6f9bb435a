//! Which object is worked on next: one entry an object, by priority, fair between namespaces, first come first served.
//!
//! Pure: time is an argument. What was begun is finished before another is begun: whatever ends this process then finds few
//! objects in between. The other priorities follow what people notice: their own change, then an object that waited for
//! another, then polls, retries, and last the background checks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cso_core::ObjectKey;
use cso_core::port::Purpose;
use jiff::Timestamp;
use serde::Serialize;

/// Why an object is to be worked on. The first is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    Begun,
    UserChange,
    Wake,
    Poll,
    Retry,
    Sweep,
}

impl Priority {
    /// Whom the calls of a turn with this priority serve.
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Begun | Self::UserChange | Self::Wake | Self::Poll | Self::Retry => Purpose::Change,
            Self::Sweep => Purpose::Check,
        }
    }
}

/// Objects that are due, and objects that will be.
#[derive(Debug, Default)]
pub struct Queue {
    /// Due entries by priority; inside, one lane a namespace.
    ready: BTreeMap<Priority, Lanes>,
    /// Priority of each due object.
    due: BTreeMap<ObjectKey, Priority>,
    later: BTreeSet<(Timestamp, ObjectKey)>,
    later_at: BTreeMap<ObjectKey, (Timestamp, Priority)>,
}

/// Namespaces take turns.
#[derive(Debug, Default)]
struct Lanes {
    turns: VecDeque<String>,
    lanes: BTreeMap<String, VecDeque<ObjectKey>>,
}

impl Queue {
    /// Makes an object due now. An entry that is there already only becomes more urgent.
    pub fn push(&mut self, key: ObjectKey, priority: Priority) {
        self.forget_later(&key);
        match self.due.get(&key).copied() {
            Some(known) if known <= priority => return,
            Some(known) => {
                if let Some(lanes) = self.ready.get_mut(&known) {
                    lanes.remove(&key);
                }
            }
            None => {}
        }
        self.due.insert(key.clone(), priority);
        self.ready.entry(priority).or_default().push(key);
    }

    /// Makes an object due at a time, unless it is due earlier anyway.
    pub fn push_at(&mut self, key: ObjectKey, at: Timestamp, priority: Priority) {
        if self.due.contains_key(&key) || self.later_at.get(&key).is_some_and(|(known, _)| *known <= at) {
            return;
        }
        self.forget_later(&key);
        self.later.insert((at, key.clone()));
        self.later_at.insert(key, (at, priority));
    }

    /// The next object to work on at `now`, and why.
    pub fn pop(&mut self, now: Timestamp) -> Option<(ObjectKey, Priority)> {
        while let Some((at, key)) = self.later.first().cloned()
            && at <= now
        {
            let priority = self.later_at.get(&key).map_or(Priority::Retry, |(_, priority)| *priority);
            self.push(key, priority);
        }
        let (priority, lanes) = self.ready.iter_mut().find(|(_, lanes)| !lanes.lanes.is_empty())?;
        let key = lanes.pop()?;
        self.due.remove(&key);
        Some((key, *priority))
    }

    /// When the next delayed object becomes due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Whether something can be worked on now.
    pub fn has_ready(&self) -> bool {
        !self.due.is_empty()
    }

    /// What is due now and why, by key.
    pub fn ready(&self) -> impl ExactSizeIterator<Item = (&ObjectKey, Priority)> {
        self.due.iter().map(|(key, priority)| (key, *priority))
    }

    /// What will be due, the earliest first.
    pub fn later(&self) -> impl ExactSizeIterator<Item = (&ObjectKey, Timestamp)> {
        self.later.iter().map(|(at, key)| (key, *at))
    }

    /// Drops an object.
    pub fn remove(&mut self, key: &ObjectKey) {
        self.forget_later(key);
        if let Some(priority) = self.due.remove(key)
            && let Some(lanes) = self.ready.get_mut(&priority)
        {
            lanes.remove(key);
        }
    }

    fn forget_later(&mut self, key: &ObjectKey) {
        if let Some((at, _)) = self.later_at.remove(key) {
            self.later.remove(&(at, key.clone()));
        }
    }
}

impl Lanes {
    fn push(&mut self, key: ObjectKey) {
        let lane = self.lanes.entry(key.namespace.clone()).or_default();
        if lane.is_empty() {
            self.turns.push_back(key.namespace.clone());
        }
        lane.push_back(key);
    }

    fn pop(&mut self) -> Option<ObjectKey> {
        let namespace = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&namespace)?;
        let key = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        key
    }

    fn remove(&mut self, key: &ObjectKey) {
        let Some(lane) = self.lanes.get_mut(&key.namespace) else { return };
        lane.retain(|other| other != key);
        if lane.is_empty() {
            self.lanes.remove(&key.namespace);
            self.turns.retain(|namespace| *namespace != key.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::new("g", "K", namespace, name)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn drain(queue: &mut Queue, now: i64) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(at(now))).map(|(key, _)| format!("{}/{}", key.namespace, key.name)).collect()
    }

    #[test]
    fn namespaces_take_turns_inside_a_priority() {
        let mut queue = Queue::default();
        for name in ["1", "2", "3"] {
            queue.push(key("big", name), Priority::Sweep);
        }
        queue.push(key("small", "1"), Priority::Sweep);
        queue.push(key("late", "1"), Priority::UserChange);
        assert_eq!(drain(&mut queue, 0), ["late/1", "big/1", "small/1", "big/2", "big/3"]);
    }

    #[test]
    fn what_was_begun_is_finished_before_another_is_begun() {
        let mut queue = Queue::default();
        queue.push(key("n", "next"), Priority::UserChange);
        queue.push(key("n", "begun"), Priority::Begun);
        assert_eq!(drain(&mut queue, 0), ["n/begun", "n/next"]);
    }

    #[test]
    fn an_object_is_in_the_queue_once_with_its_highest_priority_and_earliest_time() {
        let mut queue = Queue::default();
        queue.push_at(key("n", "a"), at(100), Priority::Retry);
        queue.push_at(key("n", "a"), at(50), Priority::Poll);
        queue.push_at(key("n", "a"), at(70), Priority::Poll);
        assert_eq!(queue.next_due(), Some(at(50)));
        queue.push(key("n", "a"), Priority::Sweep);
        queue.push(key("n", "a"), Priority::UserChange);
        queue.push(key("n", "a"), Priority::Wake);
        assert_eq!(queue.next_due(), None);
        assert_eq!(drain(&mut queue, 0), ["n/a"]);
        assert_eq!(drain(&mut queue, 200), Vec::<String>::new());
    }

    #[test]
    fn an_object_comes_with_its_reason_and_only_a_sweep_is_a_check() {
        let mut queue = Queue::default();
        queue.push_at(key("n", "a"), at(1), Priority::Sweep);
        queue.push(key("n", "b"), Priority::Retry);
        let purposes: Vec<Purpose> =
            std::iter::from_fn(|| queue.pop(at(1))).map(|(_, priority)| priority.purpose()).collect();
        assert_eq!(purposes, [Purpose::Change, Purpose::Check]);
    }

    #[test]
    fn what_is_due_and_what_will_be_can_be_looked_at() {
        let mut queue = Queue::default();
        queue.push_at(key("n", "late"), at(20), Priority::Sweep);
        queue.push_at(key("n", "soon"), at(10), Priority::Poll);
        queue.push(key("n", "now"), Priority::Wake);
        assert_eq!(queue.ready().collect::<Vec<_>>(), [(&key("n", "now"), Priority::Wake)]);
        assert_eq!(queue.later().collect::<Vec<_>>(), [(&key("n", "soon"), at(10)), (&key("n", "late"), at(20))]);
    }

    #[test]
    fn what_is_delayed_comes_when_it_is_due_and_not_before() {
        let mut queue = Queue::default();
        queue.push_at(key("n", "a"), at(10), Priority::Retry);
        assert_eq!(drain(&mut queue, 9), Vec::<String>::new());
        assert!(!queue.has_ready());
        assert_eq!(drain(&mut queue, 10), ["n/a"]);
        queue.push_at(key("n", "b"), at(20), Priority::Retry);
        queue.remove(&key("n", "b"));
        assert_eq!(queue.next_due(), None);
    }
}
