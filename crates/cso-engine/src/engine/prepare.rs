//! What a turn needs before it looks: the wish with its references filled, the record, the policies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cso_core::port::{Clock, Cloud, Purpose, Secrets, Store};
use cso_core::tree::SecretKey;
use cso_core::{CallError, ErrorClass, LastWish, Life, Object, ObjectKey, OwnerMark, Record, Tree};
use cso_schema::fill::Surroundings;
use cso_schema::kind::{Kind, Scope};
use cso_schema::observe::Observation;
use serde_json::Value;

use super::Engine;
use super::looks::Look;
use super::turn::{Turn, failed};
use crate::conditions::Standing;
use crate::decide::Input;
use crate::dialect::{self, Deletion, Policies};
use crate::identity::{self, Renamed};
use crate::read::{Extent, Reader};
use crate::resolve::{self, Mode, ReadSecrets, Resolver, Unresolved};

/// What a turn prepared before it looked.
pub(super) struct Prepared {
    pub(super) purpose: Purpose,
    /// What the look before the last write saw of other parts.
    pub(super) known: Look,
    pub(super) kind: Arc<Kind>,
    pub(super) object: Arc<Object>,
    /// The create under another name of which nobody knows whether it took effect; `spec` has that name.
    pub(super) renamed: Option<Renamed>,
    pub(super) record: Record,
    pub(super) spec: Tree,
    pub(super) secrets: ReadSecrets,
    pub(super) policies: Policies,
    pub(super) options: BTreeMap<String, Value>,
    pub(super) surroundings: Surroundings,
    pub(super) mark: OwnerMark,
    pub(super) tags: BTreeMap<String, String>,
    /// Instead of the kind's consistency window.
    pub(super) consistency: Option<Duration>,
}

/// Why a turn cannot look.
pub(super) enum Unprepared {
    Forgotten,
    /// On its way out, and no resource was ever its own.
    Unowned,
    Turn(Box<Turn>),
}

/// Why an object goes without a call.
pub(super) const UNOWNED: &str = "no resource was made or adopted for this object";

impl Prepared {
    /// Whether the wish refers to other objects.
    pub(super) fn has_references(&self) -> bool {
        !resolve::references(&self.kind, &self.object.key.namespace, &self.object.spec).is_empty()
    }
}

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Engine<C, S, P, K> {
    /// The turn of an object that is paused: it waits for itself to change.
    pub(super) fn paused(&self, key: &ObjectKey) -> Option<Turn> {
        let (object, record) = self.world().both(key);
        let object = in_its_place(object?, record.as_deref());
        match dialect::paused(&object) {
            Ok(message) => {
                let standing = Standing::Working { reason: "Paused", message: message?, references: false };
                Some(Turn::WaitsFor { on: key.clone(), standing })
            }
            Err(error) => Some(Turn::Failed { class: ErrorClass::Invalid, error: None, message: error.to_string() }),
        }
    }

    pub(super) async fn prepare(&self, key: &ObjectKey, mode: Mode, purpose: Purpose) -> Result<Prepared, Unprepared> {
        let (object, record) = self.known(key);
        let Some(object) = object else { return Err(Unprepared::Forgotten) };
        let object = in_its_place(object, record.as_ref());
        let owns = |record: &Record| record.ownership.is_ours() || record.intent.is_some();
        if object.deleting && !record.as_ref().is_some_and(owns) {
            // Whatever else is wrong with the object, it need not stay.
            return Err(Unprepared::Unowned);
        }
        let Some(kind) = self.kinds.of(key).cloned() else {
            return Err(fail(
                ErrorClass::Unsupported,
                format!("there is no kind {}/{}: the descriptor that it came with is not here", key.group, key.kind),
            ));
        };
        let settings = self.settings();
        let invalid = |error: dialect::BadAnnotation| fail(ErrorClass::Invalid, error.to_string());
        let mut policies = dialect::policies(&object, settings.deletion).map_err(invalid)?;
        policies.take_back = settings.take_back;
        policies.ignored = dialect::ignored(&kind, &object).map_err(invalid)?;
        let options = dialect::options(&kind, &object).map_err(invalid)?;
        if mode == Mode::Act && object.deleting && policies.deletion == Deletion::Delete {
            self.wait_for_dependents(key)?;
        }
        let named = identity::keep(&kind, record.as_ref(), &object.spec);
        let mut record = self.current_record(&object, record, resolve::without_secrets(&kind, Arc::clone(&named.spec)));
        let renamed = named.renamed.filter(|_| !object.deleting);
        if let Some(renamed) = renamed.as_ref().filter(|_| record.ownership.is_ours()) {
            return Err(fail(ErrorClass::Invalid, renamed.message()));
        }
        let spec = if object.deleting { resolve::with_place(&kind, named.spec, &record.place) } else { named.spec };
        let secrets = self.read_secrets(&kind, &object.key.namespace, &spec, settings.cross_namespace).await;
        let mut spec = self.wish(&kind, &object, &spec, &secrets, settings.cross_namespace, mode)?;
        dialect::name_adopted(&kind, &policies, &mut spec);
        if !object.deleting && !owns(&record) {
            record.place = resolve::place_of(&kind, &spec);
        }
        let identity =
            self.ports.cloud.identity().await.map_err(|error| Unprepared::Turn(Box::new(failed(&kind, error))))?;
        if let Some(account) = dialect::owner_account(&object).filter(|account| *account != identity.account) {
            return Err(fail(
                ErrorClass::Unsupported,
                not_our_account(&object.key.namespace, account, &identity.account),
            ));
        }
        let region = dialect::region(&object).unwrap_or(&settings.region).to_owned();
        let metadata = record.status.get("ackResourceMetadata");
        let recorded = metadata.and_then(|metadata| metadata.get("region")).and_then(Value::as_str);
        if let Some(recorded) = recorded.filter(|recorded| *recorded != region && kind.scope == Scope::Region) {
            return Err(fail(
                ErrorClass::Invalid,
                format!(
                    "the resource is in region {recorded}, and a resource cannot move to {region}; delete and create it anew, or put the region back"
                ),
            ));
        }
        let mark = OwnerMark::new(&self.ports.store.meta().id, key);
        let tags = dialect::default_tags(&kind, &object, &settings.version, &settings.default_tags);
        let surroundings = Surroundings { account: identity.account, partition: identity.partition, region };
        let known = self.looks.take(key, self.ports.clock.now());
        Ok(Prepared {
            purpose,
            known,
            kind,
            object,
            renamed,
            record,
            spec,
            secrets,
            policies,
            options,
            surroundings,
            mark,
            tags,
            consistency: settings.consistency,
        })
    }

    fn wait_for_dependents(&self, key: &ObjectKey) -> Result<(), Unprepared> {
        let dependents = self.world().dependents(key);
        match dependents.first() {
            None => Ok(()),
            Some(on) => {
                let message = format!("is deleted after {on}, which refers to it");
                let standing = Standing::Working { reason: "HasDependents", message, references: false };
                Err(Unprepared::Turn(Box::new(Turn::WaitsFor { on: on.clone(), standing })))
            }
        }
    }

    /// The record as it stands for this wish: a changed wish counts a generation up; the name stays that of the resource.
    /// `spec`: the wish as it may be stored.
    pub(super) fn current_record(&self, object: &Object, record: Option<Record>, spec: Arc<Value>) -> Record {
        let meta = self.ports.store.meta();
        let digest = meta.digest_key.digest("spec", &object.spec);
        let ours = |all: &BTreeMap<String, String>| {
            let kept = all.iter().filter(|(name, _)| dialect::is_ours(name));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let remembered = record.as_ref().and_then(|record| record.wish.inherited.clone());
        let wish = LastWish {
            spec,
            annotations: ours(&object.annotations),
            inherited: object.inherited.as_ref().map(ours).or(remembered),
        };
        let mut record = record.unwrap_or_else(|| {
            let Life { uid, began, generation, rival: _ } = object.life.clone().unwrap_or_else(|| {
                let began = self.ports.clock.now();
                let parts = ["uid", &object.key.to_string(), &began.as_nanosecond().to_string()];
                Life { uid: meta.digest_key.token(&parts), began, generation: 1, rival: None }
            });
            Record { created: Some(began), generation, ..Record::new(object.key.clone(), uid, digest.clone()) }
        });
        match &object.life {
            Some(life) => {
                record.generation = life.generation;
                // It is in the spec, unless somebody took it out.
                record.late.clear();
            }
            None if record.spec_digest != digest => record.generation += 1,
            None => {}
        }
        record.spec_digest = digest;
        record.wish = wish;
        record.doubt();
        record
    }

    /// The secrets that an object of a namespace may read.
    async fn read_secrets(&self, kind: &Kind, namespace: &str, spec: &Value, cross_namespace: bool) -> ReadSecrets {
        let may_read = |source: &SecretKey| source.namespace == namespace || cross_namespace;
        let keys = resolve::secrets(kind, namespace, spec).filter(may_read).collect();
        ReadSecrets::of(&self.ports.secrets, keys).await
    }

    /// `spec`: the object's, under the name that its resource has.
    fn wish(
        &self,
        kind: &Kind,
        object: &Object,
        spec: &Value,
        secrets: &ReadSecrets,
        cross_namespace: bool,
        mode: Mode,
    ) -> Result<Tree, Unprepared> {
        let resolver = Resolver {
            kind,
            namespace: &object.key.namespace,
            spec,
            secrets,
            digest_key: &self.ports.store.meta().digest_key,
            cross_namespace,
            mode,
        };
        let resolved = resolver.resolve(&*self.world());
        match resolved {
            Ok(spec) => Ok(spec),
            // What is being deleted needs its names, not its references.
            Err(_) if object.deleting => Ok(Tree::from(spec)),
            Err(Unresolved::Reference { on, message }) => {
                let standing = Standing::Unresolved { message };
                Err(Unprepared::Turn(Box::new(Turn::WaitsFor { on, standing })))
            }
            Err(error @ Unresolved::Secret(_)) => Err(fail(ErrorClass::Waiting, error.to_string())),
            Err(Unresolved::Invalid(message)) => Err(fail(ErrorClass::Invalid, message)),
        }
    }

    pub(super) fn input<'a>(&'a self, prepared: &'a Prepared, observation: &'a Observation) -> Input<'a> {
        Input {
            kind: &prepared.kind,
            key: &prepared.object.key,
            spec: &prepared.spec,
            deleting: prepared.object.deleting,
            policies: &prepared.policies,
            options: &prepared.options,
            surroundings: &prepared.surroundings,
            observation,
            record: &prepared.record,
            mark: &prepared.mark,
            default_tags: &prepared.tags,
            digest_key: &self.ports.store.meta().digest_key,
            consistency: prepared.consistency,
            now: self.ports.clock.now(),
        }
    }

    pub(super) async fn observe(&self, prepared: &Prepared, fresh: bool) -> Result<Observation, CallError> {
        let nothing = Observation::nothing();
        let input = self.input(prepared, &nothing);
        let Prepared { purpose, .. } = *prepared;
        let known = &prepared.known.parts;
        let extent = if fresh { Extent::Fresh } else { Extent::Stake };
        let reader = Reader { cloud: &self.ports.cloud, input: &input, purpose, extent, known, marked: &self.marked };
        // Boxed: reads lead to reads, which makes a large future.
        Box::pin(reader.observe()).await
    }
}

fn fail(class: ErrorClass, message: String) -> Unprepared {
    Unprepared::Turn(Box::new(Turn::Failed { class, error: None, message }))
}

/// The object with what is remembered of its namespace, if nobody says what that is.
fn in_its_place(object: Arc<Object>, record: Option<&Record>) -> Arc<Object> {
    match record.and_then(|record| record.wish.inherited.as_ref()) {
        Some(remembered) if object.inherited.is_none() => {
            Arc::new(Object { inherited: Some(remembered.clone()), ..Object::clone(&object) })
        }
        _ => object,
    }
}

fn not_our_account(namespace: &str, wanted: &str, ours: &str) -> String {
    format!(
        "namespace {namespace} says that its resources are of account {wanted}, and these credentials are of account {ours}: \
         use credentials of {wanted} for it; roles for other accounts are not supported yet"
    )
}
