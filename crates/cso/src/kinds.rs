//! Kinds by what people call them.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use anyhow::{Result, anyhow, bail};
use cso_core::ObjectKey;
use cso_core::export::{self, TargetKind, is_export};
use cso_engine::world::Kinds;
use cso_facts::Catalog;
use cso_facts::surface::Surface;
use cso_schema::catalog::service_kinds;
use cso_schema::compile::{compile_all, group_of};
use cso_schema::kind::Kind;
use cso_schema::names::nearest;
use tracing::info;

use crate::args::Global;
use crate::descriptors;

/// The kinds of this build.
pub(crate) fn builtin() -> Kinds {
    let catalog = Catalog::builtin();
    let mut kinds = Kinds::default();
    for service in catalog.descriptors() {
        kinds.add(group_of(service), move || {
            let kinds = service_kinds(catalog, service).expect("the tests of a build compile its descriptors");
            kinds.into_iter().map(Arc::new).collect()
        });
    }
    kinds
}

/// The kinds of this build, and in front of them those of `--kinds`.
pub(crate) fn of_session(global: &Global) -> Result<Kinds> {
    let built_in = builtin();
    let Some(folder) = &global.descriptors else { return Ok(built_in) };
    let own = of_users(folder)?;
    for kind in own.iter().filter(|kind| built_in.named(kind.group(), kind.name()).is_some()) {
        info!(target: "cso::kinds", kind = full_name(kind), file = kind.file, "stands in for the built-in kind");
    }
    Ok(built_in.with(own.into_iter().map(Arc::new)))
}

/// The kinds of users' descriptors; they may refer to built-in ones, and to each other.
fn of_users(folder: &Path) -> Result<Vec<Kind>> {
    let documents = descriptors::read(&[folder.to_owned()])?;
    compile_all(&documents, Catalog::builtin()).map_err(|wrong| {
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        anyhow!("the descriptors of --kinds are wrong: `cso kinds lint` tells more\n{}", lines.join("\n"))
    })
}

fn is_same(one: &Kind, other: &Kind) -> bool {
    one.group() == other.group() && one.name() == other.name()
}

/// Which kinds are from users' descriptors.
pub(crate) struct Origins(Vec<Kind>);

impl Origins {
    pub(crate) fn of_session(global: &Global) -> Result<Self> {
        Ok(Self(global.descriptors.as_deref().map(of_users).transpose()?.unwrap_or_default()))
    }

    /// The user's file that a kind is from; none for one that is built in.
    pub(crate) fn of(&self, kind: Known<'_>) -> Option<&str> {
        let managed = kind.managed()?;
        self.0.iter().find(|own| is_same(own, managed)).map(|own| own.file.as_str())
    }
}

/// A kind that people can name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known<'a> {
    /// With a resource in the cloud.
    Managed(&'a Kind),
    /// A field export: known by its surface, and without a resource.
    Export(&'a Surface),
}

impl<'a> Known<'a> {
    /// Every kind, by group and name.
    pub(crate) fn all(kinds: &'a Kinds) -> impl Iterator<Item = Self> {
        kinds.iter().map(|kind| Self::Managed(kind)).chain([Self::Export(field_export())])
    }

    /// The kind of an object.
    pub(crate) fn of(kinds: &'a Kinds, key: &ObjectKey) -> Option<Self> {
        if is_export(key) {
            return Some(Self::Export(field_export()));
        }
        kinds.of(key).map(|kind| Self::Managed(kind))
    }

    pub(crate) fn surface(self) -> &'a Surface {
        match self {
            Self::Managed(kind) => &kind.surface,
            Self::Export(surface) => surface,
        }
    }

    /// The kind's descriptor, if it has a resource.
    pub(crate) const fn managed(self) -> Option<&'a Kind> {
        match self {
            Self::Managed(kind) => Some(kind),
            Self::Export(_) => None,
        }
    }

    /// `sqs/Queue`.
    pub(crate) fn full_name(self) -> String {
        format!("{}/{}", self.service(), self.surface().kind)
    }

    /// The part before the slash.
    pub(crate) fn service(self) -> &'a str {
        match self {
            Self::Managed(kind) => &kind.service,
            Self::Export(surface) => &surface.group,
        }
    }

    /// Whether an object is of this kind.
    pub(crate) fn is_of(self, key: &ObjectKey) -> bool {
        let surface = self.surface();
        surface.group == key.group && surface.kind == key.kind
    }
}

/// `sqs/Queue`.
pub(crate) fn full_name(kind: &Kind) -> String {
    Known::Managed(kind).full_name()
}

/// The surface of field exports.
pub(crate) fn field_export() -> &'static Surface {
    static SURFACE: LazyLock<Arc<Surface>> = LazyLock::new(|| {
        Catalog::builtin().surface(export::GROUP, export::KIND).expect("the embedded catalogue has the common kinds")
    });
    &SURFACE
}

/// The one kind that a word means: `Queue`, `queues`, `queue.sqs`, `queues.sqs.services.k8s.aws`, `sqs/Queue`, or a
/// short name; letters of any case.
pub(crate) fn find<'a>(kinds: &'a Kinds, word: &str) -> Result<Known<'a>> {
    let (name, place) = match word.split_once('/') {
        Some((service, name)) => (name, Some(service)),
        None => match word.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (word, None),
        },
    };
    let meant: Vec<Known<'a>> = Known::all(kinds)
        .filter(|kind| place.is_none_or(|place| is_in(*kind, place)) && is_called(kind.surface(), name))
        .collect();
    match meant.as_slice() {
        [kind] => Ok(*kind),
        [] => Err(unknown(kinds, word)),
        several => {
            let names: Vec<String> = several.iter().map(|kind| kind.full_name()).collect();
            bail!("`{word}` may be {}: say which", names.join(" or "))
        }
    }
}

/// The kinds that words mean: each word one of them, or all of a service as in `sqs/*`.
pub(crate) fn meant<'a>(kinds: &'a Kinds, words: &[String]) -> Result<Vec<Known<'a>>> {
    let mut all = Vec::new();
    for word in words {
        let Some(service) = word.strip_suffix("/*") else {
            all.push(find(kinds, word)?);
            continue;
        };
        let before = all.len();
        all.extend(Known::all(kinds).filter(|kind| is_in(*kind, service)));
        if all.len() == before {
            bail!("there is no service `{service}`; `cso kinds` lists all kinds with theirs");
        }
    }
    Ok(all)
}

/// What exports fill, by what people call it: `configmap`, `cm`, `secret`, `v1/Secret`.
pub(crate) fn exported(word: &str) -> Option<TargetKind> {
    let name = word.strip_prefix("v1/").unwrap_or(word).to_ascii_lowercase();
    match name.as_str() {
        "configmap" | "configmaps" | "cm" => Some(TargetKind::ConfigMap),
        "secret" | "secrets" => Some(TargetKind::Secret),
        _ => None,
    }
}

fn is_called(surface: &Surface, name: &str) -> bool {
    [&surface.kind, &surface.plural, &surface.singular]
        .into_iter()
        .chain(&surface.short_names)
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn is_in(kind: Known<'_>, place: &str) -> bool {
    kind.service().eq_ignore_ascii_case(place) || kind.surface().group.eq_ignore_ascii_case(place)
}

fn unknown(kinds: &Kinds, word: &str) -> anyhow::Error {
    let names: Vec<String> = Known::all(kinds)
        .flat_map(|kind| [kind.surface().kind.clone(), kind.surface().plural.clone(), kind.full_name()])
        .collect();
    match nearest(word, names.iter().map(String::as_str)) {
        Some(near) => anyhow!("there is no kind `{word}`; did you mean `{near}`? `cso kinds` lists all"),
        None => anyhow!("there is no kind `{word}`; `cso kinds` lists all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_answers_to_all_its_names() {
        let kinds = builtin();
        for word in ["Queue", "queue", "queues", "queue.sqs", "queues.sqs.services.k8s.aws", "sqs/Queue", "SQS/queues"]
        {
            assert_eq!(find(&kinds, word).map(Known::full_name).expect(word), "sqs/Queue");
        }
    }

    #[test]
    fn a_word_may_mean_all_kinds_of_a_service() {
        let kinds = builtin();
        let names = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            meant(&kinds, &words).map(|all| all.into_iter().map(Known::full_name).collect::<Vec<_>>())
        };
        let kms = names(&["queue", "kms/*"]).expect("known kinds");
        assert_eq!(kms, ["sqs/Queue", "kms/Alias", "kms/Grant", "kms/Key"]);
        let error = names(&["queues/*"]).expect_err("a kind and no service");
        assert!(error.to_string().starts_with("there is no service `queues`"));
    }

    #[test]
    fn a_wrong_name_leads_to_the_right_one() {
        let kinds = builtin();
        let message = |word| find(&kinds, word).map(Known::full_name).expect_err(word).to_string();
        assert_eq!(message("qeue"), "there is no kind `qeue`; did you mean `Queue`? `cso kinds` lists all");
        assert_eq!(message("pod"), "there is no kind `pod`; `cso kinds` lists all");
        assert!(message("queue.sns").starts_with("there is no kind `queue.sns`"));
    }
}
