//! Laws of writing down what exists.

use std::sync::Arc;

use cso_core::{FieldPath, Object, Tree};
use cso_engine::dialect::is_system_tag;
use cso_engine::engine::Preview;
use cso_engine::import::{Found, ImportError, Importer};
use cso_schema::fill::Surroundings;
use cso_schema::kind::{Clear, Kind, Role};
use cso_schema::validate::violations;
use cso_sim::{Behaviour, ModelCloud, Resource};
use proptest::prelude::*;
use serde_json::Value;

use crate::bench::{Bench, KINDS, REGION, SECRET, deleting, ensure, for_all, object, paused};
use crate::ownership::occupied;
use crate::wishes::wish;

/// How the resource to import is named.
#[derive(Clone, Copy, Debug)]
enum Named {
    InList,
    Name,
    Arn,
}

async fn import(kind: &Arc<Kind>, cloud: &ModelCloud, named: Named) -> Result<Option<Found>, String> {
    let there = cloud.alive(kind.name());
    let one = there.first().ok_or("there is nothing to import")?;
    match found(kind, cloud, one, named).await {
        Ok(Some(found)) => Ok(Some(found)),
        Ok(None) => Err(format!("{named:?}: {one:?} was not found")),
        // What is in no answer cannot be written down.
        Err(ImportError::Untold { field, .. }) => {
            let field = field.strip_prefix("spec.").and_then(|name| kind.fields.get(name)).ok_or(field)?;
            ensure(field.read.is_none(), || format!("{} can be read", field.name)).map(|()| None)
        }
        // Some kinds have no name, and some no ARN.
        Err(ImportError::BadName { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

async fn found(
    kind: &Arc<Kind>,
    cloud: &ModelCloud,
    one: &Resource,
    named: Named,
) -> Result<Option<Found>, ImportError> {
    let surroundings = surroundings();
    let importer = Importer { cloud, kind, surroundings: &surroundings };
    let name = || {
        let assigned = kind.identity.assigned.as_ref();
        if let Some(assigned) = assigned.and_then(|path| one.identifiers.at(path)).and_then(Tree::as_str) {
            return assigned.to_owned();
        }
        let names = kind.identity.name.iter().filter_map(|path| one.values.get(&path.to_string())?.as_str());
        names.collect::<Vec<_>>().join("/")
    };
    match (named, one.arn()) {
        (Named::InList, _) if kind.list.is_some() => match importer.list().await?.as_slice() {
            [only] => importer.read(only).await,
            _ => Ok(None),
        },
        (Named::Name, _) if kind.is_named_by_user() => importer.find(&name()).await,
        (_, Some(arn)) => importer.find(arn).await,
        (_, None) => importer.find(&name()).await,
    }
}

fn surroundings() -> Surroundings {
    Surroundings { account: "111122223333".into(), region: REGION.into(), partition: "aws".into() }
}

fn written(kind: &Kind, found: &Found) -> Object {
    let mut written = object(kind, "imported", Value::Object(found.spec.clone()));
    written.annotations.clone_from(&found.annotations);
    written
}

/// Only our own tags may be written.
fn only_marks(preview: &Preview) -> Result<(), String> {
    match preview {
        Preview::Nothing { .. } | Preview::TakesOver(_) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Law 19, Import: what is written down of a resource is valid, holds no secret, and is as wished: taking the resource over
/// changes no field of it. From then on it is ours.
#[test]
fn import_settles() {
    let named = prop::sample::select(vec![Named::InList, Named::Name, Named::Arn]);
    for_all(
        24,
        |kind| (wish(kind), any::<bool>(), any::<bool>(), named.clone()).boxed(),
        |kind, (wish, defaults, normalise, named)| {
            paused(async {
                let bench = occupied(&wish, false).await?;
                bench.cloud.behave(Behaviour { defaults, normalise, ..Behaviour::default() });
                let Some(found) = import(kind, &bench.cloud, named).await? else { return Ok(()) };
                let wrong = violations(&Value::Object(found.spec.clone()), &kind.surface.spec, &FieldPath::root());
                ensure(wrong.is_empty(), || format!("{wrong:?}"))?;
                ensure(!format!("{found:?}").contains(SECRET), || "a secret was written down".to_owned())?;
                let object = written(kind, &found);
                let before = bench.cloud.alive(kind.name());
                only_marks(&bench.preview(std::slice::from_ref(&object), &object.key).await)?;
                bench.run(std::slice::from_ref(&object)).await.all_settled()?;
                let mut after = bench.cloud.alive(kind.name());
                for (before, after) in before.iter().zip(&mut after) {
                    after.tags.retain(|key, _| !is_system_tag(key));
                    ensure(before.values == after.values && before.tags == after.tags, || {
                        format!("{found:?}: {before:?} became {after:?}")
                    })?;
                }
                bench.cloud.forget_calls();
                bench.run(std::slice::from_ref(&object)).await.all_settled()?;
                ensure(bench.cloud.mutations().is_empty(), || format!("at rest: {:?}", bench.cloud.mutations()))?;
                bench.run(&[deleting(&object)]).await.all_settled()?;
                let wrong = bench.cloud.wrong();
                ensure(wrong.is_empty(), || format!("calls that the API forbids: {wrong:?}"))?;
                ensure(bench.cloud.alive(kind.name()).is_empty(), || "it is still there".to_owned())
            })
        },
    );
}

/// What is as it would be anyway is not written down, where that is known: only what somebody said is.
#[test]
fn import_writes_no_defaults() {
    for_all(24, wish, |kind, wish| {
        paused(async {
            let bench = occupied(&wish, false).await?;
            bench.cloud.behave(Behaviour { defaults: true, ..Behaviour::default() });
            let Some(found) = import(kind, &bench.cloud, Named::InList).await? else { return Ok(()) };
            let made = &bench.cloud.alive(kind.name())[0];
            let is_known = |name: &String| {
                let field = kind.fields.get(name);
                field.is_some_and(|field| field.start.is_some() || matches!(field.clear, Clear::Value(_)))
            };
            let extra: Vec<&String> =
                found.spec.keys().filter(|name| is_known(name) && !made.values.contains_key(*name)).collect();
            ensure(extra.is_empty(), || format!("nobody said {extra:?}"))
        })
    });
}

/// Every kind that can be listed lists nothing where nothing is, and no secret field is ever read.
#[test]
fn import_of_nothing() {
    let surroundings = Surroundings { account: "111122223333".into(), region: REGION.into(), partition: "aws".into() };
    for kind in KINDS.iter().filter(|kind| kind.list.is_some()) {
        paused(async {
            let bench = Bench::new();
            let importer = Importer { cloud: &bench.cloud, kind, surroundings: &surroundings };
            assert_eq!(importer.list().await, Ok(Vec::new()), "{}", kind.name());
            assert_eq!(bench.cloud.wrong(), Vec::<String>::new(), "{}", kind.name());
        });
        assert!(kind.fields.values().all(|field| field.role != Role::Secret || field.read.is_none()));
    }
}
