//! How calls fail, in a closed list of classes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What to do about a failure. One table maps each class to condition, event, metric label and retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// Network, 5xx, time-out: passes by itself.
    Transient,
    /// The provider asks to slow down.
    Throttled,
    /// Somebody else changes the same thing: retry soon.
    Conflict,
    /// Something must be there first.
    Waiting,
    /// Permissions or credentials.
    Denied,
    /// The provider refuses the value: a person must change it. Retried slowly.
    Invalid,
    /// The resource belongs to somebody else.
    NotOurs,
    /// We cannot do this.
    Unsupported,
}

impl ErrorClass {
    /// Every class, in the order of the enum.
    pub const ALL: [Self; 8] = [
        Self::Transient,
        Self::Throttled,
        Self::Conflict,
        Self::Waiting,
        Self::Denied,
        Self::Invalid,
        Self::NotOurs,
        Self::Unsupported,
    ];

    /// Metric label: one of eight.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::Waiting => "waiting",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::NotOurs => "not-ours",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Whether a failed call may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider answered and did nothing, or the request never left.
    Refused,
    /// The request may have been carried out: time-out, reset, 5xx, unreadable answer.
    Unknown,
}

/// A failed cloud call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CallError {
    /// Facts section and operation, for example `sqs:CreateQueue`.
    pub action: String,
    /// The provider's error code, or one of ours in lower case (`timeout`, `connect`, `unreadable-answer`).
    pub code: String,
    /// The provider's sentence. Never holds a secret that we sent.
    pub message: String,
    pub request_id: Option<String>,
    pub status: Option<u16>,
    pub outcome: Outcome,
    /// What the transport and the API model alone can tell; a kind's error table may know better.
    pub class: ErrorClass,
    pub retry_after: Option<Duration>,
}

/// Below this length a text is found everywhere by chance, and replacing it would spell it out by its gaps.
const SHORTEST_REPLACED: usize = 6;

impl CallError {
    /// Takes texts that were sent in confidence out of what the provider said.
    pub fn conceal(&mut self, mut secrets: Vec<String>) {
        // The longest first, so that no secret survives as the rest of a longer one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            if !self.message.contains(secret.as_str()) {
                continue;
            }
            if secret.len() < SHORTEST_REPLACED {
                "(withheld: it holds a sensitive value that was sent)".clone_into(&mut self.message);
                return;
            }
            self.message = self.message.replace(secret.as_str(), "(sensitive)");
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}
