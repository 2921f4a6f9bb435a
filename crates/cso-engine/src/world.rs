//! What the engine holds in memory: wishes, records, and who refers to whom. Synchronous; locked briefly, never across
//! an await.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use cso_core::export::{self, Target, is_export};
use cso_core::packed::{Packed, Press};
use cso_core::{ConditionStatus, Life, Object, ObjectKey, Record};
use cso_schema::kind::Kind;
use serde_json::Value;

use crate::exports;
use crate::resolve::{self, Others};

/// Kinds by group and name. Those of a group are compiled when one of them is first asked for: of hundreds of services, most
/// users have a few.
#[derive(Clone, Debug, Default)]
pub struct Kinds(BTreeMap<String, Arc<Group>>);

type Group = LazyLock<Vec<Arc<Kind>>, Box<dyn FnOnce() -> Vec<Arc<Kind>> + Send>>;

impl Kinds {
    /// The kind of an object, if there is a descriptor for it.
    pub fn of(&self, key: &ObjectKey) -> Option<&Arc<Kind>> {
        self.named(&key.group, &key.kind)
    }

    /// The kind of a group by its name; compiles no other group.
    pub fn named(&self, group: &str, kind: &str) -> Option<&Arc<Kind>> {
        let group = self.0.get(group)?;
        group.binary_search_by(|known| known.name().cmp(kind)).ok().and_then(|at| group.get(at))
    }

    /// Every kind, by group and name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values().flat_map(|group| group.iter())
    }

    /// Adds the kinds of a group, to be compiled once they are needed.
    pub fn add(&mut self, group: String, compile: impl FnOnce() -> Vec<Arc<Kind>> + Send + 'static) {
        let sorted = || {
            let mut kinds = compile();
            kinds.sort_by(|one, other| one.name().cmp(other.name()));
            kinds
        };
        self.0.insert(group, Arc::new(LazyLock::new(Box::new(sorted))));
    }

    /// These kinds with others beside them, which stand in for those of the same name.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = Arc<Kind>>) -> Self {
        let mut groups: BTreeMap<String, BTreeMap<String, Arc<Kind>>> = BTreeMap::new();
        for kind in others {
            groups.entry(kind.group().to_owned()).or_default().insert(kind.name().to_owned(), kind);
        }
        let mut all = self.clone();
        for (group, mut kinds) in groups {
            for old in self.0.get(&group).into_iter().flat_map(|group| group.iter()) {
                kinds.entry(old.name().to_owned()).or_insert_with(|| Arc::clone(old));
            }
            all.add(group, || kinds.into_values().collect());
        }
        all
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self::default().with(kinds.into_iter().map(Arc::new))
    }
}

/// Objects and records, with the index of references.
#[derive(Debug, Default)]
pub struct World {
    entries: BTreeMap<ObjectKey, Entry>,
    /// By target: the objects that refer to it.
    referrers: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// Kinds, by group and name, whose objects cannot be read: everywhere (`None`), or in these namespaces.
    hidden: BTreeMap<(String, String), BTreeSet<Option<String>>>,
    /// Packs what nobody works on; without it everything stays as it is.
    press: Option<Press>,
}

/// What is known of one object.
#[derive(Clone, Debug, Default)]
struct Known {
    wish: Option<Arc<Object>>,
    record: Option<Arc<Record>>,
}

/// The same as it is kept.
#[derive(Debug)]
struct Entry {
    form: Form,
    /// Somebody works on it.
    in_hand: bool,
    /// What is asked of all objects at once, so that nothing is unpacked for it.
    has_wish: bool,
    synced: Option<ConditionStatus>,
}

#[derive(Debug)]
enum Form {
    Open(Known),
    Packed(Packed),
}

impl Known {
    fn is_nothing(&self) -> bool {
        self.wish.is_none() && self.record.is_none()
    }

    fn pack(&self, key: &ObjectKey, press: &mut Press) -> Option<Packed> {
        press.pack(key, &(self.wish.as_deref(), self.record.as_deref()))
    }

    fn unpack(key: &ObjectKey, packed: &Packed) -> Self {
        // What does not come back is looked for in the cloud as if it had never been remembered.
        let (mut wish, mut record) = packed.open::<(Option<Object>, Option<Record>)>().unwrap_or_default();
        if let Some(record) = &mut record {
            record.key = key.clone();
        }
        if let Some(wish) = &mut wish {
            wish.key = key.clone();
            if let Some(record) = record.as_ref().filter(|record| record.wish.spec == wish.spec) {
                // One copy in memory of what is both wished for and remembered.
                wish.spec = Arc::clone(&record.wish.spec);
            }
        }
        Self { wish: wish.map(Arc::new), record: record.map(Arc::new) }
    }
}

impl World {
    /// A world that starts with what a store remembers. `packs`: what nobody works on takes little memory, and some
    /// microseconds to look at.
    pub fn new(records: Vec<Record>, kinds: &Kinds, packs: bool) -> Self {
        let mut world = Self { press: packs.then(Press::default), ..Self::default() };
        for record in records {
            world.link(&record.key, leads_to(&record.key, &record.wish.spec, kinds));
            world.remember(record);
        }
        world
    }

    fn link(&mut self, from: &ObjectKey, targets: BTreeSet<ObjectKey>) {
        for target in targets {
            self.referrers.entry(target).or_default().insert(from.clone());
        }
    }

    fn known(&self, key: &ObjectKey) -> Known {
        self.entries.get_key_value(key).map(|(key, entry)| entry.known(key)).unwrap_or_default()
    }

    fn put(&mut self, key: &ObjectKey, known: Known) {
        if known.is_nothing() {
            self.entries.remove(key);
            return;
        }
        let in_hand = self.entries.get(key).is_some_and(|entry| entry.in_hand);
        let has_wish = known.wish.is_some();
        let synced = known.record.as_deref().and_then(resolve::synced);
        let packed = self.press.as_mut().filter(|_| !in_hand).and_then(|press| known.pack(key, press));
        let form = packed.map_or(Form::Open(known), Form::Packed);
        // An entry that is there keeps its key: one copy of it in memory.
        self.entries.insert(key.clone(), Entry { form, in_hand, has_wish, synced });
    }

    /// Somebody begins to work on an object.
    pub fn take_up(&mut self, key: &ObjectKey) {
        self.hold(key, true);
    }

    /// Nobody works on it any more.
    pub fn lay_down(&mut self, key: &ObjectKey) {
        self.hold(key, false);
    }

    fn hold(&mut self, key: &ObjectKey, in_hand: bool) {
        if self.press.is_none() {
            return;
        }
        let known = self.known(key);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.in_hand = in_hand;
            self.put(key, known);
        }
    }

    /// Takes a wish in; says whether it is another than before.
    pub fn set(&mut self, object: Object, kinds: &Kinds) -> bool {
        let mut known = self.known(&object.key);
        // News that was on its way while the provider's choices were written is of a version without them.
        let mut object = match &known.record {
            Some(record) => Arc::unwrap_or_clone(with_late(Arc::new(object), record)),
            None => object,
        };
        if known.wish.as_deref() == Some(&object) {
            return false;
        }
        let lives = |record: &Record| object.life.as_ref().is_none_or(|life| life.uid == record.uid);
        // A record of an earlier object of this name, which went without us, tells nothing of this one.
        known.record = known.record.filter(|record| lives(record));
        if let Some(record) = known.record.as_ref().filter(|record| record.wish.spec == object.spec) {
            // One copy in memory of what is both wished for and remembered.
            object.spec = Arc::clone(&record.wish.spec);
        }
        let key = object.key.clone();
        self.link(&key, leads_to(&key, &object.spec, kinds));
        known.wish = Some(Arc::new(object));
        self.put(&key, known);
        true
    }

    /// The wish for an object.
    pub fn wish(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.known(key).wish
    }

    /// What is remembered of an object.
    pub fn record(&self, key: &ObjectKey) -> Option<Arc<Record>> {
        self.known(key).record
    }

    /// Both.
    pub fn both(&self, key: &ObjectKey) -> (Option<Arc<Object>>, Option<Arc<Record>>) {
        let Known { wish, record } = self.known(key);
        (wish, record)
    }

    /// Objects that are wished for, each with how its resource stands.
    pub fn wished(&self) -> impl Iterator<Item = (&ObjectKey, Option<ConditionStatus>)> {
        self.entries.iter().filter(|(_, entry)| entry.has_wish).map(|(key, entry)| (key, entry.synced))
    }

    /// All records.
    pub fn records(&self) -> impl Iterator<Item = Arc<Record>> {
        self.entries.iter().filter_map(|(key, entry)| entry.known(key).record)
    }

    /// Replaces a record. What was put into the object's spec with it is wished for from now on, also where an older
    /// version of the object came in meanwhile: or it would seem to have been taken out.
    pub fn remember(&mut self, record: impl Into<Arc<Record>>) {
        let record = record.into();
        let key = record.key.clone();
        let wish = self.known(&key).wish.map(|wish| with_late(wish, &record));
        self.put(&key, Known { wish, record: Some(record) });
    }

    /// Takes in a record that was written by an earlier process, unless this one knows better.
    pub fn meet(&mut self, record: Record) {
        if self.record(&record.key).is_none_or(|known| known.uid != record.uid) {
            self.remember(record);
        }
    }

    /// Takes in what another process, which works on the objects, remembers of one: it knows better.
    pub fn follow(&mut self, key: &ObjectKey, record: Option<Record>) {
        let wish = self.known(key).wish;
        self.put(key, Known { wish, record: record.map(Arc::new) });
    }

    /// Takes in what an object says that others work on: it is no wish here, but others refer to it. Says whether it tells
    /// them something new.
    pub fn look_on(&mut self, record: Record) -> bool {
        let tells =
            |record: &Record| (record.status.clone(), Arc::clone(&record.wish.spec), resolve::is_synced(record));
        let is_new = self.record(&record.key).is_none_or(|known| tells(&known) != tells(&record));
        let key = record.key.clone();
        self.put(&key, Known { wish: None, record: Some(Arc::new(record)) });
        is_new
    }

    /// Drops an object and its record, which it returns.
    pub fn forget(&mut self, key: &ObjectKey) -> Option<Arc<Record>> {
        for referrers in self.referrers.values_mut() {
            referrers.remove(key);
        }
        self.entries.remove(key).and_then(|entry| entry.known(key).record)
    }

    /// Objects of a kind cannot be read, everywhere or in a namespace: one that is not known may exist. Returns those that
    /// refer to such objects.
    pub fn hide(&mut self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<ObjectKey> {
        let places = self.hidden.entry((group.to_owned(), kind.to_owned())).or_default();
        places.insert(namespace.map(str::to_owned));
        self.referrers_of_kind(group, kind)
    }

    /// They can be read by now, and those that exist are known. Returns those that refer to such objects.
    pub fn show(&mut self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<ObjectKey> {
        if let Some(places) = self.hidden.get_mut(&(group.to_owned(), kind.to_owned())) {
            places.remove(&namespace.map(str::to_owned));
        }
        self.referrers_of_kind(group, kind)
    }

    fn referrers_of_kind(&self, group: &str, kind: &str) -> Vec<ObjectKey> {
        let first = ObjectKey::new(group, kind, "", "");
        let of_kind = self.referrers.range(first..).take_while(|(key, _)| key.group == group && key.kind == kind);
        let all: BTreeSet<&ObjectKey> = of_kind.flat_map(|(_, referrers)| referrers).collect();
        all.into_iter().cloned().collect()
    }

    /// Objects that refer to this one; of a field export, those that read what it exports.
    pub fn referrers(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let record = if is_export(key) { self.record(key) } else { None };
        let target = record.and_then(|record| record.exported.as_ref().map(|exported| exported.target.object()));
        let keys = std::iter::once(key).chain(&target);
        keys.filter_map(|key| self.referrers.get(key)).flatten().cloned().collect()
    }

    /// What is known of all field exports.
    fn exports(&self) -> impl Iterator<Item = Known> {
        let first = ObjectKey::new(export::GROUP, export::KIND, "", "");
        self.entries.range(first..).take_while(|(key, _)| is_export(key)).map(|(key, entry)| entry.known(key))
    }

    /// The field export that is the first to wish for such a target.
    fn writer(&self, wanted: impl Fn(&Target) -> bool) -> Option<ObjectKey> {
        let wishes: Vec<Arc<Object>> = self.exports().filter_map(|known| known.wish).collect();
        exports::writer(wishes.iter().map(Arc::as_ref), wanted).cloned()
    }

    /// Another field export that has written the target of this one, or is the first to wish for it.
    pub fn rival(&self, key: &ObjectKey, target: &Target) -> Option<ObjectKey> {
        let has_written = |record: &Arc<Record>| record.exported.as_ref().is_some_and(|other| other.target == *target);
        let written = self.exports().filter_map(|known| known.record).find(has_written);
        let written = written.map(|record| record.key.clone());
        written.or_else(|| self.writer(|other| other == target)).filter(|other| other != key)
    }

    /// Objects that refer to this one and whose resource may still use its resource.
    pub fn dependents(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let may_use = |record: &Record| record.ownership.is_ours() || record.intent.is_some();
        self.referrers(key)
            .into_iter()
            .filter(|from| self.record(from).is_some_and(|record| may_use(&record)))
            .collect()
    }
}

/// A wish with what was put into its spec, if it is of a generation before that.
fn with_late(wish: Arc<Object>, record: &Record) -> Arc<Object> {
    let Some(life) = wish.life.as_ref().filter(|life| life.uid == record.uid && life.generation < record.observed)
    else {
        return wish;
    };
    let life = Life { generation: record.observed, ..life.clone() };
    let mut wish = Object { life: Some(life), ..Object::clone(&wish) };
    if let Value::Object(spec) = Arc::make_mut(&mut wish.spec) {
        for (field, value) in &record.late {
            let member = spec.entry(field.as_str()).or_insert(Value::Null);
            if member.is_null() {
                *member = value.clone();
            }
        }
    }
    Arc::new(wish)
}

impl Entry {
    fn known(&self, key: &ObjectKey) -> Known {
        match &self.form {
            Form::Open(known) => known.clone(),
            Form::Packed(packed) => Known::unpack(key, packed),
        }
    }
}

impl Others for World {
    fn object(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.wish(key)
    }

    fn record(&self, key: &ObjectKey) -> Option<Arc<Record>> {
        self.record(key)
    }

    fn is_hidden(&self, key: &ObjectKey) -> bool {
        let places = self.hidden.get(&(key.group.clone(), key.kind.clone()));
        places.is_some_and(|places| places.contains(&None) || places.contains(&Some(key.namespace.clone())))
    }

    fn exported(&self, namespace: &str, name: &str, key: &str) -> Option<String> {
        let exported = self.exports().filter_map(|known| known.record?.exported.clone());
        let mut here = exported.filter(|it| exports::is_secret_key(&it.target, namespace, name, key));
        here.next().map(|exported| exported.value)
    }

    fn exporter(&self, namespace: &str, name: &str, key: &str) -> Option<ObjectKey> {
        self.writer(|target| exports::is_secret_key(target, namespace, name, key))
    }
}

/// What an object leads to: the objects it refers to, the Secrets it reads, the source of what it exports.
fn leads_to(key: &ObjectKey, spec: &Value, kinds: &Kinds) -> BTreeSet<ObjectKey> {
    let Some(kind) = kinds.of(key) else { return exports::source_of(key, spec).into_iter().collect() };
    let mut targets = resolve::references(kind, &key.namespace, spec);
    targets.extend(resolve::secrets(kind, &key.namespace, spec).map(|source| source.object()));
    targets
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cso_core::DigestKey;
    use cso_facts::Catalog;
    use cso_schema::catalog::service_kinds;
    use cso_schema::compile::group_of;
    use serde_json::json;

    use super::*;

    /// Adds the kinds of a service; says how often they have been compiled.
    fn counted(kinds: &mut Kinds, service: &'static str) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        kinds.add(group_of(service), move || {
            counter.fetch_add(1, Ordering::SeqCst);
            service_kinds(Catalog::builtin(), service).unwrap().into_iter().map(Arc::new).collect()
        });
        count
    }

    #[test]
    fn kinds_of_a_group_are_compiled_once_when_one_is_asked_for() {
        let mut kinds = Kinds::default();
        let counters = ["sqs", "sns"].map(|service| counted(&mut kinds, service));
        let compiled = || counters.each_ref().map(|count| count.load(Ordering::SeqCst));
        assert!(kinds.named(&group_of("ecr"), "Repository").is_none());
        assert_eq!(compiled(), [0, 0]);

        let queue = kinds.named(&group_of("sqs"), "Queue").unwrap();
        assert!(kinds.named(&group_of("sqs"), "Topic").is_none());
        assert_eq!(compiled(), [1, 0]);

        let others = kinds.with([Arc::clone(queue)]);
        assert!(others.of(&ObjectKey::new(&group_of("sqs"), "Queue", "default", "a")).is_some());
        assert_eq!(compiled(), [1, 0], "only the group that the others are in is looked at");

        let names: Vec<&str> = others.iter().map(|kind| kind.name()).collect();
        assert_eq!(names, ["PlatformApplication", "PlatformEndpoint", "Subscription", "Topic", "Queue"]);
        assert_eq!(compiled(), [1, 1]);
    }

    /// A world of one object, which was made as it was wished for.
    fn settled(packs: bool) -> (World, Object, Record) {
        let spec = || Arc::new(json!({"queueName": "orders"}));
        let key = ObjectKey::new("g", "K", "n", "a");
        let digest = DigestKey::from_bytes([1; 32]).digest("spec", &spec());
        let mut record = Record::new(key.clone(), "uid".to_owned(), digest);
        record.wish.spec = spec();
        let mut world = World::new(vec![record.clone()], &Kinds::default(), packs);
        let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
        let wish = Object { key, labels, annotations, inherited: None, spec: spec(), deleting: false, life: None };
        assert!(world.set(wish.clone(), &Kinds::default()));
        assert!(!world.set(wish.clone(), &Kinds::default()), "it is the same");
        (world, wish, record)
    }

    /// Of thousands of objects, each would have its spec in memory twice.
    #[test]
    fn what_is_wished_for_as_it_is_remembered_is_in_memory_once() {
        for packs in [false, true] {
            let (world, wish, _) = settled(packs);
            let (wish, record) = world.both(&wish.key);
            assert!(Arc::ptr_eq(&wish.expect("was set").spec, &record.expect("is remembered").wish.spec));
        }
    }

    /// An annotation that comes while the provider's choices are written into the spec is of a version without them.
    #[test]
    fn what_was_put_into_a_spec_is_not_taken_out_by_an_older_version() {
        let (mut world, wish, mut record) = settled(true);
        let life = |generation| {
            Some(Life { uid: "uid".to_owned(), began: jiff::Timestamp::UNIX_EPOCH, generation, rival: None })
        };
        let asked = Object { annotations: BTreeMap::from([("look".to_owned(), "now".to_owned())]), ..wish };
        let older = Object { life: life(1), ..asked.clone() };
        assert!(world.set(older.clone(), &Kinds::default()));
        record.late = json!({"delay": "0"}).as_object().cloned().unwrap();
        record.observed = 2;
        world.remember(record.clone());
        let written = Object { life: life(2), spec: Arc::new(json!({"delay": "0", "queueName": "orders"})), ..asked };
        assert_eq!(world.wish(&written.key).as_deref(), Some(&written));
        assert!(!world.set(older.clone(), &Kinds::default()), "it was on its way meanwhile");
        assert_eq!(world.wish(&written.key).as_deref(), Some(&written));

        // What is taken out after that is.
        let later = Object { life: life(3), ..older };
        assert!(world.set(later.clone(), &Kinds::default()));
        world.remember(record);
        assert_eq!(world.wish(&later.key).as_deref(), Some(&later));
    }

    #[test]
    fn what_nobody_works_on_is_packed_and_comes_back_as_it_was() {
        let (mut world, wish, record) = settled(true);
        let key = &wish.key;
        let is_packed = |world: &World| matches!(world.entries[key].form, Form::Packed(_));
        assert!(is_packed(&world));
        let same = |world: &World, record: &Record| {
            assert_eq!(world.wish(key).as_deref(), Some(&wish));
            assert_eq!(world.record(key).as_deref(), Some(record));
        };
        same(&world, &record);
        world.take_up(key);
        assert!(!is_packed(&world));
        same(&world, &record);
        let later = Record { generation: 7, ..record };
        world.remember(later.clone());
        assert!(!is_packed(&world), "somebody works on it");
        world.lay_down(key);
        assert!(is_packed(&world));
        same(&world, &later);
        assert_eq!(world.forget(key).as_deref(), Some(&later));
        assert_eq!(world.wished().count(), 0);
    }

    #[test]
    fn what_cannot_be_read_may_exist_until_it_can_be() {
        let mut world = World::default();
        let [here, there] = ["shop", "billing"].map(|namespace| ObjectKey::new("g", "Key", namespace, "a"));
        let queue = ObjectKey::new("g", "Queue", "shop", "q");
        world.link(&queue, BTreeSet::from([here.clone(), ObjectKey::new("g", "Kettle", "shop", "a")]));
        assert!(!world.is_hidden(&here));
        assert_eq!(world.hide("g", "Key", Some("shop")), std::slice::from_ref(&queue));
        assert!(world.is_hidden(&here) && !world.is_hidden(&there));
        world.hide("g", "Key", None);
        assert!(world.is_hidden(&there) && !world.is_hidden(&queue));
        world.show("g", "Key", None);
        assert_eq!(world.show("g", "Key", Some("shop")), [queue]);
        assert!(!world.is_hidden(&here) && !world.is_hidden(&there));
    }
}
