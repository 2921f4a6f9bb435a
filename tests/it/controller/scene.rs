//! The scene of a controller's story: a cluster with our definitions, an emulated cloud, and a proxy before each.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use cso_testbed::Kind;
use cso_testbed::kube::{AuditEvent, AuditMark, Cluster, ClusterOptions, Proxy, ReadError, Reader};
use serde_json::{Value, json};

use crate::running::{Running, until};
use crate::stage::Stage;

/// Whom the controller logs in as.
pub(super) const OPERATOR: &str = "operator";

/// A cluster and a cloud.
pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) cluster: Cluster,
    pub(super) proxy: Proxy,
    pub(super) reader: Reader,
}

/// An object that a story is about.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) api: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Scene {
    /// An empty cluster that serves every kind, before an empty cloud.
    pub(super) fn open() -> Result<Self> {
        let stage = Stage::open(Kind::Ministack)?;
        let cluster = Cluster::start(&ClusterOptions::new().user(OPERATOR, &["system:masters"]))?;
        let proxy = Proxy::before(&cluster)?;
        let reader = cluster.reader()?;
        let scene = Self { stage, cluster, proxy, reader };
        let definitions = scene.stage.cso(&["crds"])?.ends(0)?.stdout;
        scene.stage.write("crds.yaml", &definitions)?;
        let path = scene.stage.path().join("crds.yaml").display().to_string();
        scene.kubectl(&["apply", "--server-side", "-f", &path])?;
        scene.kubectl(&["wait", "--for", "condition=established", "--timeout=30s", "crd", "--all"])?;
        Ok(scene)
    }

    /// Runs `kubectl` and insists that it succeeds.
    pub(super) fn kubectl(&self, args: &[&str]) -> Result<String> {
        let output = self.cluster.kubectl(args)?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {told}", args.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The controller, before both proxies.
    pub(super) fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = self.stage.command(&["controller"])?;
        // Alone, unless a story says otherwise: whoever is killed leaves no lease to wait for, and no port is taken.
        for (name, value) in [("CSO_LEADER_ELECT", "false"), ("CSO_METRICS_ADDR", "0"), ("CSO_HEALTHZ_ADDR", "0")] {
            command.env(name, value);
        }
        command.args(args).env("KUBECONFIG", self.proxy.kubeconfig(OPERATOR)?).stdin(Stdio::null());
        Ok(command)
    }

    /// A controller that has read what there is.
    pub(super) fn controller(&self, args: &[&str]) -> Result<Running> {
        let running = Running::spawn(&self.stage, self.command(args)?)?;
        running.tells("at work")?;
        Ok(running)
    }

    /// Makes an object, or makes it say something else. What it does not say any more goes.
    pub(super) fn declare(&self, subject: &Subject, spec: &Value) -> Result<Value> {
        let object = subject.manifest(spec);
        match self.read(subject)? {
            None => Ok(self.reader.create(&object)?),
            Some(mut known) => {
                known["spec"] = spec.clone();
                Ok(self.reader.replace(&known)?)
            }
        }
    }

    /// The object, if it is there.
    pub(super) fn read(&self, subject: &Subject) -> Result<Option<Value>> {
        match self.reader.get(&subject.api, &subject.kind, &subject.namespace, &subject.name) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// An object of a kind that the cluster serves.
    pub(super) fn subject(&self, api: &str, kind: &str, name: &str) -> Result<Subject> {
        let group = api.split('/').next().unwrap_or_default();
        let all = self.kubectl(&["get", "crds", "-o", "json"])?;
        let all: Value = serde_json::from_str(&all)?;
        let items = all["items"].as_array().map_or(&[][..], Vec::as_slice);
        let found = items.iter().find(|crd| crd["spec"]["group"] == group && crd["spec"]["names"]["kind"] == kind);
        let plural = found.and_then(|crd| crd["spec"]["names"]["plural"].as_str());
        Ok(Subject::new(api, kind, plural.with_context(|| format!("the cluster has no {kind} of {group}"))?, name))
    }

    /// Lets an object go whatever holds it, so that the next can be looked at.
    pub(super) fn abandon(&self, subject: &Subject) -> Result<()> {
        if self.read(subject)?.is_some() {
            let resource = format!("{}.{}", subject.plural, subject.api.split('/').next().unwrap_or_default());
            let take_off = r#"{"metadata":{"finalizers":null}}"#;
            self.kubectl(&["patch", &resource, &subject.name, "--type", "merge", "-p", take_off])?;
            self.ask_to_delete(subject)?;
            self.gone(subject)?;
        }
        Ok(())
    }

    /// Waits until the object is as it says, in this state of its spec.
    pub(super) fn synced(&self, subject: &Subject) -> Result<Value> {
        self.shows(subject, "ACK.ResourceSynced", "True")
    }

    /// Waits until a condition of the object's latest generation has a status.
    pub(super) fn shows(&self, subject: &Subject, condition: &str, status: &str) -> Result<Value> {
        until(&format!("{} shows {condition}={status}", subject.name), || {
            let Some(object) = self.read(subject)? else { return Ok(None) };
            let seen = self::condition(&object, condition).is_some_and(|found| found["status"] == status);
            Ok((seen && is_observed(&object)).then_some(object))
        })
        .with_context(|| format!("{:#}", self.read(subject).ok().flatten().unwrap_or_default()))
    }

    /// Deletes the object and waits until it is gone.
    pub(super) fn delete(&self, subject: &Subject) -> Result<()> {
        self.ask_to_delete(subject)?;
        self.gone(subject)
    }

    /// Marks the object for deletion.
    pub(super) fn ask_to_delete(&self, subject: &Subject) -> Result<()> {
        match self.reader.delete(&subject.api, &subject.kind, &subject.namespace, &subject.name) {
            Ok(_) => Ok(()),
            Err(error) if ReadError::status(&error) == Some(404) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the object is gone.
    pub(super) fn gone(&self, subject: &Subject) -> Result<()> {
        until(&format!("{} is gone", subject.name), || Ok(self.read(subject)?.is_none().then_some(())))
            .with_context(|| format!("{:#}", self.read(subject).ok().flatten().unwrap_or_default()))
    }

    /// What the controller has written into the cluster since a mark, as the API server saw it; events apart.
    pub(super) fn writes(&self, since: AuditMark) -> Result<Vec<AuditEvent>> {
        let mut all = self.cluster.audit_since(since)?;
        all.retain(|event| event.user == OPERATOR && event.is_write());
        all.retain(|event| !["events", "leases"].contains(&event.target.resource.as_str()));
        Ok(all)
    }
}

impl Subject {
    /// An object in the default namespace.
    pub(super) fn new(api: &str, kind: &str, plural: &str, name: &str) -> Self {
        let [api, kind, plural, name] = [api, kind, plural, name].map(str::to_owned);
        Self { api, kind, plural, namespace: "default".to_owned(), name }
    }

    /// A queue.
    pub(super) fn queue(name: &str) -> Self {
        Self::new("sqs.services.k8s.aws/v1alpha1", "Queue", "queues", name)
    }

    /// The object as somebody would declare it.
    pub(super) fn manifest(&self, spec: &Value) -> Value {
        json!({
            "apiVersion": self.api,
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        })
    }
}

/// A condition of an object.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten().find(|condition| condition["type"] == kind)
}

/// Whether the conditions are about the spec as it is.
pub(super) fn is_observed(object: &Value) -> bool {
    let observed = &object["metadata"]["annotations"]["service-operator.cloud/observed-generation"];
    observed.as_str() == Some(&object["metadata"]["generation"].to_string())
}
