//! What a command that talks to the cloud works with.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use cso_aws::Aws;
use cso_core::port::{Clock, Cloud, Secrets, Store};
use cso_core::{ErrorClass, Object, Record};
use cso_engine::engine::{Engine, Ports, Progress, Settings};
use cso_engine::world::Kinds;
use cso_facts::Catalog;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;

use crate::args::Global;
use crate::clock::SystemClock;

/// The engine of this program, over one kind of store and of secrets.
pub(crate) type Worker<S, P> = Engine<Aws, S, P, SystemClock>;

/// AWS as the environment says, and the region of objects that name none.
pub(crate) struct Account {
    cloud: Aws,
    region: String,
}

impl Account {
    /// Finds credentials and asks whose they are, so that a missing one is told once and not for every object. The work
    /// begins at once: who has something else to do meanwhile awaits the account after it.
    pub(crate) fn of(global: &Global) -> impl Future<Output = Result<Self>> + use<> {
        // Ended with the future that owns it.
        let mut found = JoinSet::new();
        found.spawn(Self::find(global.region.clone(), global.aws_endpoint_url.clone()));
        async move { found.join_next().await.context("nobody looks for the account")?? }
    }

    async fn find(region: Option<String>, endpoint: Option<String>) -> Result<Self> {
        let cloud = Aws::behind(Catalog::builtin(), endpoint).await.context("cannot read the built-in catalogue")?;
        let region = region
            .or_else(|| cloud.default_region().map(str::to_owned))
            .ok_or_else(|| anyhow!("no region is set: give --region, or set AWS_REGION or the profile's region"))?;
        cloud.identity().await.map_err(|error| match error.class {
            ErrorClass::Denied if error.status.is_none() => anyhow!("{}{}", error.message, profile()),
            ErrorClass::Denied => {
                anyhow!("cannot tell which account this is: {error}; renew or replace the credentials")
            }
            _ => anyhow!("cannot tell which account this is: {error}"),
        })?;
        Ok(Self { cloud, region })
    }
}

impl Account {
    /// The cloud, and the region of what names none.
    pub(crate) fn into_parts(self) -> (Aws, String) {
        (self.cloud, self.region)
    }
}

/// Names the profile that was asked for: a wrong one is as good as none, and the chain does not say so.
fn profile() -> String {
    #[expect(clippy::disallowed_methods, reason = "only the binary reads the environment, and this is the binary")]
    let profile = std::env::var("AWS_PROFILE").ok().filter(|profile| !profile.is_empty());
    let named = |name| format!("; AWS_PROFILE is `{name}`: there is no such profile, or it leads to no credentials");
    profile.map(named).unwrap_or_default()
}

/// Makes an engine; what happens in it arrives at the receiver.
pub(crate) async fn open<S: Store, P: Secrets>(
    global: &Global,
    account: Account,
    store: S,
    secrets: P,
    kinds: Kinds,
    choices: Choices,
) -> Result<(Arc<Worker<S, P>>, UnboundedReceiver<Progress>)> {
    let Account { cloud, region } = account;
    let ports = Ports { cloud, store, secrets, clock: SystemClock };
    engine(ports, kinds, settings(global, region, choices)).await
}

/// What a command decides beside the options that all commands have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choices {
    /// Resources with the mark of a lost state are taken back.
    pub(crate) take_back: bool,
    /// The process goes on when everything is as wished: what is at rest is to take little memory.
    pub(crate) stays: bool,
}

/// What the command line decides for all objects.
pub(crate) fn settings(global: &Global, region: String, choices: Choices) -> Settings {
    Settings {
        region,
        concurrency: global.concurrency,
        take_back: choices.take_back,
        packs: choices.stays,
        cross_namespace: global.allow_cross_namespace,
        consistency: global.consistency,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        deletion: global.deletion_policy.into(),
        default_tags: global.default_tags.iter().cloned().collect(),
    }
}

/// Makes an engine over any ports.
pub(crate) async fn engine<C: Cloud, S: Store, P: Secrets, K: Clock>(
    ports: Ports<C, S, P, K>,
    kinds: Kinds,
    settings: Settings,
) -> Result<(Arc<Engine<C, S, P, K>>, UnboundedReceiver<Progress>)> {
    let (progress, happens) = mpsc::unbounded_channel();
    let engine = Engine::open(ports, kinds, settings, progress).await?;
    Ok((Arc::new(engine), happens))
}

/// The object that a record remembers, on its way out.
pub(crate) fn deleted(record: &Record) -> Object {
    Object {
        key: record.key.clone(),
        labels: std::collections::BTreeMap::new(),
        annotations: record.wish.annotations.clone(),
        inherited: record.wish.inherited.clone(),
        life: None,
        spec: record.wish.spec.clone(),
        deleting: true,
    }
}

/// The default namespace of manifests.
pub(crate) fn namespace(global: &Global) -> &str {
    global.namespace.as_deref().unwrap_or("default")
}
