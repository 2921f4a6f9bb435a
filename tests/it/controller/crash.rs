//! The crash matrix through Kubernetes: the controller dies around every write to the API server and every mutating call to
//! the cloud, and the one after it must find everything as it is.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::{AwsCall, Then, Victim, kube};
use serde_json::json;

use super::scene::{OPERATOR, Scene, Subject};
use crate::cases::{self, Case};
use crate::crash;
use crate::play::first_that_plays;
use crate::running::Running;
use crate::scene::Doing;
use crate::stage::Tally;
use crate::steps::Kept;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the death is near to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Near {
    /// A write to the API server.
    Write,
    /// A mutating call to the cloud.
    Call,
}

/// One object, where the controller is about to do something with it, and no controller there.
struct Plot<'a> {
    case: &'a Case,
    /// The fields that are set, and changed all at once.
    fields: &'a [&'a str],
    scene: &'a Scene,
    subject: Subject,
    doing: Doing,
    kept: Kept,
    /// What existed before the object.
    others: Vec<String>,
}

impl<'a> Plot<'a> {
    fn set(case: &'a Case, fields: &'a [&'a str], scene: &'a mut Scene, doing: Doing) -> Result<Self> {
        let subject = scene.subject(case);
        scene.abandon(&subject)?;
        let kept = case.set(&mut scene.stage)?;
        let others = scene.stage.everything()?;
        let plot = Self { case, fields, scene, subject, doing, kept, others };
        plot.declare(0)?;
        if doing != Doing::Create {
            let mut controller = plot.scene.controller(&[])?;
            plot.scene.synced(&plot.subject)?;
            stop(&mut controller)?;
        }
        match doing {
            Doing::Create => {}
            Doing::Update => plot.declare(1)?,
            Doing::Delete => plot.scene.ask_to_delete(&plot.subject)?,
        }
        plot.scene.stage.proxy.clear();
        Ok(plot)
    }

    /// Applies the object with the first or second value of each field.
    fn declare(&self, which: usize) -> Result<()> {
        let spec = self.case.spec(&self.case.values(self.fields, which));
        for manifest in self.case.manifests(&self.kept, spec, &json!({})).into_iter().flatten() {
            self.scene.apply(manifest)?;
        }
        Ok(())
    }

    /// Whatever the controller was doing is done: exactly one resource as declared, or none.
    fn is_done(&self) -> Result<()> {
        let wanted = if self.doing == Doing::Delete {
            self.scene.gone(&self.subject)?;
            0
        } else {
            self.scene.synced(&self.subject)?;
            for name in self.fields {
                let field = &self.case.fields[*name];
                let wish = field.sees(self.doing.sets());
                self.case.shows(&self.scene.stage, &self.kept, &field.at, Some(wish))?;
            }
            1
        };
        let there = self.scene.stage.everything()?;
        let is_kept = self.others.iter().all(|other| there.contains(other));
        ensure!(is_kept && there.len() == self.others.len() + wanted, "there is {there:?}");
        Ok(())
    }

    /// A delete leaves nothing.
    fn ends(&self) -> Result<()> {
        self.scene.delete(&self.subject)?;
        let left = self.scene.stage.everything()?;
        ensure!(left == self.others, "left: {left:?}");
        Ok(())
    }

    /// How many writes and calls it takes when nothing goes wrong.
    fn moments(&self) -> Result<[usize; 2]> {
        let mark = self.scene.cluster.audit_mark()?;
        let mut controller = self.scene.controller(&[])?;
        self.is_done()?;
        stop(&mut controller)?;
        let writes = self.scene.writes(mark)?.iter().filter(|event| event.target.name == self.subject.name).count();
        Ok([writes, self.scene.stage.mutations().len()])
    }

    /// The controller dies at a moment, and the one after it does what is left.
    fn point(&self, near: Near, nth: usize, late: bool) -> Result<()> {
        let scene = self.scene;
        let victim = Victim::new();
        let killed = victim.clone();
        let kill = move || {
            killed.kill();
            Then::HangUp
        };
        let fired: Box<dyn Fn() -> usize> = match near {
            Near::Write => {
                let kill = move |_: &kube::Call| kill();
                let action = if late { kube::Action::after(kill) } else { kube::Action::before(kill) };
                let writes = kube::Match::writes().by(OPERATOR).named(&self.subject.name);
                let rule = scene.proxy.on(writes.nth(nth), action);
                Box::new(move || rule.fired())
            }
            Near::Call => {
                let kill = move |_: &AwsCall| kill();
                let action = if late { cso_testbed::Action::after(kill) } else { cso_testbed::Action::before(kill) };
                let rule = scene.stage.proxy.on(cso_testbed::Match::mutating().nth(nth), action);
                Box::new(move || rule.fired())
            }
        };
        let died = dies(scene, &victim);
        scene.proxy.behave();
        scene.stage.proxy.behave();
        died?;
        ensure!(fired() == 1, "the fault did not happen");

        let mut controller = scene.controller(&[])?;
        self.is_done().and_then(|()| self.ends()).with_context(|| controller.told().unwrap_or_default())?;
        stop(&mut controller)
    }
}

fn stop(controller: &mut Running) -> Result<()> {
    controller.interrupt()?;
    ensure!(controller.end()?.success(), "it ended badly: {}", controller.told()?);
    Ok(())
}

/// Runs a controller until it is killed.
fn dies(scene: &Scene, victim: &Victim) -> Result<()> {
    let mut command = scene.command(&[])?;
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let (ended, end) = mpsc::channel();
    let running = victim.clone();
    let life = thread::spawn(move || {
        // Nobody listens any more if the story has failed.
        let _ = ended.send(running.run(&mut command));
    });
    let ended = end.recv_timeout(PATIENCE);
    if ended.is_err() {
        victim.kill();
    }
    // It has ended, by a signal of ours.
    let _ = life.join();
    match ended {
        Ok(status) => ensure!(status?.code().is_none(), "it ended by itself"),
        Err(_) => bail!("nothing killed it"),
    }
    Ok(())
}

/// Every moment of one kind, of which these fields are set and changed: before and after each write and each mutating call of
/// create, update and delete.
fn every_moment_of(kind: &str, fields: &[&str]) -> Result<()> {
    let cases = cases::one_of_each_kind()?;
    let case = cases.iter().find(|case| case.kind == kind).context("no such kind")?;
    let mut scene = Scene::in_a_namespace(first_that_plays(case))?;
    let mut tally = Tally::default();
    for doing in Doing::all(fields) {
        let [writes, calls] = Plot::set(case, fields, &mut scene, doing)?.moments()?;
        ensure!(writes > 0 && calls > 0, "{doing:?} takes {writes} writes and {calls} calls");
        let moments = (1..=writes).map(|nth| (Near::Write, nth)).chain((1..=calls).map(|nth| (Near::Call, nth)));
        for (near, nth, late) in moments.flat_map(|(near, nth)| [(near, nth, false), (near, nth, true)]) {
            let done = Plot::set(case, fields, &mut scene, doing).and_then(|plot| plot.point(near, nth, late));
            tally.add(format!("{doing:?}, {near:?} {nth}, after it: {late}"), done);
        }
    }
    tally.close(&format!("{kind} in a cluster"))
}

/// Found again by its name.
#[test]
fn queue() -> Result<()> {
    every_moment_of("Queue", &["visibilityTimeout", "tags"])
}

/// Found again by its owner mark.
#[test]
fn key() -> Result<()> {
    every_moment_of("Key", &["enableKeyRotation", "tags"])
}

/// Found again by what it connects: it can carry no mark.
#[test]
fn subscription() -> Result<()> {
    every_moment_of("Subscription", &["rawMessageDelivery"])
}

/// Its value is in doubt while a call is.
#[test]
fn secret() -> Result<()> {
    every_moment_of("Secret", &["secretString"])
}

/// Has parts that are put on and taken off one by one, and emptied before the delete.
#[test]
fn role() -> Result<()> {
    every_moment_of("Role", &["policies"])
}

/// Found again by its name, and by whose it is: others have names in the same space.
#[test]
fn bucket() -> Result<()> {
    every_moment_of("Bucket", &["versioning"])
}

/// Every moment of a kind, with the fields that the matrix of the directory changes.
fn every_moment_of_other(kind: &str) -> Result<()> {
    let cases = cases::one_of_each_kind()?;
    let case = cases.iter().find(|case| case.kind == kind).context("no such kind")?;
    every_moment_of(kind, crash::fields(case))
}

/// A test for each kind without one above. They take a quarter of an hour together, and are not of every run.
macro_rules! others {
    ($($name:ident: $kind:literal),* $(,)?) => {
        mod others {$(
            #[test]
            #[ignore = "long; docs/reliability.md has its figures"]
            fn $name() -> anyhow::Result<()> { super::every_moment_of_other($kind) }
        )*}
    };
}

others!(
    alias: "Alias",
    backup: "Backup",
    global_table: "GlobalTable",
    grant: "Grant",
    group: "Group",
    instance_profile: "InstanceProfile",
    open_id_connect_provider: "OpenIDConnectProvider",
    platform_application: "PlatformApplication",
    platform_endpoint: "PlatformEndpoint",
    policy: "Policy",
    pull_through_cache_rule: "PullThroughCacheRule",
    repository: "Repository",
    repository_creation_template: "RepositoryCreationTemplate",
    service_linked_role: "ServiceLinkedRole",
    table: "Table",
    topic: "Topic",
    user: "User",
);
