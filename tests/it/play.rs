//! A story of one object and what stands beside it, played through an adapter: each act, the calls that it made, and how the
//! objects stood afterwards.

use std::cmp::Reverse;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::{AwsCall, Kind};
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, Directory, InCluster};
use crate::cases::{self, Case};
use crate::controller::scene::Subject;
use crate::stage::{Run, Stage};
use crate::steps::{self, Kept, Step};

/// One object of one kind and what stands beside it, and everything that was seen of them.
pub(crate) struct Play<'a> {
    pub(crate) case: &'a Case,
    adapter: &'a mut dyn Adapter,
    kept: Kept,
    /// The object of the case, then what stands beside it.
    cast: Vec<Subject>,
    /// Mutating calls of the last act, and how many it made in all.
    calls: Vec<AwsCall>,
    traffic: usize,
    acts: Vec<Act>,
    names: Names,
}

/// Something that was done or asked, and what was seen of it, with neither accidental names nor times in it.
#[derive(Debug, PartialEq)]
struct Act {
    what: &'static str,
    seen: Value,
}

impl<'a> Play<'a> {
    /// An empty cloud, but for what the object refers to.
    pub(crate) fn set(case: &'a Case, adapter: &'a mut dyn Adapter) -> Result<Self> {
        let kept = adapter.set(case)?;
        let cast = vec![adapter.named(&case.api, &case.kind, "story")];
        Ok(Self { case, adapter, kept, cast, calls: Vec::new(), traffic: 0, acts: Vec::new(), names: Names::default() })
    }

    fn stage(&self) -> &Stage {
        self.adapter.stage()
    }

    /// What stands in for the provider.
    pub(crate) fn emulator(&self) -> Kind {
        self.stage().kind()
    }

    /// Writes the manifest of the object with more in its spec than it must have; null takes a field out.
    pub(crate) fn declares(&self, more: &Map<String, Value>) -> Result<()> {
        self.declares_with(more, &json!({}))
    }

    /// The same with annotations.
    pub(crate) fn declares_with(&self, more: &Map<String, Value>, annotations: &Value) -> Result<()> {
        self.case.declare_with(self.stage(), &self.kept, self.case.spec(more), annotations)
    }

    /// Puts another object beside it, or has it say something else.
    pub(crate) fn beside(&mut self, manifest: &Value) -> Result<Subject> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let [api, kind, name] = [&manifest["apiVersion"], &manifest["kind"], &manifest["metadata"]["name"]].map(text);
        self.stage().write(&format!("m/{name}.yaml"), &manifest.to_string())?;
        let object = self.adapter.named(&api, &kind, &name);
        if !self.cast.contains(&object) {
            self.cast.push(object.clone());
        }
        Ok(object)
    }

    /// The object of the case.
    fn hero(&self) -> &Subject {
        &self.cast[0]
    }

    /// Runs an act, and notes what came of it.
    fn act<T>(&mut self, what: &'static str, run: impl FnOnce(&mut dyn Adapter, &[Subject]) -> Result<T>) -> Result<T> {
        self.stage().mutations();
        let done = run(self.adapter, &self.cast).context(what)?;
        // Who we are is asked once by each process.
        self.traffic = self.stage().proxy.calls().iter().filter(|call| call.service != "sts").count();
        self.calls = self.stage().mutations();
        let objects = self.cast.iter().map(|object| Ok(self.adapter.object(object)?.unwrap_or_default()));
        let objects: Vec<Value> = objects.collect::<Result<_>>()?;
        for (subject, object) in self.cast.iter().zip(&objects) {
            self.names.learn(&object["status"], &format!("{}.status", subject.name));
        }
        let mut calls: Vec<&AwsCall> = self.calls.iter().collect();
        if self.cast.len() > 1 {
            // They are worked on side by side.
            calls.sort_by_key(|call| &call.service);
        }
        let calls = calls.iter().map(|call| json!([call.service, call.operation, self.plain(&call.input)]));
        let conditions = objects.iter().map(|object| self.conditions(object));
        let seen = json!({"calls": calls.collect::<Value>(), "conditions": conditions.collect::<Value>()});
        self.acts.push(Act { what, seen });
        Ok(done)
    }

    /// How an object stands.
    fn conditions(&self, object: &Value) -> Value {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let conditions = conditions.map(|condition| {
            let told = [&condition["type"], &condition["status"], &condition["reason"], &condition["message"]];
            self.plain(&json!(told))
        });
        conditions.collect()
    }

    /// A value without what differs between two plays of the same story.
    fn plain(&self, value: &Value) -> Value {
        self.names.put(value)
    }

    /// The namespace of the object says something for all in it.
    pub(crate) fn namespace_says(&mut self, annotations: &Value) -> Result<()> {
        self.act("the namespace speaks", |adapter, _| adapter.namespace_says(annotations))
    }

    /// Whoever works on the objects goes on with these flags.
    pub(crate) fn goes_on_with(&mut self, flags: &'static [&'static str]) -> Result<()> {
        self.adapter.goes_on_with(flags)
    }

    /// The object becomes as it is declared.
    pub(crate) fn settles(&mut self) -> Result<()> {
        self.act("settles", |adapter, cast| adapter.settles(&cast[0]))
    }

    /// The object becomes as it is declared, and what stands beside it follows of its own accord, until this is so.
    pub(crate) fn settles_until(&mut self, is_so: impl Fn(&dyn Adapter) -> Result<bool>) -> Result<()> {
        self.act("settles, and others follow", |adapter, cast| {
            adapter.settles(&cast[0])?;
            adapter.follow(&cast[1..], &|| is_so(adapter))
        })
    }

    /// The object does not, and tells each of these texts; nothing is called.
    pub(crate) fn is_refused(&mut self, texts: &[&str]) -> Result<()> {
        self.refuses(&self.hero().clone(), texts)
    }

    /// An object does not become as it is declared, and tells each of these texts; nothing is called.
    pub(crate) fn refuses(&mut self, object: &Subject, texts: &[&str]) -> Result<()> {
        self.act("is refused", |adapter, _| adapter.is_refused(object, texts))?;
        ensure!(self.calls.is_empty(), "what was refused made calls: {:?}", self.operations());
        Ok(())
    }

    /// What cannot be is refused with this text; nothing is called. Manifests of a directory are checked before anything
    /// is done, and in a cluster the definition may have a rule of its own: then the object goes on as it was.
    pub(crate) fn refuses_to_begin(&mut self, object: &Subject, text: &str) -> Result<()> {
        self.stage().mutations();
        self.adapter.is_refused(object, &[text])?;
        let calls = self.stage().mutations();
        ensure!(calls.is_empty(), "a refused change made calls: {calls:?}");
        Ok(())
    }

    /// A change of a field that cannot be changed is refused by its path.
    pub(crate) fn is_refused_a_change(&mut self, path: &str) -> Result<()> {
        self.refuses_to_begin(&self.hero().clone(), path)
    }

    /// There is nothing to do, and nothing is done.
    pub(crate) fn rests(&mut self) -> Result<()> {
        self.act("rests", |adapter, cast| adapter.rests(cast))
    }

    /// Everything is deleted. What was told meanwhile.
    pub(crate) fn goes(&mut self) -> Result<String> {
        self.act("goes", |adapter, cast| adapter.lets_go(cast))
    }

    /// One object that stands beside is deleted.
    pub(crate) fn drops(&mut self, object: &Subject) -> Result<()> {
        self.stage().remove(&format!("m/{}.yaml", object.name))?;
        self.cast.retain(|other| other != object);
        self.act("one goes", |adapter, _| adapter.drops(object))
    }

    /// The object is to be deleted, which is refused and told. How often it is tried is a matter of time.
    pub(crate) fn stays(&mut self, text: &str) -> Result<()> {
        self.act("stays", |adapter, cast| adapter.keeps(&cast[0], text))?;
        if let Some(calls) = self.acts.last_mut().and_then(|act| act.seen["calls"].as_array_mut()) {
            calls.dedup();
        }
        Ok(())
    }

    /// Whoever keeps the object loses everything that was remembered.
    pub(crate) fn is_forgotten(&mut self) -> Result<()> {
        self.act("is forgotten", |adapter, cast| adapter.forgets(&cast[0]))
    }

    /// The object becomes as it is declared, by taking back what carries the mark of a lost state.
    pub(crate) fn is_taken_back(&mut self) -> Result<()> {
        // What is done from the first moment on counts.
        self.act("is taken back", |adapter, cast| {
            adapter.goes_on_with(&["--take-back"])?;
            adapter.settles(&cast[0])?;
            adapter.goes_on_with(&[])
        })
    }

    /// An object by its name, wherever the story is played.
    pub(crate) fn named(&self, api: &str, kind: &str, name: &str) -> Subject {
        self.adapter.named(api, kind, name)
    }

    /// A `ConfigMap` or Secret is ready to be exported to.
    pub(crate) fn has_target(&self, target: &Subject) -> Result<()> {
        self.adapter.has_target(target)
    }

    /// What a `ConfigMap` or Secret holds.
    pub(crate) fn data(&self, target: &Subject) -> Result<Option<Value>> {
        self.adapter.data(target)
    }

    /// What would be done; nothing is.
    pub(crate) fn plan(&mut self) -> Result<Run> {
        self.stage().mutations();
        let run = self.adapter.plan()?;
        let calls = self.stage().mutations();
        ensure!(calls.is_empty(), "a plan made mutating calls: {calls:?}");
        let seen = self.plain(&run.json()?);
        self.acts.push(Act { what: "plan", seen });
        Ok(run)
    }

    /// Mutating calls of the last act.
    pub(crate) fn calls(&self) -> &[AwsCall] {
        &self.calls
    }

    /// How many calls the last act made, looks included.
    pub(crate) const fn traffic(&self) -> usize {
        self.traffic
    }

    /// Names of the mutating calls of the last act.
    pub(crate) fn operations(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.operation.as_str()).collect()
    }

    /// The object, if there is one.
    pub(crate) fn object(&self) -> Result<Option<Value>> {
        self.adapter.object(self.hero())
    }

    /// Calls of the independent client behind our back.
    pub(crate) fn behind_our_back(&mut self, steps: &[Step]) -> Result<()> {
        let mut kept = self.kept.clone();
        steps::run(steps, &self.stage().cloud, &mut kept)?;
        self.kept = kept;
        Ok(())
    }

    /// Everything that exists, as boto3 sees it.
    pub(crate) fn everything(&self) -> Result<Vec<String>> {
        self.stage().everything()
    }

    /// Everything boto3 can say about the case's resource.
    pub(crate) fn portrait(&self) -> Value {
        self.case.portrait(self.stage(), &self.kept)
    }

    /// What boto3 sees at a place of a view; nothing if it is missing or empty.
    pub(crate) fn sees(&self, at: &str) -> Result<Option<Value>> {
        self.case.see(self.stage(), &self.kept, at)
    }

    /// Insists that boto3 sees a value, or nothing.
    pub(crate) fn shows(&self, at: &str, wanted: Option<&Value>) -> Result<()> {
        self.case.shows(self.stage(), &self.kept, at, wanted)
    }

    /// A value of the case with what setting it up has made.
    pub(crate) fn filled(&self, value: &Value) -> Value {
        steps::filled(value, &self.kept)
    }
}

/// Names that the provider makes up, and what they are the name of.
#[derive(Default)]
struct Names(Vec<(String, String)>);

impl Names {
    /// Shorter texts are no names that anybody makes up.
    const SHORTEST: usize = 12;

    /// Learns the names in a status.
    fn learn(&mut self, status: &Value, path: &str) {
        match status {
            Value::String(name) if name.len() >= Self::SHORTEST && self.0.iter().all(|(known, _)| known != name) => {
                self.0.push((name.clone(), format!("${{{path}}}")));
                // The longest first: an ARN has an id in it.
                self.0.sort_by_key(|(name, _)| Reverse(name.len()));
            }
            Value::Object(members) => {
                let members = members.iter().filter(|(name, _)| *name != "conditions");
                members.for_each(|(name, member)| self.learn(member, &format!("{path}.{name}")));
            }
            _ => {}
        }
    }

    /// The value with what each name stands for, and one word for everything that is made up otherwise.
    fn put(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let text = self.0.iter().fold(text.clone(), |text, (name, what)| text.replace(name, what));
                Value::String(without_accidents(&text))
            }
            Value::Array(items) => items.iter().map(|item| self.put(item)).collect(),
            Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), self.put(member))).collect(),
            other => other.clone(),
        }
    }
}

/// The text without ids, tokens, digests of secrets and the namespace: long words of hexadecimal digits, what an ARN adds to a
/// name, what stands for a secret, and `room-N`.
fn without_accidents(text: &str) -> String {
    let is_id = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        word.len() >= 16 && digits > 0 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    };
    let ends = |word: &str, before: &str, end: usize| {
        word.strip_prefix(before).is_some_and(|rest| rest.len() == end && rest.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let is_namespace = |word: &str| word.strip_prefix("room-").is_some_and(|rest| rest.parse::<usize>().is_ok());
    let mut plain = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        plain.push_str(match word {
            id if is_id(id) => "#",
            namespace if is_namespace(namespace) => "default",
            suffixed if ends(suffixed, "story-", 6) => "story-#",
            digest if plain.ends_with("<secret ") && ends(digest, "", 4) => "#",
            word => word,
        });
        let gap = after.find(|c: char| c.is_ascii_alphanumeric() || c == '-').unwrap_or(after.len());
        plain.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    plain
}

/// Plays a story through an adapter.
pub(crate) fn told(case: &Case, adapter: &mut dyn Adapter, story: impl Fn(&mut Play<'_>) -> Result<()>) -> Result<()> {
    played(case, adapter, story).map(drop)
}

/// ... and what was seen in it.
fn played(case: &Case, adapter: &mut dyn Adapter, story: impl Fn(&mut Play<'_>) -> Result<()>) -> Result<Vec<Act>> {
    let place = adapter.place();
    let mut play = Play::set(case, adapter)?;
    story(&mut play).context(place)?;
    Ok(play.acts)
}

/// Plays a story from a directory, then in a cluster: the same plans, the same calls, the same conditions.
pub(crate) fn alike(case: &Case, home: &mut InCluster, story: impl Fn(&mut Play<'_>) -> Result<()>) -> Result<()> {
    let there = played(case, &mut Directory::of(&mut home.scene.stage), &story)?;
    let here = played(case, home, &story)?;
    ensure!(there.len() == here.len(), "{} acts from a directory, {} in a cluster", there.len(), here.len());
    for (number, (there, here)) in there.iter().zip(&here).enumerate() {
        if there != here {
            bail!("act {} `{}`\nfrom a directory {}\nin a cluster {}", number + 1, there.what, there.seen, here.seen);
        }
    }
    Ok(())
}

/// A story of each kind that an emulator can play in full, from a directory and in a cluster. What two emulators can play is
/// played in a cluster before the first of them only.
pub(crate) fn of_each_kind(emulator: Kind, story: impl Fn(&mut Play<'_>) -> Result<()>) -> Result<()> {
    let mut home = InCluster::open(emulator)?;
    let mut wrong = Vec::new();
    for case in &cases::one_of_each_kind_on(emulator)? {
        let result = if emulator == first_that_plays(case) {
            alike(case, &mut home, &story)
        } else {
            told(case, &mut Directory::of(&mut home.scene.stage), &story)
        };
        wrong.extend(result.err().map(|error| format!("{}: {error:#}", case.id)));
    }
    ensure!(wrong.is_empty(), "{}:\n{}", emulator.name(), wrong.join("\n"));
    Ok(())
}

/// The emulator before which a case is played in a cluster.
pub(crate) fn first_that_plays(case: &Case) -> Kind {
    let plays = |emulator: &Kind| case.plays_on(*emulator) && !case.lacks.contains_key(emulator.name());
    Kind::OPINIONS.into_iter().find(plays).unwrap_or(Kind::Moto)
}
