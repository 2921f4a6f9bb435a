//! Credentials: fetched when needed, kept until they run out.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::ConfigLoader;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::identity::Identity;
use cso_core::ErrorClass;

use super::failure::Failure;
use super::retry::system_time;

/// A source of credentials with its last answer.
pub(super) struct Credentials {
    chain: Chain,
    held: Mutex<Option<Identity>>,
    /// The service refused what the provider gave.
    refused: AtomicBool,
    /// One fetch at a time: a hundred calls that find nothing must not ask a hundred times.
    provider: tokio::sync::Mutex<Option<SharedCredentialsProvider>>,
}

/// Where providers come from. One that was made once may read its files once: who rewrites a profile means the process
/// that runs, too.
pub(super) enum Chain {
    /// There is no other.
    Fixed,
    /// The standard chain, looked through anew.
    Standard(Box<dyn Fn() -> ConfigLoader + Send + Sync>),
}

/// Fetched anew this long before the end, so that no request is signed with a credential that ends on its way.
const MARGIN: Duration = Duration::from_mins(2);

const NO_CREDENTIALS: &str = "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
    AWS_PROFILE, or run where the platform gives a role (web identity, container, instance)";

impl Credentials {
    pub(super) fn new(provider: Option<SharedCredentialsProvider>, chain: Chain) -> Self {
        let (held, refused) = (Mutex::new(None), AtomicBool::new(false));
        Self { chain, held, refused, provider: tokio::sync::Mutex::new(provider) }
    }

    /// The current credential.
    pub(super) async fn get(&self) -> Result<Identity, Failure> {
        if let Some(identity) = self.good_for(MARGIN) {
            return Ok(identity);
        }
        let mut provider = self.provider.lock().await;
        if let Some(identity) = self.good_for(MARGIN) {
            return Ok(identity);
        }
        if self.refused.swap(false, Ordering::Relaxed)
            && let Chain::Standard(loader) = &self.chain
        {
            // Boxed: it is large, rare, and would be part of every call otherwise.
            *provider = Box::pin(loader().load()).await.credentials_provider();
        }
        let Some(provider) = &*provider else { return Err(denied("no-credentials", NO_CREDENTIALS)) };
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
            self.refused.store(true, Ordering::Relaxed);
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
