//! `cargo xtask demo`: the main job, seen done. Every claim is checked while it is shown, by boto3 and by a recording proxy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::{Action, Emulator, Kind, Match, Proxy, Reader, Then, Victim};
use serde_json::{Value, json};

/// The quickstart's ARNs name this region.
const REGION: &str = "us-east-1";

/// The stage: an emulated cloud behind a recording proxy, an independent client, and a directory of manifests.
struct Stage {
    cso: PathBuf,
    proxy: Proxy,
    reader: Reader,
    directory: PathBuf,
}

pub(crate) fn run(root: &Path) -> Result<()> {
    say("Building cso (a minute or two the first time)");
    let cso = cso_testbed::build("cso")?;
    let started = Instant::now();
    say("Starting an emulated cloud (installed into .cache the first time)");
    let emulator = Emulator::start(Kind::Ministack)?;
    let stage = Stage::set(root, cso, &emulator)?;

    stage.plan_and_apply()?;
    stage.apply_again()?;
    stage.repair_drift()?;
    stage.follow_an_edit()?;
    stage.survive_a_kill()?;
    stage.delete_everything()?;

    println!("\nDone in {:.0} s. Everything above was checked while it was shown.\n", started.elapsed().as_secs_f64());
    println!("What to do next:");
    println!("  - read the tour in README.md and try it by hand; the manifests are in examples/quickstart");
    println!("  - `make test` proves the rest: every kind, two emulators, crashes at every moment");
    println!("  - `cargo run -p cso -- explain queue` tells what a kind takes");
    Ok(())
}

fn say(title: &str) {
    println!("\n=== {title}");
}

impl Stage {
    fn set(root: &Path, cso: PathBuf, emulator: &Emulator) -> Result<Self> {
        let proxy = Proxy::before(emulator.endpoint())?;
        let reader = Reader::connect(emulator.endpoint())?;
        let directory = cso_testbed::cache_dir().join("demo");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        let manifests = directory.join("quickstart");
        fs::create_dir_all(&manifests)?;
        for entry in fs::read_dir(root.join("examples/quickstart"))? {
            let entry = entry?;
            fs::copy(entry.path(), manifests.join(entry.file_name()))?;
        }
        Ok(Self { cso, proxy, reader, directory })
    }

    fn plan_and_apply(&self) -> Result<()> {
        say("A plan: every call it would make, and nothing is changed");
        self.expect(&["plan", "-f", "quickstart"], 2)?;
        ensure!(self.proxy.mutating().is_empty(), "a plan made a mutating call: {:?}", self.proxy.mutating());

        say("Apply: one call at a time per object, in the order of references");
        self.expect(&["apply", "-f", "quickstart", "--wait"], 0)?;
        self.witness()?;
        self.expect(&["get"], 0)
    }

    fn apply_again(&self) -> Result<()> {
        say("Apply again: nothing to do");
        self.proxy.clear();
        self.expect(&["apply", "-f", "quickstart", "--wait"], 0)?;
        let mutating = self.proxy.mutating();
        ensure!(mutating.is_empty(), "a repeated apply made mutating calls: {mutating:?}");
        println!("the proxy saw {} reads and 0 mutating calls", self.proxy.calls().len());
        Ok(())
    }

    fn repair_drift(&self) -> Result<()> {
        say("Somebody changes the queue behind its back");
        let url = self.queue_url("shop-orders")?;
        self.call("sqs", "SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "5"}}))?;
        println!("boto3: VisibilityTimeout is now {}", self.visibility(&url)?);
        self.expect(&["plan", "-f", "quickstart"], 2)?;
        self.expect(&["apply", "-f", "quickstart", "--wait"], 0)?;
        let seen = self.visibility(&url)?;
        println!("boto3: VisibilityTimeout is {seen} again");
        ensure!(seen == "45", "the drift was not repaired");
        Ok(())
    }

    fn follow_an_edit(&self) -> Result<()> {
        say("An edit: the topic gets another display name, and its plan names the one call");
        let file = self.directory.join("quickstart/20-messaging.yaml");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, text.replace("displayName: Orders", "displayName: Orders of the shop"))?;
        self.expect(&["plan", "-f", "quickstart"], 2)?;
        self.proxy.clear();
        self.expect(&["apply", "-f", "quickstart", "--wait"], 0)?;
        let calls: Vec<String> = self.proxy.mutating().into_iter().map(|call| call.operation).collect();
        ensure!(calls == ["SetTopicAttributes"], "an edit of one field made these calls: {calls:?}");
        Ok(())
    }

    /// The moment at which other operators make two: the cloud has made the key, and nobody here knows yet.
    fn survive_a_kill(&self) -> Result<()> {
        say("kill -9 after the cloud made a key and before the answer arrived");
        let folder = self.directory.join("crash");
        fs::create_dir_all(&folder)?;
        let manifest = "apiVersion: kms.services.k8s.aws/v1alpha1\nkind: Key\nmetadata: {name: crash}\nspec: {description: crash test}\n";
        fs::write(folder.join("key.yaml"), manifest)?;
        let victim = Victim::new();
        let killed = victim.clone();
        let kill = Action::after(move |_| {
            killed.kill();
            Then::HangUp
        });
        self.proxy.on(Match::operation("CreateKey"), kill);
        let mut command = self.command(&["apply", "-f", "crash", "--wait"]);
        let status = victim.run(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        println!("cso ended with {status}; the run after it:");
        self.proxy.behave();
        self.expect(&["apply", "-f", "crash", "--wait"], 0)?;
        let keys = self.keys("crash test")?;
        println!("boto3: {} key(s) with that description", keys.len());
        ensure!(keys.len() == 1, "a crash made {} keys", keys.len());
        self.expect(&["delete", "-f", "crash"], 0)
    }

    fn delete_everything(&self) -> Result<()> {
        say("Delete: who refers goes before what he refers to");
        self.expect(&["delete", "-f", "quickstart"], 0)?;
        let left = self.count()?;
        println!("boto3: {left}");
        ensure!(left.values().all(|count| *count == 0), "something is left: {left}");
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.cso);
        command.args(args).current_dir(&self.directory).env_clear().envs(self.proxy.endpoint().env());
        command.env("AWS_REGION", REGION);
        command
    }

    /// Runs a command before the audience and insists on its exit code.
    fn expect(&self, args: &[&str], code: i32) -> Result<()> {
        println!("\n$ cso {}", args.join(" "));
        let status = self.command(args).status().context("starting cso")?;
        if status.code() != Some(code) {
            bail!("`cso {}` ended with {status}, not with {code}", args.join(" "));
        }
        Ok(())
    }

    fn call(&self, service: &str, operation: &str, params: Value) -> Result<Value> {
        Ok(self.reader.call_in(REGION, service, operation, params)?)
    }

    /// What an independent client sees, checked in the places that matter.
    fn witness(&self) -> Result<()> {
        let seen = self.count()?;
        println!("\nboto3: {seen}");
        let url = self.queue_url("shop-orders")?;
        ensure!(self.visibility(&url)? == "45", "the queue's visibility timeout is not 45");
        let value = self.call("secretsmanager", "GetSecretValue", json!({"SecretId": "shop/database"}))?;
        ensure!(value["SecretString"] == "only-an-example", "the secret has another value");
        let subscriptions = self.call("sns", "ListSubscriptions", json!({}))?;
        ensure!(list(&subscriptions, "Subscriptions").len() == 2, "there are not two subscriptions");
        println!("boto3: the queue, both subscriptions and the secret's value are as declared");
        Ok(())
    }

    fn count(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        for (name, service, operation, member) in [
            ("queues", "sqs", "ListQueues", "QueueUrls"),
            ("topics", "sns", "ListTopics", "Topics"),
            ("subscriptions", "sns", "ListSubscriptions", "Subscriptions"),
            ("repositories", "ecr", "DescribeRepositories", "repositories"),
            ("secrets", "secretsmanager", "ListSecrets", "SecretList"),
        ] {
            counts.0.push((name, list(&self.call(service, operation, json!({}))?, member).len()));
        }
        counts.0.push(("keys", self.keys("")?.len()));
        Ok(counts)
    }

    /// Ids of keys that are not on their way out, whose description contains a text.
    fn keys(&self, description: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for key in list(&self.call("kms", "ListKeys", json!({}))?, "Keys") {
            let key = self.call("kms", "DescribeKey", json!({"KeyId": key["KeyId"]}))?;
            let metadata = &key["KeyMetadata"];
            let text = metadata["Description"].as_str().unwrap_or_default();
            if metadata["KeyState"] != "PendingDeletion" && text.contains(description) {
                found.extend(metadata["KeyId"].as_str().map(str::to_owned));
            }
        }
        Ok(found)
    }

    fn queue_url(&self, name: &str) -> Result<String> {
        let answer = self.call("sqs", "GetQueueUrl", json!({"QueueName": name}))?;
        answer["QueueUrl"].as_str().map(str::to_owned).context("the queue has no URL")
    }

    fn visibility(&self, url: &str) -> Result<String> {
        let answer = self.call("sqs", "GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]}))?;
        answer["Attributes"]["VisibilityTimeout"].as_str().map(str::to_owned).context("the queue has no timeout")
    }
}

/// How many resources of which sort there are.
#[derive(Default)]
struct Counts(Vec<(&'static str, usize)>);

impl Counts {
    fn values(&self) -> impl Iterator<Item = &usize> {
        self.0.iter().map(|(_, count)| count)
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(&all.join(", "))
    }
}

fn list<'a>(answer: &'a Value, member: &str) -> &'a [Value] {
    answer[member].as_array().map_or(&[], Vec::as_slice)
}
