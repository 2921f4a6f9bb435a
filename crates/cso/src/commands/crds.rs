//! `crds`: definitions of kinds, printed or installed, and the rights that a controller of them needs.

use anyhow::{Result, bail};
use cso_core::export;
use cso_engine::world::Kinds;
use cso_kube::crds::{Installed, install};
use cso_kube::rbac::{self, Needs};
use cso_kube::{Cluster, Resource};
use cso_schema::crd;
use cso_schema::kind::Role;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;

use super::Exit;
use crate::args::{self, CrdsCommand, Global, Report};
use crate::cluster;
use crate::kinds::{Known, meant, of_session};
use crate::output::{self, BAD, FAINT, GOOD, STRONG, styled};

/// Definitions that are installed at the same time.
const AT_ONCE: usize = 8;

/// Runs one of the commands.
pub(super) async fn run(global: &Global, args: &args::Crds) -> Result<Exit> {
    match &args.command {
        None => print(global, &args.kinds),
        Some(CrdsCommand::Print { kinds }) => print(global, kinds),
        Some(CrdsCommand::Install(args)) => install_all(global, args).await,
        Some(CrdsCommand::Rbac(args)) => rights(global, args),
    }
}

/// Custom resource definitions as one YAML stream.
fn print(global: &Global, words: &[String]) -> Result<Exit> {
    let kinds = of_session(global)?;
    let definitions = chosen(&kinds, words)?.into_iter().map(|kind| crd::definition(kind.surface()));
    stream_of(definitions)
}

fn stream_of(manifests: impl IntoIterator<Item = Value>) -> Result<Exit> {
    let mut stream = String::new();
    for manifest in manifests {
        stream.push_str("---\n");
        stream.push_str(output::yaml(&manifest)?.trim_end());
        stream.push('\n');
    }
    output::raw(stream.as_bytes());
    Ok(Exit::Done)
}

/// The kinds that words mean; all without a word.
fn chosen<'a>(kinds: &'a Kinds, words: &[String]) -> Result<Vec<Known<'a>>> {
    if words.is_empty() {
        return Ok(Known::all(kinds).collect());
    }
    meant(kinds, words)
}

/// How one definition fared.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Fared {
    kind: String,
    definition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Installed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn install_all(global: &Global, args: &args::Install) -> Result<Exit> {
    if args.kinds.is_empty() && !args.all {
        bail!("say which kinds: `cso crds install queue topics.sns`, or all with `cso crds install --all`");
    }
    let kinds = of_session(global)?;
    let chosen = chosen(&kinds, &args.kinds)?;
    let cluster = Cluster::connect(&cluster::place(global)).await?;
    cluster.reach().await?;
    output::note(&format!("installing into the cluster at {}", cluster.server()));
    let one = |kind: Known<'_>| {
        let definition = crd::definition(kind.surface());
        let (kind, cluster) = (kind.full_name(), &cluster);
        async move {
            let done = install(cluster, &definition, args.timeout).await;
            let definition = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let (outcome, error) = match done {
                Ok(outcome) => (Some(outcome), None),
                Err(error) => (None, Some(error.to_string())),
            };
            Fared { kind, definition, outcome, error }
        }
    };
    let work: Vec<_> = chosen.into_iter().map(one).collect();
    let mut work = stream::iter(work).buffered(AT_ONCE);
    let mut all = Vec::new();
    while let Some(fared) = work.next().await {
        if args.output == Report::Text {
            output::result(&line(&fared));
        }
        all.push(fared);
    }
    if args.output == Report::Json {
        output::json(&all)?;
    }
    Ok(if all.iter().all(|fared| fared.error.is_none()) { Exit::Done } else { Exit::Failed })
}

fn line(fared: &Fared) -> String {
    let outcome = match (&fared.outcome, &fared.error) {
        (Some(Installed::Created), _) => styled(GOOD, "installed"),
        (Some(Installed::Changed), _) => styled(GOOD, "brought up to date"),
        (Some(Installed::Unchanged), _) => styled(FAINT, "was up to date"),
        (None, error) => styled(BAD, error.as_deref().unwrap_or_default()),
    };
    format!("{}: {outcome}", styled(STRONG, &fared.kind))
}

/// What the controller of these kinds must be allowed, and what people may be.
fn rights(global: &Global, args: &args::Rbac) -> Result<Exit> {
    let kinds = of_session(global)?;
    let chosen = chosen(&kinds, &args.kinds)?;
    let secret = |kind: &Known<'_>| {
        kind.managed().is_some_and(|kind| kind.fields.values().any(|field| field.role == Role::Secret))
    };
    let watched: Vec<String> = args.watch_namespace.iter().chain(&global.namespace).cloned().collect();
    let resources: Vec<Resource> = chosen.iter().copied().map(cluster::resource).collect();
    let referred: Vec<Resource> = cluster::referred(&kinds, &chosen).into_iter().map(cluster::resource).collect();
    let needs = Needs {
        kinds: &resources.iter().collect::<Vec<_>>(),
        refers_to: &referred.iter().collect::<Vec<_>>(),
        reads_secrets: chosen.iter().any(secret),
        exports: resources.iter().any(|kind| kind.group == export::GROUP && kind.kind == export::KIND),
        namespace: &args.system_namespace,
        watched: &watched,
    };
    stream_of(rbac::manifests(&needs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_definition_has_a_line() {
        let fared = |outcome, error: Option<&str>| Fared {
            kind: "sqs/Queue".to_owned(),
            definition: "queues.sqs.services.k8s.aws".to_owned(),
            outcome,
            error: error.map(str::to_owned),
        };
        let all = [
            fared(Some(Installed::Created), None),
            fared(Some(Installed::Changed), None),
            fared(Some(Installed::Unchanged), None),
            fared(None, Some("cannot install queues.sqs.services.k8s.aws: forbidden")),
        ];
        let lines: Vec<String> = all.iter().map(|it| anstream::adapter::strip_str(&line(it)).to_string()).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
