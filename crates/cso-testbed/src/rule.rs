//! Rules of a proxy: what is done to which calls, and whether it was.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::proxy::{Action, Match};

/// Says which calls a rule is about.
pub trait Matcher {
    /// What the proxy knows of a call when it arrives.
    type Call;

    /// Whether the rule is about this call.
    fn fits(&self, call: &Self::Call) -> bool;

    /// Which of those that fit it is about.
    fn turns(&self) -> Turns;
}

/// Which of the calls that fit have their turn: the first, unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    skip: usize,
    times: usize,
}

impl Default for Turns {
    fn default() -> Self {
        Self { skip: 0, times: 1 }
    }
}

impl Turns {
    /// ... from the `n`th on, counted from 1.
    pub(crate) fn from(self, n: usize) -> Self {
        Self { skip: n.saturating_sub(1), ..self }
    }

    /// ... that many of them.
    pub(crate) fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Whether it is the turn of a call before which so many fitted.
    fn includes(self, before: usize) -> bool {
        before >= self.skip && before - self.skip < self.times
    }

    /// How many of so many calls that fitted had their turn.
    fn among(self, seen: usize) -> usize {
        seen.saturating_sub(self.skip).min(self.times)
    }
}

/// What a test asks of a call.
pub(crate) struct Condition<C>(Arc<dyn Fn(&C) -> bool + Send + Sync>);

impl<C> Condition<C> {
    pub(crate) fn new(condition: impl Fn(&C) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(condition))
    }

    pub(crate) fn holds(&self, call: &C) -> bool {
        (self.0)(call)
    }
}

impl<C> Clone for Condition<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Condition<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition")
    }
}

/// What happens to a call after its hook returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on as if nothing had been.
    GoOn,
    /// The caller's connection is closed without a word.
    HangUp,
}

/// A rule in force. Ask it whether it fired: a fault that never happened proves nothing.
#[derive(Clone, Debug)]
pub struct Rule<M = Match, A = Action>(Arc<State<M, A>>);

#[derive(Debug)]
struct State<M, A> {
    matches: M,
    action: A,
    seen: AtomicUsize,
}

impl<M: Matcher, A> Rule<M, A> {
    pub(crate) fn new(matches: M, action: A) -> Self {
        Self(Arc::new(State { matches, action, seen: AtomicUsize::new(0) }))
    }

    /// How many calls the action was done to.
    pub fn fired(&self) -> usize {
        self.0.matches.turns().among(self.0.seen.load(Ordering::SeqCst))
    }

    /// The action, if it is this call's turn.
    pub(crate) fn apply(&self, call: &M::Call) -> Option<&A> {
        let State { matches, action, seen } = &*self.0;
        let is_its_turn = matches.fits(call) && matches.turns().includes(seen.fetch_add(1, Ordering::SeqCst));
        is_its_turn.then_some(action)
    }
}
