//! The crash matrix: the real process dies, or loses an answer, at every moment that matters, and the run after it must
//! find everything as it is. Counted by boto3: nothing twice, nothing without an owner, nothing stuck.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Action, Kind, Match, Then, Victim};
use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::scene::{self, Doing, Scene};
use crate::stage::{APPLY, DELETE, Run, Stage, Tally, run_until_killed};

/// What happens to a mutating call and to the process that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// SIGKILL; the cloud never sees the call.
    KilledBefore,
    /// SIGKILL; the cloud has carried the call out.
    KilledAfter,
    /// The process lives and never learns that the cloud has carried the call out.
    ReplyLost,
    /// The process lives and never learns that the cloud has not seen the call.
    RequestLost,
}

/// What the user does before the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sequel {
    /// Nothing: the same command again.
    Again,
    /// The manifest says something else by now.
    Edited,
    /// The object is to be deleted; after a delete, it is declared again.
    Turned,
}

const FAULTS: [Fault; 4] = [Fault::KilledBefore, Fault::KilledAfter, Fault::ReplyLost, Fault::RequestLost];
const SEQUELS: [Sequel; 3] = [Sequel::Again, Sequel::Edited, Sequel::Turned];

/// The fields that a story sets, and changes all at once: one call of each sort that the kind has.
pub(crate) fn fields(case: &Case) -> &'static [&'static str] {
    match case.kind.as_str() {
        "Queue" => &["visibilityTimeout", "policy", "tags"],
        "Topic" => &["displayName", "policy", "tags"],
        "Subscription" => &["rawMessageDelivery", "filterPolicy"],
        "Repository" => &["imageScanningConfiguration", "imageTagMutability", "policy", "lifecyclePolicy", "tags"],
        "Key" => &["enableKeyRotation", "policy", "tags"],
        "Alias" => &["targetKeyID"],
        "PlatformApplication" => &["platformCredential", "eventEndpointCreated"],
        "PlatformEndpoint" => &["customUserData", "enabled"],
        "Secret" => &["description", "secretString", "tags"],
        "Group" => &["policies", "inlinePolicies"],
        "OpenIDConnectProvider" => &["thumbprints", "tags"],
        "InstanceProfile" => &["role", "tags"],
        "Policy" => &["policyDocument", "tags"],
        "Role" => {
            &["description", "assumeRolePolicyDocument", "permissionsBoundary", "policies", "inlinePolicies", "tags"]
        }
        "ServiceLinkedRole" => &["description"],
        "Bucket" => &["policy", "lifecycle", "cors", "tagging"],
        "Table" => &["streamSpecification", "timeToLive", "tags"],
        "GlobalTable" => &["replicationGroup"],
        "PullThroughCacheRule" => &["credentialARN", "customRoleARN"],
        "RepositoryCreationTemplate" => &["description", "lifecyclePolicy"],
        "User" => &["permissionsBoundary", "policies", "inlinePolicies", "tags"],
        _ => &[],
    }
}

/// How many mutating calls a command makes when nothing goes wrong.
fn moments(case: &Case, stage: &mut Stage, doing: Doing) -> Result<usize> {
    let scene = Scene::set(case, fields(case), stage, doing)?;
    scene.stage.cso(doing.command())?.ends(0)?;
    let count = scene.stage.mutations().len();
    ensure!(count > 0, "{doing:?} of {} makes no call", case.id);
    Ok(count)
}

/// One point of the matrix.
fn point(case: &Case, stage: &mut Stage, doing: Doing, nth: usize, fault: Fault, then: Sequel) -> Result<()> {
    let scene = Scene::set(case, fields(case), stage, doing)?;
    let (victim, kill) = scene::victim();
    let action = match fault {
        Fault::KilledBefore => Action::before(kill),
        Fault::KilledAfter => Action::after(kill),
        Fault::ReplyLost => Action::DropReply,
        Fault::RequestLost => Action::DropRequest,
    };
    let rule = scene.stage.proxy.on(Match::mutating().nth(nth), action);
    let code = run_until_killed(&mut scene.stage.command(doing.command())?, &victim)?;
    ensure!(rule.fired() == 1, "the fault did not happen");
    let dies = matches!(fault, Fault::KilledBefore | Fault::KilledAfter);
    ensure!(code.is_none() == dies, "the process ended with {code:?}");
    scene.stage.proxy.behave();

    let deletes = (doing == Doing::Delete) != (then == Sequel::Turned);
    if deletes {
        scene.stage.cso(&DELETE)?.ends(0)?;
        return scene.is_gone();
    }
    if case.lingers && doing == Doing::Delete && fault != Fault::KilledBefore {
        // The provider keeps a deleted one for a while: told, and none made.
        scene.declare(doing.sets())?;
        scene.stage.cso(&APPLY)?.ends(1)?.tells("still kept by the provider")?;
        let ours = scene.ours()?;
        ensure!(ours.is_empty(), "there is {ours:?}");
        return Ok(());
    }
    let which = if then == Sequel::Edited { 1 - doing.sets() } else { doing.sets() };
    scene.declare(which)?;
    scene.stage.cso(&APPLY)?.ends(0)?;
    scene.is_there_once(which)?;
    scene.stage.cso(&DELETE)?.ends(0)?;
    scene.is_gone()
}

/// What follows a fault: each sequel in a run of its own, or one of them, in turn.
#[derive(Clone, Copy)]
enum Sequels {
    Each,
    InTurn,
}

/// Kinds that are different about being found again or about their parts: of every run in full.
const IN_FULL: [&str; 6] = ["Bucket", "Key", "Queue", "Role", "Secret", "Subscription"];

impl Sequels {
    /// Those of every run.
    fn usual(kind: &str) -> Self {
        if IN_FULL.contains(&kind) { Self::Each } else { Self::InTurn }
    }

    /// Those of the `number`th fault. What is deleted is not edited.
    fn of(self, doing: Doing, number: usize) -> Vec<Sequel> {
        let all: Vec<Sequel> =
            SEQUELS.into_iter().filter(|then| doing != Doing::Delete || *then != Sequel::Edited).collect();
        match self {
            Self::Each => all,
            Self::InTurn => vec![all[number % all.len()]],
        }
    }
}

/// Points of one kind: each mutating call of create, update and delete, each fault, and what follows it.
fn every_moment_of(kind: &str, emulator: Kind, sequels: Sequels) -> Result<()> {
    let cases = cases::one_of_each_kind()?;
    let case = cases.iter().find(|case| case.kind == kind).context("no such kind")?;
    let mut stage = Stage::open(emulator)?;
    let mut tally = Tally::default();
    for doing in Doing::all(fields(case)) {
        for nth in 1..=moments(case, &mut stage, doing)? {
            for (number, fault) in FAULTS.into_iter().enumerate() {
                for then in sequels.of(doing, nth + number) {
                    let result = point(case, &mut stage, doing, nth, fault, then);
                    tally.add(format!("{doing:?}, call {nth}, {fault:?}, then {then:?}"), result);
                }
            }
        }
    }
    tally.close(&format!("{kind} on {}", emulator.name()))
}

/// A test for each kind, so that they run side by side; and one with each sequel of each fault.
macro_rules! crash {
    ($emulator:ident = $kind_of:ident: $($name:ident: $kind:literal),* $(,)?) => {
        mod $emulator {
            use super::{Sequels, every_moment_of};
            $(
                #[test]
                fn $name() -> anyhow::Result<()> {
                    every_moment_of($kind, cso_testbed::Kind::$kind_of, Sequels::usual($kind))
                }
            )*

            mod in_full {
                use super::{Sequels, every_moment_of};
                $(
                    #[test]
                    #[ignore = "long; docs/reliability.md has its figures"]
                    fn $name() -> anyhow::Result<()> {
                        every_moment_of($kind, cso_testbed::Kind::$kind_of, Sequels::Each)
                    }
                )*
            }
        }
    };
}

crash!(moto = Moto: open_id_connect_provider: "OpenIDConnectProvider", platform_endpoint: "PlatformEndpoint");
crash!(
    ministack = Ministack:
    grant: "Grant",
    platform_application: "PlatformApplication",
    queue: "Queue",
    topic: "Topic",
    subscription: "Subscription",
    repository: "Repository",
    pull_through_cache_rule: "PullThroughCacheRule",
    repository_creation_template: "RepositoryCreationTemplate",
    key: "Key",
    alias: "Alias",
    secret: "Secret",
    group: "Group",
    instance_profile: "InstanceProfile",
    policy: "Policy",
    role: "Role",
    service_linked_role: "ServiceLinkedRole",
    user: "User",
    bucket: "Bucket",
    table: "Table",
    backup: "Backup",
    global_table: "GlobalTable",
);

/// Ten objects of every kind, some of which refer to others.
fn ten() -> String {
    let object = |api: &str, kind: &str, name: &str, spec: Value| json!({"apiVersion": format!("{api}.services.k8s.aws/v1alpha1"), "kind": kind, "metadata": {"name": name}, "spec": spec});
    let from = |name: &str| json!({"from": {"name": name}});
    let queue = |name: &str| object("sqs", "Queue", name, json!({"queueName": name, "tags": {"team": "story"}}));
    let all = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values"}, "stringData": {"first": "a value"}}),
        object("kms", "Key", "key", json!({"description": "one", "enableKeyRotation": true})),
        object("kms", "Key", "other", json!({"description": "two"})),
        object("kms", "Alias", "alias", json!({"name": "alias/story", "targetKeyRef": from("key")})),
        queue("in"),
        queue("out"),
        object("sns", "Topic", "news", json!({"name": "news", "displayName": "News"})),
        object(
            "sns",
            "Subscription",
            "news",
            json!({"protocol": "sqs", "endpoint": "arn:aws:sqs:eu-west-1:000000000000:in", "topicRef": from("news")}),
        ),
        object(
            "ecr",
            "Repository",
            "images",
            json!({"name": "images", "imageScanningConfiguration": {"scanOnPush": true}}),
        ),
        object(
            "secretsmanager",
            "Secret",
            "secret",
            json!({"name": "secret", "secretString": {"name": "values", "key": "first"}}),
        ),
        object("sns", "Topic", "olds", json!({"name": "olds"})),
    ];
    all.map(|object| object.to_string()).join("\n---\n")
}

/// How many of each sort there are.
fn sorts(stage: &Stage) -> Result<BTreeMap<String, usize>> {
    let mut sorts = BTreeMap::new();
    for id in stage.everything()? {
        *sorts.entry(id.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    Ok(sorts)
}

/// A small generator, so that the seed tells the whole story (the constants of Knuth's MMIX).
fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// State writes lie between the calls: killed some microseconds after some call went out or came back.
fn killed_at_any_moment(seed: u64, points: u32) -> Result<()> {
    let mut stage = Stage::open(Kind::Ministack)?;
    let ten = ten();
    stage.write("m/all.yaml", &ten)?;
    stage.cso(&APPLY)?.ends(0)?;
    let wanted = sorts(&stage)?;
    let calls = stage.proxy.calls().len() as u64;
    let (mut state, mut died, mut tally) = (seed, 0, Tally::default());
    for _ in 0..points {
        let (nth, late, micros) = (next(&mut state, calls) + 1, next(&mut state, 2) == 1, next(&mut state, 4000));
        stage.clear()?;
        stage.write("m/all.yaml", &ten)?;
        let killed = killed_once(&stage, usize::try_from(nth)?, late, micros, &wanted);
        died += u32::from(*killed.as_ref().unwrap_or(&false));
        tally.add(format!("{micros} us after call {nth} (answered: {late})"), killed.map(|_| ()));
    }
    tally.close(&format!("seed {seed}, {died} died"))?;
    ensure!(died * 2 > points, "only {died} of {points} were killed in time");
    Ok(())
}

/// Whether the process was killed before it had ended.
fn killed_once(stage: &Stage, nth: usize, late: bool, micros: u64, wanted: &BTreeMap<String, usize>) -> Result<bool> {
    let victim = Victim::new();
    let killed = victim.clone();
    let kill = move |_: &_| {
        let killed = killed.clone();
        // Of its own accord, so that the call goes on meanwhile.
        thread::spawn(move || {
            let until = Instant::now() + Duration::from_micros(micros);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            killed.kill();
        });
        Then::GoOn
    };
    stage.proxy.on(Match::any().nth(nth), if late { Action::after(kill) } else { Action::before(kill) });
    let code = run_until_killed(&mut stage.command(&APPLY)?, &victim)?;
    stage.proxy.behave();
    stage.cso(&APPLY)?.ends(0)?;
    let found = sorts(stage)?;
    ensure!(found == *wanted, "there is {found:?} instead of {wanted:?}");
    stage.rests()?;
    Ok(code.is_none())
}

#[test]
fn killed_around_state_writes() -> Result<()> {
    killed_at_any_moment(20_260_701, 64)
}

/// With the time that a real cloud needs: what is found at once needs no waiting.
#[test]
fn consistency_windows_lose_nothing() -> Result<()> {
    let mut stage = Stage::open(Kind::Ministack)?;
    let mut tally = Tally::default();
    for case in &cases::one_of_each_kind_on(Kind::Ministack)? {
        tally.add(&case.id, recovers_with_windows(case, &mut stage));
    }
    tally.close("with consistency windows")
}

fn recovers_with_windows(case: &Case, stage: &mut Stage) -> Result<()> {
    let scene = Scene::set(case, fields(case), stage, Doing::Create)?;
    scene.dies_after_its_first_call(scene.stage.command(&APPLY)?.env_remove("CSO_CONSISTENCY"))?;
    Run::of(scene.stage.command(&APPLY)?.env_remove("CSO_CONSISTENCY"))?.ends(0)?;
    scene.is_there_once(0)
}
