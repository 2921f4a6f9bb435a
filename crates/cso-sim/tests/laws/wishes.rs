//! Wishes that the published surface and the API allow, and whether a cloud fulfils them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cso_core::{Object, Tree};
use cso_facts::api::{Service, ShapeId, ShapeKind};
use cso_facts::surface::{Schema, SchemaType};
use cso_schema::compare::Compare;
use cso_schema::convert::shape_at;
use cso_schema::kind::{Clear, Field, Kind, Owner, Place, Ref, Revisions, Role, Shape, Source, Table};
use cso_schema::names::same_name;
use cso_sim::{Behaviour, Resource};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::{BoxedStrategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use crate::bench::{KINDS, NAMESPACE, SECRET, object};

/// A wish with the objects that it refers to.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) object: Object,
    pub(crate) others: Vec<Object>,
}

impl Wish {
    pub(crate) fn all(&self) -> Vec<Object> {
        self.with(self.object.clone())
    }

    /// Everything, with another version of the object.
    pub(crate) fn with(&self, object: Object) -> Vec<Object> {
        self.others.iter().cloned().chain([object]).collect()
    }
}

/// Any valid wish.
pub(crate) fn wish(kind: &Arc<Kind>) -> BoxedStrategy<Wish> {
    let kind = Arc::clone(kind);
    (spec(&kind, false), any::<bool>()).prop_map(move |(spec, by_reference)| make(&kind, spec, by_reference)).boxed()
}

/// A wish with every field set.
pub(crate) fn maximal(kind: &Arc<Kind>) -> BoxedStrategy<Wish> {
    let kind = Arc::clone(kind);
    (spec(&kind, true), any::<bool>()).prop_map(move |(spec, by_reference)| make(&kind, spec, by_reference)).boxed()
}

/// A wish, and another for the same resource: fields were set, changed and taken out.
pub(crate) fn edited(kind: &Arc<Kind>) -> BoxedStrategy<(Wish, Wish)> {
    edited_from(kind, false)
}

/// The same, beginning with every field set.
pub(crate) fn edited_from_maximal(kind: &Arc<Kind>) -> BoxedStrategy<(Wish, Wish)> {
    edited_from(kind, true)
}

fn edited_from(kind: &Arc<Kind>, from_maximal: bool) -> BoxedStrategy<(Wish, Wish)> {
    let kind = Arc::clone(kind);
    (spec(&kind, from_maximal), spec(&kind, false), any::<bool>())
        .prop_map(move |(before, after, by_reference)| {
            let after = keep_fixed(&kind, &before, after);
            pair(make(&kind, before, by_reference), make(&kind, after, by_reference))
        })
        .boxed()
}

/// Two wishes in a world where everything is that either of them refers to.
fn pair(mut before: Wish, mut after: Wish) -> (Wish, Wish) {
    let all: BTreeMap<_, _> =
        before.others.into_iter().chain(after.others).map(|other| (other.key.clone(), other)).collect();
    before.others = all.values().cloned().collect();
    after.others = all.into_values().collect();
    (before, after)
}

/// A wish, the same with one field set, changed or taken out, and that field. `None` if the kind has no such field.
pub(crate) fn edited_once(
    kind: &Arc<Kind>,
    may_change: impl Fn(&Kind, &Field) -> bool,
) -> BoxedStrategy<(Wish, Wish, Option<String>)> {
    let kind = Arc::clone(kind);
    let fields = kind.fields.values().filter(|field| may_change(&kind, field));
    let fields: Vec<String> = fields.map(|field| field.name.clone()).collect();
    (spec(&kind, false), spec(&kind, false), any::<bool>(), any::<Index>())
        .prop_map(move |(before, other, by_reference, index)| {
            let mut after = before.clone();
            let field = (!fields.is_empty()).then(|| index.get(&fields).clone());
            if let Some(field) = &field {
                // What must be set stays set.
                if other.get(field).is_some() || !is_required(&kind, field) {
                    put(&mut after, field, other.get(field).cloned());
                }
            }
            let (before, after) = pair(make(&kind, before, by_reference), make(&kind, after, by_reference));
            (before, after, field)
        })
        .boxed()
}

/// Whether a secret stands in the spec itself.
pub(crate) fn is_plain(field: &Field) -> bool {
    field.schema.schema_type == SchemaType::String
}

/// The wish with another value for the secrets that stand in it.
pub(crate) fn rotated(kind: &Kind, wish: &Wish, secret: &str) -> Wish {
    let mut wish = wish.clone();
    for field in kind.fields.values().filter(|field| field.role == Role::Secret && is_plain(field)) {
        if wish.object.spec.get(&field.name).is_some() {
            Arc::make_mut(&mut wish.object.spec)[&field.name] = json!(secret);
        }
    }
    wish
}

/// Whether a field may change in the life of a resource.
pub(crate) fn is_mutable(kind: &Kind, field: &Field) -> bool {
    field.role == Role::Mutable && !kind.is_identity(&field.name)
}

/// Any behaviour that a well-meaning provider shows.
pub(crate) fn behaviour() -> BoxedStrategy<Behaviour> {
    (any::<bool>(), any::<bool>(), 0u32..3, 0u32..3)
        .prop_map(|(defaults, normalise, lag, busy)| Behaviour {
            defaults,
            normalise,
            lag,
            busy,
            ..Behaviour::default()
        })
        .boxed()
}

fn put(spec: &mut Value, field: &str, value: Option<Value>) {
    if let Value::Object(members) = spec {
        match value {
            Some(value) => members.insert(field.to_owned(), value),
            None => members.remove(field),
        };
    }
}

/// Fields that cannot change are as they were.
fn keep_fixed(kind: &Kind, before: &Value, mut after: Value) -> Value {
    for field in kind.fields.values() {
        if field.role == Role::CreateOnly || kind.is_identity(&field.name) {
            put(&mut after, &field.name, before.get(&field.name).cloned());
        }
    }
    after
}

/// Whether a wish without the field is not valid.
fn is_required(kind: &Kind, field: &str) -> bool {
    let of_create = kind.create.carries.iter().any(|carried| {
        let Place::Path(path) = &carried.place else { return false };
        let member = path.split_first().map(|(member, _)| member.to_owned()).unwrap_or_default();
        carried.field == field
            && input(&kind.api, &kind.create.operation, &member).is_some_and(|(_, required)| required)
    });
    kind.surface.spec.required.contains(field) || of_create || kind.is_identity(field)
}

fn input(api: &Service, operation: &str, member: &str) -> Option<(ShapeId, bool)> {
    let member = api.shape(api.operation(operation)?.input?).member(member)?;
    Some((member.shape, member.required))
}

fn spec(kind: &Arc<Kind>, maximal: bool) -> BoxedStrategy<Value> {
    let mut members: Vec<BoxedStrategy<Option<(String, Value)>>> = Vec::new();
    for field in kind.fields.values() {
        let name = field.name.clone();
        let always = maximal || is_required(kind, &name);
        let named = field_value(kind, field).prop_map(move |value| (name.clone(), value));
        members.push(if always { named.prop_map(Some).boxed() } else { prop::option::of(named).boxed() });
    }
    let path = kind.tags.as_ref().map(|tags| tags.field.clone());
    let tags = if kind.tags.is_some() { tags(kind, maximal) } else { Just(None).boxed() };
    (members, tags)
        .prop_map(move |(members, tags)| {
            let spec: Map<String, Value> = members.into_iter().flatten().collect();
            let mut spec = Tree::from(Value::Object(spec));
            if let (Some(path), Some(tags)) = (&path, tags) {
                spec.set(path, Tree::from(tags));
            }
            spec.shown()
        })
        .boxed()
}

fn tags(kind: &Kind, maximal: bool) -> BoxedStrategy<Option<Value>> {
    let names = kind.tags.as_ref().and_then(|tags| tags.surface_names.clone());
    let pairs = prop::collection::btree_map(select(vec!["team", "stage", "cost"]), "[a-z]{1,3}", 0..3);
    let tags = pairs.prop_map(move |pairs: BTreeMap<&str, String>| match &names {
        None => json!(pairs),
        Some((key, value)) => {
            let pair = |(name, text): (&&str, &String)| {
                Value::Object(Map::from_iter([(key.clone(), json!(name)), (value.clone(), json!(text))]))
            };
            pairs.iter().map(pair).collect()
        }
    });
    if maximal { tags.prop_map(Some).boxed() } else { prop::option::of(tags).boxed() }
}

/// Any value of a field. What ends its resource when it is empty is not.
pub(crate) fn field_value(kind: &Kind, field: &Field) -> BoxedStrategy<Value> {
    let value = any_value(kind, field);
    if matches!(field.owner, Owner::Part(position) if kind.ends_with(position)) {
        return value.prop_filter("an empty resource is none", |value| *value != json!([])).boxed();
    }
    value
}

fn any_value(kind: &Kind, field: &Field) -> BoxedStrategy<Value> {
    if kind.identity.name.iter().any(|path| path.to_string() == field.name) {
        return Just(json!("thing")).boxed();
    }
    if field.role == Role::Secret {
        return Just(if is_plain(field) { json!(SECRET) } else { json!({"name": "credentials", "key": "password"}) })
            .boxed();
    }
    let shape = carried_shape(kind, field);
    if field.schema.schema_type == SchemaType::String {
        return text(&field.schema, &kind.api, shape, field.compare, Some(&field.clear));
    }
    let key = table_of(kind, field).and_then(|table| table.key.as_deref());
    let rules = Rules { whole: field.compare, nested: &field.nested };
    if let (None, Some(element), Some(items)) = (shape, element_shape(kind, field), &field.schema.items) {
        let (elements, key) = (structured(items, &kind.api, Some(element), rules, key, "[]"), key.map(str::to_owned));
        return prop::collection::vec(elements, 0..3).prop_map(move |list| unique(list, key.as_deref())).boxed();
    }
    structured(&field.schema, &kind.api, shape, rules, key, "")
}

/// The API's shape of a table's elements, where each is added by a call of its own.
fn element_shape(kind: &Kind, field: &Field) -> Option<ShapeId> {
    let add = &table_of(kind, field)?.add;
    add.inputs.iter().find_map(|(member, source)| {
        let (shape, _) = input(&kind.api, &add.operation, member)?;
        shape_of_element(&kind.api, source, shape)
    })
}

fn shape_of_element(api: &Service, source: &Source, shape: ShapeId) -> Option<ShapeId> {
    match (source, &api.shape(shape).kind) {
        (Source::Item(None), _) => Some(shape),
        (Source::List(sources), ShapeKind::List { member, .. }) => {
            sources.iter().find_map(|source| shape_of_element(api, source, member.shape))
        }
        (Source::Structure(members), _) => members
            .iter()
            .find_map(|(name, source)| shape_of_element(api, source, api.shape(shape).member(name)?.shape)),
        _ => None,
    }
}

/// The table that a field is the elements of.
pub(crate) fn table_of<'a>(kind: &'a Kind, field: &Field) -> Option<&'a Table> {
    let Owner::Part(position) = field.owner else { return None };
    match &kind.parts[position].shape {
        Shape::Table(table) => Some(table),
        _ => None,
    }
}

/// The API's shape of a field, from the first call that carries it as a member.
pub(crate) fn carried_shape(kind: &Kind, field: &Field) -> Option<ShapeId> {
    let part = match field.owner {
        Owner::Part(position) => kind.parts.get(position).and_then(|part| match &part.shape {
            Shape::Config { put, .. } => Some(&put.call),
            Shape::Table(Table { add, .. }) | Shape::Revisions(Revisions { add, .. }) => Some(add),
            Shape::Switch { .. } => None,
        }),
        Owner::Body => None,
    };
    let calls = [Some(&kind.create), kind.update.as_ref().map(|update| &update.call), part];
    calls.into_iter().flatten().find_map(|call| {
        let place = &call.carries.iter().find(|carried| carried.field == field.name)?.place;
        let Place::Path(path) = place else { return None };
        let input = kind.api.operation(&call.operation)?.input?;
        shape_at(&kind.api, input, path)
    })
}

fn text(
    schema: &Schema,
    api: &Service,
    shape: Option<ShapeId>,
    compare: Compare,
    clear: Option<&Clear>,
) -> BoxedStrategy<Value> {
    let values = match shape.map(|shape| &api.shape(shape).kind) {
        Some(ShapeKind::String { values }) if !values.is_empty() => values.clone(),
        _ => schema.values.clone(),
    };
    if !values.is_empty() {
        return select(values).prop_map(Value::String).boxed();
    }
    if schema.format.as_deref() == Some("date-time") {
        return select(vec!["2026-01-31T12:00:00Z", "2027-12-01T00:00:00Z"]).prop_map(Value::from).boxed();
    }
    let flag = matches!(clear, Some(Clear::Value(value)) if value == "false" || value == "true");
    match compare {
        Compare::CaseInsensitive => select(vec!["true", "FALSE", "false"]).prop_map(Value::from).boxed(),
        _ if flag => select(vec!["true", "false"]).prop_map(Value::from).boxed(),
        Compare::Json => (0u8..4, "[a-z]{1,3}")
            .prop_map(|(n, word)| json!({"rule": [word], "limit": n, "on": true}).to_string().into())
            .boxed(),
        Compare::Policy => (prop::collection::vec("[a-z]{1,3}:[A-Z][a-z]{1,3}", 1..3), any::<bool>())
            .prop_map(|(actions, list)| {
                let action = if list || actions.len() > 1 { json!(actions) } else { json!(actions[0]) };
                let statement = json!({"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"});
                json!({"Version": "2012-10-17", "Statement": [statement]}).to_string().into()
            })
            .boxed(),
        Compare::Number => (0u32..5000).prop_map(|number| number.to_string().into()).boxed(),
        Compare::KmsKey => select(vec!["1234abcd", "alias/orders", "arn:aws:kms:eu-central-1:111122223333:key/77"])
            .prop_map(Value::from)
            .boxed(),
        _ => "[a-z]{1,6}".prop_map(Value::String).boxed(),
    }
}

/// Comparators of a field, and of members below it.
#[derive(Clone, Copy)]
struct Rules<'a> {
    whole: Compare,
    nested: &'a BTreeMap<String, Compare>,
}

fn structured(
    schema: &Schema,
    api: &Service,
    shape: Option<ShapeId>,
    rules: Rules<'_>,
    key: Option<&str>,
    at: &str,
) -> BoxedStrategy<Value> {
    match schema.schema_type {
        SchemaType::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        SchemaType::Integer | SchemaType::Number => (0u32..100).prop_map(Value::from).boxed(),
        SchemaType::String => text(schema, api, shape, rules.nested.get(at).copied().unwrap_or(rules.whole), None),
        SchemaType::Array => {
            let element = match shape.map(|shape| &api.shape(shape).kind) {
                Some(ShapeKind::List { member, .. }) => Some(member.shape),
                _ => None,
            };
            let items = schema.items.as_deref().cloned().unwrap_or_default();
            let elements = structured(&items, api, element, rules, key, &format!("{at}[]"));
            let key = key.map(str::to_owned);
            prop::collection::vec(elements, 0..3).prop_map(move |list| unique(list, key.as_deref())).boxed()
        }
        SchemaType::Object if schema.properties.is_empty() => match &schema.additional {
            None => Just(json!({})).boxed(),
            Some(values) => {
                let value = structured(values, api, None, rules, None, at);
                let entries = prop::collection::btree_map("[a-z]{1,3}", value, 0..3);
                entries.prop_map(|entries: BTreeMap<String, Value>| json!(entries)).boxed()
            }
        },
        SchemaType::Object => {
            let members = schema.properties.iter().filter(|(name, _)| !name.ends_with("Ref")).map(|(name, schema)| {
                let same = |shape| api.shape(shape).members().iter().find(|member| same_name(&member.name, name));
                let member = shape.and_then(same);
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                let value = structured(schema, api, member.map(|member| member.shape), rules, None, &path);
                let required = member.is_some_and(|member| member.required) || key == Some(name.as_str());
                let name = name.clone();
                let named = value.prop_map(move |value| (name.clone(), value));
                if required { named.prop_map(Some).boxed() } else { prop::option::of(named).boxed() }
            });
            let members: Vec<BoxedStrategy<Option<(String, Value)>>> = members.collect();
            members.prop_map(|members| Value::Object(members.into_iter().flatten().collect())).boxed()
        }
    }
}

/// A list without two elements of one key, or without two equal ones.
fn unique(list: Vec<Value>, key: Option<&str>) -> Value {
    let mut seen = BTreeSet::new();
    let name = |value: &Value| key.map_or_else(|| value.to_string(), |key| value[key].to_string());
    list.into_iter().filter(|value| seen.insert(name(value))).collect()
}

/// The wish as an object; its references as such, or as literal values.
pub(crate) fn make(kind: &Arc<Kind>, spec: Value, by_reference: bool) -> Wish {
    let mut object = object(kind, "subject", spec);
    let mut others = BTreeMap::new();
    for reference in kind.refs.iter().filter(|_| by_reference) {
        if let Some(other) = target(kind, reference)
            && refer(Arc::make_mut(&mut object.spec), reference)
        {
            others.insert(other.key.clone(), other);
        }
    }
    Wish { object, others: others.into_values().collect() }
}

/// The object that a reference leads to, if there is a kind for it.
fn target(from: &Kind, reference: &Ref) -> Option<Object> {
    let kind = KINDS.iter().find(|kind| kind.group() == reference.group && kind.name() == reference.kind)?;
    let mut spec = json!({});
    let mut runner = TestRunner::deterministic();
    for field in kind.fields.values().filter(|field| is_required(kind, &field.name)) {
        spec[&field.name] = field_value(kind, field).new_tree(&mut runner).expect("a value").current();
    }
    for path in &kind.identity.name {
        spec[path.to_string()] = json!("companion");
    }
    // A companion of the subject's own kind would be counted with it.
    (kind.name() != from.name()).then(|| object(kind, "companion", spec))
}

/// Replaces a value by a reference; says whether there was one.
fn refer(spec: &mut Value, reference: &Ref) -> bool {
    let mut tree = Tree::from(spec.clone());
    let wrapper = json!({"from": {"name": "companion", "namespace": NAMESPACE}});
    let wrapper = match tree.at(&reference.fills) {
        None => return false,
        Some(Tree::List(_)) => json!([wrapper]),
        Some(_) => wrapper,
    };
    tree.set(&reference.fills, Tree::Null);
    tree.set(&reference.field, Tree::from(wrapper));
    *spec = without_nulls(tree.shown());
    true
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let set = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(set.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        other => other,
    }
}

/// Why a resource is not as wished; `companion` says what references stand for, `before` what was wished last.
pub(crate) fn unfulfilled(
    kind: &Kind,
    resource: &Resource,
    wish: &Wish,
    before: Option<&Wish>,
    companion: impl Fn(&Ref) -> Option<Tree>,
) -> Option<String> {
    let spec = resolved(kind, &wish.object.spec, &companion);
    let before = before.map(|before| resolved(kind, &before.object.spec, &companion));
    for field in kind.fields.values().filter(|field| field.role != Role::Option) {
        if !part_applies(kind, field, &spec) {
            continue;
        }
        let stored = resource.values.get(&field.name);
        let wanted = spec.member(&field.name).filter(|value| !value.is_null());
        let had =
            before.as_ref().is_some_and(|before| before.member(&field.name).is_some_and(|value| !value.is_null()));
        let fulfilled = match (wanted, stored) {
            (Some(_), Some(stored)) if field.role == Role::Secret => stored.as_str() == Some(SECRET),
            (Some(wanted), Some(stored)) => {
                let wanted = field.lens.put(wanted);
                if let Some(table) = table_of(kind, field) {
                    same_elements(table, field, &wanted, stored)
                } else {
                    let whole = had && matches!(field.owner, Owner::Part(_));
                    let said = field.meant(&wanted);
                    field.fits(&wanted, stored) && (!whole || has_no_surplus(&said, &field.meant(stored)))
                }
            }
            (Some(wanted), None) => is_start(field, wanted),
            (None, Some(stored)) if had => match &field.clear {
                Clear::Keep => true,
                Clear::Value(value) => has_no_surplus(&Tree::from(value.clone()), &field.meant(stored)),
                _ => false,
            },
            _ => true,
        };
        if !fulfilled {
            let show = |value: Option<&Tree>| value.map_or_else(|| "nothing".to_owned(), |v| v.shown().to_string());
            return Some(format!("{}: wished {}, stored {}", field.name, show(wanted), show(stored)));
        }
    }
    unfulfilled_tags(kind, resource, &spec)
}

/// Every element that is wished for is there, and no other.
fn same_elements(table: &Table, field: &Field, wanted: &Tree, stored: &Tree) -> bool {
    let (wanted, stored) = (Table::elements(wanted), Table::elements(stored));
    let is_there = |element: &Tree| {
        let namesake = stored.iter().find(|other| table.key(other) == table.key(element));
        namesake.is_some_and(|other| field.compare.equal_with(element, other, &field.nested))
    };
    wanted.len() == stored.len() && wanted.iter().all(is_there)
}

/// A structure that is written as a whole has no more members than are wished for.
fn has_no_surplus(wanted: &Tree, stored: &Tree) -> bool {
    match (wanted, stored) {
        (Tree::Object(wanted), Tree::Object(stored)) => stored.keys().all(|name| wanted.contains_key(name)),
        (Tree::List(wanted), Tree::List(stored)) => wanted.len() == stored.len(),
        _ => true,
    }
}

/// Whether a value says nothing, nor anything in it.
fn is_empty(value: &Tree) -> bool {
    match value {
        Tree::List(list) => list.is_empty(),
        Tree::Object(members) => members.values().all(is_empty),
        Tree::Text(text) => text.is_empty(),
        other => other.is_null(),
    }
}

/// Wishing for what the provider starts with needs no write.
fn is_start(field: &Field, wanted: &Tree) -> bool {
    is_empty(wanted) || matches!(&field.clear, Clear::Value(value) if field.fits(wanted, &Tree::from(value.clone())))
}

/// Whether the field has a meaning for such an object.
pub(crate) fn part_applies(kind: &Kind, field: &Field, spec: &Tree) -> bool {
    kind.applies(field, |source| source.in_spec(spec).cloned())
}

fn unfulfilled_tags(kind: &Kind, resource: &Resource, spec: &Tree) -> Option<String> {
    kind.tags.as_ref()?;
    let is_system = |key: &str| key.starts_with("services.k8s.aws/");
    let stored: BTreeMap<&String, &Tree> = resource.tags.iter().filter(|(key, _)| !is_system(key)).collect();
    if !resource.tags.contains_key(cso_core::owner::OWNER_TAG) {
        return Some("the owner mark is missing".to_owned());
    }
    let wished = kind.wished_tags(spec)?;
    (stored != wished.iter().collect()).then(|| format!("tags: wished {wished:?}, stored {stored:?}"))
}

fn resolved(kind: &Kind, spec: &Value, companion: &impl Fn(&Ref) -> Option<Tree>) -> Tree {
    let mut tree = Tree::from(spec.clone());
    for reference in &kind.refs {
        if tree.at(&reference.field).is_some()
            && let Some(value) = companion(reference)
        {
            let is_list = tree.at(&reference.field).is_some_and(|wrapper| wrapper.as_list().is_some());
            tree.set(&reference.field, Tree::Null);
            tree.set(&reference.fills, if is_list { Tree::List(vec![value]) } else { value });
        }
    }
    tree
}
