//! An independent AWS client: boto3 in a Python process.

use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::conversation::Conversation;
use crate::emulator::{Endpoint, REGION};
use crate::error::{Context as _, Error};
use crate::tools::Tool;

/// Reads the cloud back, and changes it behind our back. It never retries, and validates nothing before it sends.
pub struct Reader(Conversation);

/// Why a call of the independent client gave no result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The cloud answered with an error.
    #[error("{operation}: {code} ({status}): {message}")]
    Aws { operation: String, code: String, message: String, status: u16 },
    /// The client could not ask, or not understand the answer.
    #[error("{operation}: {why}")]
    Broken { operation: String, why: String },
}

impl ReadError {
    /// The error code, if it was the cloud that said no.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Aws { code, .. } => Some(code),
            Self::Broken { .. } => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Ok(Value),
    Error { code: String, message: String, status: u16 },
    Broken(String),
}

impl Reader {
    /// Starts a client of an endpoint; of an emulator rather than of a proxy, or it would be in the log too.
    pub fn connect(endpoint: &Endpoint) -> Result<Self, Error> {
        let mut command = Command::new(Tool::Boto3.program("python")?);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/reader.py"));
        // The developer's own profile must not leak in.
        command.env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN").envs(endpoint.env());
        Ok(Self(Conversation::start(&mut command).context(|| "starting boto3".to_owned())?))
    }

    /// Calls an operation, named as in the API (`CreateQueue`), in [`REGION`]. Services are named as boto3 names them.
    pub fn call(&self, service: &str, operation: &str, params: Value) -> Result<Value, ReadError> {
        self.call_in(REGION, service, operation, params)
    }

    /// Calls an operation in a region.
    pub fn call_in(&self, region: &str, service: &str, operation: &str, params: Value) -> Result<Value, ReadError> {
        self.ask(service, region, operation, params, false)
    }

    /// Calls a listing operation in [`REGION`] and follows its pages to the end.
    pub fn all(&self, service: &str, operation: &str, params: Value) -> Result<Value, ReadError> {
        self.ask(service, REGION, operation, params, true)
    }

    fn ask(&self, service: &str, region: &str, operation: &str, params: Value, all: bool) -> Result<Value, ReadError> {
        let mut question = json!({"service": service, "region": region, "operation": operation, "paginate": all});
        question["params"] = params;
        let operation = format!("{service} {operation}");
        match self.0.ask(&question) {
            Ok(Reply::Ok(result)) => Ok(result),
            Ok(Reply::Error { code, message, status }) => Err(ReadError::Aws { operation, code, message, status }),
            Ok(Reply::Broken(why)) => Err(ReadError::Broken { operation, why }),
            Err(error) => Err(ReadError::Broken { operation, why: error.to_string() }),
        }
    }
}
