//! Objects as the AWS Controllers for Kubernetes leave them are taken over without a word to the cloud, and left as they
//! could take them back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use cso_testbed::{Kind, Match};
use serde_json::{Map, Value, json};

use super::scene::{Scene, Subject};
use crate::adapter::{Adapter as _, InCluster};
use crate::cases::{self, Case};
use crate::play::first_that_plays;
use crate::running::Running;
use crate::stage::Tally;
use crate::traces;
use crate::traces::left::{Left, Library, REGION, Tale};

/// A queue as ACK has made it, and the object as ACK has left it.
fn left_by_ack(scene: &Scene, queue: &Subject) -> Result<Value> {
    let tags = json!({"services.k8s.aws/controller-version": "sqs-v1.6.1", "services.k8s.aws/namespace": "default", "team": "blue"});
    let attributes = json!({"VisibilityTimeout": "45"});
    let made = scene.stage.cloud.call(
        "sqs",
        "CreateQueue",
        json!({"QueueName": queue.name, "Attributes": attributes, "tags": tags}),
    )?;
    let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{}", queue.name);
    let mut object = queue.manifest(&json!({
        "queueName": queue.name, "visibilityTimeout": "45", "delaySeconds": "0", "maximumMessageSize": "1048576",
        "messageRetentionPeriod": "345600", "receiveMessageWaitTimeSeconds": "0", "tags": {"team": "blue"},
    }));
    object["metadata"]["finalizers"] = json!(["finalizers.sqs.services.k8s.aws/Queue"]);
    scene.reader.create(&object)?;
    object["status"] = json!({
        "ackResourceMetadata": {"arn": arn, "ownerAccountID": "000000000000", "region": "eu-west-1"},
        "queueURL": made["QueueUrl"],
        "conditions": [{"type": "ACK.ResourceSynced", "status": "True", "lastTransitionTime": "2026-08-01T00:00:00Z",
                        "message": "Resource synced successfully"}],
    });
    Ok(scene.reader.merge_into("status", &object)?)
}

/// Recorded scenarios that are played of each kind that has them. `TRACES=kms_Key/update` plays all that begin so instead.
const CHOSEN: [&str; 4] = ["create-minimal", "create-full", "update-description-and-tag", "adopt-with-spec"];

/// Of these the resource is deleted in the end.
const DELETED: &str = "create-minimal";

/// Each with a cloud of its own.
const WORKERS: usize = 2;

#[test]
fn what_ack_left_is_taken_over_and_handed_back() -> Result<()> {
    let only = std::env::var("TRACES").ok();
    let is_chosen = |tale: &Tale<'_>| {
        let (name, scenario) = (tale.name(), tale.scenario());
        only.as_ref().map_or(CHOSEN.contains(&scenario), |only| name.starts_with(only))
    };
    let library = Library::read()?;
    let mut rounds = library.tales();
    for tales in &mut rounds {
        tales.retain(is_chosen);
    }
    ensure!(only.is_some() || rounds.iter().all(|tales| !tales.is_empty()), "a kind is missing");
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut scene = Scene::in_a_namespace(Kind::Ministack)?;
            while let Some(tales) = rounds.get(next.fetch_add(1, Ordering::SeqCst)) {
                for tale in tales {
                    let end = taken_over_and_handed_back(&mut scene, tale);
                    tally.lock().unwrap_or_else(PoisonError::into_inner).add(tale.name(), end);
                }
            }
            Ok(())
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    tally.into_inner().unwrap_or_else(PoisonError::into_inner).close("what ACK left is taken over and handed back")
}

fn taken_over_and_handed_back(scene: &mut Scene, tale: &Tale<'_>) -> Result<()> {
    scene.stage.clear()?;
    let mut left = tale.replay(&scene.stage.cloud, &scene.stage.cloud_address())?;
    scene.moves_to(left.namespace())?;
    scene.stage.proxy.on(Match::any().always(), left.stand_in());
    let mut end = left_as_it_was(scene, &mut left);
    if end.is_ok() && tale.scenario() == DELETED {
        end = goes_as_what_was_made(scene, &left);
    }
    for object in left.objects.iter().chain(&left.others) {
        scene.abandon(&Subject::of(object))?;
    }
    end
}

/// Starts the controller on what ACK left, stops it, and insists that nothing of that is otherwise.
fn left_as_it_was(scene: &Scene, left: &mut Left<'_>) -> Result<()> {
    for other in &left.others {
        put(scene, other)?;
    }
    let before = left.objects.iter().map(|object| put(scene, object)).collect::<Result<Vec<_>>>()?;
    let held = left.resource(&scene.stage.cloud)?;
    let audit = scene.cluster.audit_mark()?;
    scene.stage.proxy.clear();
    let mut controller = controller(scene, left)?;
    for object in &before {
        scene.synced(&Subject::of(object)).with_context(|| controller.told().unwrap_or_default())?;
    }
    controller.interrupt()?;
    ensure!(controller.end()?.success(), "it ended badly: {}", controller.told()?);
    ensure!(!scene.stage.proxy.calls().is_empty(), "nobody looked at the cloud");
    let calls = scene.stage.mutations();
    ensure!(calls.is_empty(), "taking over made calls: {calls:?}");
    ensure!(left.resource(&scene.stage.cloud)? == held, "the resource is not as it was");
    for (number, before) in before.iter().enumerate() {
        let after = scene.read(&Subject::of(before))?.context("it is there")?;
        is_as_it_was(before, &after)?;
        let lost = left.lost(number, &after["status"]);
        ensure!(lost.is_empty(), "the status has lost {lost:?}");
    }
    let mut writes = scene.writes(audit)?;
    // A status and a record. The first controller in a namespace makes itself an identity.
    writes.retain(|write| !write.target.group.is_empty());
    ensure!(writes.len() <= 2 * before.len(), "taking over made writes: {writes:?}");
    Ok(())
}

/// The controller in the place of ACK's: of the service that that was of, in the same region.
fn controller(scene: &Scene, left: &Left<'_>) -> Result<Running> {
    let kinds = format!("{}/*", left.service());
    scene.controller(&["--region", REGION, "--reconcile-resources", &kinds])
}

/// Deletes the object, and insists that its resource is gone by one call, and nothing else is.
fn goes_as_what_was_made(scene: &Scene, left: &Left<'_>) -> Result<()> {
    let there = scene.stage.everything_in(REGION)?;
    let held = left.resource(&scene.stage.cloud)?;
    let _controller = controller(scene, left)?;
    scene.delete(&Subject::of(&left.objects[0]))?;
    let calls = scene.stage.mutations();
    ensure!(calls.len() == 1, "the delete made {calls:?}");
    ensure!(left.resource(&scene.stage.cloud)? != held, "it is there");
    let here = scene.stage.everything_in(REGION)?;
    // What no emulator has and what it cannot list is not among them.
    ensure!(there.len() <= here.len() + 1 && here.iter().all(|one| there.contains(one)), "{there:?} became {here:?}");
    Ok(())
}

/// Makes an object with its status.
fn put(scene: &Scene, object: &Value) -> Result<Value> {
    let made = scene.reader.create(object)?;
    if object["status"].is_object() { Ok(scene.reader.merge_into("status", object)?) } else { Ok(made) }
}

/// Everything that another controller goes by, but for the status.
fn is_as_it_was(before: &Value, after: &Value) -> Result<()> {
    for path in ["/spec", "/metadata/uid", "/metadata/generation", "/metadata/finalizers", "/metadata/labels"] {
        let (was, is) = (before.pointer(path), after.pointer(path));
        ensure!(was == is, "{path} was {was:?} and is {is:?}");
    }
    for (name, value) in before["metadata"]["annotations"].as_object().into_iter().flatten() {
        let is = &after["metadata"]["annotations"][name];
        ensure!(is == value, "annotation {name} was {value} and is {is}");
    }
    Ok(())
}

/// Kinds that ACK was not recorded with: what our own controller made, once nothing tells of that any more.
#[test]
fn what_nothing_of_ours_is_left_on_is_taken_over() -> Result<()> {
    let mut tally = Tally::default();
    for emulator in [Kind::Ministack, Kind::Moto] {
        let mut cases = cases::one_of_each_kind_on(emulator)?;
        cases.retain(|case| first_that_plays(case) == emulator && !traces::is_recorded(case.service(), &case.kind));
        let mut home = InCluster::open(emulator)?;
        for case in &cases {
            tally.add(&case.id, taken_over_once_stripped(&mut home, case));
        }
    }
    tally.close("what nothing of ours is left on is taken over")
}

fn taken_over_once_stripped(home: &mut InCluster, case: &Case) -> Result<()> {
    let kept = home.set(case)?;
    let others = home.stage().everything()?;
    // What needs other fields beside it, and what would keep the resource, is left out.
    let is_alone = |name: &&str| case.fields[*name].with.is_empty() && *name != "deletionProtectionEnabled";
    let alone = case.fields.keys().map(String::as_str).filter(is_alone);
    case.declare(home.stage(), &kept, case.spec(&case.values(&alone.collect::<Vec<_>>(), 0)))?;
    let subject = home.scene.subject(case);
    home.settles(&subject)?;
    home.stops()?;
    let before = stripped(&home.scene, &subject)?;
    let portrait = case.portrait(home.stage(), &kept);
    ensure!(!portrait.to_string().contains(OWNER), "our mark is on it: {portrait}");
    let audit = home.scene.cluster.audit_mark()?;
    home.stage().proxy.clear();
    home.starts()?;
    home.scene.synced(&subject)?;
    home.stops()?;
    let calls = home.stage().mutations();
    ensure!(calls.is_empty(), "taking over made calls: {calls:?}");
    ensure!(case.portrait(home.stage(), &kept) == portrait, "{portrait} became {}", case.portrait(home.stage(), &kept));
    let after = home.scene.read(&subject)?.context("it is there")?;
    is_as_it_was(&before, &after)?;
    for (name, value) in before["status"].as_object().into_iter().flatten().filter(|(name, _)| *name != "conditions") {
        ensure!(after["status"][name] == *value, "status.{name} was {value} and is {}", after["status"][name]);
    }
    let writes = home.scene.writes(audit)?;
    ensure!(writes.len() <= 2, "taking over made writes: {writes:?}");
    home.starts()?;
    home.lets_go(&[subject])?;
    ensure!(home.stage().everything()? == others, "left: {:?}", home.stage().everything()?);
    Ok(())
}

/// The mark that our controller puts on resources.
const OWNER: &str = "services.k8s.aws/owner";

/// How our controller's mark is taken off the resources that have one: kind, operation, the member that names the resource, and where
/// the object has that.
const UNTAGS: [(&str, &str, &str, &str); 6] = [
    ("InstanceProfile", "iam.UntagInstanceProfile", "InstanceProfileName", "/spec/name"),
    ("OpenIDConnectProvider", "iam.UntagOpenIDConnectProvider", "OpenIDConnectProviderArn", ARN),
    ("Policy", "iam.UntagPolicy", "PolicyArn", ARN),
    ("Role", "iam.UntagRole", "RoleName", "/spec/name"),
    ("Table", "dynamodb.UntagResource", "ResourceArn", ARN),
    ("User", "iam.UntagUser", "UserName", "/spec/name"),
];

const ARN: &str = "/status/ackResourceMetadata/arn";

/// Takes off an object and its resource all that only our controller writes, and says of it what ACK does.
fn stripped(scene: &Scene, subject: &Subject) -> Result<Value> {
    let mut object = scene.read(subject)?.context("it is there")?;
    if let Some((_, call, member, place)) = UNTAGS.iter().find(|(kind, ..)| *kind == subject.kind) {
        let (service, operation) = call.split_once('.').context("a service")?;
        let id = object.pointer(place).cloned();
        scene.stage.cloud.call(service, operation, json!({*member: id, "TagKeys": [OWNER]}))?;
    }
    let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
    let ours = annotations.filter(|(name, _)| name.starts_with("service-operator.cloud/"));
    let none: Map<String, Value> = ours.map(|(name, _)| (name.clone(), Value::Null)).collect();
    let mut bare = subject.manifest(&json!({}));
    bare["metadata"]["annotations"] = none.into();
    scene.reader.merge(&bare)?;
    let said = |kind: &str| {
        json!({"type": kind, "status": "True", "message": "Resource synced successfully",
               "lastTransitionTime": "2026-08-01T00:00:00Z"})
    };
    object["status"]["conditions"] = json!([said("ACK.ResourceSynced"), said("Ready")]);
    let mut told = subject.manifest(&json!({}));
    told["status"] = object["status"].take();
    Ok(scene.reader.merge_into("status", &told)?)
}

/// What was taken over is changed and deleted like what was made.
#[test]
fn what_was_taken_over_goes_on() -> Result<()> {
    let scene = Scene::open()?;
    let queue = Subject::queue("orders");
    let left = left_by_ack(&scene, &queue)?;
    scene.stage.proxy.clear();
    let _controller = scene.controller(&[])?;
    scene.synced(&queue)?;
    let mut spec = left["spec"].clone();
    spec["visibilityTimeout"] = "50".into();
    scene.declare(&queue, &spec)?;
    scene.synced(&queue)?;
    let calls = scene.stage.mutations();
    ensure!(calls.len() == 1 && calls[0].operation == "SetQueueAttributes", "the change made {calls:?}");
    scene.delete(&queue)?;
    ensure!(scene.stage.everything()?.is_empty(), "left: {:?}", scene.stage.everything()?);
    Ok(())
}

/// Two controllers at one object undo each other's work, and nobody sees why unless one of them says so.
#[test]
fn another_controller_at_an_object_is_told_on_it() -> Result<()> {
    let scene = Scene::open()?;
    let queue = Subject::queue("orders");
    left_by_ack(&scene, &queue)?;
    let _controller = scene.controller(&["--verify-every", "1s"])?;
    let taken = scene.synced(&queue)?;
    let told = |object: &Value| object.to_string().contains("ACK.Advisory");
    ensure!(!told(&taken), "who was here before us is no rival: {taken}");
    let mut object = scene.read(&queue)?.context("it is there")?;
    object["status"]["conditions"] = json!([]);
    scene.reader.merge_into("status", &object)?;
    let shown = scene.shows(&queue, "ACK.Advisory", "True")?;
    let conditions = shown["status"]["conditions"].as_array().context("conditions")?;
    let advice = conditions.iter().find(|it| it["type"] == "ACK.Advisory").context("an advice")?;
    ensure!(advice["reason"] == "AnotherController", "{advice}");
    ensure!(advice["message"].as_str().is_some_and(|text| text.contains("wrote the status")), "{advice}");
    scene.synced(&queue)?;
    ensure!(scene.stage.mutations().is_empty(), "it cost a call");
    Ok(())
}

/// A record is sealed for its object: copied onto another it opens nothing.
#[test]
fn a_neighbours_record_cannot_be_borrowed() -> Result<()> {
    let scene = Scene::open()?;
    let _controller = scene.controller(&[])?;
    let mine = Subject::queue("mine");
    scene.declare(&mine, &json!({"queueName": "mine"}))?;
    let made = scene.synced(&mine)?;
    let thief = Subject { namespace: "thieves".to_owned(), ..Subject::queue("mine") };
    scene.reader.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "thieves"}}))?;
    let mut copy = thief.manifest(&made["spec"]);
    copy["metadata"]["annotations"] = made["metadata"]["annotations"].clone();
    scene.reader.create(&copy)?;
    scene.shows(&thief, "ACK.Terminal", "True")?;
    scene.delete(&thief)?;
    ensure!(scene.stage.everything()?.len() == 1, "the queue is gone");
    ensure!(!scene.stage.proxy.calls().iter().any(|call| call.operation == "DeleteQueue"), "it was deleted");
    Ok(())
}
