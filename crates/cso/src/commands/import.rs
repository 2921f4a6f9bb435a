//! `import`: manifests for resources that exist. Reads only.

mod owners;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use cso_aws::Aws;
use cso_core::port::Cloud as _;
use cso_engine::import::{Found, ImportError, Importer};
use cso_engine::world::Kinds;
use cso_schema::fill::Surroundings;
use cso_schema::import::Known;
use cso_schema::kind::Kind;
use tokio::task::JoinSet;

use self::owners::Owners;
use super::Exit;
use crate::args::{self, Form, Global};
use crate::cluster;
use crate::kinds::{Known as KnownKind, find, full_name, of_session};
use crate::output::manifest::{Written, names, written};
use crate::output::{self, STRONG, count, object, styled};
use crate::session::Account;

/// Imports what was asked for.
pub(super) async fn run(global: &Global, args: &args::Import) -> Result<Exit> {
    let kinds = of_session(global)?;
    let chosen = chosen(&kinds, args)?;
    // Asked for while the cluster is read.
    let account = Account::of(global);
    let owners = Owners::read(global, &chosen).await?;
    let (cloud, region) = account.await?.into_parts();
    let search = Search::new(cloud, region, args.resource.as_deref(), global.concurrency).await?;
    let mut import =
        Import { global, owners: &owners, manifests: Vec::new(), definitions: BTreeSet::new(), failed: false };
    for kind in chosen {
        match &args.resource {
            Some(text) => {
                let found = search.one(&kind, text).await?;
                let missing = || anyhow!("there is no {} `{text}` in {}", full_name(&kind), search.surroundings.region);
                import.take_named(&kind, found.ok_or_else(missing)?)?;
            }
            None => {
                // Of everything, what can be read is worth having; of one kind, nothing would be left.
                match search.all(&kind).await {
                    Ok(all) => import.take_all(&kind, all),
                    Err(error) if args.kind.is_some() => return Err(error.into()),
                    Err(error) => import.fail(&kind, &error),
                }
            }
        }
    }
    let Import { manifests, definitions, failed, .. } = import;
    tell_secrets(&manifests);
    let from = args.dir.as_ref().map_or_else(|| "FILE".to_owned(), |dir| dir.display().to_string());
    let next = owners.next(global, &from, &definitions).filter(|_| !manifests.is_empty());
    match &args.dir {
        Some(dir) => write(dir, &manifests, args.output)?,
        None => print(manifests, args.output)?,
    }
    if let Some(next) = next {
        output::note(&next);
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// The kinds to import, and that they can be.
fn chosen(kinds: &Kinds, args: &args::Import) -> Result<Vec<Arc<Kind>>> {
    let Some(word) = &args.kind else {
        let (listed, other): (Vec<_>, Vec<_>) = kinds.iter().cloned().partition(|kind| kind.list.is_some());
        if !other.is_empty() {
            let names: Vec<String> = other.iter().map(|kind| full_name(kind)).collect();
            output::note(&format!(
                "not among all, as they cannot be listed: {}; import them by name",
                names.join(", ")
            ));
        }
        return Ok(listed);
    };
    let Some(kind) = find(kinds, word)?.managed() else { bail!("{word}: it has no resource in the cloud to import") };
    if args.all && kind.list.is_none() {
        bail!("{} cannot be listed: name one, as in `cso import {word} NAME|ARN`", full_name(kind));
    }
    Ok(kinds.iter().filter(|one| one.group() == kind.group() && one.name() == kind.name()).cloned().collect())
}

/// Where is looked, and how many resources at the same time.
struct Search {
    cloud: Arc<Aws>,
    surroundings: Arc<Surroundings>,
    at_once: usize,
}

impl Search {
    /// An ARN says for itself where its resource is.
    async fn new(cloud: Aws, region: String, resource: Option<&str>, at_once: usize) -> Result<Self> {
        let identity = cloud.identity().await.map_err(|error| anyhow!(error))?;
        let arn: Vec<&str> = resource.filter(|text| text.starts_with("arn:")).unwrap_or_default().split(':').collect();
        let said = |position: usize| arn.get(position).copied().filter(|text| !text.is_empty());
        if let Some(account) = said(4).filter(|account| *account != identity.account) {
            bail!("the ARN is of account {account}, and these credentials are of account {}", identity.account);
        }
        let region = said(3).map_or(region, str::to_owned);
        let surroundings = Surroundings { account: identity.account, partition: identity.partition, region };
        Ok(Self { cloud: Arc::new(cloud), surroundings: Arc::new(surroundings), at_once })
    }

    async fn one(&self, kind: &Kind, text: &str) -> Result<Option<Found>, ImportError> {
        Importer { cloud: &*self.cloud, kind, surroundings: &self.surroundings }.find(text).await
    }

    /// Every resource of a kind in the order of the list, or why one could not be read.
    async fn all(&self, kind: &Arc<Kind>) -> Result<Vec<Result<Option<Found>, ImportError>>, ImportError> {
        let listed = Importer { cloud: &*self.cloud, kind, surroundings: &self.surroundings }.list().await?;
        let mut results: Vec<Result<Option<Found>, ImportError>> = listed.iter().map(|_| Ok(None)).collect();
        let mut reads = JoinSet::new();
        let mut listed = listed.into_iter().enumerate();
        loop {
            while reads.len() < self.at_once
                && let Some((position, known)) = listed.next()
            {
                let (cloud, kind, surroundings) =
                    (Arc::clone(&self.cloud), Arc::clone(kind), Arc::clone(&self.surroundings));
                reads.spawn(async move { (position, read(&cloud, &kind, &surroundings, &known).await) });
            }
            match reads.join_next().await {
                Some(Ok((position, result))) => results[position] = result,
                // A read that panicked is a bug: tell it as one.
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => return Ok(results),
            }
        }
    }
}

async fn read(
    cloud: &Aws,
    kind: &Kind,
    surroundings: &Surroundings,
    known: &Known,
) -> Result<Option<Found>, ImportError> {
    Importer { cloud, kind, surroundings }.read(known).await
}

/// What was imported so far.
struct Import<'a> {
    global: &'a Global,
    owners: &'a Owners,
    manifests: Vec<Written>,
    /// Names of the definitions that the manifests need.
    definitions: BTreeSet<String>,
    failed: bool,
}

impl Import<'_> {
    fn fail(&mut self, kind: &Kind, error: &ImportError) {
        self.failed = true;
        output::note(&format!("{}: {error}", styled(STRONG, full_name(kind))));
    }

    fn take_named(&mut self, kind: &Kind, found: Found) -> Result<()> {
        if let Some(owner) = self.owners.of(kind, &found) {
            bail!("{} {} {owner}: it cannot be managed twice", full_name(kind), found.name);
        }
        self.take(kind, &[found]);
        Ok(())
    }

    fn take_all(&mut self, kind: &Kind, all: Vec<Result<Option<Found>, ImportError>>) {
        let mut imported = Vec::new();
        for result in all {
            match result {
                // It went away meanwhile, or is not the user's.
                Ok(None) => {}
                Ok(Some(found)) => match self.owners.of(kind, &found) {
                    Some(owner) => output::note(&format!("{} {} {owner}: left out", full_name(kind), found.name)),
                    None => imported.push(found),
                },
                Err(error) => self.fail(kind, &error),
            }
        }
        output::note(&format!("{}: {} imported", styled(STRONG, full_name(kind)), imported.len()));
        self.take(kind, &imported);
    }

    fn take(&mut self, kind: &Kind, all: &[Found]) {
        let called: Vec<(&str, &str)> =
            all.iter().map(|found| (found.name.as_str(), found.arn.as_deref().unwrap_or(&found.name))).collect();
        let mut manifests: Vec<Written> = Vec::new();
        for (found, name) in all.iter().zip(names(&called, &self.owners.taken(kind))) {
            for (field, why) in &found.unknown {
                output::note(&format!("{} {name}: spec.{field} is left out: {why}", full_name(kind)));
            }
            manifests.push(written(kind, found, &name, self.global.namespace.as_deref()));
        }
        if !all.is_empty() {
            self.definitions.insert(cluster::resource(KnownKind::Managed(kind)).crd_name());
        }
        manifests.sort_by(|a, b| a.stem.cmp(&b.stem));
        self.manifests.append(&mut manifests);
    }
}

fn tell_secrets(manifests: &[Written]) {
    for manifest in manifests.iter().filter(|manifest| !manifest.secrets.is_empty()) {
        let fields = manifest.secrets.join(", ");
        output::note(&format!(
            "{}: {fields}: secrets are not imported; the manifest says how to manage them",
            manifest.stem
        ));
    }
}

fn print(manifests: Vec<Written>, form: Form) -> Result<()> {
    if form == Form::Json {
        return output::json(&object::list(manifests.into_iter().map(|manifest| manifest.value).collect()));
    }
    let mut stream = String::new();
    for manifest in &manifests {
        stream.push_str("---\n");
        stream.push_str(&manifest.yaml()?);
    }
    output::raw(stream.as_bytes());
    Ok(())
}

/// Writes a file for each manifest, or none if one of them is there already.
fn write(dir: &Path, manifests: &[Written], form: Form) -> Result<()> {
    let ending = if form == Form::Json { "json" } else { "yaml" };
    let paths: Vec<_> = manifests.iter().map(|manifest| dir.join(format!("{}.{ending}", manifest.stem))).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        bail!("{} exists: choose another directory, or remove it; nothing was written", there.display());
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (path, manifest) in paths.iter().zip(manifests) {
        let text = match form {
            Form::Yaml => manifest.yaml()?,
            Form::Json => serde_json::to_string_pretty(&manifest.value)? + "\n",
        };
        let mut file = OpenOptions::new().write(true).create_new(true).open(path);
        let wrote = file.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
        wrote
            .and_then(|file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    output::result(&format!("{} in {}", count(manifests.len(), "manifest"), dir.display()));
    Ok(())
}
