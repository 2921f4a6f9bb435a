//! What every bench works with: release builds, an emulated cloud that is fast enough, and fresh directories.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Emulator, Endpoint, Kind};
use serde_json::Value;

/// The parts, and a scratch directory.
pub(super) struct Stage {
    pub(super) cso: PathBuf,
    pub(super) bare_client: PathBuf,
    pub(super) open_catalog: PathBuf,
    pub(super) cloud: Emulator,
    scratch: PathBuf,
}

impl Stage {
    pub(super) fn set(root: &Path) -> Result<Self> {
        println!("building for release");
        // By itself and first: with other targets it would get their features too, and not be what users get.
        let cso = build(root, &["--bin", "cso"], "cso")?;
        let examples = ["--example", "bare_client", "--example", "open_catalog"];
        let bare_client = build(root, &examples, "bare_client")?;
        let open_catalog = build(root, &examples, "open_catalog")?;
        let cloud = Emulator::start(Kind::Roto)?;
        let scratch = cso_testbed::cache_dir().join("bench");
        Ok(Self { cso, bare_client, open_catalog, cloud, scratch })
    }

    /// An empty directory.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf> {
        let directory = self.scratch.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// A directory with manifests of so many queues in `queues`, one file each as people keep them.
    pub(super) fn queues(&self, name: &str, count: usize) -> Result<PathBuf> {
        let directory = self.directory(name)?;
        let manifests = directory.join("queues");
        fs::create_dir(&manifests)?;
        for number in 0..count {
            let name = format!("bench-{number:05}");
            let text = format!(
                "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {{name: {name}}}\nspec:\n  \
                 queueName: {name}\n  visibilityTimeout: \"45\"\n  tags: {{team: bench}}\n"
            );
            fs::write(manifests.join(format!("{name}.yaml")), text)?;
        }
        Ok(directory)
    }

    /// `cso` in a directory, with its output in files there and nothing in its environment but the cloud.
    pub(super) fn cso(&self, directory: &Path, endpoint: &Endpoint, args: &[&str]) -> Result<Command> {
        command(&self.cso, directory, endpoint, args)
    }
}

/// A program as every bench runs it.
pub(super) fn command(program: &Path, directory: &Path, endpoint: &Endpoint, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(program);
    command.args(args).current_dir(directory).env_clear().envs(endpoint.env()).stdin(Stdio::null());
    command.stdout(File::create(directory.join("stdout"))?).stderr(File::create(directory.join("stderr"))?);
    Ok(command)
}

/// Runs a command to its good end; says how long it took from start to exit.
pub(super) fn timed(mut command: Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command.status().context("starting")?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}

/// A process that is killed when nobody needs it any more.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended by itself is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Builds targets of package `cso` for release, and says where the one of this name is.
fn build(root: &Path, targets: &[&str], name: &str) -> Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "cso", "--message-format", "json-render-diagnostics"])
        .args(targets)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo build")?;
    ensure!(output.status.success(), "the build failed");
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .with_context(|| format!("cargo built no {name}"))
}
