//! Manifests, checked as far as that is possible without a cloud.

mod exports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cso_core::export::{Export, Target, TargetKind, is_export};
use cso_core::tree::SecretKey;
use cso_core::{FieldPath, Object, ObjectKey, Record};
use cso_engine::resolve::{self, cycle, references};
use cso_engine::world::Kinds;
use cso_local::manifest::{self, FileSecrets, Manifest, ManifestSet, Problem};
use cso_local::parallel;
use cso_schema::kind::{Kind, Ref, Role};
use cso_schema::names::nearest;
use serde_json::Value;

/// What was declared, and everything that is wrong with it.
pub(crate) struct Declared {
    pub(crate) set: ManifestSet,
    /// The objects to manage; Secrets and config maps are not among them.
    pub(crate) objects: Vec<Object>,
    /// By place.
    pub(crate) problems: Vec<Problem>,
}

impl Declared {
    /// Each object and the objects it refers to.
    pub(crate) fn edges(&self, kinds: &Kinds) -> BTreeMap<ObjectKey, BTreeSet<ObjectKey>> {
        edges(&self.objects, kinds)
    }
}

/// What exists without a manifest.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// A reference may lead to these.
    objects: BTreeSet<ObjectKey>,
    /// What was exported, and by which field export.
    exported: BTreeMap<Target, ObjectKey>,
    holder: Holder,
}

/// Who remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Holder {
    #[default]
    StateFile,
    /// It has Secrets of its own, which are read when a call needs them.
    Cluster,
}

impl Holder {
    const fn name(self) -> &'static str {
        match self {
            Self::StateFile => "the state file",
            Self::Cluster => "the cluster",
        }
    }
}

impl Remembered {
    /// What records tell.
    pub(crate) fn of(records: &[Record]) -> Self {
        let objects = records.iter().map(|record| record.key.clone()).collect();
        Self { objects, exported: exports::remembered(records), holder: Holder::StateFile }
    }

    /// What a cluster has, with the records on it.
    pub(crate) fn of_cluster(objects: impl Iterator<Item = ObjectKey>, records: &[Record]) -> Self {
        Self { objects: objects.collect(), exported: exports::remembered(records), holder: Holder::Cluster }
    }
}

/// Each object and the objects it refers to, whether they exist or not: also the source of an export, and the exports that
/// fill the Secrets it reads.
pub(crate) fn edges(objects: &[Object], kinds: &Kinds) -> BTreeMap<ObjectKey, BTreeSet<ObjectKey>> {
    let read = |object: &Object| is_export(&object.key).then(|| Export::read(&object.key, &object.spec).ok()).flatten();
    let writers: BTreeMap<Target, &ObjectKey> =
        objects.iter().filter_map(|object| Some((read(object)?.target, &object.key))).collect();
    let targets = |object: &Object| {
        let Some(kind) = kinds.of(&object.key) else {
            return read(object).map(|export| export.source).into_iter().collect();
        };
        let namespace = &object.key.namespace;
        let mut targets = references(kind, namespace, &object.spec);
        let secrets = resolve::secrets(kind, namespace, &object.spec);
        targets.extend(secrets.filter_map(|source| writers.get(&as_target(source)).copied().cloned()));
        targets
    };
    objects.iter().map(|object| (object.key.clone(), targets(object))).collect()
}

/// The key of a Secret that a source names.
fn as_target(source: SecretKey) -> Target {
    let SecretKey { namespace, name, key } = source;
    Target { kind: TargetKind::Secret, namespace, name, key }
}

/// Reads and checks manifests. `known`: what exists without a manifest, so that a reference may lead to it.
pub(crate) fn load(paths: &[PathBuf], namespace: &str, kinds: &Kinds, known: &Remembered) -> Declared {
    let mut set = manifest::load(paths, namespace);
    let secrets = FileSecrets::new(&set, namespace);
    let mut problems = std::mem::take(&mut set.problems);
    let declared: BTreeSet<&ObjectKey> = set.manifests.iter().map(|manifest| &manifest.object.key).collect();
    // What could not be read may well be what a reference leads to: say only what is certain.
    let certain = problems.is_empty();
    let exists = |key: &ObjectKey| declared.contains(key) || known.objects.contains(key);
    let writers = exports::Writers::of(&set, known);
    let namespaces = Namespaces::of(&set);
    let in_cluster = known.holder == Holder::Cluster;
    if !in_cluster {
        problems.extend(exports::collisions(&set, &writers));
    }
    let check = |manifest: &Manifest| -> (Option<Object>, Vec<Problem>) {
        if is_export(&manifest.object.key) {
            let exists: Option<&dyn Fn(&ObjectKey) -> bool> = if certain { Some(&exists) } else { None };
            let problems = exports::check(manifest, kinds, &writers, exists, known.holder.name());
            return (Some(namespaces.place(manifest.object.clone())), problems);
        }
        let kind = match kind_of(manifest, kinds) {
            Ok(kind) => kind,
            Err(problem) => return (None, vec![*problem]),
        };
        let mut problems = manifest::validate(manifest, &kind.surface);
        if certain {
            problems.extend(dangling(manifest, kind, kinds, known.holder, exists));
            if !in_cluster {
                problems.extend(lost_secrets(manifest, kind, &secrets, &writers));
            }
        }
        (Some(namespaces.place(manifest.object.clone())), problems)
    };
    // A cluster has objects of others too: they are nothing to us.
    let is_ours = |key: &ObjectKey| !in_cluster || is_export(key) || kinds.iter().any(|kind| kind.group() == key.group);
    let is_managed = |key: &ObjectKey| !is_input(key) && is_ours(key);
    let managed: Vec<&Manifest> = set.manifests.iter().filter(|manifest| is_managed(&manifest.object.key)).collect();
    let mut objects = Vec::with_capacity(managed.len());
    for (object, found) in parallel::map(&managed, |manifest| check(manifest)) {
        objects.extend(object);
        problems.extend(found);
    }
    problems.extend(circle(&set, &edges(&objects, kinds), kinds));
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Declared { set, objects, problems }
}

/// The annotations of the namespaces that are declared, by name.
pub(crate) struct Namespaces<'a>(BTreeMap<&'a str, &'a BTreeMap<String, String>>);

impl<'a> Namespaces<'a> {
    /// Those among these manifests.
    pub(crate) fn of(set: &'a ManifestSet) -> Self {
        let objects = set.manifests.iter().map(|manifest| &manifest.object);
        let namespaces = objects.filter(|object| object.key.group.is_empty() && object.key.kind == "Namespace");
        Self(namespaces.map(|namespace| (&*namespace.key.name, &namespace.annotations)).collect())
    }

    /// An object with the annotations of its namespace, if that is declared.
    pub(crate) fn place(&self, object: Object) -> Object {
        let annotations = self.0.get(&*object.key.namespace).copied();
        Object { inherited: annotations.cloned(), ..object }
    }
}

/// Objects that others read and that are not managed themselves.
pub(crate) fn is_input(key: &ObjectKey) -> bool {
    key.group.is_empty() && matches!(key.kind.as_str(), "Secret" | "ConfigMap" | "Namespace")
}

/// A problem at a field of a manifest.
fn problem(manifest: &Manifest, path: FieldPath, message: String, help: Option<String>) -> Problem {
    let position = manifest.position(&path);
    Problem {
        file: manifest.source.file.clone(),
        line: position.line,
        column: position.column,
        object: Some(manifest.object.key.clone()),
        path: Some(path),
        message,
        help,
    }
}

fn kind_of<'a>(manifest: &Manifest, kinds: &'a Kinds) -> Result<&'a Kind, Box<Problem>> {
    let key = &manifest.object.key;
    let wrong = |field: &str, message: String, help: String| {
        Err(Box::new(problem(manifest, FieldPath::root().child(field), message, Some(help))))
    };
    let Some(kind) = kinds.of(key) else {
        let in_group: Vec<&str> =
            kinds.iter().filter(|kind| kind.group() == key.group).map(|kind| kind.name()).collect();
        if in_group.is_empty() {
            let near = nearest(&key.group, kinds.iter().map(|kind| kind.group()));
            let help =
                near.map_or_else(|| "`cso kinds` lists all".to_owned(), |near| format!("did you mean `{near}`?"));
            return wrong("apiVersion", format!("no kinds of `{}` can be managed", manifest.api_version), help);
        }
        let help = match nearest(&key.kind, in_group.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its kinds are {}", in_group.join(", ")),
        };
        return wrong("kind", format!("{} has no kind `{}`", manifest.api_version, key.kind), help);
    };
    let version = &kind.surface.version;
    if manifest.api_version.version != *version {
        let message = format!("{} has no version `{}`", key.group, manifest.api_version.version);
        return wrong("apiVersion", message, format!("write `{}/{version}`", key.group));
    }
    Ok(kind)
}

/// References that lead nowhere.
fn dangling(
    manifest: &Manifest,
    kind: &Kind,
    kinds: &Kinds,
    holder: Holder,
    exists: impl Fn(&ObjectKey) -> bool,
) -> Vec<Problem> {
    let own = &manifest.object.key.namespace;
    let mut problems = Vec::new();
    for (reference, wrapper) in wrappers(manifest, kind) {
        let from = wrapper.child("from");
        let text = |name: &str| from.child(name).find(&manifest.raw).and_then(Value::as_str);
        let Some(name) = text("name") else { continue };
        let target = ObjectKey::new(&reference.group, &reference.kind, text("namespace").unwrap_or(own), name);
        if exists(&target) {
            continue;
        }
        let help = if kinds.of(&target).is_none() {
            format!(
                "this build does not manage {}/{}: give spec.{} instead",
                target.service(),
                target.kind,
                reference.fills
            )
        } else {
            format!("declare it, or give spec.{} instead", reference.fills)
        };
        let message = format!("refers to {target}, which is neither declared nor in {}", holder.name());
        problems.push(problem(manifest, from.child("name"), message, Some(help)));
    }
    problems
}

/// Each reference with the place where it is written; a list of references is many.
fn wrappers<'a>(manifest: &Manifest, kind: &'a Kind) -> Vec<(&'a Ref, FieldPath)> {
    let places = |reference: &'a Ref| {
        let field = FieldPath::root().child("spec").join(&reference.field);
        let list = field.find(&manifest.raw).and_then(Value::as_array);
        let places: Vec<FieldPath> = match list {
            Some(list) => (0..list.len()).map(|index| field.index(index)).collect(),
            None => vec![field],
        };
        places.into_iter().map(move |place| (reference, place))
    };
    kind.refs.iter().flat_map(places).collect()
}

/// Secrets that cannot be read.
fn lost_secrets(manifest: &Manifest, kind: &Kind, secrets: &FileSecrets, writers: &exports::Writers) -> Vec<Problem> {
    let own = &manifest.object.key.namespace;
    let fields = kind.fields.values().filter(|field| field.role == Role::Secret);
    fields
        .filter_map(|field| {
            let path = FieldPath::root().child("spec").child(&field.name);
            let text = |name: &str| path.child(name).find(&manifest.raw).and_then(Value::as_str);
            let (namespace, name, key) = (text("namespace").unwrap_or(own), text("name")?, text("key")?);
            let error = secrets.value(namespace, name, key).err()?;
            let source = SecretKey { namespace: namespace.to_owned(), name: name.to_owned(), key: key.to_owned() };
            if writers.writer(&as_target(source)).is_some() {
                return None;
            }
            let help = "declare the Secret among the manifests, or export to it".to_owned();
            Some(problem(manifest, path, error.to_string(), Some(help)))
        })
        .collect()
}

/// A circle of references: nothing in it could ever be made.
fn circle(set: &ManifestSet, edges: &BTreeMap<ObjectKey, BTreeSet<ObjectKey>>, kinds: &Kinds) -> Option<Problem> {
    let path = cycle(edges)?;
    let manifest = set.manifests.iter().find(|manifest| Some(&manifest.object.key) == path.first())?;
    let names: Vec<String> = path.iter().map(ToString::to_string).collect();
    let field = kinds.of(&manifest.object.key).and_then(|kind| {
        let leads_on = |reference: &&Ref| {
            path.get(1).is_some_and(|next| next.group == reference.group && next.kind == reference.kind)
                && FieldPath::root().child("spec").join(&reference.field).find(&manifest.raw).is_some()
        };
        kind.refs.iter().find(leads_on).map(|reference| FieldPath::root().child("spec").join(&reference.field))
    });
    let message = format!("is in a circle of references: {}", names.join(" -> "));
    let help = "take one of them out".to_owned();
    Some(problem(manifest, field.unwrap_or_else(|| FieldPath::root().child("spec")), message, Some(help)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cso_facts::Catalog;

    use super::*;

    #[test]
    fn a_reference_to_a_kind_that_is_not_managed_has_another_remedy() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let text = "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {name: orders}\n\
                    spec:\n  queueName: orders\n  policyRef:\n    from: {name: p}\n";
        fs::write(scratch.path().join("a.yaml"), text).expect("a file");
        let only = cso_schema::catalog::service_kinds(Catalog::builtin(), "sqs").expect("the kinds of sqs compile");
        let kinds: Kinds = only.into_iter().collect();
        let declared = load(&[scratch.path().to_owned()], "default", &kinds, &Remembered::default());
        let told: Vec<String> = declared.problems.iter().map(ToString::to_string).collect();
        let [only] = told.as_slice() else { panic!("{told:?}") };
        assert!(only.ends_with("this build does not manage iam/Policy: give spec.policy instead"), "{only}");
    }
}
