//! `controller`: does for the objects of a cluster what `apply --watch` does for the manifests of a directory.
//!
//! ```text
//! stand by: follow what others write --elected--> catch up --> lead --deposed--> (memory of a term ends with it) --> stand by
//! ```

mod desk;
mod news;
mod ours;
mod reload;
mod term;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cso_kube::identity::identity;
use cso_kube::lease::{Candidacy, Candidate};
use cso_kube::{Cluster, Fence};
use cso_observe::{Metrics, Pages, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use self::desk::Desk;
use self::ours::Ours;
use self::reload::{Live, Reload};
use self::term::{Ended, Office};
use super::drive::Signals;
use super::{Exit, Origin};
use crate::args::{self, Global, Listen, Verdict};
use crate::clock::SystemClock;
use crate::kinds::of_session;
use crate::session::{self, Account, Choices};

/// Runs until it is told to stop.
pub(super) async fn run(global: &Global, args: &args::Controller, origin: Origin) -> Result<Exit> {
    let (global, verify_every) = &honoured(global, args)?;
    for flag in args.ack.verdict().without_effect {
        warn!(target: "cso::controller", flag, "without effect");
    }
    let mut signals = Signals::listen()?;
    let account = Account::of(global);
    let kinds = of_session(global)?;
    let ours = Ours::of(&kinds, &args.reconcile_resources)?;
    let cluster = Cluster::connect_within(&crate::cluster::place(global), args.request_timeout).await?;
    let namespace = args.system.system_namespace.as_deref().unwrap_or_else(|| cluster.namespace());
    let meta = identity(&cluster, namespace, true).await?;
    let (cloud, region) = account.await?.into_parts();
    let (ready, is_ready) = watch::channel(false);
    let candidate = args.leader_elect.then(|| {
        let candidacy =
            Candidacy { namespace: namespace.to_owned(), identity: name_of_process(), duration: args.lease_duration };
        Candidate::stand(&cluster, candidacy, is_ready, SystemClock)
    });
    let fence = candidate.as_ref().map_or_else(Fence::open, Candidate::fence);
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let desk = Arc::new(Desk::new(fence.clone()));
    // They end with this function.
    let _pages = pages(args, &desk, &metrics).await?;
    let settings = session::settings(global, region, Choices { take_back: args.take_back, stays: true });
    let (change, live) = watch::channel(Live { settings, verify_every: *verify_every });
    let mut reloads = JoinSet::new();
    if let Some(path) = args.config.clone() {
        reloads.spawn(Reload::new(path, origin, change, Arc::clone(&metrics))?.follow());
    }
    let office = Office {
        live,
        kinds,
        ours,
        cloud: Arc::new(cloud),
        cluster,
        meta,
        namespaces: args.watch_namespace.clone(),
        ready,
        fence,
        metrics,
        desk,
    };
    let ended = loop {
        match office.term(&mut signals).await {
            Ok(Ended::Deposed) => info!(target: "cso::controller", "stands by again"),
            Ok(Ended::Told) => break Ok(Exit::Done),
            Err(error) => break Err(error),
        }
    };
    if let Some(candidate) = candidate {
        candidate.resign().await;
    }
    ended
}

/// What the flags of ACK make of ours.
fn honoured(global: &Global, args: &args::Controller) -> Result<(Global, Duration)> {
    let Verdict { refused, .. } = args.ack.verdict();
    if !refused.is_empty() {
        bail!("{}", refused.join("\n"));
    }
    let mut global = global.clone();
    global.allow_cross_namespace = args.ack.cross_namespace().unwrap_or(global.allow_cross_namespace);
    Ok((global, args.ack.verify_every().unwrap_or(args.verify_every)))
}

/// What the Lease calls this process: the pod, and something that no restart of it has.
fn name_of_process() -> String {
    #[expect(clippy::disallowed_methods, reason = "only the binary reads the environment, and this is the binary")]
    let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty());
    let mut random = [0; 8];
    // Without random bytes the process number tells replicas of one host apart.
    let own = match getrandom::fill(&mut random) {
        Ok(()) => u64::from_ne_bytes(random),
        Err(_) => std::process::id().into(),
    };
    format!("{}_{own:016x}", host.as_deref().unwrap_or("cso"))
}

/// Serves the pages at their addresses, on one listener if that is one address.
async fn pages(args: &args::Controller, desk: &Arc<Desk>, metrics: &Arc<Metrics>) -> Result<JoinSet<()>> {
    let [probes, insight] = [(args.healthz_addr, Pages::Probes), (args.metrics_addr, Pages::Insight)];
    let wanted = if probes.0 == insight.0 { vec![(probes.0, Pages::All)] } else { vec![probes, insight] };
    let mut work = JoinSet::new();
    for (listen, pages) in wanted {
        let Listen::At(address) = listen else { continue };
        let remedy = "choose another with --metrics-addr and --healthz-addr, or 0 for none";
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot serve at {address}; {remedy}"))?;
        work.spawn(serve(listener, pages, Arc::clone(desk), Arc::clone(metrics)));
    }
    Ok(work)
}
