//! An independent Kubernetes client: the official one for Python, in a process of its own.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::conversation::Conversation;
use crate::error::{Context as _, Error};
use crate::tools::Tool;

/// Reads the cluster back, and changes it behind our back. Kinds are named by `apiVersion` and `kind`; the namespace is
/// empty for what has none, and in a list for all of them.
pub struct Reader(Conversation);

/// Why a request of the independent client gave no object.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The cluster answered with an error.
    #[error("{what}: {reason} ({status}): {message}")]
    Refused { what: String, reason: String, message: String, status: u16 },
    /// The client could not ask, or not understand the answer.
    #[error("{what}: {why}")]
    Broken { what: String, why: String },
}

impl ReadError {
    /// The status, if it was the cluster that said no.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Broken { .. } => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Ok(Value),
    Error { reason: String, message: String, status: u16 },
    Broken(String),
}

/// The objects that a request is about.
#[derive(Clone, Copy)]
struct Whereabouts<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Whereabouts<'a> {
    fn of(object: &'a Value) -> Self {
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        let metadata = &object["metadata"];
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
        }
    }
}

impl Reader {
    /// Starts a client of a kubeconfig; of a cluster rather than of a proxy, or it would be in the log too.
    pub fn connect(kubeconfig: &Path) -> Result<Self, Error> {
        let mut command = Command::new(Tool::KubernetesClient.program("python")?);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/cluster_reader.py")).arg(kubeconfig);
        // The developer's own cluster and proxy must not leak in.
        for variable in ["KUBECONFIG", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(variable);
        }
        Ok(Self(Conversation::start(&mut command).context(|| "starting the Python client of Kubernetes".to_owned())?))
    }

    /// An object.
    pub fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, ReadError> {
        self.ask("get", Whereabouts { api_version, kind, namespace, name }, &Value::Null, "")
    }

    /// All objects of a kind in a namespace, or in all of them.
    pub fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>, ReadError> {
        let list = self.ask("get", Whereabouts { api_version, kind, namespace, name: "" }, &Value::Null, "")?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Applies a manifest on the server, as `kubectl apply --server-side --force-conflicts` does: what an earlier manifest said
    /// and this one does not is taken away, and what others have put there stays.
    pub fn apply(&self, object: &Value) -> Result<Value, ReadError> {
        self.ask("server_side_apply", Whereabouts::of(object), object, "")
    }

    /// Creates an object, and returns it as created.
    pub fn create(&self, object: &Value) -> Result<Value, ReadError> {
        self.ask("create", Whereabouts::of(object), object, "")
    }

    /// Replaces an object, at the resource version that it names, if it names one.
    pub fn replace(&self, object: &Value) -> Result<Value, ReadError> {
        self.ask("replace", Whereabouts::of(object), object, "")
    }

    /// Merges into an object what is given (RFC 7386): what is `null` is removed.
    pub fn merge(&self, object: &Value) -> Result<Value, ReadError> {
        self.ask("patch", Whereabouts::of(object), object, "")
    }

    /// ... into one of its subresources, as `status`.
    pub fn merge_into(&self, subresource: &str, object: &Value) -> Result<Value, ReadError> {
        self.ask("patch", Whereabouts::of(object), object, subresource)
    }

    /// Asks for an object's end. It is gone when its finalizers are.
    pub fn delete(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, ReadError> {
        self.ask("delete", Whereabouts { api_version, kind, namespace, name }, &Value::Null, "")
    }

    fn ask(&self, verb: &str, of: Whereabouts<'_>, body: &Value, subresource: &str) -> Result<Value, ReadError> {
        let content_type = if verb == "patch" { "application/merge-patch+json" } else { "" };
        let question = json!({
            "verb": verb,
            "api_version": of.api_version,
            "kind": of.kind,
            "namespace": of.namespace,
            "name": of.name,
            "body": body,
            "content_type": content_type,
            "subresource": subresource,
        });
        let what = format!("{verb} {} {}/{}", of.kind, of.namespace, of.name);
        match self.0.ask(&question) {
            Ok(Reply::Ok(object)) => Ok(object),
            Ok(Reply::Error { reason, message, status }) => Err(ReadError::Refused { what, reason, message, status }),
            Ok(Reply::Broken(why)) => Err(ReadError::Broken { what, why }),
            Err(error) => Err(ReadError::Broken { what, why: error.to_string() }),
        }
    }
}
