//! References and secrets: from the wish as written to the wish that calls can be filled from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cso_core::port::{SecretError, Secrets};
use cso_core::tree::{SecretKey, SecretSource};
use cso_core::{ConditionStatus, DigestKey, FieldPath, Hole, Object, ObjectKey, Record, SecretValue, Tree};
use cso_schema::kind::{Kind, Ref, Role};
use serde_json::{Map, Value};

/// Whether the result is for acting or for showing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything must be known.
    Act,
    /// What is not known yet becomes a hole.
    Plan,
}

/// Why a wish cannot be worked on yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Woken when that object becomes ready.
    #[error("{message}")]
    Reference { on: ObjectKey, message: String },
    #[error("{0}")]
    Secret(SecretError),
    /// A person must change the manifest.
    #[error("{0}")]
    Invalid(String),
}

/// What is known of other objects.
pub trait Others {
    fn object(&self, key: &ObjectKey) -> Option<Arc<Object>>;
    fn record(&self, key: &ObjectKey) -> Option<Arc<Record>>;
    /// The value that was exported to a key of a Secret.
    fn exported(&self, namespace: &str, name: &str, key: &str) -> Option<String>;
    /// Whether nobody can say if that object exists: objects of its kind cannot be read.
    fn is_hidden(&self, key: &ObjectKey) -> bool;
    /// The field export that is to write a key of a Secret.
    fn exporter(&self, namespace: &str, name: &str, key: &str) -> Option<ObjectKey>;
}

/// The secrets that a turn has read, so that what is decided on and what is sent are the same value. Lives no longer than
/// the turn, and has no readable form.
#[derive(Default)]
pub struct ReadSecrets(BTreeMap<SecretKey, Result<SecretValue, SecretError>>);

impl ReadSecrets {
    /// Reads these secrets, each once.
    pub async fn of(port: &impl Secrets, keys: BTreeSet<SecretKey>) -> Self {
        let mut values = BTreeMap::new();
        for key in keys {
            let value = port.secret(&key.namespace, &key.name, &key.key).await;
            values.insert(key, value);
        }
        Self(values)
    }

    fn get(&self, key: &SecretKey) -> Result<SecretValue, SecretError> {
        let missing = || SecretError::Missing { namespace: key.namespace.clone(), name: key.name.clone() };
        self.0.get(key).cloned().unwrap_or_else(|| Err(missing()))
    }
}

/// Everything that resolving needs.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    pub kind: &'a Kind,
    /// Namespace of the object.
    pub namespace: &'a str,
    /// The wish as written.
    pub spec: &'a Value,
    pub secrets: &'a ReadSecrets,
    pub digest_key: &'a DigestKey,
    /// References and secrets may lead into other namespaces.
    pub cross_namespace: bool,
    pub mode: Mode,
}

impl Resolver<'_> {
    /// The wish with its references replaced by what they lead to, and its secrets by their digests.
    pub fn resolve(&self, others: &impl Others) -> Result<Tree, Unresolved> {
        let mut spec = Tree::from(self.spec);
        for reference in &self.kind.refs {
            self.resolve_reference(reference, &mut spec, others)?;
        }
        for field in self.kind.fields.values().filter(|field| field.role == Role::Secret) {
            if let Some(wrapper) = spec.member(&field.name).filter(|value| !value.is_null()) {
                let hole = self.secret(&field.name, wrapper, others)?;
                spec.set(&FieldPath::root().child(&field.name), Tree::Hole(hole));
            }
        }
        Ok(spec)
    }

    fn resolve_reference(&self, reference: &Ref, spec: &mut Tree, others: &impl Others) -> Result<(), Unresolved> {
        let Some(wrapper) = spec.take(&reference.field) else { return Ok(()) };
        let field = &reference.field;
        if spec.at(&reference.fills).is_some() {
            return Err(Unresolved::Invalid(format!(
                "spec.{} and spec.{field} cannot be used together: keep one",
                reference.fills
            )));
        }
        let value = |wrapper: &Tree| self.value(reference, &self.target(reference, wrapper)?, others);
        let value = match &wrapper {
            Tree::List(wrappers) => Tree::List(wrappers.iter().map(value).collect::<Result<_, _>>()?),
            wrapper => value(wrapper)?,
        };
        spec.set(&reference.fills, value);
        Ok(())
    }

    fn target(&self, reference: &Ref, wrapper: &Tree) -> Result<ObjectKey, Unresolved> {
        let field = &reference.field;
        let from = wrapper.member("from");
        let Some(name) = from.and_then(|from| from.member("name")).and_then(Tree::as_str) else {
            return Err(Unresolved::Invalid(format!("spec.{field}.from.name is missing")));
        };
        let own = self.namespace;
        let namespace = from.and_then(|from| from.member("namespace")).and_then(Tree::as_str).unwrap_or(own);
        self.granted(namespace, &format!("spec.{field}"))?;
        Ok(ObjectKey::new(&reference.group, &reference.kind, namespace, name))
    }

    /// The one place that lets a namespace from a spec through.
    fn granted(&self, namespace: &str, field: &str) -> Result<(), Unresolved> {
        if namespace == self.namespace || self.cross_namespace {
            return Ok(());
        }
        Err(Unresolved::Invalid(format!(
            "{field} leads into namespace {namespace}; that is refused unless --allow-cross-namespace is given"
        )))
    }

    fn value(&self, reference: &Ref, target: &ObjectKey, others: &impl Others) -> Result<Tree, Unresolved> {
        let waiting = |message: String| Unresolved::Reference { on: target.clone(), message };
        let field = &reference.field;
        let known = others.record(target).filter(|record| self.mode == Mode::Plan || is_synced(record));
        let value = known.as_ref().and_then(|record| match reference.path.split_first() {
            Some(("status", path)) => Tree::from(&record.status).at(&path).cloned(),
            Some(("spec", path)) => {
                let object = others.object(target);
                path.find(object.as_ref().map_or(&record.wish.spec, |object| &object.spec)).map(Tree::from)
            }
            _ => None,
        });
        if let Some(value) = value {
            return Ok(value);
        }
        match (others.object(target), self.mode) {
            (Some(object), _) if object.deleting => {
                Err(waiting(format!("spec.{field} refers to {target}, which is being deleted")))
            }
            (Some(_), Mode::Plan) => {
                Ok(Tree::Hole(Hole::Reference { object: target.clone(), path: reference.path.to_string() }))
            }
            (Some(_), Mode::Act) => Err(waiting(format!("spec.{field} waits for {target} to be ready"))),
            (None, _) if known.is_some() => Err(waiting(format!("{target} has no {} yet", reference.path))),
            // Others work on it.
            (None, Mode::Act) if others.record(target).is_some() => {
                Err(waiting(format!("spec.{field} waits for {target} to be ready")))
            }
            (None, _) if others.is_hidden(target) => Err(waiting(format!("spec.{field} refers to {}", hidden(target)))),
            (None, _) => Err(waiting(format!("spec.{field} refers to {target}, which does not exist"))),
        }
    }

    fn secret(&self, field: &str, wrapper: &Tree, others: &impl Others) -> Result<Hole, Unresolved> {
        let digest = |value: &str| self.digest_key.digest(&format!("spec.{field}"), &Value::String(value.to_owned()));
        if let Tree::Text(value) = wrapper {
            return Ok(Hole::Secret { source: SecretSource::Spec { field: field.to_owned() }, digest: digest(value) });
        }
        let Some(source) = secret_key(&wrapper.shown(), self.namespace) else {
            return Err(Unresolved::Invalid(format!("spec.{field} needs `name` and `key` of a Secret")));
        };
        let SecretKey { namespace, name, key } = &source;
        self.granted(namespace, &format!("spec.{field}"))?;
        let value =
            secret(self.secrets, others, &source).map_err(|error| match others.exporter(namespace, name, key) {
                Some(on) => Unresolved::Reference {
                    on: on.clone(),
                    message: format!("spec.{field} waits for {on} to fill Secret {namespace}/{name}"),
                },
                None => Unresolved::Secret(error),
            })?;
        Ok(Hole::Secret { digest: digest(value.reveal()), source: SecretSource::Secret(source) })
    }
}

/// Words for an object that may exist.
pub(crate) fn hidden(target: &ObjectKey) -> String {
    format!("{target}, and objects of that kind cannot be read: the controller's log and /debug/watches say why")
}

/// A secret value: what a manifest says, else what was exported.
pub(crate) fn secret(
    secrets: &ReadSecrets,
    others: &impl Others,
    source: &SecretKey,
) -> Result<SecretValue, SecretError> {
    let SecretKey { namespace, name, key } = source;
    secrets.get(source).or_else(|error| match (&error, others.exported(namespace, name, key)) {
        (SecretError::Missing { .. }, Some(value)) => Ok(SecretValue::new(value)),
        _ => Err(error),
    })
}

/// The Secrets that an object reads, whether they exist or not.
pub fn secrets<'a>(kind: &'a Kind, namespace: &'a str, spec: &'a Value) -> impl Iterator<Item = SecretKey> {
    let fields = kind.fields.values().filter(|field| field.role == Role::Secret);
    fields.filter_map(move |field| secret_key(spec.get(&field.name)?, namespace))
}

fn secret_key(wrapper: &Value, own_namespace: &str) -> Option<SecretKey> {
    let text = |name: &str| wrapper.get(name).and_then(Value::as_str);
    Some(SecretKey {
        namespace: text("namespace").unwrap_or(own_namespace).to_owned(),
        name: text("name")?.to_owned(),
        key: text("key")?.to_owned(),
    })
}

/// What references say about where the resource is, from a resolved wish.
pub fn place_of(kind: &Kind, resolved: &Tree) -> Map<String, Value> {
    let referred = |field: &&FieldPath| kind.refs.iter().any(|reference| reference.fills == **field);
    let known = |field: &FieldPath| {
        let value = resolved.at(field).filter(|value| value.holes().is_empty())?;
        Some((field.to_string(), value.shown()))
    };
    kind.address_fields().filter(referred).filter_map(known).collect()
}

/// A spec in which that stands instead of the references: they may lead nowhere any more.
pub fn with_place(kind: &Kind, mut spec: Arc<Value>, place: &Map<String, Value>) -> Arc<Value> {
    if !place.is_empty()
        && let Value::Object(members) = Arc::make_mut(&mut spec)
    {
        for (field, value) in place {
            for reference in kind.refs.iter().filter(|reference| reference.fills.to_string() == *field) {
                members.remove(&reference.field.to_string());
            }
            members.insert(field.clone(), value.clone());
        }
    }
    spec
}

/// A spec as it may be stored: without the secrets that stand in it as plain text. What was applied of them is known by
/// digest.
pub fn without_secrets(kind: &Kind, mut spec: Arc<Value>) -> Arc<Value> {
    for field in kind.fields.values().filter(|field| field.role == Role::Secret) {
        if spec.get(&field.name).is_some_and(Value::is_string)
            && let Value::Object(members) = Arc::make_mut(&mut spec)
        {
            members.remove(&field.name);
        }
    }
    spec
}

/// Whether an object's last known standing is "as wished".
pub fn is_synced(record: &Record) -> bool {
    synced(record) == Some(ConditionStatus::True)
}

/// How an object last stood; `None` before that was told.
pub fn synced(record: &Record) -> Option<ConditionStatus> {
    let mut told = record.conditions.iter().filter(|condition| condition.kind == crate::conditions::SYNCED);
    told.next().map(|condition| condition.status)
}

/// The objects that an object refers to, whether they exist or not.
pub fn references(kind: &Kind, namespace: &str, spec: &Value) -> BTreeSet<ObjectKey> {
    kind.refs
        .iter()
        .flat_map(|reference| {
            let wrappers = match reference.field.find(spec) {
                Some(Value::Array(wrappers)) => wrappers.as_slice(),
                Some(wrapper) => std::slice::from_ref(wrapper),
                None => &[],
            };
            wrappers.iter().map(move |wrapper| (reference, wrapper))
        })
        .filter_map(|(reference, wrapper)| {
            let from = wrapper.get("from")?;
            let name = from.get("name")?.as_str()?;
            let namespace = from.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
            Some(ObjectKey::new(&reference.group, &reference.kind, namespace, name))
        })
        .collect()
}

/// A cycle among references, as the path from an object back to itself; `None` if there is none.
pub fn cycle(edges: &BTreeMap<ObjectKey, BTreeSet<ObjectKey>>) -> Option<Vec<ObjectKey>> {
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| walk(start, edges, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    here: &'a ObjectKey,
    edges: &'a BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    path: &mut Vec<&'a ObjectKey>,
    done: &mut BTreeSet<&'a ObjectKey>,
) -> Option<Vec<ObjectKey>> {
    if let Some(start) = path.iter().position(|key| *key == here) {
        return Some(path[start..].iter().copied().chain([here]).cloned().collect());
    }
    if !done.insert(here) {
        return None;
    }
    path.push(here);
    let found = edges.get(here).into_iter().flatten().find_map(|next| walk(next, edges, path, done));
    path.pop();
    found
}

/// Objects with their targets before them; those that do not refer to each other by key. What is in a cycle comes in some
/// order.
pub fn order(edges: &BTreeMap<ObjectKey, BTreeSet<ObjectKey>>) -> Vec<ObjectKey> {
    let mut seen = BTreeSet::new();
    let mut ordered = Vec::with_capacity(edges.len());
    for key in edges.keys() {
        place(key, edges, &mut seen, &mut ordered);
    }
    ordered
}

fn place<'a>(
    key: &'a ObjectKey,
    edges: &'a BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    seen: &mut BTreeSet<&'a ObjectKey>,
    ordered: &mut Vec<ObjectKey>,
) {
    let Some(targets) = edges.get(key) else { return };
    if seen.insert(key) {
        for target in targets {
            place(target, edges, seen, ordered);
        }
        ordered.push(key.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_cycle_and_only_a_cycle() {
        let key = |name: &str| ObjectKey::new("g", "K", "n", name);
        let mut edges =
            BTreeMap::from([(key("a"), BTreeSet::from([key("b"), key("c")])), (key("b"), BTreeSet::from([key("c")]))]);
        assert_eq!(cycle(&edges), None);
        edges.insert(key("c"), BTreeSet::from([key("a")]));
        assert_eq!(cycle(&edges), Some(vec![key("a"), key("b"), key("c"), key("a")]));
    }

    #[test]
    fn targets_come_before_those_who_refer_to_them() {
        let key = |name: &str| ObjectKey::new("g", "K", "n", name);
        let edges = BTreeMap::from([
            (key("a"), BTreeSet::from([key("c"), key("elsewhere")])),
            (key("b"), BTreeSet::new()),
            (key("c"), BTreeSet::from([key("b")])),
        ]);
        assert_eq!(order(&edges), [key("b"), key("c"), key("a")]);
    }
}
