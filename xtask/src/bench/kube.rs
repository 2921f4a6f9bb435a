//! What `cso controller` costs, before a real API server.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::kube::{AuditEvent, AuditMark, Cluster, ClusterOptions};
use serde_json::json;

use super::memory::Usage;
use super::report::Row;
use super::stage::{Running, Stage, command};

/// Whom the controller logs in as.
const OPERATOR: &str = "operator";
const API: &str = "sqs.services.k8s.aws/v1alpha1";
/// How long rest is watched.
const REST: Duration = Duration::from_secs(20);
const SETTLED_WITHIN: Duration = Duration::from_mins(10);

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let mut rows = thousand(stage)?;
    rows.extend(at_rest(stage, 10_000)?);
    Ok(rows)
}

/// 1,000 new queues that wait for a controller, and the controller that comes after it.
fn thousand(stage: &mut Stage) -> Result<Vec<Row>> {
    const OBJECTS: usize = 1000;
    let bench = Bench::set(stage, "kube")?;
    bench.make(0..OBJECTS)?;
    let mark = bench.cluster.audit_mark()?;
    let start = Instant::now();
    let controller = bench.controller(stage)?;
    bench.wait_settled(OBJECTS)?;
    let settled = start.elapsed();
    bench.all_are_synced(OBJECTS)?;
    let writes = bench.writes(mark)?.len();
    drop(controller);

    let mark = bench.cluster.audit_mark()?;
    let start = Instant::now();
    let _controller = bench.controller(stage)?;
    bench.wait_settled(OBJECTS)?;
    let again = start.elapsed();
    let rewritten = bench.writes(mark)?.len();
    let what = |what: &str| format!("`cso controller`, 1,000 queues: {what}");
    Ok(vec![
        Row::held(
            what("from the start of the controller to all synced, seconds"),
            "at most 6.8, a third of ACK's 20.4",
            format!("{:.1}", settled.as_secs_f64()),
            settled.as_secs_f64() <= 6.8,
        ),
        Row::held(
            what("writes to the API server for each"),
            "at most 3",
            format!("{:.2}", per(writes, OBJECTS)),
            writes <= 3 * OBJECTS,
        ),
        Row::held(what("writes by a controller that comes after it"), "0", rewritten.to_string(), rewritten == 0),
        Row::told(what("until it has looked at all of them, seconds"), format!("{:.1}", again.as_secs_f64())),
    ])
}

/// Memory, CPU and writes while nothing happens.
fn at_rest(stage: &mut Stage, objects: usize) -> Result<Vec<Row>> {
    let bench = Bench::set(stage, "kube-rest")?;
    let controller = bench.controller(stage)?;
    bench.make(0..objects)?;
    bench.wait_settled(objects)?;
    thread::sleep(REST);
    let mark = bench.cluster.audit_mark()?;
    let before = Usage::of(controller.0.id())?;
    let start = Instant::now();
    thread::sleep(REST);
    let after = Usage::of(controller.0.id())?;
    let cores = (after.cpu - before.cpu) / start.elapsed().as_secs_f64();
    let writes = bench.writes(mark)?.len();
    let resident = after.resident.div_ceil(1024);
    let what = |what: &str| format!("`cso controller`, 10,000 objects: {what}");
    Ok(vec![
        Row::held(what("resident at rest, MB"), "at most 150", resident.to_string(), resident <= 150),
        Row::held(what("CPU at rest, cores"), "at most 0.1", format!("{cores:.3}"), cores <= 0.1),
        Row::held(what("writes to the API server at rest"), "0", writes.to_string(), writes == 0),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn per(count: usize, objects: usize) -> f64 {
    count as f64 / objects as f64
}

/// A cluster that serves queues.
struct Bench {
    cluster: Cluster,
    directory: std::path::PathBuf,
}

impl Bench {
    fn set(stage: &mut Stage, name: &str) -> Result<Self> {
        stage.cloud.reset()?;
        let directory = stage.directory(name)?;
        let cluster = Cluster::start(&ClusterOptions::new().user(OPERATOR, &["system:masters"]))?;
        let definitions = Command::new(&stage.cso).args(["crds", "queue"]).output().context("printing definitions")?;
        let path = directory.join("crds.yaml");
        fs::write(&path, definitions.stdout)?;
        let path = path.display().to_string();
        for args in [
            &["apply", "--server-side", "-f", &path][..],
            &["wait", "--for", "condition=established", "--timeout=30s", "crd", "--all"],
        ] {
            let done = cluster.kubectl(args)?;
            ensure!(done.status.success(), "kubectl: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(Self { cluster, directory })
    }

    /// A controller that looks again at what is settled only after the bench, since the pace of that is the user's.
    fn controller(&self, stage: &Stage) -> Result<Running> {
        // Alone and without pages: no lease of the one before to wait for, and no port.
        let pages = ["--metrics-addr", "0", "--healthz-addr", "0"];
        let args = [&["controller", "--verify-every", "24h", "--leader-elect=false"][..], &pages].concat();
        let mut command = command(&stage.cso, &self.directory, stage.cloud.endpoint(), &args)?;
        command.env("KUBECONFIG", self.cluster.kubeconfig(OPERATOR)?).stdin(Stdio::null());
        let running = Running(command.spawn()?);
        self.wait("the controller is at work", |told| told.contains("at work"))?;
        Ok(running)
    }

    fn make(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let reader = self.cluster.reader()?;
        for number in numbers {
            let name = format!("bench-{number:05}");
            let metadata = json!({"name": name, "namespace": "default"});
            let spec = json!({"queueName": name, "visibilityTimeout": "45", "tags": {"team": "bench"}});
            reader.create(&json!({"apiVersion": API, "kind": "Queue", "metadata": metadata, "spec": spec}))?;
        }
        Ok(())
    }

    /// Waits until the controller has said of so many objects that they are as wished.
    fn wait_settled(&self, objects: usize) -> Result<()> {
        self.wait("all are settled", |told| {
            let settled = told.lines().filter(|line| line.contains("as wished"));
            let names = settled.filter_map(|line| line.split("bench-").nth(1)?.get(..5));
            names.collect::<std::collections::BTreeSet<_>>().len() >= objects
        })
    }

    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<()> {
        let log = self.directory.join("stderr");
        let deadline = Instant::now() + SETTLED_WITHIN;
        while Instant::now() < deadline {
            if is_so(&read(&log)?) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("{what}: not within {} s: see {}", SETTLED_WITHIN.as_secs(), log.display())
    }

    /// The API server says so too.
    fn all_are_synced(&self, objects: usize) -> Result<()> {
        let all = self.cluster.reader()?.list(API, "Queue", "default")?;
        let is_synced = |object: &&serde_json::Value| {
            let conditions = object["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|it| it["type"] == "ACK.ResourceSynced" && it["status"] == "True")
        };
        let synced = all.iter().filter(is_synced).count();
        ensure!(synced == objects, "{synced} of {objects} are synced");
        Ok(())
    }

    /// Writes of the controller about objects. Events are told apart, and the lease says who is there.
    fn writes(&self, since: AuditMark) -> Result<Vec<AuditEvent>> {
        let mut all = self.cluster.audit_since(since)?;
        all.retain(|event| event.user == OPERATOR && event.is_write());
        all.retain(|event| !["events", "leases"].contains(&event.target.resource.as_str()));
        Ok(all)
    }
}

fn read(log: &Path) -> Result<String> {
    fs::read_to_string(log).with_context(|| log.display().to_string())
}
