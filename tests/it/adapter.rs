//! The two ways to have an object managed, driven alike: from a directory with a state file, and in a cluster with a
//! controller. A story that is told through an [`Adapter`] is told of both.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::Kind;
use cso_testbed::kube::ReadError;
use serde_json::{Value, json};

use crate::cases::Case;
use crate::controller::scene::{ONLOOKER, REQUESTED, Scene, condition, is_observed};
use crate::running::{Running, until};
use crate::stage::{APPLY, DELETE, Run, Stage};
use crate::steps::Kept;

/// Who keeps an object's wishes and its memory, and works on it when told to. The wishes are the manifests in `m`.
pub(crate) trait Adapter {
    /// Where it is, for messages.
    fn place(&self) -> &'static str;

    /// The cloud and the manifests.
    fn stage(&self) -> &Stage;

    /// Forgets everything, and makes what the object of a case refers to.
    fn set(&mut self, case: &Case) -> Result<Kept>;

    /// Gives the objects' namespace these annotations, which are known before anything else happens.
    fn namespace_says(&mut self, annotations: &Value) -> Result<()>;

    /// Hands the manifests over, and waits until the object is as they say.
    fn settles(&self, case: &Case) -> Result<()>;

    /// ... until the object stands otherwise, and tells each of these texts.
    fn is_refused(&self, case: &Case, texts: &[&str]) -> Result<()>;

    /// Has the object looked at once more: nothing is called, nothing is written.
    fn rests(&self, case: &Case) -> Result<()>;

    /// Deletes the object, and waits until it is gone. What was told meanwhile.
    fn lets_go(&self, case: &Case) -> Result<String>;

    /// Deletes the object, and waits until it tells this text because that is refused.
    fn keeps(&self, case: &Case, text: &str) -> Result<()>;

    /// `cso plan` of the manifests, as JSON.
    fn plan(&self) -> Result<Run>;

    /// The object, if there is one.
    fn object(&self, case: &Case) -> Result<Option<Value>>;

    /// Loses everything that was remembered.
    fn forgets(&mut self, case: &Case) -> Result<()>;

    /// As [`Adapter::settles`], and takes back what carries the mark of a lost state.
    fn takes_back(&mut self, case: &Case) -> Result<()>;
}

const PLAN: [&str; 5] = ["plan", "-f", "m", "-o", "json"];

fn namespace(name: &str, annotations: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}})
}

/// Manifests and a state file in a directory, with a process for each step.
pub(crate) struct Directory<'a>(pub(crate) &'a mut Stage);

impl Adapter for Directory<'_> {
    fn place(&self) -> &'static str {
        "from a directory"
    }

    fn stage(&self) -> &Stage {
        self.0
    }

    fn set(&mut self, case: &Case) -> Result<Kept> {
        case.set(self.0)
    }

    fn namespace_says(&mut self, annotations: &Value) -> Result<()> {
        self.0.write("m/namespace.yaml", &namespace("default", annotations).to_string())
    }

    fn settles(&self, _case: &Case) -> Result<()> {
        self.0.cso(&APPLY)?.ends(0).map(drop)
    }

    fn is_refused(&self, _case: &Case, texts: &[&str]) -> Result<()> {
        let run = self.0.cso(&APPLY)?.ends(1)?;
        texts.iter().try_fold(run, |run, text| run.tells(text)).map(drop)
    }

    fn rests(&self, _case: &Case) -> Result<()> {
        self.0.rests()
    }

    fn lets_go(&self, case: &Case) -> Result<String> {
        let told = self.0.cso(&DELETE)?.ends(0)?;
        ensure!(self.object(case)?.is_none(), "a deleted object is remembered");
        Ok(told.stdout + &told.stderr)
    }

    fn keeps(&self, _case: &Case, text: &str) -> Result<()> {
        // It would be tried again for ten minutes.
        self.0.cso(&[&DELETE[..], &["--timeout", "1s"]].concat())?.ends(1)?.tells(text).map(drop)
    }

    fn plan(&self) -> Result<Run> {
        self.0.cso(&PLAN)
    }

    fn object(&self, case: &Case) -> Result<Option<Value>> {
        if !self.0.path().join(".cso/state.db").exists() {
            return Ok(None);
        }
        let run = self.0.cso(&["get", &case.full_name(), "story", "-o", "json"])?;
        if run.code() == Some(1) { Ok(None) } else { run.ends(0)?.json().map(Some) }
    }

    fn forgets(&mut self, _case: &Case) -> Result<()> {
        Ok(fs::remove_dir_all(self.0.path().join(".cso"))?)
    }

    fn takes_back(&mut self, _case: &Case) -> Result<()> {
        self.0.cso(&["apply", "-f", "m", "--wait", "--take-back"])?.ends(0).map(drop)
    }
}

/// A namespace of a cluster, and a controller of it that goes on.
pub(crate) struct InCluster {
    pub(crate) scene: Scene,
    controller: Running,
}

/// Nobody looks at an object of its own accord while a story does.
const CALM: [&str; 5] = ["--verify-every", "1h", "-v", "--log-format", "json"];

impl InCluster {
    pub(crate) fn open(emulator: Kind) -> Result<Self> {
        let scene = Scene::in_a_namespace(emulator)?;
        let controller = scene.controller(&CALM)?;
        Ok(Self { scene, controller })
    }

    /// Another controller in place of this one.
    fn restart(&mut self, flags: &[&str]) -> Result<()> {
        self.stops()?;
        self.controller = self.scene.controller(&[&CALM, flags].concat())?;
        Ok(())
    }

    /// A controller, once there is none.
    pub(crate) fn starts(&mut self) -> Result<()> {
        self.controller = self.scene.controller(&CALM)?;
        Ok(())
    }

    pub(crate) fn stops(&mut self) -> Result<()> {
        self.controller.interrupt()?;
        ensure!(self.controller.end()?.success(), "the controller ended badly: {}", self.controller.told()?);
        Ok(())
    }

    /// Applies the manifests of the stage, and asks for a look in case they say nothing new.
    fn apply(&self, case: &Case) -> Result<(), ReadError> {
        for name in ["values", "object"] {
            let Ok(text) = fs::read_to_string(self.stage().path().join(format!("m/{name}.yaml"))) else { continue };
            let mut manifest: Value = serde_json::from_str(&text).unwrap_or_default();
            if manifest["kind"] == case.kind && manifest["apiVersion"] == case.api {
                manifest["metadata"]["annotations"][REQUESTED] = Self::moment().into();
            }
            self.scene.apply(manifest)?;
        }
        Ok(())
    }

    /// Asks for a look at an object.
    fn look(&self, case: &Case) -> Result<()> {
        let mut wish = self.scene.subject(case).manifest(&json!({}));
        wish["metadata"]["annotations"] = json!({REQUESTED: Self::moment()});
        self.scene.reader.merge(&wish)?;
        Ok(())
    }

    /// A word that was never said before.
    fn moment() -> String {
        jiff::Timestamp::now().to_string()
    }

    /// How much the controller has told.
    fn mark(&self) -> Result<usize> {
        Ok(self.controller.told()?.len())
    }

    /// How the last turn of an object ended since a mark, if one has. Nothing is on its way at a mark: each step waits for
    /// the end of the turn that it is about.
    fn turn(&self, case: &Case, since: usize) -> Result<Option<String>> {
        self.said(case, since, "ended")
    }

    /// What was last told under a name of turns of an object since a mark.
    fn said(&self, case: &Case, since: usize, name: &str) -> Result<Option<String>> {
        let told = self.controller.told()?;
        let lines = told.get(since..).unwrap_or_default().lines().rev();
        let kind = format!("{}/{}", case.service(), case.kind);
        let turns = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut ours = turns.filter(|said| said["message"] == "turn" && said["kind"] == kind.as_str());
        Ok(ours.find_map(|said| Some(said[name].as_str()?.to_owned())))
    }

    /// Waits until the last turn since a mark has ended in one of these ways, and the object is as it should be.
    fn stands(&self, case: &Case, since: usize, ends: &[&str], is_so: impl Fn(&Value) -> bool) -> Result<()> {
        let waited = until(&format!("the turn of {} is {}", case.id, ends.join(" or ")), || {
            let Some(turn) = self.turn(case, since)? else { return Ok(None) };
            let object = self.object(case)?.unwrap_or_default();
            Ok((ends.contains(&turn.as_str()) && is_so(&object)).then_some(()))
        });
        waited.with_context(|| self.picture(case, since))
    }

    /// What is known when a wait was in vain.
    fn picture(&self, case: &Case, since: usize) -> String {
        let object = self.object(case).ok().flatten().unwrap_or_default();
        let told = self.controller.told().unwrap_or_default();
        format!("{}\n{}", object["status"], told.get(since..).unwrap_or_default())
    }
}

/// How a turn ends that did not bring the object to where it should be.
const STUCK: [&str; 3] = ["failed", "looks again later", "waits for another object"];

fn is_synced(object: &Value) -> bool {
    condition(object, "ACK.ResourceSynced").is_some_and(|synced| synced["status"] == "True") && is_observed(object)
}

fn tells(object: &Value, texts: &[&str]) -> bool {
    let conditions = object["status"]["conditions"].to_string();
    texts.iter().all(|text| conditions.contains(text))
}

impl Adapter for InCluster {
    fn place(&self) -> &'static str {
        "in a cluster"
    }

    fn stage(&self) -> &Stage {
        &self.scene.stage
    }

    fn set(&mut self, case: &Case) -> Result<Kept> {
        self.scene.abandon(&self.scene.subject(case))?;
        case.set(&mut self.scene.stage)
    }

    fn namespace_says(&mut self, annotations: &Value) -> Result<()> {
        self.stops()?;
        self.scene.reader.apply(&namespace(&self.scene.namespace, annotations))?;
        self.starts()
    }

    fn settles(&self, case: &Case) -> Result<()> {
        let since = self.mark()?;
        self.apply(case)?;
        self.stands(case, since, &["settled"], is_synced)
    }

    fn is_refused(&self, case: &Case, texts: &[&str]) -> Result<()> {
        let since = self.mark()?;
        match self.apply(case) {
            Ok(()) => self.stands(case, since, &STUCK, |object| !is_synced(object) && tells(object, texts)),
            // The definition has rules of its own.
            Err(ReadError::Refused { message, status: 422, .. }) => {
                let silent = texts.iter().find(|text| !message.contains(**text));
                silent.map_or(Ok(()), |text| bail!("the API server does not tell `{text}`: {message}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn rests(&self, case: &Case) -> Result<()> {
        let before = self.object(case)?;
        let (since, audit) = (self.mark()?, self.scene.cluster.audit_mark()?);
        self.stage().mutations();
        self.look(case)?;
        self.stands(case, since, &["settled"], is_synced)?;
        let calls = self.stage().mutations();
        ensure!(calls.is_empty(), "at rest it made mutating calls: {calls:?}");
        let writes = self.scene.writes(audit)?;
        ensure!(writes.is_empty(), "at rest it wrote {writes:?}");
        let after = self.object(case)?;
        let seen = |object: &Option<Value>| object.as_ref().map(|it| [it["spec"].clone(), it["status"].clone()]);
        ensure!(seen(&before) == seen(&after), "at rest {before:?} became {after:?}");
        Ok(())
    }

    fn lets_go(&self, case: &Case) -> Result<String> {
        let since = self.mark()?;
        let subject = self.scene.subject(case);
        let metadata = self.object(case)?.unwrap_or_default()["metadata"].take();
        if metadata["deletionTimestamp"].is_string() {
            // Asked for already, and refused.
            self.look(case)?;
        } else {
            self.scene.ask_to_delete(&subject)?;
        }
        self.scene.gone(&subject).with_context(|| self.picture(case, since))?;
        if metadata["finalizers"].is_array() {
            // The last turn takes the finalizer off, and ends after that.
            self.stands(case, since, &["forgotten"], Value::is_null)?;
            // What became of it is told by another task than the end of the turn.
            until("it is told what became of it", || Ok(self.said(case, since, "what")?.map(drop)))?;
        }
        Ok(self.controller.told()?.get(since..).unwrap_or_default().to_owned())
    }

    fn keeps(&self, case: &Case, text: &str) -> Result<()> {
        let since = self.mark()?;
        self.scene.ask_to_delete(&self.scene.subject(case))?;
        self.stands(case, since, &STUCK, |object| tells(object, &[text]))
    }

    fn plan(&self) -> Result<Run> {
        let config = self.scene.cluster.kubeconfig(ONLOOKER)?.display().to_string();
        let namespace = self.scene.namespace.as_str();
        let place = ["--kubeconfig", &config, "--namespace", namespace, "--system-namespace", namespace];
        let audit = self.scene.cluster.audit_mark()?;
        let run = self.stage().cso(&[&PLAN[..], &place].concat())?;
        self.scene.only_looked(audit)?;
        Ok(run)
    }

    fn object(&self, case: &Case) -> Result<Option<Value>> {
        self.scene.read(&self.scene.subject(case))
    }

    fn forgets(&mut self, case: &Case) -> Result<()> {
        self.stops()?;
        self.scene.abandon(&self.scene.subject(case))?;
        self.scene.reader.delete("v1", "Secret", &self.scene.namespace, "cso-identity")?;
        self.starts()
    }

    fn takes_back(&mut self, case: &Case) -> Result<()> {
        self.restart(&["--take-back"])?;
        self.settles(case)?;
        self.restart(&[])
    }
}
