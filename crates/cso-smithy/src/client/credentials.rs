//! Credentials: fetched when needed, kept until they run out.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::identity::Identity;
use cso_core::ErrorClass;

use super::failure::Failure;
use super::retry::system_time;

/// A source of credentials with its last answer.
pub(super) struct Credentials {
    provider: Option<SharedCredentialsProvider>,
    held: Mutex<Option<Identity>>,
    /// One fetch at a time: a hundred calls that find nothing must not ask a hundred times.
    fetching: tokio::sync::Mutex<()>,
}

/// Fetched anew this long before the end, so that no request is signed with a credential that ends on its way.
const MARGIN: Duration = Duration::from_mins(2);

const NO_CREDENTIALS: &str = "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
    AWS_PROFILE, or run where the platform gives a role (web identity, container, instance)";

impl Credentials {
    pub(super) const fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self { provider, held: Mutex::new(None), fetching: tokio::sync::Mutex::const_new(()) }
    }

    /// The current credential.
    pub(super) async fn get(&self) -> Result<Identity, Failure> {
        if let Some(identity) = self.good_for(MARGIN) {
            return Ok(identity);
        }
        let _turn = self.fetching.lock().await;
        if let Some(identity) = self.good_for(MARGIN) {
            return Ok(identity);
        }
        let Some(provider) = &self.provider else { return Err(denied("no-credentials", NO_CREDENTIALS)) };
        match provider.provide_credentials().await {
            Ok(credentials) => {
                let identity = Identity::from(credentials);
                *self.lock() = Some(identity.clone());
                Ok(identity)
            }
            Err(error) => self.good_for(Duration::ZERO).ok_or_else(|| explain(&error)),
        }
    }

    /// Drops a credential that the service refused, unless it was replaced meanwhile.
    pub(super) fn forget(&self, refused: &Identity) {
        let key = |identity: &Identity| {
            identity.data::<aws_credential_types::Credentials>().map(|held| held.access_key_id().to_owned())
        };
        let mut held = self.lock();
        if held.as_ref().is_some_and(|identity| key(identity) == key(refused)) {
            *held = None;
        }
    }

    /// The held credential, if it lasts as long.
    fn good_for(&self, span: Duration) -> Option<Identity> {
        let needed = system_time() + span;
        self.lock().clone().filter(|identity| identity.expiration().is_none_or(|end| end > needed))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Identity>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn denied(code: &str, message: impl Into<String>) -> Failure {
    Failure::local(code, ErrorClass::Denied, message)
}

fn explain(error: &CredentialsError) -> Failure {
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        return denied("no-credentials", NO_CREDENTIALS);
    }
    let mut message = format!("AWS credentials cannot be fetched: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    denied("credentials", message)
}
