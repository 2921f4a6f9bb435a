//! Laws of what annotations ask for: on the object, on its namespace, and by flag.

use std::collections::BTreeMap;
use std::time::Duration;

use cso_core::{Condition, ErrorClass, Object, Tree};
use cso_engine::dialect::{Deletion, PAUSED};
use cso_engine::run::Rest;
use cso_sim::{Fault, FaultKind};
use proptest::prelude::*;
use serde_json::json;

use crate::bench::{Bench, REGION, annotated, deleting, ensure, for_all, kind, object, paused};
use crate::ownership::occupied;
use crate::wishes::{edited_once, is_mutable, unfulfilled, wish};

const IGNORE: &str = "services.k8s.aws/ignore-field-drift";

fn inheriting(object: &Object, name: &str, value: &str) -> Object {
    Object { inherited: Some(BTreeMap::from([(name.to_owned(), value.to_owned())])), ..object.clone() }
}

/// What becomes of the resource of a deleted object: the object says so, else its namespace, else the flag. What the
/// namespace said last holds where nobody can say it any more.
#[test]
fn deletion_policies_precede_each_other() {
    let levels = [None, Some("delete"), Some("retain")];
    let level = || prop::sample::select(levels.to_vec());
    for_all(
        16,
        |kind| (wish(kind), level(), level(), any::<bool>(), any::<bool>()).boxed(),
        |kind, (wish, own, of_namespace, flag, forgotten)| {
            paused(async {
                let mut bench = Bench::new();
                bench.settings.deletion = if flag { Deletion::Retain } else { Deletion::Delete };
                let mut subject = wish.object.clone();
                if let Some(policy) = of_namespace {
                    subject =
                        inheriting(&subject, &format!("{}.services.k8s.aws/deletion-policy", kind.service), policy);
                }
                if let Some(policy) = own {
                    subject = annotated(&subject, "services.k8s.aws/deletion-policy", policy);
                }
                bench.run(&wish.with(subject.clone())).await.all_settled()?;
                if forgotten {
                    subject.inherited = None;
                }
                bench.run(&wish.with(deleting(&subject))).await.all_settled()?;
                let kept = own.or(of_namespace).map_or(flag, |policy| policy == "retain");
                let alive = bench.cloud.alive(kind.name()).len();
                ensure(alive == usize::from(kept), || format!("{own:?} {of_namespace:?} {flag}: {alive} left"))
            })
        },
    );
}

/// The object's region, else its namespace's, else the flag's.
#[test]
fn regions_precede_each_other() {
    let topic = kind("Topic");
    let plain = object(topic, "subject", json!({"name": "thing"}));
    let inherits = inheriting(&plain, "services.k8s.aws/default-region", "us-west-2");
    let says = annotated(&inherits, "services.k8s.aws/region", "ap-south-1");
    for (wish, region) in [(plain, REGION), (inherits, "us-west-2"), (says, "ap-south-1")] {
        paused(async {
            let bench = Bench::new();
            bench.run(std::slice::from_ref(&wish)).await.all_settled().expect("made");
            assert_eq!(bench.cloud.alive("Topic")[0].region, region);
        });
    }
}

/// Nothing is done in one account for a namespace that belongs to another.
#[test]
fn a_namespace_of_another_account_is_refused() {
    let topic = kind("Topic");
    let plain = object(topic, "subject", json!({"name": "thing"}));
    for (account, made) in [("111122223333", 1), ("999999999999", 0)] {
        paused(async {
            let bench = Bench::new();
            let wish = inheriting(&plain, "services.k8s.aws/owner-account-id", account);
            let ran = bench.run(std::slice::from_ref(&wish)).await;
            assert_eq!(bench.cloud.alive("Topic").len(), made);
            if made == 0 {
                let Rest::Failed { class, message } = ran.rest(&wish.key) else { panic!("{:?}", ran.rest(&wish.key)) };
                assert_eq!(*class, ErrorClass::Unsupported);
                assert!(message.contains(account) && message.contains("namespace default"), "{message}");
            }
        });
    }
}

/// Nothing is called for an object that is paused, by itself or by its namespace, not even for its deletion; once that goes,
/// everything is made up for. A word that nobody understands pauses too.
#[test]
fn a_paused_object_is_left_alone() {
    let topic = kind("Topic");
    let plain = object(topic, "subject", json!({"name": "thing"}));
    let stops: [fn(&Object) -> Object; 3] = [
        |object| annotated(object, PAUSED, "true"),
        |object| inheriting(object, PAUSED, "true"),
        |object| annotated(object, PAUSED, "perhaps"),
    ];
    for stop in stops {
        paused(async {
            let bench = Bench::new();
            for (wish, alive) in [(plain.clone(), 1), (deleting(&plain), 0)] {
                let before = bench.cloud.alive("Topic").len();
                bench.cloud.forget_calls();
                let ran = bench.run(&[stop(&wish)]).await;
                assert!(bench.cloud.made().is_empty(), "{:?}", bench.cloud.mutations());
                assert_eq!(bench.cloud.alive("Topic").len(), before);
                assert!(matches!(ran.rest(&plain.key), Rest::Waiting { .. } | Rest::Failed { .. }));
                let goes_on = inheriting(&wish, PAUSED, "false");
                bench.run(&[goes_on]).await.all_settled().expect("goes on");
                assert_eq!(bench.cloud.alive("Topic").len(), alive);
            }
        });
    }
}

/// A field that is left alone is written with the resource; then neither an edit nor a change in the cloud is acted on, and
/// the object says so. Without the annotation it is a field like any other again.
#[test]
fn ignored_fields_are_left_alone() {
    for_all(
        32,
        |kind| edited_once(kind, is_mutable),
        |kind, (before, after, field)| {
            let Some(field) = field else { return Ok(()) };
            let ignoring = |object: &Object| annotated(object, IGNORE, &format!(" spec.{field} ,"));
            paused(async {
                let bench = Bench::new();
                let companion = |reference: &_| bench.companion(reference);
                bench.run(&before.with(ignoring(&before.object))).await.all_settled()?;
                let alive = bench.cloud.alive(kind.name());
                let open = unfulfilled(kind, &alive[0], &before, None, companion);
                ensure(open.is_none(), || format!("when made: {open:?}"))?;
                bench.cloud.forget_calls();
                // An edit.
                bench.run(&after.with(ignoring(&after.object))).await.all_settled()?;
                let calls = bench.cloud.mutations();
                ensure(calls.is_empty(), || format!("an edit made {calls:?}"))?;
                // Another value in the cloud.
                let meddled = kind.fields.get(&field).is_some_and(|field| field.read.is_some());
                bench.cloud.meddle(|resources| {
                    for one in resources.iter_mut().filter(|one| one.kind == kind.name()) {
                        one.values.remove(&field);
                    }
                });
                tokio::time::advance(Duration::from_secs(600)).await;
                bench.run(&after.with(ignoring(&after.object))).await.all_settled()?;
                let calls = bench.cloud.mutations();
                ensure(calls.is_empty(), || format!("a change in the cloud made {calls:?}"))?;
                if !meddled {
                    return Ok(());
                }
                bench.run(&after.all()).await.all_settled()?;
                let alive = bench.cloud.alive(kind.name());
                let open = unfulfilled(kind, &alive[0], &after, None, companion);
                ensure(open.is_none(), || format!("without the annotation: {open:?}"))
            })
        },
    );
}

/// What is left alone is told, a part of a structure can be left alone, and what is no field is refused.
#[test]
fn ignored_fields_are_named() {
    let queue = kind("Queue");
    let wish = object(queue, "subject", json!({"queueName": "thing", "delaySeconds": "5"}));
    let ignoring = annotated(&wish, IGNORE, "spec.delaySeconds,spec.tags");
    paused(async {
        let bench = Bench::new();
        bench.run(std::slice::from_ref(&ignoring)).await.all_settled().expect("made");
        bench.cloud.meddle(|resources| {
            resources[0].values.insert("delaySeconds".to_owned(), Tree::text("9"));
            resources[0].tags.insert("stage".to_owned(), Tree::text("x"));
        });
        bench.cloud.forget_calls();
        bench.run(std::slice::from_ref(&ignoring)).await.all_settled().expect("settled");
        assert_eq!(bench.cloud.mutations(), Vec::<String>::new());
        let says = |text: &str, conditions: &[Condition]| conditions.iter().any(|one| one.message.contains(text));
        let record = bench.record(&wish.key).expect("a record");
        assert!(says("spec.delaySeconds differs (\"9\" -> \"5\")", &record.conditions), "{:?}", record.conditions);
        for (path, word) in [
            ("spec.delaySecond", "did you mean `delaySeconds`"),
            ("delaySeconds", "did you mean `spec.delaySeconds`"),
            ("spec.queueName", "cannot be ignored"),
            ("spec..x", "a name is missing"),
            ("spec.tags.team", "name the field that holds it"),
        ] {
            let ran = bench.run(&[annotated(&wish, IGNORE, path)]).await;
            let Rest::Failed { class, message } = ran.rest(&wish.key) else { panic!("{path}") };
            assert!(*class == ErrorClass::Invalid && message.contains(word), "{path}: {message}");
        }
    });
    let secret = kind("Secret");
    let spec = json!({"name": "thing", "secretString": {"name": "credentials", "key": "password"}});
    let wish = object(secret, "subject", spec);
    let ignoring = annotated(&wish, IGNORE, "spec.secretString");
    paused(async {
        let bench = Bench::new();
        for (password, calls) in [("first", 1), ("second", 0)] {
            bench.secrets.set("default", "credentials", "password", password);
            bench.cloud.forget_calls();
            bench.run(std::slice::from_ref(&ignoring)).await.all_settled().expect("settled");
            assert_eq!(bench.cloud.mutations().len(), calls, "{password}");
        }
        bench.run(std::slice::from_ref(&wish)).await.all_settled().expect("settled");
        assert_eq!(bench.cloud.mutations(), ["UpdateSecret"]);
    });
    let repository = kind("Repository");
    let spec = json!({"name": "thing", "imageScanningConfiguration": {"scanOnPush": true}});
    let wish = object(repository, "subject", spec);
    let ignoring = annotated(&wish, IGNORE, "spec.imageScanningConfiguration.scanOnPush");
    paused(async {
        let bench = Bench::new();
        bench.run(std::slice::from_ref(&ignoring)).await.all_settled().expect("made");
        let off = Tree::from(json!({"scanOnPush": false}));
        bench.cloud.meddle(|all| all[0].values.extend([("imageScanningConfiguration".to_owned(), off.clone())]));
        bench.cloud.forget_calls();
        bench.run(std::slice::from_ref(&ignoring)).await.all_settled().expect("settled");
        assert_eq!(bench.cloud.mutations(), Vec::<String>::new());
        bench.run(std::slice::from_ref(&wish)).await.all_settled().expect("settled");
        assert_ne!(bench.cloud.alive("Repository")[0].values["imageScanningConfiguration"], off);
    });
}

/// Every resource carries the default tags, filled in; a tag of the object's own comes before them.
#[test]
fn default_tags() {
    for_all(16, wish, |kind, wish| {
        if kind.tags.is_none() {
            return Ok(());
        }
        paused(async {
            let mut bench = Bench::new();
            let templates = [
                ("stage", "from-the-flag"),
                ("made-for", "%K8S_NAMESPACE%/%K8S_RESOURCE_NAME%"),
                ("no", "%MANAGED_BY%"),
            ];
            bench.settings.default_tags =
                templates.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            bench.run(&wish.all()).await.all_settled()?;
            let own = kind.wished_tags(&Tree::from(&*wish.object.spec)).unwrap_or_default();
            let tags = &bench.cloud.alive(kind.name())[0].tags;
            let tag = |key: &str| tags.get(key).and_then(Tree::as_str);
            ensure(tag("made-for") == Some("default/subject"), || format!("{tags:?}"))?;
            ensure(tag("stage") == own.get("stage").and_then(Tree::as_str).or(Some("from-the-flag")), || {
                format!("{tags:?}")
            })?;
            ensure(tag("no").is_none(), || "a tag without a value".to_owned())?;
            bench.cloud.forget_calls();
            bench.run(&wish.all()).await.all_settled()?;
            ensure(bench.cloud.mutations().is_empty(), || format!("at rest: {:?}", bench.cloud.mutations()))
        })
    });
}

/// What is only looked at gets no tags.
#[test]
fn default_tags_are_not_for_what_is_read_only() {
    for_all(8, wish, |kind, wish| {
        if !kind.is_named_by_user() || !wish.others.is_empty() {
            return Ok(());
        }
        paused(async {
            let mut bench = occupied(&wish, false).await?;
            bench.settings.default_tags = BTreeMap::from([("made-for".to_owned(), "us".to_owned())]);
            bench.run(&[annotated(&wish.object, "services.k8s.aws/read-only", "true")]).await.all_settled()?;
            ensure(bench.cloud.mutations().is_empty(), || format!("{:?}", bench.cloud.mutations()))
        })
    });
}

/// What a person had to change outside is tried again, slowly: once it is changed the object is as wished, without an edit.
#[test]
fn terminal_conditions_heal() {
    use cso_engine::conditions::{SYNCED, TERMINAL};
    let classes = [ErrorClass::Invalid, ErrorClass::Denied, ErrorClass::NotOurs, ErrorClass::Unsupported];
    for_all(
        2,
        |kind| (wish(kind), prop::sample::select(classes.to_vec())).boxed(),
        |kind, (wish, class)| {
            paused(async {
                let bench = Bench::new();
                let kind_of_fault = FaultKind::Refused { class, code: "OutsideCause".to_owned(), status: 400 };
                bench.cloud.fail(Fault {
                    operation: kind.create.operation.clone(),
                    kind: kind_of_fault,
                    times: u32::MAX,
                });
                let shown = |condition: &str| {
                    let record = bench.record(&wish.object.key);
                    let found =
                        record.and_then(|record| record.conditions.into_iter().find(|one| one.kind == condition));
                    found.map(|condition| condition.status)
                };
                let day = Duration::from_secs(24 * 3600);
                let mut stay = bench.stay(&wish.all()).await;
                stay.live_for(day).await;
                let tries = bench.cloud.mutations().iter().filter(|call| **call == kind.create.operation).count();
                let most = if class == ErrorClass::Denied { 300 } else { 40 };
                ensure((20..=most).contains(&tries), || format!("{tries} tries in a day"))?;
                let terminal = cso_engine::conditions::is_terminal(class);
                ensure(shown(TERMINAL).is_some() == terminal, || format!("{:?}", shown(TERMINAL)))?;
                bench.cloud.heal();
                stay.live_for(Duration::from_secs(3700)).await;
                ensure(shown(SYNCED) == Some(cso_core::ConditionStatus::True), || format!("{:?}", shown(SYNCED)))?;
                ensure(shown(TERMINAL).is_none(), || "still terminal".to_owned())?;
                ensure(bench.cloud.alive(kind.name()).len() == 1, || "not one resource".to_owned())
            })
        },
    );
}
