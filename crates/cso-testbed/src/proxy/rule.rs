//! What the proxy does to which calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::call::AwsCall;
use super::failure::Failure;
use crate::rule::{Condition, Matcher, Then, Turns};

/// Which calls a rule is about. Unless told otherwise, the first one only.
#[derive(Clone, Debug)]
pub struct Match {
    service: Option<String>,
    operation: Option<String>,
    containing: Option<String>,
    mutating_only: bool,
    condition: Option<Condition<AwsCall>>,
    turns: Turns,
}

impl Match {
    /// Every call.
    pub fn any() -> Self {
        Self {
            service: None,
            operation: None,
            containing: None,
            mutating_only: false,
            condition: None,
            turns: Turns::default(),
        }
    }

    /// Calls that may change something.
    pub fn mutating() -> Self {
        Self { mutating_only: true, ..Self::any() }
    }

    /// Calls of an operation, as `CreateQueue`.
    pub fn operation(name: impl Into<String>) -> Self {
        Self { operation: Some(name.into()), ..Self::any() }
    }

    /// ... of a service, by its signing name.
    #[must_use]
    pub fn of(self, service: impl Into<String>) -> Self {
        Self { service: Some(service.into()), ..self }
    }

    /// ... whose input contains a text, as the name of a queue.
    #[must_use]
    pub fn containing(self, text: impl Into<String>) -> Self {
        Self { containing: Some(text.into()), ..self }
    }

    /// ... for which this holds. Asked once for each call that fits otherwise, in the order of arrival.
    #[must_use]
    pub fn when(self, condition: impl Fn(&AwsCall) -> bool + Send + Sync + 'static) -> Self {
        Self { condition: Some(Condition::new(condition)), ..self }
    }

    /// ... only the `n`th of them, counted from 1 and from when the rule was made.
    #[must_use]
    pub fn nth(self, n: usize) -> Self {
        Self { turns: self.turns.from(n), ..self }
    }

    /// ... that many of them.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { turns: self.turns.times(times), ..self }
    }

    /// ... all of them.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }
}

impl Matcher for Match {
    type Call = AwsCall;

    fn fits(&self, call: &AwsCall) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        same(&self.service, &call.service)
            && same(&self.operation, &call.operation)
            && self.containing.as_ref().is_none_or(|text| call.input.to_string().contains(text))
            && (!self.mutating_only || call.is_mutating())
            && self.condition.as_ref().is_none_or(|condition| condition.holds(call))
    }

    fn turns(&self) -> Turns {
        self.turns
    }
}

type Hook = Arc<dyn Fn(&AwsCall) -> Then + Send + Sync>;

type StandIn = Arc<dyn Fn(&AwsCall) -> Option<Result<String, Failure>> + Send + Sync>;

/// What is done to a call.
#[derive(Clone)]
pub enum Action {
    /// The cloud carries the call out, and the caller's connection closes instead of an answer.
    DropReply,
    /// The cloud never sees the call, and the caller's connection closes.
    DropRequest,
    /// The cloud carries the call out, and the caller's connection is reset instead of an answer.
    Reset,
    /// The cloud carries the call out, and the caller's connection closes after so many bytes of the answer's body, of
    /// which all were announced.
    Truncate(usize),
    /// The cloud carries the call out, and each byte of the answer's body comes this long after the one before.
    Drip(Duration),
    /// The cloud never sees the call, and the caller is sent so many bytes of a good answer's beginning, unannounced.
    Flood(u64),
    /// The cloud never sees the call, and the caller is sent what the same request was answered last. A request that was
    /// never answered goes on.
    Stale,
    /// The cloud never sees the call, and the caller is told this.
    Fail(Failure),
    /// The call goes on after this long.
    Delay(Duration),
    /// Runs before the cloud sees the call: [`Action::before`].
    Before(Hook),
    /// Runs when the cloud has answered and the caller does not know yet: [`Action::after`].
    After(Hook),
    /// Something else answers in the cloud's place: [`Action::answer`].
    Answer(StandIn),
}

impl Action {
    /// Runs a hook before the cloud sees the call. `HangUp` means that it never will.
    pub fn before(hook: impl Fn(&AwsCall) -> Then + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(hook))
    }

    /// Runs a hook when the cloud has carried the call out and before the caller learns of it.
    pub fn after(hook: impl Fn(&AwsCall) -> Then + Send + Sync + 'static) -> Self {
        Self::After(Arc::new(hook))
    }

    /// Answers calls in the cloud's place, with an output in the protocol's format or an error. What it has no answer to goes
    /// on to the cloud.
    pub fn answer(stand_in: impl Fn(&AwsCall) -> Option<Result<String, Failure>> + Send + Sync + 'static) -> Self {
        Self::Answer(Arc::new(stand_in))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropReply => f.write_str("DropReply"),
            Self::DropRequest => f.write_str("DropRequest"),
            Self::Reset => f.write_str("Reset"),
            Self::Truncate(bytes) => f.debug_tuple("Truncate").field(bytes).finish(),
            Self::Drip(pause) => f.debug_tuple("Drip").field(pause).finish(),
            Self::Flood(bytes) => f.debug_tuple("Flood").field(bytes).finish(),
            Self::Stale => f.write_str("Stale"),
            Self::Fail(failure) => f.debug_tuple("Fail").field(failure).finish(),
            Self::Delay(time) => f.debug_tuple("Delay").field(time).finish(),
            Self::Before(_) => f.write_str("Before"),
            Self::After(_) => f.write_str("After"),
            Self::Answer(_) => f.write_str("Answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::super::call::Outcome;
    use super::*;
    use crate::rule::Rule;

    fn call(service: &str, operation: &str) -> AwsCall {
        AwsCall {
            sequence: 0,
            service: service.to_owned(),
            region: String::new(),
            key_id: String::new(),
            signed_at: String::new(),
            operation: operation.to_owned(),
            input: json!({"QueueName": "orders"}),
            arrived: Instant::now(),
            ended: None,
            outcome: Outcome::Pending,
        }
    }

    fn turns(matches: Match, calls: &[AwsCall]) -> Vec<bool> {
        let rule = Rule::new(matches, Action::DropReply);
        let turns: Vec<bool> = calls.iter().map(|call| rule.apply(call).is_some()).collect();
        assert_eq!(rule.fired(), turns.iter().filter(|turn| **turn).count());
        turns
    }

    #[test]
    fn a_rule_takes_its_turns_among_the_calls_that_fit() {
        let calls = ["CreateQueue", "ListQueues", "CreateQueue", "CreateQueue"].map(|name| call("sqs", name));
        assert_eq!(turns(Match::operation("CreateQueue"), &calls), [true, false, false, false]);
        assert_eq!(turns(Match::operation("CreateQueue").nth(2), &calls), [false, false, true, false]);
        assert_eq!(turns(Match::operation("CreateQueue").nth(2).always(), &calls), [false, false, true, true]);
        assert_eq!(turns(Match::mutating().times(2), &calls), [true, false, true, false]);
        assert_eq!(turns(Match::any().of("sns").always(), &calls), [false; 4]);
        assert_eq!(turns(Match::any().containing("orders").always(), &calls), [true; 4]);
        assert_eq!(turns(Match::any().containing("billing").always(), &calls), [false; 4]);
        let listing = |call: &AwsCall| call.operation == "ListQueues";
        assert_eq!(turns(Match::any().when(listing).always(), &calls), [false, true, false, false]);
    }
}
