//! What `cso controller` costs, before a real API server.

mod crowd;
mod simulated;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::kube::{AuditEvent, AuditMark, Cluster, ClusterOptions};
use cso_testbed::{Emulator, Endpoint, Kind, Proxy};
use serde_json::{Value, json};

use super::memory::Usage;
use super::report::Row;
use super::samples::Samples;
use super::stage::{Running, Stage, command};

/// Whom the controller logs in as.
const OPERATOR: &str = "operator";
const API: &str = "sqs.services.k8s.aws/v1alpha1";
/// How long rest is watched.
const REST: Duration = Duration::from_mins(1);
/// What was freed last is given back after this, and connections that are idle are closed.
const CALM: Duration = Duration::from_secs(20);
const SETTLED_WITHIN: Duration = Duration::from_mins(10);

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let mut rows = thousand(stage)?;
    rows.push(as_ack_was_measured(stage)?);
    rows.push(applied(stage)?);
    rows.extend(at_rest(stage, 10_000)?);
    rows.extend(crowd::run(stage)?);
    Ok(rows)
}

/// How many new queues wait for a controller.
const OBJECTS: usize = 1000;

/// How long a controller takes, from its start, until all queues that waited for it are as they say; and its writes of them.
fn until_synced(bench: &Bench, stage: &Stage, cloud: &Endpoint) -> Result<(Duration, usize)> {
    bench.make(0..OBJECTS)?;
    let mark = bench.cluster.audit_mark()?;
    let start = Instant::now();
    let _controller = bench.controller(stage, cloud)?;
    bench.wait_settled(OBJECTS)?;
    let settled = start.elapsed();
    bench.all_are_synced(OBJECTS)?;
    // The controller's own identity is one more.
    let writes = bench.writes(mark)?.iter().filter(|event| event.target.resource == "queues").count();
    Ok((settled, writes))
}

/// Before the emulator that ACK was measured with, which needs more of the two cores for a call.
fn as_ack_was_measured(stage: &mut Stage) -> Result<Row> {
    let cloud = Emulator::start(Kind::Ministack)?;
    let bench = Bench::set(stage, "kube-ack")?;
    let (settled, _) = until_synced(&bench, stage, cloud.endpoint())?;
    Ok(Row::held(
        "`cso controller`, 1,000 queues before `ministack`, as ACK: from the start of the controller to all synced, seconds"
            .to_owned(),
        "at most 6.8, a third of ACK's 20.4",
        format!("{:.1}", settled.as_secs_f64()),
        settled.as_secs_f64() <= 6.8,
    ))
}

/// 1,000 new queues that wait for a controller, and the controller that comes after it.
fn thousand(stage: &mut Stage) -> Result<Vec<Row>> {
    let bench = Bench::set(stage, "kube")?;
    let (settled, writes) = until_synced(&bench, stage, stage.cloud.endpoint())?;

    let mark = bench.cluster.audit_mark()?;
    let start = Instant::now();
    let _controller = bench.controller(stage, stage.cloud.endpoint())?;
    bench.wait_settled(OBJECTS)?;
    let again = start.elapsed();
    let rewritten = bench.writes(mark)?.len();
    let what = |what: &str| format!("`cso controller`, 1,000 queues: {what}");
    Ok(vec![
        Row::told(
            what("from the start of the controller to all synced, seconds"),
            format!("{:.1}", settled.as_secs_f64()),
        ),
        Row::held(
            what("writes to the API server for each"),
            "at most 3 (ACK: 4)",
            format!("{:.3}", per(writes, OBJECTS)),
            writes <= 3 * OBJECTS,
        ),
        Row::held(
            what("writes by a controller that comes after it"),
            "0 (ACK: 1,000)",
            rewritten.to_string(),
            rewritten == 0,
        ),
        Row::told(what("until it has looked at all of them, seconds"), format!("{:.1}", again.as_secs_f64())),
    ])
}

/// 1,000 queues that somebody applies while a controller is there.
fn applied(stage: &mut Stage) -> Result<Row> {
    let bench = Bench::set(stage, "kube-applied")?;
    let _controller = bench.controller(stage, stage.cloud.endpoint())?;
    let items: Vec<Value> = (0..OBJECTS).map(queue).collect();
    let path = bench.directory.join("queues.json");
    fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
    let start = Instant::now();
    let done = bench.cluster.kubectl(&["apply", "--server-side", "-f", &path.display().to_string()])?;
    ensure!(done.status.success(), "kubectl: {}", String::from_utf8_lossy(&done.stderr));
    let (applied, ()) = (start.elapsed(), bench.wait_settled(OBJECTS)?);
    let settled = start.elapsed();
    bench.all_are_synced(OBJECTS)?;
    let what = "`cso controller`, 1,000 queues: from `kubectl apply --server-side` to all synced, seconds";
    let told = format!("{:.1}, of which kubectl {:.1}", settled.as_secs_f64(), applied.as_secs_f64());
    Ok(Row::told(what.to_owned(), told))
}

/// From the request that creates an object to the first call for it, one object after another.
fn first_calls(bench: &Bench, proxy: &Proxy, numbers: Range<usize>) -> Result<Vec<Row>> {
    let reader = bench.cluster.reader()?;
    let (mut times, mut calls) = (Vec::new(), 0);
    let count = numbers.len();
    for number in numbers {
        proxy.clear();
        let start = Instant::now();
        reader.create(&queue(number))?;
        bench.wait_settled(number + 1)?;
        let made = proxy.calls();
        let first = made.iter().map(|call| call.arrived).min().context("no call came")?;
        times.push(first.saturating_duration_since(start));
        calls += made.len();
    }
    let samples = Samples::millis(&times).context("no runs")?;
    let (p50, p99) = (samples.median(), samples.percentile(99.0));
    let what = |what: &str| format!("`cso controller`, 10,000 idle objects: {what}");
    Ok(vec![
        Row::held(
            what("from the create's request to the first call, ms"),
            "p50 under 10, p99 under 20 (ACK, 1,000 idle: 9 to 10, 18 to 21)",
            format!("p50 {p50:.1}, p99 {p99:.1}"),
            p50 < 10.0 && p99 < 20.0,
        ),
        Row::held(
            what("cloud calls for a new queue"),
            "at most 3 (ACK: 9)",
            format!("{:.3}", per(calls, count)),
            calls <= 3 * count,
        ),
    ])
}

/// Memory, CPU and writes while nothing happens; then how fast something that happens is heard.
fn at_rest(stage: &mut Stage, objects: usize) -> Result<Vec<Row>> {
    let bench = Bench::set(stage, "kube-rest")?;
    let proxy = Proxy::before(stage.cloud.endpoint())?;
    let controller = bench.controller(stage, proxy.endpoint())?;
    bench.make(0..objects)?;
    bench.wait_settled(objects)?;
    thread::sleep(CALM);
    let mark = bench.cluster.audit_mark()?;
    let before = Usage::of(controller.0.id())?;
    let start = Instant::now();
    thread::sleep(REST);
    let after = Usage::of(controller.0.id())?;
    let cores = (after.cpu - before.cpu) / start.elapsed().as_secs_f64();
    let writes = bench.writes(mark)?.len();
    let resident = after.resident.div_ceil(1024);
    let what = |what: &str| format!("`cso controller`, 10,000 objects: {what}");
    let mut rows = vec![
        Row::held(
            what("resident at rest, MB"),
            "at most 150 (ACK, 1,000 of one service: 71)",
            resident.to_string(),
            resident <= 150,
        ),
        Row::held(what("CPU at rest, cores"), "at most 0.1", format!("{cores:.3}"), cores <= 0.1),
        Row::held(what("writes to the API server at rest"), "0", writes.to_string(), writes == 0),
    ];
    rows.extend(first_calls(&bench, &proxy, objects..objects + 200)?);
    Ok(rows)
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn per(count: usize, objects: usize) -> f64 {
    count as f64 / objects as f64
}

fn queue(number: usize) -> Value {
    let name = format!("bench-{number:05}");
    let metadata = json!({"name": name, "namespace": "default"});
    let spec = json!({"queueName": name, "visibilityTimeout": "45", "tags": {"team": "bench"}});
    json!({"apiVersion": API, "kind": "Queue", "metadata": metadata, "spec": spec})
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
    fn controller(&self, stage: &Stage, cloud: &Endpoint) -> Result<Running> {
        // Alone and without pages: no lease of the one before to wait for, and no port.
        let pages = ["--metrics-addr", "0", "--healthz-addr", "0"];
        let args = [&["controller", "--verify-every", "24h", "--leader-elect=false"][..], &pages].concat();
        let mut command = command(&stage.cso, &self.directory, cloud, &args)?;
        command.env("KUBECONFIG", self.cluster.kubeconfig(OPERATOR)?).stdin(Stdio::null());
        let running = Running(command.spawn()?);
        self.wait("the controller is at work", |told| told.contains("at work"))?;
        Ok(running)
    }

    fn make(&self, mut numbers: Range<usize>) -> Result<()> {
        let reader = self.cluster.reader()?;
        numbers.try_for_each(|number| reader.create(&queue(number)).map(drop)).context("making queues")
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
