//! The two ways to have an object managed, driven alike: from a directory with a state file, and in a cluster with a
//! controller. A story that is told through an [`Adapter`] is told of both.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::Kind;
use cso_testbed::kube::ReadError;
use serde_json::{Value, json};

use crate::cases::Case;
use crate::controller::scene::{ONLOOKER, REQUESTED, Scene, Subject, condition, is_observed};
use crate::running::{Running, until};
use crate::stage::{APPLY, DELETE, Run, Stage};
use crate::steps::Kept;

/// Who keeps objects' wishes and their memory, and works on them when told to. The wishes are the manifests in `m`.
pub(crate) trait Adapter {
    /// Where it is, for messages.
    fn place(&self) -> &'static str;

    /// The cloud and the manifests.
    fn stage(&self) -> &Stage;

    /// An object by its name there.
    fn named(&self, api: &str, kind: &str, name: &str) -> Subject;

    /// Forgets everything, and makes what the object of a case refers to.
    fn set(&mut self, case: &Case) -> Result<Kept>;

    /// Gives the objects' namespace these annotations, which are known before anything else happens.
    fn namespace_says(&mut self, annotations: &Value) -> Result<()>;

    /// Goes on with these flags beside its own, in place of any that were given so before.
    fn goes_on_with(&mut self, flags: &'static [&'static str]) -> Result<()>;

    /// Hands the manifests over, and waits until an object is as it says.
    fn settles(&self, object: &Subject) -> Result<()>;

    /// Waits until objects that were not told anything themselves have followed one that was: until this is so, and they rest.
    fn follow(&self, objects: &[Subject], is_so: &dyn Fn() -> Result<bool>) -> Result<()>;

    /// ... until an object stands otherwise than it says, and tells each of these texts.
    fn is_refused(&self, object: &Subject, texts: &[&str]) -> Result<()>;

    /// Has the objects looked at once more: nothing is called, nothing is written.
    fn rests(&self, objects: &[Subject]) -> Result<()>;

    /// Deletes all objects, and waits until they are gone. What was told meanwhile.
    fn lets_go(&self, objects: &[Subject]) -> Result<String>;

    /// Deletes one of the objects, whose manifest is gone.
    fn drops(&self, object: &Subject) -> Result<()>;

    /// Deletes an object, and waits until it tells this text because that is refused.
    fn keeps(&self, object: &Subject, text: &str) -> Result<()>;

    /// `cso plan` of the manifests, as JSON.
    fn plan(&self) -> Result<Run>;

    /// The object, if there is one.
    fn object(&self, object: &Subject) -> Result<Option<Value>>;

    /// Prepares a `ConfigMap` or Secret for exports.
    fn has_target(&self, target: &Subject) -> Result<()>;

    /// What a `ConfigMap` or Secret holds, if there is one.
    fn data(&self, target: &Subject) -> Result<Option<Value>>;

    /// Loses everything that was remembered.
    fn forgets(&mut self, object: &Subject) -> Result<()>;
}

const PLAN: [&str; 5] = ["plan", "-f", "m", "-o", "json"];

fn namespace(name: &str, annotations: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}})
}

/// Manifests and a state file in a directory, with a process for each step.
pub(crate) struct Directory<'a> {
    stage: &'a mut Stage,
    flags: &'static [&'static str],
}

impl<'a> Directory<'a> {
    pub(crate) const fn of(stage: &'a mut Stage) -> Self {
        Self { stage, flags: &[] }
    }
}

impl Adapter for Directory<'_> {
    fn place(&self) -> &'static str {
        "from a directory"
    }

    fn stage(&self) -> &Stage {
        self.stage
    }

    fn named(&self, api: &str, kind: &str, name: &str) -> Subject {
        Subject::new(api, kind, name)
    }

    fn set(&mut self, case: &Case) -> Result<Kept> {
        case.set(self.stage)
    }

    fn namespace_says(&mut self, annotations: &Value) -> Result<()> {
        self.stage.write("m/namespace.yaml", &namespace("default", annotations).to_string())
    }

    fn goes_on_with(&mut self, flags: &'static [&'static str]) -> Result<()> {
        self.flags = flags;
        Ok(())
    }

    fn settles(&self, _object: &Subject) -> Result<()> {
        self.stage.cso(&[&APPLY, self.flags].concat())?.ends(0).map(drop)
    }

    /// One apply works on all.
    fn follow(&self, _objects: &[Subject], is_so: &dyn Fn() -> Result<bool>) -> Result<()> {
        ensure!(is_so()?, "they did not follow");
        Ok(())
    }

    fn is_refused(&self, _object: &Subject, texts: &[&str]) -> Result<()> {
        let run = self.stage.cso(&[&APPLY, self.flags].concat())?.ends(1)?;
        texts.iter().try_fold(run, |run, text| run.tells(text)).map(drop)
    }

    fn rests(&self, _objects: &[Subject]) -> Result<()> {
        self.stage.rests()
    }

    fn lets_go(&self, objects: &[Subject]) -> Result<String> {
        let told = self.stage.cso(&DELETE)?.ends(0)?;
        for object in objects {
            ensure!(self.object(object)?.is_none(), "{} is deleted and remembered", object.name);
        }
        Ok(told.stdout + &told.stderr)
    }

    fn drops(&self, object: &Subject) -> Result<()> {
        self.stage.cso(&["delete", &object.full_kind(), &object.name])?.ends(0).map(drop)
    }

    fn keeps(&self, _object: &Subject, text: &str) -> Result<()> {
        // It would be tried again for ten minutes.
        self.stage.cso(&[&DELETE[..], &["--timeout", "1s"]].concat())?.ends(1)?.tells(text).map(drop)
    }

    fn plan(&self) -> Result<Run> {
        self.stage.cso(&[&PLAN, self.flags].concat())
    }

    fn object(&self, object: &Subject) -> Result<Option<Value>> {
        if !self.stage.path().join(".cso/state.db").exists() {
            return Ok(None);
        }
        let run = self.stage.cso(&["get", &object.full_kind(), &object.name, "-o", "json"])?;
        if run.code() == Some(1) { Ok(None) } else { run.ends(0)?.json().map(Some) }
    }

    /// It comes to be in the state file with the first value.
    fn has_target(&self, _target: &Subject) -> Result<()> {
        Ok(())
    }

    fn data(&self, target: &Subject) -> Result<Option<Value>> {
        let place = ["get", &target.kind, &target.name, "--namespace", &target.namespace];
        let run = self.stage.cso(&[&place[..], &["-o", "json", "--show-secrets"]].concat())?;
        if run.code() == Some(1) { Ok(None) } else { Ok(Some(run.ends(0)?.json()?["data"].take())) }
    }

    fn forgets(&mut self, _object: &Subject) -> Result<()> {
        Ok(fs::remove_dir_all(self.stage.path().join(".cso"))?)
    }
}

/// A namespace of a cluster, and a controller of it that goes on.
pub(crate) struct InCluster {
    pub(crate) scene: Scene,
    controller: Running,
    flags: &'static [&'static str],
}

/// Nobody looks at an object of its own accord while a story does.
const CALM: [&str; 5] = ["--verify-every", "1h", "-v", "--log-format", "json"];

impl InCluster {
    pub(crate) fn open(emulator: Kind) -> Result<Self> {
        let scene = Scene::in_a_namespace(emulator)?;
        let controller = scene.controller(&CALM)?;
        Ok(Self { scene, controller, flags: &[] })
    }

    /// A controller, once there is none.
    pub(crate) fn starts(&mut self) -> Result<()> {
        self.controller = self.scene.controller(&[&CALM, self.flags].concat())?;
        Ok(())
    }

    pub(crate) fn stops(&mut self) -> Result<()> {
        self.controller.interrupt()?;
        ensure!(self.controller.end()?.success(), "the controller ended badly: {}", self.controller.told()?);
        Ok(())
    }

    /// Applies the manifests of the stage, and asks for a look at an object in case they say nothing new of it.
    fn apply(&self, object: &Subject) -> Result<(), ReadError> {
        for mut manifest in self.manifests() {
            if manifest["kind"] == object.kind.as_str() && manifest["metadata"]["name"] == object.name.as_str() {
                manifest["metadata"]["annotations"][REQUESTED] = Self::moment().into();
            }
            self.scene.apply(manifest)?;
        }
        Ok(())
    }

    /// The manifests of the stage, first those that others read.
    fn manifests(&self) -> Vec<Value> {
        let files = fs::read_dir(self.stage().path().join("m")).into_iter().flatten().flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        let mut manifests: Vec<Value> = texts.filter_map(|text| serde_json::from_str(&text).ok()).collect();
        manifests
            .sort_by_cached_key(|manifest| (manifest["apiVersion"] != "v1", manifest["metadata"]["name"].to_string()));
        manifests
    }

    /// Asks for a look at an object.
    fn look(&self, object: &Subject) -> Result<()> {
        let mut wish = object.manifest(&json!({}));
        wish["metadata"]["annotations"] = json!({REQUESTED: Self::moment()});
        self.scene.reader.merge(&wish)?;
        Ok(())
    }

    /// Asks for a look at each object, and waits until all are found to be as they say.
    fn looks(&self, objects: &[Subject]) -> Result<()> {
        let since = self.mark()?;
        objects.iter().try_for_each(|object| self.look(object))?;
        objects.iter().try_for_each(|object| self.stands(object, since, &["settled"], is_synced))
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
    fn turn(&self, object: &Subject, since: usize) -> Result<Option<String>> {
        self.said(object, since, "ended")
    }

    /// What was last told under a name of turns of an object since a mark.
    fn said(&self, object: &Subject, since: usize, what: &str) -> Result<Option<String>> {
        let told = self.controller.told()?;
        let lines = told.get(since..).unwrap_or_default().lines().rev();
        let kind = format!("{}/{}", object.service(), object.kind);
        let turns = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut ours = turns.filter(|said| {
            said["message"] == "turn" && said["kind"] == kind.as_str() && said["name"] == object.name.as_str()
        });
        Ok(ours.find_map(|said| Some(said[what].as_str()?.to_owned())))
    }

    /// Waits until the last turn since a mark has ended in one of these ways, and the object is as it should be.
    fn stands(&self, object: &Subject, since: usize, ends: &[&str], is_so: impl Fn(&Value) -> bool) -> Result<()> {
        let waited = until(&format!("the turn of {} {} is {}", object.kind, object.name, ends.join(" or ")), || {
            let Some(turn) = self.turn(object, since)? else { return Ok(None) };
            let seen = self.object(object)?.unwrap_or_default();
            Ok((ends.contains(&turn.as_str()) && is_so(&seen)).then_some(()))
        });
        waited.with_context(|| self.picture(object, since))
    }

    /// What is known when a wait was in vain.
    fn picture(&self, object: &Subject, since: usize) -> String {
        let object = self.object(object).ok().flatten().unwrap_or_default();
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

    fn named(&self, api: &str, kind: &str, name: &str) -> Subject {
        self.scene.named(api, kind, name)
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

    /// Another controller in place of this one.
    fn goes_on_with(&mut self, flags: &'static [&'static str]) -> Result<()> {
        self.stops()?;
        self.flags = flags;
        self.starts()
    }

    fn settles(&self, object: &Subject) -> Result<()> {
        let since = self.mark()?;
        self.apply(object)?;
        self.stands(object, since, &["settled"], is_synced)
    }

    fn follow(&self, objects: &[Subject], is_so: &dyn Fn() -> Result<bool>) -> Result<()> {
        let synced = |object: &Subject| Ok(self.object(object)?.is_some_and(|object| is_synced(&object)));
        let follows = || {
            let all: Result<Vec<bool>> = objects.iter().map(synced).collect();
            Ok((is_so()? && all?.iter().all(|synced| *synced)).then_some(()))
        };
        until("they followed", follows).with_context(|| self.controller.told().unwrap_or_default())?;
        // What is still written of it is written before the end of another look.
        self.looks(objects)
    }

    fn is_refused(&self, object: &Subject, texts: &[&str]) -> Result<()> {
        let since = self.mark()?;
        match self.apply(object) {
            Ok(()) => self.stands(object, since, &STUCK, |object| !is_synced(object) && tells(object, texts)),
            // The definition has rules of its own.
            Err(ReadError::Refused { message, status: 422, .. }) => {
                let silent = texts.iter().find(|text| !message.contains(**text));
                silent.map_or(Ok(()), |text| bail!("the API server does not tell `{text}`: {message}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn rests(&self, objects: &[Subject]) -> Result<()> {
        let seen = || -> Result<Vec<Option<[Value; 2]>>> {
            let seen = |object| Ok(self.object(object)?.map(|it| [it["spec"].clone(), it["status"].clone()]));
            objects.iter().map(seen).collect()
        };
        let (before, audit) = (seen()?, self.scene.cluster.audit_mark()?);
        self.stage().mutations();
        self.looks(objects)?;
        let calls = self.stage().mutations();
        ensure!(calls.is_empty(), "at rest it made mutating calls: {calls:?}");
        let writes = self.scene.writes(audit)?;
        ensure!(writes.is_empty(), "at rest it wrote {writes:?}");
        let after = seen()?;
        ensure!(before == after, "at rest {before:?} became {after:?}");
        Ok(())
    }

    fn lets_go(&self, objects: &[Subject]) -> Result<String> {
        let since = self.mark()?;
        let mut held = Vec::new();
        for object in objects {
            let metadata = self.object(object)?.unwrap_or_default()["metadata"].take();
            if metadata["deletionTimestamp"].is_string() {
                // Asked for already, and refused.
                self.look(object)?;
            } else {
                self.scene.ask_to_delete(object)?;
            }
            held.extend(metadata["finalizers"].is_array().then_some(object));
        }
        for object in objects {
            self.scene.gone(object).with_context(|| self.picture(object, since))?;
        }
        for object in held {
            // The last turn takes the finalizer off, and ends after that.
            self.stands(object, since, &["forgotten"], Value::is_null)?;
            // What became of it is told by another task than the end of the turn.
            until("it is told what became of it", || Ok(self.said(object, since, "what")?.map(drop)))?;
        }
        Ok(self.controller.told()?.get(since..).unwrap_or_default().to_owned())
    }

    fn drops(&self, object: &Subject) -> Result<()> {
        self.lets_go(std::slice::from_ref(object)).map(drop)
    }

    fn keeps(&self, object: &Subject, text: &str) -> Result<()> {
        let since = self.mark()?;
        self.scene.ask_to_delete(object)?;
        self.stands(object, since, &STUCK, |object| tells(object, &[text]))
    }

    fn plan(&self) -> Result<Run> {
        let config = self.scene.cluster.kubeconfig(ONLOOKER)?.display().to_string();
        let namespace = self.scene.namespace.as_str();
        let place = ["--kubeconfig", &config, "--namespace", namespace, "--system-namespace", namespace];
        let audit = self.scene.cluster.audit_mark()?;
        let run = self.stage().cso(&[&PLAN[..], &place, self.flags].concat())?;
        self.scene.only_looked(audit)?;
        Ok(run)
    }

    fn object(&self, object: &Subject) -> Result<Option<Value>> {
        self.scene.read(object)
    }

    /// It must be there: nobody's application is to find one that its owner never made.
    fn has_target(&self, target: &Subject) -> Result<()> {
        self.scene.reader.apply(&namespace(&target.namespace, &json!({})))?;
        self.scene.reader.create(&target.bare())?;
        Ok(())
    }

    fn data(&self, target: &Subject) -> Result<Option<Value>> {
        Ok(self.scene.read(target)?.map(|mut target| target["data"].take()).filter(|data| !data.is_null()))
    }

    fn forgets(&mut self, object: &Subject) -> Result<()> {
        self.stops()?;
        self.scene.abandon(object)?;
        self.scene.reader.delete("v1", "Secret", &self.scene.namespace, "cso-identity")?;
        self.starts()
    }
}
