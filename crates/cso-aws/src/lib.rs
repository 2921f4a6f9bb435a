//! AWS as a [`Cloud`]: the catalogue's services through the model-driven client, at a pace that AWS accepts.
//!
//! ```text
//! Request --> lane of (region, service) --turn--> Client::call --> AWS
//!                  ^ learns from every answer <--------------------|
//! ```
//!
//! One [`Aws`] is one account. Calls run side by side without a limit of ours until a service asks to slow down; from
//! then on its lane gives turns at a rate that it learns: to namespaces in rotation, and inside a namespace to what somebody
//! waits for before background checks, and to mutating calls before reads.

mod lane;

use std::sync::Arc;

use cso_core::port::{Cloud, Effect, Identity, Purpose, Request};
use cso_core::{CallError, ErrorClass, Outcome, SecretValue};
use cso_facts::Catalog;
use cso_facts::api::Service;
use cso_smithy::{Call, Client, Config};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use lane::{Lanes, Rank};

/// One AWS account.
pub struct Aws {
    catalog: &'static Catalog,
    client: Client,
    lanes: Lanes,
    identity: OnceCell<Identity>,
}

/// Where the account is asked for its id when no region is set: any region of the partition would do.
const FALLBACK_REGION: &str = "us-east-1";

impl Aws {
    /// The account of the standard credential chain: environment, profile, web identity, container, instance.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub async fn from_environment(catalog: &'static Catalog) -> Result<Self, cso_facts::CatalogError> {
        Self::behind(catalog, None).await
    }

    /// The same with every service behind one URL, if there is one, whatever the environment says of endpoints.
    pub async fn behind(catalog: &'static Catalog, endpoint: Option<String>) -> Result<Self, cso_facts::CatalogError> {
        let config = Config { endpoint, ..Config::default() };
        let client = Client::from_environment(config, catalog.partitions()?).await;
        Ok(Self::new(catalog, client))
    }

    /// An account with one fixed key, all of it behind one URL: an emulator.
    pub fn fixed(catalog: &'static Catalog, endpoint: &str, key_id: &str, secret: &SecretValue) -> Self {
        Self::new(catalog, Client::fixed(endpoint, key_id, secret, Config::default()))
    }

    fn new(catalog: &'static Catalog, client: Client) -> Self {
        Self { catalog, client, lanes: Lanes::default(), identity: OnceCell::new() }
    }

    /// Region of the environment or the profile.
    pub fn default_region(&self) -> Option<&str> {
        self.client.default_region()
    }

    fn service(&self, request: &Request) -> Result<Arc<Service>, CallError> {
        self.catalog.service(&request.service).map_err(|error| CallError {
            action: format!("{}:{}", request.service, request.operation),
            code: "unknown-service".to_owned(),
            message: error.to_string(),
            request_id: None,
            status: None,
            outcome: Outcome::Refused,
            class: ErrorClass::Unsupported,
            retry_after: None,
        })
    }

    async fn who_am_i(&self) -> Result<Identity, CallError> {
        let request = Request {
            service: "sts".to_owned(),
            operation: "GetCallerIdentity".to_owned(),
            region: self.default_region().unwrap_or(FALLBACK_REGION).to_owned(),
            namespace: String::new(),
            input: json!({}),
            effect: Effect::Reads,
            purpose: Purpose::Change,
        };
        let answer = self.call(request).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let partition = text("Arn").and_then(|arn| arn.split(':').nth(1));
        match (text("Account"), partition) {
            (Some(account), Some(partition)) => {
                Ok(Identity { account: account.to_owned(), partition: partition.to_owned() })
            }
            _ => Err(CallError {
                action: "sts:GetCallerIdentity".to_owned(),
                code: "unreadable-answer".to_owned(),
                message: "the answer has no Account, or no Arn".to_owned(),
                request_id: None,
                status: None,
                outcome: Outcome::Unknown,
                class: ErrorClass::Transient,
                retry_after: None,
            }),
        }
    }
}

impl Cloud for Aws {
    /// A read follows its pages and returns them as one.
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        let service = self.service(&request)?;
        let Request { operation, region, namespace, input, effect, purpose, .. } = request;
        let lane = self.lanes.lane(&region, &service.name);
        let pace = lane.pace(&namespace, Rank { purpose, effect });
        let call = Call { service: &service, operation: &operation, region: &region, input, effect };
        match effect {
            Effect::Mutates => self.client.call(call, &pace).await,
            Effect::Reads => self.client.call_all_pages(call, &pace).await,
        }
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        self.identity.get_or_try_init(|| self.who_am_i()).await.cloned()
    }
}
