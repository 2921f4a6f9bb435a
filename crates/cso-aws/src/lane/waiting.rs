//! Who waits, and who is next.

use std::collections::{BTreeMap, VecDeque};

use cso_core::port::{Effect, Purpose};

/// What a call is for. The least goes first: what somebody waits for before what is only checked, and of these what
/// changes something before what looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) purpose: Purpose,
    pub(crate) effect: Effect,
}

/// Namespaces take turns, whatever their callers are there for: nobody's changes hold up somebody else's. Inside a
/// namespace the rank decides, and inside a rank the first come is the first served.
pub(super) struct Waiting<T> {
    /// Namespaces in order of their next turn; each has an entry in `lines`.
    order: VecDeque<String>,
    lines: BTreeMap<String, Line<T>>,
    /// Callers that came so far.
    came: u64,
    /// Put back after it was popped: next, whatever came meanwhile.
    front: Option<T>,
}

/// The callers of one namespace; none of the queues is empty.
struct Line<T> {
    ranks: BTreeMap<Rank, VecDeque<Caller<T>>>,
    /// Turns by rank since the last by patience.
    by_rank: u32,
}

struct Caller<T> {
    came: u64,
    caller: T,
}

/// Every eighth turn of a namespace goes to whoever has waited longest: what is never looked at is never found to be
/// wrong.
const PATIENCE: u32 = 7;

impl<T> Waiting<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.front.is_none() && self.order.is_empty()
    }

    pub(super) fn push(&mut self, rank: Rank, namespace: &str, caller: T) {
        if !self.lines.contains_key(namespace) {
            self.order.push_back(namespace.to_owned());
        }
        let line = self.lines.entry(namespace.to_owned()).or_default();
        line.ranks.entry(rank).or_default().push_back(Caller { came: self.came, caller });
        self.came += 1;
    }

    /// The next caller.
    pub(super) fn pop(&mut self) -> Option<T> {
        if let Some(caller) = self.front.take() {
            return Some(caller);
        }
        let namespace = self.order.pop_front()?;
        let line = self.lines.get_mut(&namespace)?;
        let caller = line.pop();
        if line.ranks.is_empty() {
            self.lines.remove(&namespace);
        } else {
            self.order.push_back(namespace);
        }
        caller
    }

    /// Puts a caller back that was popped too early.
    pub(super) fn unpop(&mut self, caller: T) {
        self.front = Some(caller);
    }
}

impl<T> Line<T> {
    fn pop(&mut self) -> Option<T> {
        let first = *self.ranks.keys().next()?;
        let longest = self.ranks.iter().min_by_key(|(_, callers)| callers.front().map(|caller| caller.came));
        let (rank, by_rank) = match longest {
            Some((rank, _)) if self.by_rank >= PATIENCE => (*rank, 0),
            _ => (first, self.by_rank + 1),
        };
        self.by_rank = by_rank;
        let callers = self.ranks.get_mut(&rank)?;
        let caller = callers.pop_front();
        if callers.is_empty() {
            self.ranks.remove(&rank);
        }
        caller.map(|caller| caller.caller)
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), lines: BTreeMap::new(), came: 0, front: None }
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { ranks: BTreeMap::new(), by_rank: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACT: Rank = Rank { purpose: Purpose::Change, effect: Effect::Mutates };
    const LOOK: Rank = Rank { purpose: Purpose::Change, effect: Effect::Reads };
    const REPAIR: Rank = Rank { purpose: Purpose::Check, effect: Effect::Mutates };
    const CHECK: Rank = Rank { purpose: Purpose::Check, effect: Effect::Reads };

    fn drain(mut waiting: Waiting<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    #[test]
    fn namespaces_take_turns_and_keep_their_own_order() {
        let mut waiting = Waiting::default();
        for (namespace, caller) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")] {
            waiting.push(LOOK, namespace, caller);
        }
        assert_eq!(drain(waiting), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }

    #[test]
    fn what_somebody_waits_for_comes_first_and_acting_before_looking() {
        let mut waiting = Waiting::default();
        for (rank, caller) in [(CHECK, "check"), (REPAIR, "repair"), (LOOK, "look"), (ACT, "act")] {
            waiting.push(rank, "a", caller);
        }
        assert_eq!(drain(waiting), ["act", "look", "repair", "check"]);
    }

    #[test]
    fn the_changes_of_one_namespace_do_not_hold_up_the_checks_of_another() {
        let mut waiting = Waiting::default();
        for caller in ["a1", "a2", "a3"] {
            waiting.push(ACT, "a", caller);
        }
        waiting.push(CHECK, "b", "b1");
        waiting.push(CHECK, "b", "b2");
        assert_eq!(drain(waiting), ["a1", "b1", "a2", "b2", "a3"]);
    }

    #[test]
    fn whoever_waits_longest_has_every_eighth_turn() {
        let mut waiting = Waiting::default();
        waiting.push(CHECK, "a", "check");
        waiting.push(LOOK, "a", "look");
        for _ in 0..20 {
            waiting.push(ACT, "a", "act");
        }
        let order = drain(waiting);
        assert_eq!((order[7], order[15]), ("check", "look"), "{order:?}");
        assert_eq!(order.iter().filter(|caller| **caller == "act").count(), 20);
        assert_eq!(order.len(), 22);
    }

    #[test]
    fn who_is_put_back_stays_next() {
        let mut waiting = Waiting::default();
        waiting.push(CHECK, "a", "first");
        let first = waiting.pop().unwrap();
        waiting.push(ACT, "a", "second");
        waiting.unpop(first);
        assert!(!waiting.is_empty());
        assert_eq!(drain(waiting), ["first", "second"]);
    }
}
