//! What `cso apply --watch` costs while nothing happens.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::report::Row;
use super::stage::{Running, Stage};

/// How long rest is watched.
const REST: Duration = Duration::from_secs(20);
const SETTLED_WITHIN: Duration = Duration::from_mins(10);
/// The unit of `/proc/PID/stat`, the same on every Linux that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let few = at_rest(stage, 1)?;
    let many = at_rest(stage, 10_000)?;
    let megabytes = |kilobytes: u64| kilobytes.div_ceil(1024);
    let what = |objects: &str, what: &str| format!("`cso apply --watch`, {objects}: {what}");
    let memory = |objects: &str, limit: u64, rest: &Rest| {
        let resident = megabytes(rest.resident);
        let target = format!("at most {limit}");
        let told = format!("{resident} (at its highest {})", megabytes(rest.highest));
        Row::held(what(objects, "resident at rest, MB"), &target, told, resident <= limit)
    };
    Ok(vec![
        memory("1 object", 60, &few),
        memory("10,000 objects", 150, &many),
        Row::held(
            what("10,000 objects", "CPU at rest, cores"),
            "at most 0.1",
            format!("{:.3}", many.cores),
            many.cores <= 0.1,
        ),
        Row::held(
            what("10,000 objects", "bytes written to files at rest"),
            "0",
            many.written.to_string(),
            many.written == 0,
        ),
    ])
}

/// What a process has used, and holds.
pub(super) struct Usage {
    /// Kilobytes.
    pub(super) resident: u64,
    /// Seconds.
    pub(super) cpu: f64,
}

impl Usage {
    pub(super) fn of(id: u32) -> Result<Self> {
        Ok(Self { resident: field(id, "status", "VmRSS")?, cpu: cpu_seconds(id)? })
    }
}

/// The most that a process has held since its start, kilobytes.
pub(super) fn highest(id: u32) -> Result<u64> {
    field(id, "status", "VmHWM")
}

/// A process at rest.
struct Rest {
    /// Kilobytes.
    resident: u64,
    /// Kilobytes, since its start.
    highest: u64,
    cores: f64,
    /// Bytes written to files. What wakes a thread is a write too, but not one of these.
    written: u64,
}

/// Applies queues and stays; measures once all are settled. Looking again at what is settled is left out: it would be
/// work, and its pace is the user's.
fn at_rest(stage: &mut Stage, objects: usize) -> Result<Rest> {
    stage.cloud.reset()?;
    let directory = stage.queues("memory", objects)?;
    let args = ["apply", "-f", "queues", "--watch", "--verify-every", "24h"];
    let mut process = Running(stage.cso(&directory, stage.cloud.endpoint(), &args)?.spawn()?);
    wait_settled(&mut process, &directory.join("stdout"), objects)?;
    // What was freed last is given back, and connections that are idle are closed.
    thread::sleep(REST);
    let id = process.0.id();
    let (before, written) = (Usage::of(id)?, field(id, "io", "write_bytes")?);
    let start = Instant::now();
    thread::sleep(REST);
    let after = Usage::of(id)?;
    let cores = (after.cpu - before.cpu) / start.elapsed().as_secs_f64();
    Ok(Rest {
        resident: after.resident,
        highest: highest(id)?,
        cores,
        written: field(id, "io", "write_bytes")? - written,
    })
}

fn wait_settled(process: &mut Running, stdout: &Path, objects: usize) -> Result<()> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    while Instant::now() < deadline {
        let settled = fs::read_to_string(stdout)?.lines().filter(|line| line.ends_with(": settled")).count();
        if settled >= objects {
            return Ok(());
        }
        if let Some(status) = process.0.try_wait()? {
            bail!("`cso apply --watch` ended with {status}: see {}", stdout.display());
        }
        thread::sleep(Duration::from_millis(200));
    }
    bail!("{objects} objects did not settle within {} s", SETTLED_WITHIN.as_secs())
}

/// A number that Linux tells of a process, by the name before its colon.
fn field(id: u32, file: &str, name: &str) -> Result<u64> {
    let path = format!("/proc/{id}/{file}");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}; this bench needs Linux"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("{path}: no {name}"))?;
    Ok(number.parse()?)
}

/// Seconds of CPU that a process has used.
fn cpu_seconds(id: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program is in parentheses, and may hold anything.
    let (_, rest) = text.rsplit_once(')').context("no program name in /proc/PID/stat")?;
    let ticks: Vec<f64> = rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    ensure!(ticks.len() == 2, "no CPU time in /proc/PID/stat");
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}
