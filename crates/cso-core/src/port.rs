//! The traits that adapters implement. The engine drives these and nothing else.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::DigestKey;
use crate::error::CallError;
use crate::export::Exported;
use crate::key::ObjectKey;
use crate::record::Record;
use crate::secret::SecretValue;

/// A cloud: makes one call and says how it ended.
pub trait Cloud: Send + Sync + 'static {
    /// Makes a call in a region. `input` and the answer use the provider's member names.
    ///
    /// With [`Effect::Mutates`] the request goes out at most once: a call whose outcome is unknown is the caller's to
    /// recover, never the client's to repeat. A read may be retried inside.
    fn call(&self, request: Request) -> impl Future<Output = Result<Value, CallError>> + Send;

    /// Account and partition that calls are made as. Asked once and kept.
    fn identity(&self) -> impl Future<Output = Result<Identity, CallError>> + Send;
}

/// One call on its way out. Holds revealed secrets, so it cannot be printed.
#[derive(Clone)]
pub struct Request {
    pub service: String,
    pub operation: String,
    pub region: String,
    /// Who asks: calls are paced fairly between namespaces.
    pub namespace: String,
    pub input: Value,
    pub effect: Effect,
    pub purpose: Purpose,
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Mutates,
    Reads,
}

/// Whom a call serves. What somebody waits for comes before what is only checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A wish that is new, or not fulfilled yet.
    Change,
    /// A look at an object that was as wished when it was left.
    Check,
}

/// Whom the cloud takes us for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Twelve-digit account id.
    pub account: String,
    /// `aws`, `aws-cn`, `aws-us-gov`, ...
    pub partition: String,
}

/// The durable memory of one process. Everything that a method returned `Ok` for survives `kill -9` and power loss.
pub trait Store: Send + Sync + 'static {
    /// Facts about the store itself.
    fn meta(&self) -> &StoreMeta;

    /// All records, by key.
    fn load(&self) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// Writes changes as one atomic step. Once started it may take effect even if the caller stops waiting.
    fn commit(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether what was exported still is where it belongs. Always, where exports stand in their records; what cannot be
    /// looked at counts as kept.
    fn keeps(&self, _exported: &Exported) -> impl Future<Output = bool> + Send {
        std::future::ready(true)
    }
}

/// Facts that a store keeps from its birth.
#[derive(Clone, Debug)]
pub struct StoreMeta {
    /// Identity in owner marks: sixteen lower-case hexadecimal characters.
    pub id: String,
    /// Key of the digests in records.
    pub digest_key: DigestKey,
}

/// One change of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Shared with whoever goes on working with the record.
    Put(Arc<Record>),
    /// A record whose intent is closed: how a call ended. Until the object's next change it may be kept in memory only. A
    /// crash then finds the intent open, which costs a look and never a resource.
    Close(Arc<Record>),
    Remove(ObjectKey),
    Event(Event),
}

/// Something worth telling that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    pub object: ObjectKey,
    pub kind: EventKind,
    /// One word in CamelCase, for programs.
    pub reason: String,
    /// A sentence, for people.
    pub message: String,
}

/// Whether an event needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    Normal,
    Warning,
}

/// A store that cannot do its work.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What failed and what to do about it.
    pub message: String,
    pub reach: Reach,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a store's failure means for what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The store is of no more use: work must end.
    Store,
    /// This change was not taken. Another try, or another object, may fare better.
    Change,
    /// The record's export cannot be put where it belongs. Without it the record would be taken.
    Export,
}

/// Where secret values are read from, each time one is needed.
pub trait Secrets: Send + Sync + 'static {
    /// The value of a key of a Kubernetes Secret.
    fn secret(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> impl Future<Output = Result<SecretValue, SecretError>> + Send;
}

/// Why a secret cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("Secret {namespace}/{name} does not exist")]
    Missing { namespace: String, name: String },
    #[error("Secret {namespace}/{name} has no key `{key}`")]
    NoKey { namespace: String, name: String, key: String },
    #[error("Secret {namespace}/{name} is of type {found}; only Opaque is read")]
    WrongType { namespace: String, name: String, found: String },
    #[error("Secret {namespace}/{name} cannot be read: {why}")]
    Unreadable { namespace: String, name: String, why: String },
}

/// The time. Tests bring their own.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}
