//! Settings in a file: followed while the controller works, and no reason to stop.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cso_testbed::Kind;
use serde_json::json;

use super::scene::Scene;
use crate::running::{Running, until};

/// A file of settings in a directory that is a link, as a kubelet mounts a `ConfigMap`.
struct Mount<'a> {
    scene: &'a Scene,
    writes: u32,
}

impl Mount<'_> {
    fn path(&self) -> PathBuf {
        self.scene.stage.path().join("config/cso.yaml")
    }

    /// Puts a text in the place of the one before, in one step.
    fn put(&mut self, text: &str) -> Result<()> {
        self.writes += 1;
        let root = self.scene.stage.path();
        let version = format!("version-{}", self.writes);
        self.scene.stage.write(&format!("{version}/cso.yaml"), text)?;
        symlink(root.join(&version), root.join("next"))?;
        fs::rename(root.join("next"), root.join("config")).context("swapping the link")
    }
}

fn nowhere() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The value of a series, once it has one.
fn metric(at: SocketAddr, series: &str) -> Result<Option<String>> {
    let mut stream = TcpStream::connect(at)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let value = page.lines().find_map(|line| line.strip_prefix(series));
    Ok(value.map(|value| value.trim().to_owned()))
}

fn time_out(scene: &Scene, queue: &str, seconds: Option<&str>) -> Result<String> {
    let cloud = &scene.stage.cloud;
    let url = cloud.call("sqs", "GetQueueUrl", json!({"QueueName": queue}))?["QueueUrl"].clone();
    if let Some(seconds) = seconds {
        let input = json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": seconds}});
        cloud.call("sqs", "SetQueueAttributes", input)?;
    }
    let all = cloud.call("sqs", "GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]}))?;
    Ok(all["Attributes"]["VisibilityTimeout"].as_str().unwrap_or_default().to_owned())
}

fn is_repaired(scene: &Scene, queue: &str) -> Result<()> {
    until("the drift is repaired", || Ok((time_out(scene, queue, None)? == "45").then_some(())))
}

fn hang_up(process: &Running) -> Result<()> {
    let status = Command::new("kill").args(["-HUP", &process.pid().to_string()]).status()?;
    ensure!(status.success(), "kill ended with {status}");
    Ok(())
}

#[test]
fn what_the_file_says_now_counts_and_a_wrong_file_changes_nothing() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let mut mount = Mount { scene: &scene, writes: 0 };
    mount.put("verify-every: 1h\ndeletion-policy: delete\n")?;
    let pages = nowhere()?;
    let (config, address) = (mount.path().display().to_string(), pages.to_string());
    let mut controller = scene.controller(&["--config", &config, "--metrics-addr", &address])?;
    let queue = scene.queue("orders");
    let spec = json!({"queueName": "orders", "visibilityTimeout": "45"});
    scene.declare(&queue, &spec)?;
    scene.synced(&queue)?;

    // Drift that nobody would see for an hour is repaired once the file says so; where resources are needs a restart.
    time_out(&scene, "orders", Some("50"))?;
    mount.put("verify-every: 1s\ndeletion-policy: delete\nregion: eu-central-1\n")?;
    is_repaired(&scene, "orders")?;
    controller.tells("counts after a restart")?;
    let told = controller.told()?;
    ensure!(told.contains("setting=\"region\"") && told.contains("setting=\"verify-every\""), "{told}");
    let ok = "cso_config_reloads_total{result=\"ok\"}";
    ensure!(metric(pages, ok)?.as_deref() == Some("1"), "{:?} reloads", metric(pages, ok)?);

    // What cannot be used is told with its line, counted, and changes nothing.
    mount.put("verify-every: 1s\nverify-evry: 1h\ndeletion-policy: keep\n")?;
    hang_up(&controller)?;
    controller.tells("cso.yaml:2: there is no setting `verify-evry`; did you mean verify-every?")?;
    controller.tells("cso.yaml:3: deletion-policy: say delete or retain")?;
    let invalid = "cso_config_reloads_total{result=\"invalid\"}";
    ensure!(metric(pages, invalid)?.as_deref() == Some("1"), "{:?} wrong files", metric(pages, invalid)?);
    time_out(&scene, "orders", Some("50"))?;
    is_repaired(&scene, "orders")?;
    ensure!(!controller.is_over()?, "it ended: {}", controller.told()?);

    // Once it can be used again it counts, for objects that are there already too.
    mount.put("verify-every: 1s\ndeletion-policy: retain\n")?;
    hang_up(&controller)?;
    until("the policy is taken in", || Ok(controller.told()?.contains("setting=\"deletion-policy\"").then_some(())))?;
    scene.delete(&queue)?;
    ensure!(scene.stage.everything()?.len() == 1, "there is {:?}", scene.stage.everything()?);
    ensure!(!scene.stage.proxy.calls().iter().any(|call| call.operation == "DeleteQueue"), "it was deleted");
    Ok(())
}

/// A flag says it: the file has no word in it, from the beginning and when it changes.
#[test]
fn what_is_typed_comes_before_the_file() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let mut mount = Mount { scene: &scene, writes: 0 };
    mount.put("deletion-policy: delete\n")?;
    let config = mount.path().display().to_string();
    let controller = scene.controller(&["--config", &config, "--deletion-policy", "retain"])?;
    mount.put("deletion-policy: delete\nverbose: 1\n")?;
    hang_up(&controller)?;
    controller.tells("counts from now on")?;
    mount.put("verbose: 1\n")?;
    hang_up(&controller)?;
    controller.tells("changed in the file without effect")?;
    let queue = scene.queue("orders");
    scene.declare(&queue, &json!({"queueName": "orders"}))?;
    scene.synced(&queue)?;
    scene.delete(&queue)?;
    ensure!(scene.stage.everything()?.len() == 1, "it was deleted");
    Ok(())
}
