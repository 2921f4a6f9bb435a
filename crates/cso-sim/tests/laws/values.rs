//! Laws of single values.

use cso_core::Tree;
use cso_facts::api::ShapeKind;
use cso_schema::compare::Compare;
use cso_schema::convert::{from_api, shape_at, to_api};
use cso_schema::kind::{Place, Role, State};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::Value;

use crate::bench::{KINDS, ensure, for_all};
use crate::wishes::{carried_shape, field_value};

/// Any field of the kind with a value.
fn field_and_value(kind: &std::sync::Arc<cso_schema::kind::Kind>) -> BoxedStrategy<(String, Value, Value)> {
    let fields: Vec<String> =
        kind.fields.values().filter(|field| field.role != Role::Secret).map(|field| field.name.clone()).collect();
    let kind = std::sync::Arc::clone(kind);
    proptest::sample::select(fields)
        .prop_flat_map(move |name| {
            let field = &kind.fields[&name];
            (Just(name), field_value(&kind, field), field_value(&kind, field))
        })
        .boxed()
}

/// Law 5, Round trip: to the provider's spelling and back is where it began; comparators are reflexive and symmetric.
#[test]
fn round_trip() {
    for_all(512, field_and_value, |kind, (name, value, other)| {
        let field = &kind.fields[&name];
        let value = Tree::from(value);
        if let Some(shape) = carried_shape(kind, field) {
            let back = from_api(&to_api(&value, &kind.api, shape), &field.schema);
            ensure(back == value, || format!("{name}: {} comes back as {}", value.shown(), back.shown()))?;
        }
        let through = field.lens.get(&field.lens.put(&value), Some(&value));
        ensure(through == value, || format!("{name}: the lens makes {}", through.shown()))?;
        let again = field.lens.put(&field.lens.put(&value));
        ensure(again == field.lens.put(&value), || format!("{name}: the lens is not idempotent"))?;
        let equal = |a: &Tree, b: &Tree| field.compare.equal_with(a, b, &field.nested);
        ensure(equal(&value, &value), || format!("{name}: {} differs from itself", value.shown()))?;
        // A structure is compared by the members that are wished for: only whole values are symmetric.
        let other = Tree::from(other);
        let symmetric = value.as_object().is_some() || equal(&value, &other) == equal(&other, &value);
        ensure(symmetric, || format!("{name}: {} and {}", value.shown(), other.shown()))
    });
}

/// Law 14, Totality: every value that the API has for a state is in exactly one class.
#[test]
fn totality() {
    for kind in KINDS.iter() {
        for axis in &kind.states {
            let Place::Path(member) = &axis.at else { continue };
            let api = &kind.api;
            let output = api.operation(&kind.read.call.operation).and_then(|operation| operation.output);
            let mut shapes = output.into_iter().flat_map(|output| api.shape(output).members());
            let body = shapes.find_map(|wrapper| shape_at(api, wrapper.shape, member));
            let Some(ShapeKind::String { values }) = body.map(|body| &api.shape(body).kind) else { continue };
            assert!(!values.is_empty(), "{} {member} has no values", kind.name());
            for value in values {
                assert!(axis.classes.contains_key(value), "{} {member} {value}", kind.name());
            }
            assert!(axis.classes.values().any(|class| *class == State::Ready), "{} is never ready", kind.name());
        }
    }
}

/// Every comparator that a kind uses is one of the closed list.
#[test]
fn comparators_have_names() {
    for kind in KINDS.iter() {
        for field in kind.fields.values() {
            assert!(Compare::NAMES.iter().any(|name| Compare::by_name(name) == Some(field.compare)), "{}", field.name);
        }
    }
}
