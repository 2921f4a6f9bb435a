//! The scene of a controller's story: a cluster with our definitions, an emulated cloud, and a proxy before each.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, ensure};
use cso_testbed::Kind;
use cso_testbed::kube::{AuditEvent, AuditMark, Cluster, ClusterOptions, Proxy, ReadError, Reader};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cases::Case;
use crate::running::{Running, until};
use crate::stage::Stage;

/// Whom the controller logs in as.
pub(crate) const OPERATOR: &str = "operator";

/// Who may look at everything and change nothing.
pub(crate) const ONLOOKER: &str = "onlooker";

/// Each change of it makes an object looked at.
pub(crate) const REQUESTED: &str = "service-operator.cloud/reconcile-requested-at";

/// The namespace of stories that have a cluster to themselves.
const DEFAULT: &str = "default";

/// A cluster and a cloud.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) proxy: Proxy,
    pub(crate) reader: Reader,
    /// Where the story's objects are. In a cluster that stories share, all that the controller is told to look at.
    pub(crate) namespace: String,
    /// Where controllers log: the stage's own directory goes whenever it is cleared.
    logs: TempDir,
}

/// An object that a story is about.
#[derive(Clone, PartialEq)]
pub(crate) struct Subject {
    pub(crate) api: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Scene {
    /// An empty cluster that serves every kind, before an empty cloud.
    pub(crate) fn open() -> Result<Self> {
        let stage = Stage::open(Kind::Ministack)?;
        let cluster = Arc::new(serving(&stage, ClusterOptions::new())?);
        Self::of(stage, cluster, DEFAULT.to_owned())
    }

    /// The same in a cluster that has Kubernetes' own controllers.
    pub(crate) fn governed() -> Result<Self> {
        let stage = Stage::open(Kind::Ministack)?;
        let cluster = Arc::new(serving(&stage, ClusterOptions::new().controller_manager())?);
        Self::of(stage, cluster, DEFAULT.to_owned())
    }

    /// A namespace of its own in a cluster that all such stories share, before an empty cloud of its own.
    pub(crate) fn in_a_namespace(emulator: Kind) -> Result<Self> {
        // It takes longer to start than most stories take. It ends with this process.
        static SHARED: OnceLock<Result<Arc<Cluster>, String>> = OnceLock::new();
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let stage = Stage::open(emulator)?;
        let shared = SHARED
            .get_or_init(|| serving(&stage, ClusterOptions::new()).map(Arc::new).map_err(|error| format!("{error:#}")));
        let cluster = Arc::clone(shared.as_ref().map_err(|why| anyhow!("{why}"))?);
        let scene = Self::of(stage, cluster, format!("room-{}", TAKEN.fetch_add(1, Ordering::Relaxed)))?;
        scene
            .reader
            .create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace}}))?;
        Ok(scene)
    }

    /// The same before the emulator that answers at once, with a controller that has read what there is.
    pub(crate) fn at_work(flags: &[&str]) -> Result<(Self, Running)> {
        let scene = Self::in_a_namespace(Kind::Ministack)?;
        let controller = scene.controller(flags)?;
        Ok((scene, controller))
    }

    fn of(stage: Stage, cluster: Arc<Cluster>, namespace: String) -> Result<Self> {
        let (proxy, reader) = (Proxy::before(&cluster)?, cluster.reader()?);
        Ok(Self { stage, cluster, proxy, reader, namespace, logs: TempDir::new()? })
    }

    /// Goes on in another namespace of the same cluster.
    pub(crate) fn moves_to(&mut self, namespace: &str) -> Result<()> {
        self.reader.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))?;
        namespace.clone_into(&mut self.namespace);
        Ok(())
    }

    fn is_shared(&self) -> bool {
        self.namespace != DEFAULT
    }

    /// Where controllers log.
    pub(crate) fn logs(&self) -> &Path {
        self.logs.path()
    }

    /// Runs `kubectl` and insists that it succeeds.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl(&self.cluster, args)
    }

    /// The controller, before both proxies.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = self.stage.command(&["controller"])?;
        // Alone, unless a story says otherwise: whoever is killed leaves no lease to wait for, and no port is taken.
        for (name, value) in [("CSO_LEADER_ELECT", "false"), ("CSO_METRICS_ADDR", "0"), ("CSO_HEALTHZ_ADDR", "0")] {
            command.env(name, value);
        }
        command.args(args).env("KUBECONFIG", self.proxy.kubeconfig(OPERATOR)?).stdin(Stdio::null());
        command.current_dir(self.logs());
        if self.is_shared() {
            command.args(["--watch-namespace", &self.namespace, "--system-namespace", &self.namespace]);
        }
        Ok(command)
    }

    /// A controller that has read what there is.
    pub(crate) fn controller(&self, args: &[&str]) -> Result<Running> {
        let running = Running::spawn(self.logs(), self.command(args)?)?;
        running.tells("at work")?;
        Ok(running)
    }

    /// An object of the story.
    pub(crate) fn named(&self, api: &str, kind: &str, name: &str) -> Subject {
        Subject { namespace: self.namespace.clone(), ..Subject::new(api, kind, name) }
    }

    /// A queue of the story.
    pub(crate) fn queue(&self, name: &str) -> Subject {
        Subject { namespace: self.namespace.clone(), ..Subject::queue(name) }
    }

    /// Declares queues that say no more than their names.
    pub(crate) fn declare_queues(&self, queues: &[Subject]) -> Result<()> {
        queues.iter().try_for_each(|queue| self.declare(queue, &json!({"queueName": queue.name})).map(drop))
    }

    /// Makes an object, and waits until it is as it says.
    pub(crate) fn make(&self, subject: &Subject, spec: &Value) -> Result<Value> {
        self.declare(subject, spec)?;
        self.synced(subject)
    }

    /// Insists that nothing is left in the cloud.
    pub(crate) fn leaves_nothing(&self) -> Result<()> {
        let left = self.stage.everything()?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    }

    /// Makes an object, or makes it say something else. What it does not say any more goes.
    pub(crate) fn declare(&self, subject: &Subject, spec: &Value) -> Result<Value> {
        let object = subject.manifest(spec);
        match self.read(subject)? {
            None => Ok(self.reader.create(&object)?),
            Some(mut known) => {
                known["spec"] = spec.clone();
                Ok(self.reader.replace(&known)?)
            }
        }
    }

    /// Applies a manifest to the story's namespace, as somebody would who forgets nothing that an earlier one said.
    pub(crate) fn apply(&self, mut manifest: Value) -> Result<Value, ReadError> {
        manifest["metadata"]["namespace"] = self.namespace.as_str().into();
        self.reader.apply(&manifest)
    }

    /// The object, if it is there.
    pub(crate) fn read(&self, subject: &Subject) -> Result<Option<Value>> {
        match self.reader.get(&subject.api, &subject.kind, &subject.namespace, &subject.name) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The object of a case.
    pub(crate) fn subject(&self, case: &Case) -> Subject {
        Subject { namespace: self.namespace.clone(), ..Subject::new(&case.api, &case.kind, "story") }
    }

    /// Lets an object go whatever holds it, so that the next can be looked at.
    pub(crate) fn abandon(&self, subject: &Subject) -> Result<()> {
        if self.read(subject)?.is_some() {
            // Not a word of its spec, which it may not have.
            let mut bare = subject.bare();
            bare["metadata"]["finalizers"] = Value::Null;
            self.reader.merge(&bare)?;
            self.delete(subject)?;
        }
        Ok(())
    }

    /// Waits until the object is as it says, in this state of its spec.
    pub(crate) fn synced(&self, subject: &Subject) -> Result<Value> {
        self.shows(subject, "ACK.ResourceSynced", "True")
    }

    /// Waits until a condition of the object's latest generation has a status.
    pub(crate) fn shows(&self, subject: &Subject, condition: &str, status: &str) -> Result<Value> {
        until(&format!("{} shows {condition}={status}", subject.name), || {
            let Some(object) = self.read(subject)? else { return Ok(None) };
            let seen = self::condition(&object, condition).is_some_and(|found| found["status"] == status);
            Ok((seen && is_observed(&object)).then_some(object))
        })
        .with_context(|| format!("{:#}", self.read(subject).ok().flatten().unwrap_or_default()))
    }

    /// Deletes the object and waits until it is gone.
    pub(crate) fn delete(&self, subject: &Subject) -> Result<()> {
        self.ask_to_delete(subject)?;
        self.gone(subject)
    }

    /// Marks the object for deletion.
    pub(crate) fn ask_to_delete(&self, subject: &Subject) -> Result<()> {
        match self.reader.delete(&subject.api, &subject.kind, &subject.namespace, &subject.name) {
            Ok(_) => Ok(()),
            Err(error) if ReadError::status(&error) == Some(404) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the object is gone.
    pub(crate) fn gone(&self, subject: &Subject) -> Result<()> {
        until(&format!("{} is gone", subject.name), || Ok(self.read(subject)?.is_none().then_some(())))
            .with_context(|| format!("{:#}", self.read(subject).ok().flatten().unwrap_or_default()))
    }

    /// Insists that the onlooker has looked since a mark, and done nothing else.
    pub(crate) fn only_looked(&self, since: AuditMark) -> Result<()> {
        let mut asked = self.cluster.audit_since(since)?;
        asked.retain(|event| event.user == ONLOOKER);
        ensure!(!asked.is_empty(), "nobody looked");
        let reads = ["get", "list", "watch"];
        asked.retain(|event| event.is_write() || event.code == 403 || !reads.contains(&event.verb.as_str()));
        ensure!(asked.is_empty(), "more than a look: {asked:?}");
        Ok(())
    }

    /// What the controller has written into the cluster since a mark, as the API server saw it; events apart.
    pub(crate) fn writes(&self, since: AuditMark) -> Result<Vec<AuditEvent>> {
        let mut all = self.cluster.audit_since(since)?;
        all.retain(|event| event.user == OPERATOR && event.is_write());
        all.retain(|event| !["events", "leases"].contains(&event.target.resource.as_str()));
        all.retain(|event| !self.is_shared() || event.target.namespace == self.namespace);
        Ok(all)
    }
}

impl Subject {
    /// An object in the default namespace.
    pub(crate) fn new(api: &str, kind: &str, name: &str) -> Self {
        let [api, kind, name] = [api, kind, name].map(str::to_owned);
        Self { api, kind, namespace: DEFAULT.to_owned(), name }
    }

    /// The one that an object is.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let [api, kind] = ["apiVersion", "kind"].map(|name| text(&object[name]));
        let [namespace, name] = ["namespace", "name"].map(|name| text(&object["metadata"][name]));
        Self { api, kind, namespace, name }
    }

    /// A queue.
    pub(crate) fn queue(name: &str) -> Self {
        Self::new("sqs.services.k8s.aws/v1alpha1", "Queue", name)
    }

    /// The object as somebody would declare it.
    pub(crate) fn manifest(&self, spec: &Value) -> Value {
        let mut manifest = self.bare();
        manifest["spec"] = spec.clone();
        manifest
    }

    /// Nothing but its name.
    pub(crate) fn bare(&self) -> Value {
        let metadata = json!({"name": self.name, "namespace": self.namespace});
        json!({"apiVersion": self.api, "kind": self.kind, "metadata": metadata})
    }

    /// The service that the kind is of.
    pub(crate) fn service(&self) -> &str {
        self.api.split_once(".services.k8s.aws").or(self.api.split_once('/')).map_or("", |(service, _)| service)
    }

    /// The kind as a command line names it beyond doubt.
    pub(crate) fn full_kind(&self) -> String {
        format!("{}.{}", self.kind, self.service())
    }
}

/// A cluster that serves every kind, and knows who may look at it.
fn serving(stage: &Stage, options: ClusterOptions) -> Result<Cluster> {
    let cluster = Cluster::start(&options.user(OPERATOR, &["system:masters"]).user(ONLOOKER, &[]))?;
    stage.write("crds.yaml", &stage.cso(&["crds"])?.ends(0)?.stdout)?;
    kubectl(&cluster, &["apply", "--server-side", "-f", &stage.path().join("crds.yaml").display().to_string()])?;
    kubectl(&cluster, &["wait", "--for", "condition=established", "--timeout=30s", "crd", "--all"])?;
    let looks = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]});
    let (rbac, name) = ("rbac.authorization.k8s.io", json!({"name": ONLOOKER}));
    let rights = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": name, "rules": [looks]},
        {"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": name,
         "subjects": [{"apiGroup": rbac, "kind": "User", "name": ONLOOKER}],
         "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": ONLOOKER}},
    ]});
    stage.write("rights.yaml", &rights.to_string())?;
    kubectl(&cluster, &["apply", "-f", &stage.path().join("rights.yaml").display().to_string()])?;
    Ok(cluster)
}

fn kubectl(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let output = cluster.kubectl(args)?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {}: {told}", args.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A condition of an object.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten().find(|condition| condition["type"] == kind)
}

/// Whether the conditions are about the spec as it is.
pub(crate) fn is_observed(object: &Value) -> bool {
    let observed = &object["metadata"]["annotations"]["service-operator.cloud/observed-generation"];
    observed.as_str() == Some(&object["metadata"]["generation"].to_string())
}
