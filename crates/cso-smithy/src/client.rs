//! One client for all services and regions.

mod bucket;
mod credentials;
mod endpoint;
mod failure;
mod log;
mod pages;
mod redact;
mod retry;
mod transport;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cso_core::port::Effect;
use cso_core::{CallError, SecretValue};
use cso_facts::api::{Operation, Service};
use cso_facts::partition::Partition;
use serde_json::Value;

use crate::protocol::{self, Answer, WireRequest, WireResponse};
use credentials::{Chain, Credentials};
use endpoint::{Endpoint, Endpoints};
use failure::{Failure, Proof};
use retry::{Clock, Next, Quota};
use transport::{Delivery, Transport};

/// Calls AWS. Cheap to clone; all clones share connections, credentials, clock correction and retry quota.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    config: Config,
    region: Option<String>,
    credentials: Credentials,
    endpoints: Endpoints,
    transport: Transport,
    clock: Clock,
    quota: Quota,
}

/// Limits and names. The defaults suit a controller.
#[derive(Clone, Debug)]
pub struct Config {
    /// Value of the `User-Agent` header.
    pub user_agent: String,
    /// URL of every service, instead of what the environment, the profile and the facts say.
    pub endpoint: Option<String>,
    /// Until a connection, TLS included, must stand.
    pub connect_timeout: Duration,
    /// From sending one request to the last byte of its answer.
    pub attempt_timeout: Duration,
    /// Attempts of one call that may be repeated at all, the first included.
    pub max_attempts: u32,
    /// Scale of the pause before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// Longest pause between two attempts. A service that asks for more gets the call ended instead.
    pub max_backoff: Duration,
    /// Longest answer that is read. Calls run side by side, and each may hold as much.
    pub max_answer_bytes: usize,
    /// Most pages that [`Client::call_all_pages`] reads.
    pub max_pages: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user_agent: concat!("cloud-service-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
            endpoint: None,
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_mins(1),
            max_attempts: 4,
            backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(20),
            max_answer_bytes: 16 << 20,
            max_pages: 10_000,
        }
    }
}

/// One call. The input may hold secrets, so it cannot be printed.
pub struct Call<'a> {
    pub service: &'a Service,
    pub operation: &'a str,
    pub region: &'a str,
    /// The operation's input with the API's member names.
    pub input: Value,
    pub effect: Effect,
}

/// A good answer, and how the service calls it.
struct Served {
    output: Value,
    request_id: Option<String>,
}

/// When an attempt may leave. `()` never holds one back.
pub trait Pace: Send + Sync {
    /// Waits for this caller's turn. Asked before every attempt and every page.
    fn turn(&self) -> impl Future<Output = ()> + Send;

    /// Hears how the service took the attempt.
    fn learn(&self, reply: Reply);
}

/// How the service took an attempt, as far as pacing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It answered, good or bad.
    Served,
    /// It asked to slow down, perhaps for a stated time.
    Throttled(Option<Duration>),
    /// It did not answer.
    Silent,
}

impl Pace for () {
    async fn turn(&self) {}

    fn learn(&self, _reply: Reply) {}
}

impl Client {
    /// A client by the standard chain: environment, profile files, web identity, container, instance metadata.
    ///
    /// Credentials are looked for on the first call; `AWS_ENDPOINT_URL` and its forms per service are honoured, from
    /// the environment and from the profile.
    /// Everywhere else the facts tell the host; `partitions` are the catalogue's.
    pub async fn from_environment(config: Config, partitions: &[Partition]) -> Self {
        Self::load(|| aws_config::defaults(aws_config::BehaviorVersion::latest()), config, partitions).await
    }

    async fn load(
        chain: impl Fn() -> aws_config::ConfigLoader + Send + Sync + 'static,
        config: Config,
        partitions: &[Partition],
    ) -> Self {
        let sdk = chain().load().await;
        let region = sdk.region().map(ToString::to_string);
        let credentials = Credentials::new(sdk.credentials_provider(), Chain::Standard(Box::new(chain)));
        let endpoints = match &config.endpoint {
            Some(url) => Endpoints::behind(url, partitions.to_vec()),
            None => Endpoints::from_sdk(&sdk, partitions.to_vec()),
        };
        Self::assemble(config, region, credentials, endpoints)
    }

    /// A client with one fixed key that sends everything to one URL: an emulator, a test.
    pub fn fixed(endpoint: &str, key_id: &str, secret: &SecretValue, config: Config) -> Self {
        let keys = aws_credential_types::Credentials::new(key_id, secret.reveal(), None, None, "fixed");
        let provider = aws_credential_types::provider::SharedCredentialsProvider::new(keys);
        Self::assemble(config, None, Credentials::new(Some(provider), Chain::Fixed), Endpoints::fixed(endpoint))
    }

    fn assemble(config: Config, region: Option<String>, credentials: Credentials, endpoints: Endpoints) -> Self {
        let transport = Transport::new(&config);
        let (clock, quota) = (Clock::default(), Quota::default());
        Self(Arc::new(Shared { config, region, credentials, endpoints, transport, clock, quota }))
    }

    /// Region of the environment or the profile.
    pub fn default_region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// Makes a call and returns the operation's output, one page of it if it has pages.
    ///
    /// Idempotency tokens that the input leaves out are filled with fresh ones, the same for every attempt.
    ///
    /// # Errors
    /// See [`CallError`]. A mutating call with [`Outcome::Unknown`](cso_core::Outcome::Unknown) may have been carried out.
    pub async fn call(&self, mut call: Call<'_>, pace: &impl Pace) -> Result<Value, CallError> {
        let operation = find(&call)?;
        protocol::fill_tokens(call.service, operation, &mut call.input, || uuid::Uuid::new_v4().to_string());
        self.deliver(&call, operation, &call.input, pace).await
    }

    /// Makes a reading call and follows its pages: the result lists of all pages in one output, without page tokens.
    /// A call without pages, or that asks for a page of its own, is made once.
    ///
    /// # Errors
    /// As [`Self::call`]; also when pages repeat or do not end.
    pub async fn call_all_pages(&self, call: Call<'_>, pace: &impl Pace) -> Result<Value, CallError> {
        let operation = find(&call)?;
        let pages = operation.paginator.as_ref().filter(|pages| pages::applies(pages, &call.input));
        let Some(paginator) = pages else { return self.call(call, pace).await };
        let fail = |failure: Failure| failure.of(call.service, operation);
        pages::check(paginator).map_err(fail)?;
        let mut input = call.input.clone();
        let mut walk = pages::Walk::new(paginator, self.0.config.max_pages);
        loop {
            let output = self.deliver(&call, operation, &input, pace).await?;
            if !walk.take(output, &mut input).map_err(fail)? {
                return Ok(walk.finish());
            }
        }
    }

    /// Sends one request until it is answered or must not be sent again.
    async fn deliver(
        &self,
        call: &Call<'_>,
        operation: &Operation,
        input: &Value,
        pace: &impl Pace,
    ) -> Result<Value, CallError> {
        let fail =
            |failure: Failure| redact::conceal(failure.of(call.service, operation), call.service, operation, input);
        let shared = &*self.0;
        let request = bucket::check(call.service, input)
            .and_then(|()| protocol::encode(call.service, operation, input).map_err(Failure::from))
            .map_err(fail)?;
        let mut endpoint = shared.endpoints.resolve(call.service, call.region).map_err(fail)?;
        let mut tries = retry::Tries::new(call.effect, &shared.config);
        loop {
            pace.turn().await;
            let sent = tokio::time::Instant::now();
            let result = self.attempt(call.service, operation, &request, &endpoint).await;
            log::attempt(call, &result, sent.elapsed());
            pace.learn(retry::reply(&result));
            let failure = match result {
                Ok(Served { output, .. }) => {
                    shared.quota.succeeded(&endpoint.host, &tries);
                    return Ok(output);
                }
                Err(failure) => failure,
            };
            match tries.next(&failure, || shared.quota.take(&endpoint.host, &failure)) {
                Next::Stop => return Err(fail(failure)),
                Next::After(pause) => tokio::time::sleep(pause).await,
            }
            if let Some(Proof::WrongRegion(region)) = &failure.proof {
                endpoint = shared.endpoints.resolve(call.service, region).map_err(fail)?;
            }
        }
    }

    /// Signs, sends and reads once; learns the server's time and drops stale credentials on the way.
    async fn attempt(
        &self,
        service: &Service,
        operation: &Operation,
        request: &WireRequest,
        endpoint: &Endpoint,
    ) -> Result<Served, Failure> {
        let shared = &*self.0;
        let identity = if operation.unsigned { None } else { Some(shared.credentials.get().await?) };
        let now = shared.clock.now();
        let prepared = transport::prepare(request, endpoint, identity.as_ref(), now, &shared.config.user_agent)?;
        let Delivery { status, headers, body } = shared.transport.send(prepared, &endpoint.host).await?;
        let response = WireResponse { status, headers: &headers, body: &body };
        let error = match protocol::decode(service, operation, response) {
            Ok(Answer::Output(output)) => return Ok(Served { output, request_id: failure::request_id(response) }),
            Ok(Answer::Error(error)) => Failure::stated(service, error, response, &endpoint.signing_region),
            Err(unreadable) => Failure::unreadable(&unreadable, response, &endpoint.host),
        };
        if let Some(identity) = identity.filter(|_| protocol::codes::is_stale_credential(&error.code)) {
            shared.credentials.forget(&identity);
        }
        Err(shared.clock.judge(error, &headers, now))
    }
}

/// The operation that a call names.
fn find<'c>(call: &Call<'c>) -> Result<&'c Operation, CallError> {
    call.service.operation(call.operation).ok_or_else(|| failure::unknown_operation(call.service, call.operation))
}

#[cfg(test)]
mod tests {
    use aws_types::os_shim_internal::{Env, Fs};
    use cso_facts::Catalog;

    use super::*;

    /// A client in an environment with these variables and this `~/.aws/config`.
    async fn client(variables: &[(&str, &str)], profile: &str) -> Client {
        let mut all = vec![("HOME", "/home"), ("AWS_EC2_METADATA_DISABLED", "true")];
        all.extend(variables);
        let files = [("/home/.aws/config".to_owned(), profile.as_bytes().to_vec())];
        let (env, fs) = (Env::from_slice(&all), Fs::from_map(files.into()));
        let chain = move || aws_config::defaults(aws_config::BehaviorVersion::latest()).env(env.clone()).fs(fs.clone());
        Client::load(chain, Config::default(), Catalog::builtin().partitions().unwrap()).await
    }

    fn base(client: &Client, service: &str) -> String {
        let service = Catalog::builtin().service(service).unwrap();
        client.0.endpoints.resolve(&service, "eu-west-1").unwrap().base.clone()
    }

    #[tokio::test]
    async fn endpoints_come_from_the_service_variable_then_the_general_one_then_the_facts() {
        let variables = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:2"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let set = client(&variables, "").await;
        assert_eq!(base(&set, "secretsmanager"), "http://127.0.0.1:2");
        assert_eq!(base(&set, "sqs"), "http://127.0.0.1:1");
        assert_eq!(set.default_region(), Some("eu-west-1"));
        let unset = client(&[], "").await;
        assert_eq!(base(&unset, "sqs"), "https://sqs.eu-west-1.amazonaws.com");
        assert_eq!(unset.default_region(), None);
    }

    #[tokio::test]
    async fn a_profile_may_hold_endpoints_region_and_keys() {
        let profile = "[profile lab]\nregion = eu-north-1\nservices = lab\naws_access_key_id = AKIDLAB\n\
            aws_secret_access_key = s\n[services lab]\nsqs =\n  endpoint_url = http://127.0.0.1:3\n";
        let lab = client(&[("AWS_PROFILE", "lab")], profile).await;
        assert_eq!(base(&lab, "sqs"), "http://127.0.0.1:3");
        assert_eq!(base(&lab, "sns"), "https://sns.eu-west-1.amazonaws.com");
        assert_eq!(lab.default_region(), Some("eu-north-1"));
        let identity = lab.0.credentials.get().await.unwrap();
        let keys = identity.data::<aws_credential_types::Credentials>().unwrap();
        assert_eq!(keys.access_key_id(), "AKIDLAB");
    }

    #[tokio::test]
    async fn without_credentials_one_sentence_says_what_to_do() {
        let failure = client(&[], "").await.0.credentials.get().await.unwrap_err();
        assert_eq!(failure.code, "no-credentials");
        assert!(
            failure.message.starts_with("no AWS credentials were found: set AWS_ACCESS_KEY_ID"),
            "{}",
            failure.message
        );
    }
}
