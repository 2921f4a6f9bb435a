//! The crash matrix through Kubernetes: the controller dies around every write to the API server and every mutating call to
//! the cloud, and the one after it must find everything as it is.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::{Then, Victim, kube};
use serde_json::{Value, json};

use super::scene::{OPERATOR, Scene, Subject};
use crate::stage;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// One object, and two wishes for it.
struct Plot {
    subject: Subject,
    specs: [Value; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Create,
    Update,
    Delete,
}

/// What the death is near to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Near {
    /// A write to the API server.
    Write,
    /// A mutating call to the cloud.
    Call,
}

impl Plot {
    /// Brings the object to where the controller is about to do it, with no controller there.
    fn before(&self, scene: &Scene, doing: Doing) -> Result<()> {
        scene.declare(&self.subject, &self.specs[0])?;
        if doing == Doing::Create {
            return Ok(());
        }
        let mut controller = scene.controller(&[])?;
        scene.synced(&self.subject)?;
        controller.interrupt()?;
        controller.end()?;
        if doing == Doing::Delete {
            return scene.ask_to_delete(&self.subject);
        }
        let mut spec = scene.read(&self.subject)?.context("it is there")?["spec"].clone();
        let wish = self.specs[1].as_object().into_iter().flatten();
        wish.for_each(|(name, value)| spec[name] = value.clone());
        scene.declare(&self.subject, &spec).map(drop)
    }

    /// Whatever it was doing is done.
    fn is_done(&self, scene: &Scene, doing: Doing) -> Result<()> {
        if doing == Doing::Delete { scene.gone(&self.subject) } else { scene.synced(&self.subject).map(drop) }
    }

    /// How many writes and calls it takes when nothing goes wrong.
    fn moments(&self, scene: &Scene, doing: Doing) -> Result<[usize; 2]> {
        self.before(scene, doing)?;
        scene.stage.proxy.clear();
        let mark = scene.cluster.audit_mark()?;
        let mut controller = scene.controller(&[])?;
        self.is_done(scene, doing)?;
        controller.interrupt()?;
        controller.end()?;
        let writes = scene.writes(mark)?.iter().filter(|event| event.target.resource == self.subject.plural).count();
        let calls = scene.stage.mutations().len();
        self.clean(scene)?;
        Ok([writes, calls])
    }

    /// Nothing of it is left.
    fn clean(&self, scene: &Scene) -> Result<()> {
        let mut controller = scene.controller(&[])?;
        scene.delete(&self.subject)?;
        controller.interrupt()?;
        controller.end()?;
        let left = scene.stage.everything()?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    }

    fn point(&self, scene: &Scene, doing: Doing, near: Near, nth: usize, late: bool) -> Result<()> {
        self.before(scene, doing)?;
        let victim = Victim::new();
        let killed = victim.clone();
        let kill = move || {
            killed.kill();
            Then::HangUp
        };
        let plural = self.subject.plural.clone();
        let fired: Box<dyn Fn() -> usize> = match near {
            Near::Write => {
                let kill = move |_: &kube::Call| kill();
                let action = if late { kube::Action::after(kill) } else { kube::Action::before(kill) };
                let writes = kube::Match::writes().by(OPERATOR).when(move |call| call.target.resource == plural);
                let rule = scene.proxy.on(writes.nth(nth), action);
                Box::new(move || rule.fired())
            }
            Near::Call => {
                let kill = move |_: &cso_testbed::AwsCall| kill();
                let action = if late { cso_testbed::Action::after(kill) } else { cso_testbed::Action::before(kill) };
                let rule = scene.stage.proxy.on(cso_testbed::Match::mutating().nth(nth), action);
                Box::new(move || rule.fired())
            }
        };
        dies(scene, &victim)?;
        ensure!(fired() == 1, "the fault did not happen");
        scene.proxy.behave();
        scene.stage.proxy.behave();

        let mut controller = scene.controller(&[])?;
        self.is_done(scene, doing).with_context(|| controller.told().unwrap_or_default())?;
        let there = scene.stage.everything()?;
        let wanted = usize::from(doing != Doing::Delete);
        ensure!(there.len() == wanted, "there is {there:?}");
        controller.interrupt()?;
        controller.end()?;
        self.clean(scene)
    }
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

/// Every moment of one kind.
fn every_moment(plot: &Plot) -> Result<()> {
    let scene = Scene::open()?;
    let (mut points, mut wrong) = (0, Vec::new());
    for doing in [Doing::Create, Doing::Update, Doing::Delete] {
        let [writes, calls] = plot.moments(&scene, doing)?;
        ensure!(writes > 0 && calls > 0, "{doing:?} takes {writes} writes and {calls} calls");
        let moments = (1..=writes).map(|nth| (Near::Write, nth)).chain((1..=calls).map(|nth| (Near::Call, nth)));
        for (near, nth) in moments {
            for late in [false, true] {
                points += 1;
                if let Err(error) = plot.point(&scene, doing, near, nth, late) {
                    wrong.push(format!("{doing:?}, {near:?} {nth}, after it: {late}: {error:#}"));
                    // The next point needs an empty scene.
                    scene.proxy.behave();
                    scene.stage.proxy.behave();
                    plot.clean(&scene)?;
                }
            }
        }
    }
    stage::figures(&format!("{} in a cluster: {points} points, {} wrong", plot.subject.kind, wrong.len()));
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Found again by its name.
#[test]
fn queue() -> Result<()> {
    every_moment(&Plot {
        subject: Subject::queue("story"),
        specs: [
            json!({"queueName": "story", "tags": {"a": "b"}}),
            json!({"visibilityTimeout": "50", "tags": {"a": "c"}}),
        ],
    })
}

/// Found again by its owner mark.
#[test]
fn key() -> Result<()> {
    every_moment(&Plot {
        subject: Subject::new("kms.services.k8s.aws/v1alpha1", "Key", "keys", "story"),
        specs: [
            json!({"description": "one", "enableKeyRotation": true}),
            json!({"enableKeyRotation": false, "tags": [{"tagKey": "a", "tagValue": "b"}]}),
        ],
    })
}
