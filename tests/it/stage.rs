//! The stage of a story: an emulated cloud, and what it lacks, behind the proxy; boto3, a directory, and the real binary.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{AwsCall, Emulator, Kind, Proxy, REGION, Reader, Victim};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stand_in::StandIn;

/// The binary under test, built once.
static CSO: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| cso_testbed::build("cso").map_err(|error| error.to_string()));

/// Applies the manifests of a story; does not wait long for what will never be.
pub(crate) const APPLY: [&str; 6] = ["apply", "-f", "m", "--wait", "--timeout", "15s"];

/// For what does not pass while we look.
pub(crate) const BRIEFLY: [&str; 6] = ["apply", "-f", "m", "--wait", "--timeout", "3s"];

pub(crate) const DELETE: [&str; 3] = ["delete", "-f", "m"];

/// For stories that are about no kind in particular.
pub(crate) const QUEUE: &str = "\
apiVersion: sqs.services.k8s.aws/v1alpha1
kind: Queue
metadata: {name: story}
spec: {queueName: story}
";
/// The same, in another protocol.
pub(crate) const TOPIC: &str = "\
apiVersion: sns.services.k8s.aws/v1alpha1
kind: Topic
metadata: {name: story}
spec: {name: story}
";

/// Tells what a story counted: `docs/reliability.md` has these figures.
#[expect(clippy::print_stdout, reason = "shown with --nocapture, and when the story fails")]
pub(crate) fn figures(line: &str) {
    println!("{line}");
}

/// How many points a story tried, and what was wrong at which.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    points: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Counts a point.
    pub(crate) fn add(&mut self, point: impl Display, result: Result<()>) {
        self.points += 1;
        self.wrong.extend(result.err().map(|error| format!("{point}: {error:#}")));
    }

    /// Tells the figures, and fails if anything was wrong.
    pub(crate) fn close(self, what: &str) -> Result<()> {
        figures(&format!("{what}: {} points, {} wrong", self.points, self.wrong.len()));
        ensure!(self.wrong.is_empty(), "{what}:\n{}", self.wrong.join("\n"));
        Ok(())
    }
}

/// Everything a story needs.
pub(crate) struct Stage {
    emulator: Emulator,
    stand_in: StandIn,
    pub(crate) proxy: Proxy,
    pub(crate) cloud: Reader,
    directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    line: String,
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// A stage with an emulator of its own.
    pub(crate) fn open(kind: Kind) -> Result<Self> {
        let emulator = Emulator::start(kind)?;
        let stand_in = StandIn::before(emulator.endpoint())?;
        let proxy = Proxy::before(stand_in.endpoint())?;
        let cloud = Reader::connect(stand_in.endpoint())?;
        Ok(Self { emulator, stand_in, proxy, cloud, directory: TempDir::new()? })
    }

    /// A stage with one manifest, before the emulator that answers at once.
    pub(crate) fn with(manifest: &str) -> Result<Self> {
        let stage = Self::open(Kind::Ministack)?;
        stage.write("m/object.yaml", manifest)?;
        Ok(stage)
    }

    /// An empty cloud, an empty directory, no rules, no calls.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.proxy.behave();
        self.emulator.reset()?;
        self.stand_in.clear();
        self.proxy.clear();
        self.directory = TempDir::new()?;
        Ok(())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.emulator.kind()
    }

    /// Where the cloud itself is.
    pub(crate) fn cloud_address(&self) -> String {
        self.stand_in.endpoint().address.to_string()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file, and the directories on the way.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(self.path()))?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.path().join(name)).with_context(|| format!("removing {name}"))
    }

    /// The binary, in the directory, before the proxy. Emulators answer at once, so no time is spent on old answers.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command> {
        let cso = CSO.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        let mut command = Command::new(cso);
        command.args(args).current_dir(self.path()).env_clear().envs(self.proxy.endpoint().env());
        command.env("CSO_CONSISTENCY", "0s").stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command to its end.
    pub(crate) fn cso(&self, args: &[&str]) -> Result<Run> {
        Run::of(&mut self.command(args)?)
    }

    /// Names of the mutating calls since the last question.
    pub(crate) fn mutations(&self) -> Vec<AwsCall> {
        let calls = self.proxy.mutating();
        self.proxy.clear();
        calls
    }

    /// The second apply finds nothing to do: no mutating call, no change of the state.
    pub(crate) fn rests(&self) -> Result<()> {
        self.mutations();
        let before = self.memory()?;
        let run = self.cso(&APPLY)?.ends(0)?;
        let mutating = self.mutations();
        ensure!(mutating.is_empty(), "at rest it made mutating calls: {mutating:?}");
        ensure!(run.stdout.contains("nothing to do"), "at rest it did not say so: {run:?}");
        ensure!(before == self.memory()?, "at rest it wrote its state");
        Ok(())
    }

    /// Once nothing is wrong any more, the next run makes exactly one, and rests.
    pub(crate) fn resumes(&self) -> Result<()> {
        self.proxy.behave();
        self.cso(&APPLY)?.ends(0)?;
        self.has_one()
    }

    /// One resource, and nothing left to do.
    pub(crate) fn has_one(&self) -> Result<()> {
        let all = self.everything()?;
        ensure!(all.len() == 1, "there is {all:?}");
        self.rests()
    }

    /// Every record and event in the state file.
    fn memory(&self) -> Result<Vec<String>> {
        let file = Connection::open_with_flags(self.path().join(".cso/state.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut query = file.prepare("SELECT body FROM records UNION ALL SELECT body FROM events")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything that exists in the region of most stories.
    pub(crate) fn everything(&self) -> Result<Vec<String>> {
        self.everything_in(REGION)
    }

    /// Everything that exists in a region, as `kind id`, in order, as boto3 sees it. Keys and secrets on their way out do not
    /// count.
    pub(crate) fn everything_in(&self, region: &str) -> Result<Vec<String>> {
        let ask = |service: &str, operation: &str, input: Value| self.cloud.call_in(region, service, operation, input);
        let mut all = Vec::new();
        let listings = [
            ("queue", "sqs", "ListQueues", "QueueUrls", ""),
            ("application", "sns", "ListPlatformApplications", "PlatformApplications", "PlatformApplicationArn"),
            ("topic", "sns", "ListTopics", "Topics", "TopicArn"),
            ("subscription", "sns", "ListSubscriptions", "Subscriptions", "SubscriptionArn"),
            ("repository", "ecr", "DescribeRepositories", "repositories", "repositoryName"),
            ("rule", "ecr", "DescribePullThroughCacheRules", "pullThroughCacheRules", "ecrRepositoryPrefix"),
            ("template", "ecr", "DescribeRepositoryCreationTemplates", "repositoryCreationTemplates", "prefix"),
            ("alias", "kms", "ListAliases", "Aliases", "AliasName"),
            ("group", "iam", "ListGroups", "Groups", "GroupName"),
            ("instance profile", "iam", "ListInstanceProfiles", "InstanceProfiles", "InstanceProfileName"),
            ("OIDC provider", "iam", "ListOpenIDConnectProviders", "OpenIDConnectProviderList", "Arn"),
            ("policy", "iam", "ListPolicies", "Policies", "Arn"),
            ("role", "iam", "ListRoles", "Roles", "RoleName"),
            ("user", "iam", "ListUsers", "Users", "UserName"),
            ("bucket", "s3", "ListBuckets", "Buckets", "Name"),
            ("table", "dynamodb", "ListTables", "TableNames", ""),
            ("backup", "dynamodb", "ListBackups", "BackupSummaries", "BackupArn"),
            ("global table", "dynamodb", "ListGlobalTables", "GlobalTables", "GlobalTableName"),
        ];
        for (what, service, operation, list, member) in listings {
            // The provider's own policies are hundreds.
            let input = if what == "policy" { json!({"Scope": "Local"}) } else { json!({}) };
            let answer = ask(service, operation, input)?;
            for item in items(&answer, list) {
                let id = if member.is_empty() { item } else { &item[member] };
                all.push(format!("{what} {}", id.as_str().unwrap_or_default()));
            }
        }
        all.retain(|id| !id.starts_with("alias alias/aws/"));
        for key in items(&ask("kms", "ListKeys", json!({}))?, "Keys") {
            let key = ask("kms", "DescribeKey", json!({"KeyId": key["KeyId"]}))?;
            let metadata = &key["KeyMetadata"];
            if metadata["KeyState"] != "PendingDeletion" && metadata["KeyManager"] != "AWS" {
                all.push(format!("key {}", metadata["KeyId"].as_str().unwrap_or_default()));
                let grants = ask("kms", "ListGrants", json!({"KeyId": key["KeyMetadata"]["KeyId"]}))?;
                let id = |grant: &Value| format!("grant {}", grant["GrantId"].as_str().unwrap_or_default());
                all.extend(items(&grants, "Grants").iter().map(id));
            }
        }
        for arn in all.clone().iter().filter_map(|id| id.strip_prefix("application ")) {
            let about = json!({"PlatformApplicationArn": arn});
            // An emulator that cannot list them has no story with one.
            if let Ok(answer) = ask("sns", "ListEndpointsByPlatformApplication", about) {
                let id =
                    |endpoint: &Value| format!("endpoint {}", endpoint["EndpointArn"].as_str().unwrap_or_default());
                all.extend(items(&answer, "Endpoints").iter().map(id));
            }
        }
        for secret in items(&ask("secretsmanager", "ListSecrets", json!({}))?, "SecretList") {
            if secret.get("DeletedDate").is_none() {
                all.push(format!("secret {}", secret["Name"].as_str().unwrap_or_default()));
            }
        }
        all.sort();
        Ok(all)
    }
}

fn items<'a>(answer: &'a Value, member: &str) -> &'a [Value] {
    answer[member].as_array().map_or(&[], Vec::as_slice)
}

/// Runs a command that somebody may kill, and forgets what it said. Its exit code; none if it was killed.
pub(crate) fn run_until_killed(command: &mut Command, victim: &Victim) -> Result<Option<i32>> {
    Ok(victim.run(command.stdout(Stdio::null()).stderr(Stdio::null()))?.code())
}

impl Run {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        let args: Vec<&str> = command.get_args().filter_map(OsStr::to_str).collect();
        let line = format!("cso {}", args.join(" "));
        let output = command.output().with_context(|| format!("starting {line}"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { line, code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Its exit code; none if a signal ended it.
    pub(crate) const fn code(&self) -> Option<i32> {
        self.code
    }

    /// Insists on an exit code.
    pub(crate) fn ends(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == Some(code),
            "`{}` ended with {:?}, not with {code}\n{}{}",
            self.line,
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// Insists on a text in what was told.
    pub(crate) fn tells(self, text: &str) -> Result<Self> {
        let told = self.stdout.contains(text) || self.stderr.contains(text);
        ensure!(told, "`{}` does not tell `{text}`\n{}{}", self.line, self.stdout, self.stderr);
        Ok(self)
    }

    /// The result as data.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("`{}` printed no JSON: {}", self.line, self.stdout))
    }
}
