//! What the proxy does to which requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::status::Status;
use super::watch::End;
use crate::rule::{Condition, Matcher, Then, Turns};

/// A rule of this proxy.
pub type Rule = crate::Rule<Match, Action>;

pub(super) type Hook = Arc<dyn Fn(&Call) -> Then + Send + Sync>;

/// Which requests a rule is about. Unless told otherwise, the first one only.
#[derive(Clone, Debug, Default)]
pub struct Match {
    verb: Option<String>,
    user: Option<String>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    containing: Option<String>,
    writes_only: bool,
    condition: Option<Condition<Call>>,
    turns: Turns,
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests that may change something.
    pub fn writes() -> Self {
        Self { writes_only: true, ..Self::any() }
    }

    /// Requests of a verb, as in access rules: `create`, `watch`.
    pub fn verb(verb: impl Into<String>) -> Self {
        Self { verb: Some(verb.into()), ..Self::any() }
    }

    /// ... about a resource, as in paths, with its subresource if it is about one: `configmaps`, `queues/status`.
    #[must_use]
    pub fn of(self, resource: impl Into<String>) -> Self {
        Self { resource: Some(resource.into()), ..self }
    }

    /// ... in a namespace.
    #[must_use]
    pub fn within(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// ... about the object of a name. A create has none yet: see [`Match::containing`].
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// ... of a user.
    #[must_use]
    pub fn by(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// ... whose body contains a text. Spaces in the body do not count, except within strings.
    #[must_use]
    pub fn containing(self, text: impl Into<String>) -> Self {
        Self { containing: Some(text.into()), ..self }
    }

    /// ... for which this holds. Asked once for each request that fits otherwise, in the order of arrival.
    #[must_use]
    pub fn when(self, condition: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
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
    type Call = Call;

    fn fits(&self, call: &Call) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let target = &call.target;
        let resource = match target.subresource.as_str() {
            "" => target.resource.clone(),
            subresource => format!("{}/{subresource}", target.resource),
        };
        same(&self.verb, &call.verb)
            && same(&self.user, &call.user)
            && same(&self.resource, &resource)
            && same(&self.namespace, &target.namespace)
            && same(&self.name, &target.name)
            && self.containing.as_ref().is_none_or(|text| call.body.to_string().contains(text))
            && (!self.writes_only || call.is_write())
            && self.condition.as_ref().is_none_or(|condition| condition.holds(call))
    }

    fn turns(&self) -> Turns {
        self.turns
    }
}

/// What is done to a request.
#[derive(Clone)]
pub enum Action {
    /// The API server answers, and the caller's connection closes instead, with all that goes on over it.
    DropReply,
    /// The API server never sees the request, and the caller's connection closes.
    DropRequest,
    /// The API server never sees the request, and the caller is told this.
    Fail(Status),
    /// The request goes on after this long.
    Delay(Duration),
    /// The answer's body comes in small pieces, each this long after the one before.
    Drip(Duration),
    /// The watch ends so, after so many events.
    EndWatch { after: usize, end: End },
    /// Runs before the API server sees the request: [`Action::before`].
    Before(Hook),
    /// Runs when the API server has answered, or begun to, and the caller does not know yet: [`Action::after`].
    After(Hook),
}

impl Action {
    /// Runs a hook before the API server sees the request. `HangUp` means that it never will.
    pub fn before(hook: impl Fn(&Call) -> Then + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(hook))
    }

    /// Runs a hook when the API server has answered and before the caller learns of it.
    pub fn after(hook: impl Fn(&Call) -> Then + Send + Sync + 'static) -> Self {
        Self::After(Arc::new(hook))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropReply => f.write_str("DropReply"),
            Self::DropRequest => f.write_str("DropRequest"),
            Self::Fail(status) => f.debug_tuple("Fail").field(status).finish(),
            Self::Delay(time) => f.debug_tuple("Delay").field(time).finish(),
            Self::Drip(pause) => f.debug_tuple("Drip").field(pause).finish(),
            Self::EndWatch { after, end } => {
                f.debug_struct("EndWatch").field("after", after).field("end", end).finish()
            }
            Self::Before(_) => f.write_str("Before"),
            Self::After(_) => f.write_str("After"),
        }
    }
}
