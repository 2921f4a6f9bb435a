//! What can be typed. Parsing only; what it means is decided in `commands`.
#![expect(clippy::doc_markdown, reason = "these texts are the help that people read in a terminal, without backticks")]

mod ack;
mod file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use cso_engine::dialect::{Deletion, TOKENS};

pub(crate) use self::ack::{Ack, Verdict};
pub(crate) use self::file::{Changed, Refused, Settings as FileSettings};

const IMPORT: &str = "\
Examples:
  cso import queue orders                    one queue, by its name
  cso import key arn:aws:kms:eu-west-1:...   a resource, by its ARN
  cso import topic --all -d infra/           every topic of the region, a file for each
  cso import --all -d infra/ -n team-blue    everything that can be listed, as objects of a namespace
  cso import --all -d infra/ --context prod  the same but for what an object of that cluster manages

The manifests adopt what they describe: `cso plan` finds nothing to do, `cso apply` makes the resources yours, and puts a
tag on them that says so. What somebody manages already is left out. Values as they would be anyway are not written, nor
are secrets: their fields are there as comments.

Exit status: 0 done, 1 something was not found or could not be read. Only reads are made: in the cloud, and of the state or
the cluster.";

const CONTROLLER: &str = "\
Runs in a cluster with the service account of its pod, or anywhere with a kubeconfig. Definitions of kinds are installed with
`cso crds install`; a kind is managed from the moment its definition is there.

Every intent is on its object before a call goes out, in the same write as the finalizer: the process may be killed at any
moment. SIGTERM and Ctrl-C finish what is in flight.";

const PLAN: &str = "\
Examples:
  cso plan -f infra/                       every call that `cso apply -f infra/` would make
  cso plan --context prod                  what the controller would do now, for every object of a cluster
  cso plan --context prod -f infra/        what it would do once these manifests are applied

Exit status: 0 nothing to do, 2 changes, 1 error. The state file, or the cluster, is only read.";

const INSTALL: &str = "\
Examples:
  cso crds install queue topics.sns      two kinds
  cso crds install --all                 every kind

Works on the cluster of the current context, or of --context. What others have added to a definition stays: labels,
further versions. So do its objects.

Exit status: 0 all are served, 1 something failed.";

const EXAMPLES: &str = "\
Examples:
  cso plan  -f infra/              every cloud call that apply would make, with field differences
  cso apply -f infra/ --wait       make it so, and wait until it is
  cso apply -f infra/ --watch      stay: follow edits, repair drift
  cso get queues -o wide           what is managed, and how it stands
  cso describe queue orders        one object: conditions, identifiers, events
  cso delete -f infra/             delete what these manifests made, in order
  cso explain queue.redrivePolicy  what a field takes
  cso import queue orders          a manifest for what exists already
";

/// Keeps cloud resources as declared in Kubernetes-style manifests.
///
/// Manifests stay yours; what was done is remembered in one state file. Nothing is changed or deleted that was not made
/// here, or adopted on your word.
#[derive(Debug, Parser)]
#[command(name = "cso", version, after_help = EXAMPLES, max_term_width = 110, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// How much is told, as a count of `-v`, and in which form. A controller has nobody who looks on: it tells what it changes
    /// without being asked.
    pub(crate) fn logs(&self) -> (u8, LogFormat) {
        match &self.command {
            Command::Controller(controller) => {
                let asked = controller.ack.verbosity().unwrap_or_default();
                (self.global.verbose.saturating_add(1).max(asked), controller.log_format)
            }
            _ => (self.global.verbose, LogFormat::Text),
        }
    }
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// State file; made by the first apply
    #[arg(long, global = true, env = "CSO_STATE", default_value = ".cso/state.db", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) state: PathBuf,
    /// Region of objects that do not name one [default: the AWS chain's, such as AWS_REGION]
    #[arg(long, global = true, alias = "aws-region", env = "CSO_REGION", value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// URL of every AWS service, for emulators [default: as AWS_ENDPOINT_URL and its kin say]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) aws_endpoint_url: Option<String>,
    /// Namespace: of manifests that do not name one (else `default`), and the only one that get and events show
    #[arg(short, long, global = true, env = "CSO_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Directory of descriptors whose kinds are added to the built-in ones, or stand in for them
    #[arg(long = "kinds", global = true, env = "CSO_KINDS", value_name = "DIR", value_hint = ValueHint::AnyPath)]
    pub(crate) descriptors: Option<PathBuf>,
    /// Kubeconfig file, instead of the one that KUBECONFIG or the home directory leads to
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig: work on the objects of that cluster instead of a state file
    #[arg(long, global = true, env = "CSO_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Cloud calls made at the same time
    #[arg(long, global = true, env = "CSO_CONCURRENCY", default_value_t = 32, value_name = "N", value_parser = at_least_one)]
    pub(crate) concurrency: usize,
    /// How long the cloud may give old answers after a write, instead of what each kind says; for clouds known to answer
    /// at once, such as emulators
    #[arg(long, global = true, env = "CSO_CONSISTENCY", value_name = "DURATION", value_parser = duration)]
    pub(crate) consistency: Option<Duration>,
    /// What deleting an object means for its resource, where neither it nor its namespace says so
    #[arg(long, global = true, env = "CSO_DELETION_POLICY", default_value = "delete", value_name = "POLICY")]
    pub(crate) deletion_policy: DeletionPolicy,
    /// Tag of every resource that is made or managed; may be repeated. The object's own tags come first. Values may hold
    /// %CONTROLLER_SERVICE%, %CONTROLLER_VERSION%, %K8S_NAMESPACE%, %K8S_RESOURCE_KIND% and %K8S_RESOURCE_NAME%
    #[arg(long = "default-tag", global = true, alias = "resource-tags", env = "CSO_DEFAULT_TAGS", value_delimiter = ',', value_name = "KEY=VALUE", value_parser = default_tag)]
    pub(crate) default_tags: Vec<(String, String)>,
    /// Let references and secrets lead into other namespaces
    #[arg(long, global = true, env = "CSO_ALLOW_CROSS_NAMESPACE")]
    pub(crate) allow_cross_namespace: bool,
    /// When to use colours; NO_COLOR is honoured
    #[arg(long, global = true, env = "CSO_COLOR", default_value = "auto", value_name = "WHEN")]
    pub(crate) color: When,
    /// Tell more on stderr, with the object that it is about: calls that change something (-v), all calls with their request
    /// ids and how each turn ended (-vv), what credential and HTTP libraries do (-vvv). Never a secret
    #[arg(short, long, global = true, env = "CSO_VERBOSE", action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every cloud call that apply would make, and make none
    #[command(after_help = PLAN)]
    Plan(Plan),
    /// Make the cloud as the manifests say
    #[command(after_help = "Ctrl-C is safe at any moment: calls in flight are finished and recorded.")]
    Apply(Apply),
    /// Keep the objects of a cluster as they say, until told to stop
    #[command(after_help = CONTROLLER)]
    Controller(Box<Controller>),
    /// Delete what manifests, or one object, made
    Delete(Delete),
    /// Write manifests for resources that exist
    #[command(after_help = IMPORT)]
    Import(Import),
    /// Check manifests without asking anybody
    Validate(Validate),
    /// List objects and how they stand
    Get(Get),
    /// Tell all about one object
    Describe(Named),
    /// List what happened
    Events(Events),
    /// List the kinds that can be managed, or check descriptors of kinds
    Kinds(Kinds),
    /// Tell what a kind or one of its fields takes
    Explain(Explain),
    /// Print or install custom resource definitions, and print what a controller needs
    Crds(Crds),
    /// Print a completion script, for example: source <(cso completion bash)
    Completion {
        /// Shell to write it for
        shell: Shell,
    },
}

/// Where manifests are read.
#[derive(Debug, Args)]
pub(crate) struct Manifests {
    /// Manifest file, or directory that is read with all below it; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
}

/// Where a controller keeps what is its own.
#[derive(Debug, Args)]
pub(crate) struct System {
    /// Namespace of the controller's own objects: its identity and its lease [default: that of the pod or the context]
    #[arg(long, env = "CSO_SYSTEM_NAMESPACE", value_name = "NAME")]
    pub(crate) system_namespace: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Manifest file, or directory that is read with all below it; may be repeated. With a cluster: what would be done if
    /// they were applied; left out, what the controller would do now
    #[arg(short = 'f', long = "filename", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) system: System,
    /// Show the deletion of objects whose manifests are gone
    #[arg(long)]
    pub(crate) prune: bool,
    /// Show what `apply --take-back` would do
    #[arg(long)]
    pub(crate) take_back: bool,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Wait until every object is as wished, or stuck until somebody changes something
    #[arg(long)]
    pub(crate) wait: bool,
    /// Longest wait
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Stay: follow edits of the manifests and repair drift
    #[arg(long, conflicts_with = "wait")]
    pub(crate) watch: bool,
    /// How often settled objects are looked at again
    #[arg(long, default_value = "1m", requires = "watch", value_name = "DURATION", value_parser = duration)]
    pub(crate) verify_every: Duration,
    /// Delete objects whose manifests are gone
    #[arg(long)]
    pub(crate) prune: bool,
    /// Take back resources that carry the mark of the same object in a lost state file
    #[arg(long)]
    pub(crate) take_back: bool,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
pub(crate) struct Controller {
    /// YAML file of settings, by the long names of these flags: `verify-every: 5m`. Flags and the environment come before
    /// it. Read again when it changes; what then counts at once and what needs a restart is in docs/controller.md
    #[arg(long, env = "CSO_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Namespaces whose objects are managed; may be repeated [default: all]
    #[arg(long, env = "CSO_WATCH_NAMESPACE", value_delimiter = ',', value_name = "NAME")]
    pub(crate) watch_namespace: Vec<String>,
    /// Kinds whose objects are managed, such as queue, topics.sns or 'sqs/*'; may be repeated [default: all that are installed]
    #[arg(long, env = "CSO_RECONCILE_RESOURCES", value_delimiter = ',', value_name = "KIND")]
    pub(crate) reconcile_resources: Vec<String>,
    #[command(flatten)]
    pub(crate) system: System,
    /// How often settled objects are looked at again
    #[arg(long, env = "CSO_VERIFY_EVERY", default_value = "1m", value_name = "DURATION", value_parser = duration)]
    pub(crate) verify_every: Duration,
    /// Take back resources that carry the mark of the same object in a lost state
    #[arg(long, env = "CSO_TAKE_BACK")]
    pub(crate) take_back: bool,
    /// Act only while this process holds the Lease, so that others may stand by; `--leader-elect=false` for a single process
    #[arg(long, env = "CSO_LEADER_ELECT", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) leader_elect: bool,
    /// How long leadership lasts without a renewal, in whole seconds; renewed at a third of it
    #[arg(long, env = "CSO_LEASE_DURATION", default_value = "15s", value_name = "DURATION", value_parser = lease_duration)]
    pub(crate) lease_duration: Duration,
    /// How long a request to the API server may take before it counts as lost; a watch only has to begin in it
    #[arg(long, env = "CSO_REQUEST_TIMEOUT", default_value = "35s", value_name = "DURATION", value_parser = request_timeout)]
    pub(crate) request_timeout: Duration,
    /// Where /metrics, /debug/queue and /debug/watches are served; 0 for nowhere
    #[arg(long, env = "CSO_METRICS_ADDR", default_value = "0.0.0.0:8080", value_name = "ADDRESS", value_parser = listen)]
    pub(crate) metrics_addr: Listen,
    /// Where /healthz and /readyz are served; 0 for nowhere
    #[arg(long, env = "CSO_HEALTHZ_ADDR", default_value = "0.0.0.0:8081", value_name = "ADDRESS", value_parser = listen)]
    pub(crate) healthz_addr: Listen,
    /// Form of what is told on stderr
    #[arg(long, env = "CSO_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    #[command(flatten)]
    pub(crate) ack: Ack,
}

/// Where pages are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Nowhere,
    At(SocketAddr),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["paths", "kind"]))]
pub(crate) struct Delete {
    /// Manifest file or directory
    #[arg(short = 'f', long = "filename", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// Kind, such as queue, queues.sqs or sqs/Queue
    #[arg(requires = "name", conflicts_with = "paths")]
    pub(crate) kind: Option<String>,
    /// Name of the object
    pub(crate) name: Option<String>,
    /// Wait until the resources are gone
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) wait: bool,
    /// Longest wait
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["resource", "all"]))]
pub(crate) struct Import {
    /// Kind, such as queue, queues.sqs or sqs/Queue; needed unless everything is imported
    #[arg(required_unless_present = "all")]
    pub(crate) kind: Option<String>,
    /// Name, identifier or ARN of one resource
    #[arg(value_name = "NAME|ARN")]
    pub(crate) resource: Option<String>,
    /// Every resource of the kind in the region; without a kind, of every kind that can be listed
    #[arg(long)]
    pub(crate) all: bool,
    /// Write a file for each object into this directory instead of stdout; never overwrites one
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    #[arg(short, long, default_value = "yaml")]
    pub(crate) output: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Kind, such as queue, queues.sqs or sqs/Queue, or configmap or secret for what was exported; all if left out
    pub(crate) kind: Option<String>,
    /// Name of one object
    pub(crate) name: Option<String>,
    #[arg(short, long, default_value = "table")]
    pub(crate) output: View,
    /// Print the values of exported Secrets, in base64, with -o json and yaml
    #[arg(long)]
    pub(crate) show_secrets: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Kind, such as queue, queues.sqs or sqs/Queue
    pub(crate) kind: String,
    /// Name of the object
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Kind, such as queue, queues.sqs or sqs/Queue
    pub(crate) kind: Option<String>,
    /// Name of one object
    pub(crate) name: Option<String>,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Kinds {
    #[command(subcommand)]
    pub(crate) command: Option<KindsCommand>,
    /// Only kinds of this cloud
    #[arg(long)]
    pub(crate) cloud: Option<Provider>,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KindsCommand {
    /// Check descriptors without asking anybody
    #[command(after_help = "Exit status: 0 they compile, 1 they do not. With -v also what of the API no field covers.")]
    Lint(Lint),
    /// Print the JSON Schema of descriptors, for editors
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Descriptor, or directory that is read with all below it [default: that of --kinds]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Kind or field, such as queue, queue.sqs, sqs/Queue.redrivePolicy or key.spec.tags
    #[arg(value_name = "KIND[.FIELD.PATH]")]
    pub(crate) what: String,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Crds {
    #[command(subcommand)]
    pub(crate) command: Option<CrdsCommand>,
    /// Kinds; all if left out
    pub(crate) kinds: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrdsCommand {
    /// Make a cluster serve kinds, or bring its definitions up to date
    #[command(after_help = INSTALL)]
    Install(Install),
    /// Print definitions, as `cso crds` does
    Print {
        /// Kinds; all if left out
        kinds: Vec<String>,
    },
    /// Print the service account, roles and bindings that the controller needs and nothing more, and two roles for people
    Rbac(Rbac),
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Kinds, such as queue, topics.sns or s3/Bucket
    pub(crate) kinds: Vec<String>,
    /// Every kind of this build, and of --kinds
    #[arg(long, conflicts_with = "kinds")]
    pub(crate) all: bool,
    /// Longest wait for a definition to be served
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Report,
}

#[derive(Debug, Args)]
pub(crate) struct Rbac {
    /// Kinds that the controller is to manage; all if left out
    pub(crate) kinds: Vec<String>,
    /// Namespace that the controller runs in; it must exist
    #[arg(long, env = "CSO_SYSTEM_NAMESPACE", default_value = "cso-system", value_name = "NAME")]
    pub(crate) system_namespace: String,
    /// Namespaces whose objects it manages, as with the controller's flag; may be repeated, and --namespace is one more. Its
    /// rights on objects are in these alone [default: all]
    #[arg(long, env = "CSO_WATCH_NAMESPACE", value_delimiter = ',', value_name = "NAME")]
    pub(crate) watch_namespace: Vec<String>,
}

/// Text for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    Text,
    Json,
}

/// What becomes of a resource whose object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeletionPolicy {
    /// It is deleted too
    Delete,
    /// It is kept, and nobody's
    Retain,
}

impl From<DeletionPolicy> for Deletion {
    fn from(policy: DeletionPolicy) -> Self {
        match policy {
            DeletionPolicy::Delete => Self::Delete,
            DeletionPolicy::Retain => Self::Retain,
        }
    }
}

/// Forms of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// An object a line for collectors
    Json,
}

/// Forms of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Yaml,
    Json,
}

/// Forms of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum View {
    Table,
    Wide,
    Json,
    Yaml,
}

/// Clouds with kinds of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    Aws,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| "say a duration such as 500ms, 30s or 5m".to_owned())?;
    parsed.try_into().map_err(|_| "a duration cannot be negative".to_owned())
}

/// A lease says its duration in whole seconds, and has to be renewed in a third of it.
fn lease_duration(text: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed < Duration::from_secs(3) || parsed > Duration::from_secs(3600) || parsed.subsec_nanos() > 0 {
        return Err("say whole seconds from 3s to 1h".to_owned());
    }
    Ok(parsed)
}

/// In no time nothing is answered, and for ever is what this is against.
fn request_timeout(text: &str) -> Result<Duration, String> {
    duration(text).ok().filter(|time| *time >= Duration::from_secs(1)).ok_or_else(|| "say at least 1s".to_owned())
}

/// An address to serve at; as in Go, one without a host means every address of the machine.
fn listen(text: &str) -> Result<Listen, String> {
    if text == "0" {
        return Ok(Listen::Nowhere);
    }
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map(Listen::At).map_err(|_| "say an address such as 127.0.0.1:8080 or :8080, or 0".to_owned())
}

/// A tag that every resource may carry.
fn default_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write KEY=VALUE")?;
    if key.starts_with("aws:") || key == cso_core::owner::OWNER_TAG {
        return Err(format!("`{key}` is not for users to set"));
    }
    let rest = TOKENS.iter().fold(value.to_owned(), |text, token| text.replace(token, ""));
    let unknown = |word: &&str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    match rest.split('%').skip(1).step_by(2).find(unknown) {
        Some(word) => Err(format!("`%{word}%` stands for nothing; known are {}", TOKENS.join(", "))),
        None => Ok((key.to_owned(), value.to_owned())),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "say a whole number from 1".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_default_tag_is_a_pair_with_known_tokens() {
        assert_eq!(default_tag("team=%K8S_NAMESPACE%"), Ok(("team".to_owned(), "%K8S_NAMESPACE%".to_owned())));
        assert_eq!(default_tag("rate=5%"), Ok(("rate".to_owned(), "5%".to_owned())));
        for text in ["team", "=x", "aws:x=y", "services.k8s.aws/owner=me", "a=%NAMESPACE%"] {
            assert!(default_tag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_what_people_write() {
        let at = |text: &str| Ok(Listen::At(text.parse().unwrap()));
        assert_eq!(listen("0"), Ok(Listen::Nowhere));
        assert_eq!(listen(":8080"), at("0.0.0.0:8080"));
        assert_eq!(listen("[::]:8080"), at("[::]:8080"));
        assert!(listen("8080").is_err());
    }

    #[test]
    fn a_controller_tells_without_being_asked_and_leads_unless_told_otherwise() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(parse("cso get").logs(), (0, LogFormat::Text));
        assert_eq!(parse("cso controller").logs(), (1, LogFormat::Text));
        assert_eq!(parse("cso controller -v --log-format json").logs(), (2, LogFormat::Json));
        let elects = |line| match parse(line).command {
            Command::Controller(controller) => controller.leader_elect,
            _ => unreachable!("it is a controller"),
        };
        assert!(elects("cso controller") && elects("cso controller --leader-elect"));
        assert!(!elects("cso controller --leader-elect=false"));
        assert!(request_timeout("1s").is_ok() && request_timeout("0").is_err() && request_timeout("999ms").is_err());
        assert!(lease_duration("15s").is_ok() && lease_duration("1500ms").is_err() && lease_duration("2s").is_err());
    }

    #[test]
    fn durations_are_what_people_write() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
    }
}
