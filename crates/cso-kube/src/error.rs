//! What can go wrong between us and an API server, in words for the person who runs the process.

use cso_core::port::{Reach, StoreError};

/// A failure to reach or to use a cluster.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    #[error("cannot tell which cluster to use: {why}; give --context, set KUBECONFIG, or run inside a cluster")]
    Config { why: String },
    #[error("cannot connect to the cluster: {why}")]
    Connect { why: String },
    /// `doing` says what was tried, for example `read Secret cso-system/cso-identity`.
    #[error("cannot {doing}: {why}{remedy}", remedy = remedy(*status))]
    Request { doing: String, status: Option<u16>, why: String },
    /// Not the controller lacks a right, but whoever installs definitions.
    #[error(
        "cannot {doing}: {why}; who installs definitions needs get, create and patch of \
         customresourcedefinitions.apiextensions.k8s.io, which the controller's roles do not have: ask an administrator of \
         the cluster, or give them what `cso crds` prints"
    )]
    Uninstallable { doing: String, why: String },
    /// `kinds` are names of definitions, for example `queues.sqs.services.k8s.aws`.
    #[error("the cluster does not serve {0}: `cso crds install {0}` makes it", kinds.join(" "))]
    Unserved { kinds: Vec<String> },
    #[error("{what} has no usable {field}: {remedy}")]
    Damaged { what: String, field: &'static str, remedy: &'static str },
}

/// What a person can do about a status.
fn remedy(status: Option<u16>) -> &'static str {
    match status {
        Some(401) => "; renew the credentials of this kubeconfig or service account",
        Some(403) => "; grant it: `cso crds rbac` prints the roles that are needed",
        _ => "",
    }
}

impl KubeError {
    /// A request that failed.
    pub(crate) fn request(doing: impl Into<String>, error: &kube::Error) -> Self {
        Self::Request { doing: doing.into(), status: status(error), why: why(error) }
    }

    /// The HTTP status that the server answered with, if it answered.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Request { status, .. } => *status,
            _ => None,
        }
    }
}

/// The status of an answer; `None` if there was none.
pub(crate) fn status(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// In words: what the server said, or the innermost reason why nothing was said.
pub(crate) fn why(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return if status.message.is_empty() { format!("HTTP status {}", status.code) } else { status.message.clone() };
    }
    if is_late(error) {
        return "no answer in time".to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Whether there was no answer in time.
pub(crate) fn is_late(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(error) if error.is::<tower::timeout::error::Elapsed>())
}

/// The server did not take a change of one object; others may fare better.
pub(crate) fn not_taken(message: String) -> StoreError {
    StoreError { message, reach: Reach::Change, source: None }
}
