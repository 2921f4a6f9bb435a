//! A request as the proxy saw it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use http::header::{self, HeaderName};
use http::request::Parts;
use serde_json::Value;

use crate::Outcome;
use crate::kube::target::{Target, is_write};

/// A request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Place among all requests since the proxy started, from 0.
    pub sequence: usize,
    /// Whose token it carries. Empty if nobody's that the cluster knows.
    pub user: String,
    /// As in access rules: `create`, `watch`. The method, in lower case, for what is no resource.
    pub verb: String,
    pub target: Target,
    /// Path and query.
    pub uri: String,
    /// `application/merge-patch+json`, for example. Empty if there is no body.
    pub content_type: String,
    /// What was sent, if it was JSON.
    pub body: Value,
    /// When it had been read from the caller.
    pub arrived: Instant,
    /// When it had ended, just before the caller learnt of it. Nothing for a watch that goes on.
    pub ended: Option<Instant>,
    /// How it ended. A watch was answered when it began.
    pub outcome: Outcome,
}

impl Call {
    /// Whether the request could change something, judged by its verb.
    pub fn is_write(&self) -> bool {
        is_write(&self.verb)
    }

    pub(super) fn read(sequence: usize, head: &Parts, body: &[u8], tokens: &BTreeMap<String, String>) -> Self {
        let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = text(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default();
        let user = tokens.iter().find(|(_, theirs)| *theirs == token).map(|(user, _)| user.clone());
        let target = Target::of(head.uri.path());
        Self {
            sequence,
            user: user.unwrap_or_default(),
            verb: target.verb(head.method.as_str(), head.uri.query().unwrap_or_default()),
            target,
            uri: head.uri.path_and_query().map_or("/", |uri| uri.as_str()).to_owned(),
            content_type: text(header::CONTENT_TYPE).to_owned(),
            body: serde_json::from_slice(body).unwrap_or_default(),
            arrived: Instant::now(),
            ended: None,
            outcome: Outcome::Pending,
        }
    }
}

/// `create configmaps default/settings: Answered { status: 201 }`
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, target, uri, outcome, .. } = self;
        if target.resource.is_empty() {
            return write!(f, "{verb} {uri}: {outcome:?}");
        }
        write!(f, "{verb} {target}: {outcome:?}")
    }
}
