//! Who waits, and who is next.

use std::collections::{BTreeMap, VecDeque};

/// What a call is for. The first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Carries out what somebody asked for.
    Act,
    /// Looks.
    Look,
}

/// Callers by rank; inside a rank, namespaces take turns, and inside a namespace the first come is the first served.
pub(super) struct Waiting<T> {
    ranks: [Rotation<T>; 2],
    /// Turns since the lower rank had one.
    skipped: u32,
    /// Put back after it was popped: next, whatever came meanwhile.
    front: Option<T>,
}

struct Rotation<T> {
    /// Namespaces in order of their next turn; each has an entry in `lines`.
    order: VecDeque<String>,
    lines: BTreeMap<String, VecDeque<T>>,
}

/// The lower rank gets every eighth turn: what is never looked at is never found to be wrong.
const PATIENCE: u32 = 7;

impl<T> Waiting<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.front.is_none() && self.ranks.iter().all(|rank| rank.order.is_empty())
    }

    pub(super) fn push(&mut self, rank: Rank, namespace: &str, caller: T) {
        let rotation = &mut self.ranks[rank as usize];
        let line = rotation.lines.entry(namespace.to_owned()).or_default();
        if line.is_empty() {
            rotation.order.push_back(namespace.to_owned());
        }
        line.push_back(caller);
    }

    /// The next caller.
    pub(super) fn pop(&mut self) -> Option<T> {
        if let Some(caller) = self.front.take() {
            return Some(caller);
        }
        let [act, look] = &mut self.ranks;
        if act.order.is_empty() || (self.skipped >= PATIENCE && !look.order.is_empty()) {
            self.skipped = 0;
            return look.pop();
        }
        self.skipped += 1;
        act.pop()
    }

    /// Puts a caller back that was popped too early.
    pub(super) fn unpop(&mut self, caller: T) {
        self.front = Some(caller);
    }
}

impl<T> Rotation<T> {
    fn pop(&mut self) -> Option<T> {
        let namespace = self.order.pop_front()?;
        let line = self.lines.get_mut(&namespace)?;
        let caller = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&namespace);
        } else {
            self.order.push_back(namespace);
        }
        caller
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        let rotation = || Rotation { order: VecDeque::new(), lines: BTreeMap::new() };
        Self { ranks: [rotation(), rotation()], skipped: 0, front: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(mut waiting: Waiting<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    #[test]
    fn namespaces_take_turns_and_keep_their_own_order() {
        let mut waiting = Waiting::default();
        for (namespace, caller) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")] {
            waiting.push(Rank::Look, namespace, caller);
        }
        assert_eq!(drain(waiting), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }

    #[test]
    fn acting_goes_first_but_looking_is_not_starved() {
        let mut waiting = Waiting::default();
        waiting.push(Rank::Look, "a", "look");
        waiting.push(Rank::Look, "a", "look");
        for _ in 0..9 {
            waiting.push(Rank::Act, "a", "act");
        }
        let order = drain(waiting);
        assert_eq!(order[..9], ["act", "act", "act", "act", "act", "act", "act", "look", "act"]);
        assert_eq!(order.len(), 11);
    }

    #[test]
    fn who_is_put_back_stays_next() {
        let mut waiting = Waiting::default();
        waiting.push(Rank::Look, "a", "first");
        let first = waiting.pop().unwrap();
        waiting.push(Rank::Act, "a", "second");
        waiting.unpop(first);
        assert!(!waiting.is_empty());
        assert_eq!(drain(waiting), ["first", "second"]);
    }
}
