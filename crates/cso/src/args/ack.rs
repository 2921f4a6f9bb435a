//! Flags of the AWS Controllers for Kubernetes that are none of ours: those who come from there have them in their charts.
//! Each is honoured, is without effect, or is refused with the reason; none is an unknown argument.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};

use super::duration;

/// How long a call may take: theirs by default, and ours.
const CALL: Duration = Duration::from_mins(1);

/// What was given of them.
#[derive(Debug, Default, Args)]
pub(crate) struct Ack {
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    enable_cross_namespace: Option<bool>,
    #[arg(long, hide = true, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    reconcile_default_resync_seconds: Option<u64>,
    #[arg(long, hide = true, value_name = "GATE=BOOL", value_delimiter = ',')]
    feature_gates: Vec<String>,
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    enable_carm: Option<bool>,
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    enable_field_export_reconciler: Option<bool>,
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    enable_development_logging: Option<bool>,
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    enable_leader_election: Option<bool>,
    #[arg(long, hide = true, value_name = "NAME")]
    leader_election_namespace: Option<String>,
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    enable_webhook_server: Option<bool>,
    #[arg(long, hide = true, value_name = "ADDRESS")]
    webhook_server_addr: Option<String>,
    #[arg(long, hide = true, value_name = "URL")]
    aws_identity_endpoint_url: Option<String>,
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    allow_unsafe_aws_endpoint_urls: Option<bool>,
    #[arg(long, hide = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    aws_endpoint_use_path_style: Option<bool>,
    #[arg(long, hide = true, value_name = "DURATION", value_parser = duration)]
    http_client_timeout: Option<Duration>,
    #[arg(long, hide = true, value_name = "SELECTOR")]
    watch_selectors: Option<String>,
    #[arg(long, hide = true, value_name = "KIND=SECONDS")]
    reconcile_resource_resync_seconds: Vec<String>,
    #[arg(long, hide = true, value_name = "COUNT")]
    reconcile_default_max_concurrent_syncs: Option<u32>,
    #[arg(long, hide = true, value_name = "KIND=COUNT")]
    reconcile_resource_max_concurrent_syncs: Vec<String>,
}

/// Their levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// What is to be said of the flags that were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) refused: Vec<String>,
    pub(crate) without_effect: Vec<String>,
}

impl Ack {
    /// Whether references may lead into other namespaces, if they said.
    pub(crate) const fn cross_namespace(&self) -> Option<bool> {
        self.enable_cross_namespace
    }

    /// How often settled objects are looked at again, if they said; none of theirs is their default.
    pub(crate) fn verify_every(&self) -> Option<Duration> {
        self.reconcile_default_resync_seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }

    /// How much is told, as a count of `-v`.
    pub(crate) fn verbosity(&self) -> Option<u8> {
        self.log_level.map(|level| match level {
            LogLevel::Debug => 2,
            LogLevel::Info => 1,
            LogLevel::Warn | LogLevel::Error => 0,
        })
    }

    /// What cannot be done, and what makes no difference.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let lists = |list: &[String]| list.iter().any(|text| !text.is_empty());
        let refusals = [
            (self.enable_leader_election.is_some(), "--enable-leader-election is `--leader-elect` here"),
            (
                said(&self.leader_election_namespace),
                "--leader-election-namespace is `--system-namespace` here: the lease is beside the identity",
            ),
            (
                self.enable_webhook_server == Some(true),
                "--enable-webhook-server: there is no webhook; the definitions have their rules with them",
            ),
            (
                self.enable_field_export_reconciler == Some(false),
                "--enable-field-export-reconciler=false: field exports are worked on where their definition is \
                 installed; leave it out of `cso crds install`",
            ),
            (
                self.enable_development_logging == Some(true),
                "--enable-development-logging: say -vv for more, or --log-level debug",
            ),
            (
                said(&self.aws_identity_endpoint_url),
                "--aws-identity-endpoint-url: set AWS_ENDPOINT_URL_STS in the environment instead",
            ),
            (
                self.http_client_timeout.is_some_and(|timeout| timeout != CALL),
                "--http-client-timeout: a call may take a minute, and no other time can be said",
            ),
            (
                said(&self.watch_selectors),
                "--watch-selectors: objects that it hides would look deleted; say --watch-namespace, or pause objects \
                 with the annotation service-operator.cloud/paused",
            ),
            (
                lists(&self.reconcile_resource_resync_seconds),
                "--reconcile-resource-resync-seconds: all kinds are looked at equally often; say --verify-every",
            ),
            (
                lists(&self.reconcile_resource_max_concurrent_syncs),
                "--reconcile-resource-max-concurrent-syncs: one limit holds for all kinds; say --concurrency",
            ),
        ];
        let refused = refusals.into_iter().filter(|(is_given, _)| *is_given).map(|(_, why)| why.to_owned());
        verdict.refused = refused.chain(self.feature_gates.iter().filter_map(|gate| refused_gate(gate))).collect();
        let idle = [
            (
                self.enable_carm == Some(true),
                "--enable-carm: roles for other accounts are not supported yet; objects that ask for one are refused",
            ),
            (said(&self.webhook_server_addr), "--webhook-server-addr: there is no webhook"),
            (
                self.allow_unsafe_aws_endpoint_urls == Some(false),
                "--allow-unsafe-aws-endpoint-urls=false: an endpoint is used as it is given",
            ),
            (
                self.aws_endpoint_use_path_style == Some(false),
                "--aws-endpoint-use-path-style=false: buckets behind an endpoint that is given are in the path",
            ),
            (
                self.reconcile_default_max_concurrent_syncs.is_some(),
                "--reconcile-default-max-concurrent-syncs: --concurrency limits cloud calls over all kinds",
            ),
        ];
        verdict.without_effect =
            idle.into_iter().filter(|(is_given, _)| *is_given).map(|(_, why)| why.to_owned()).collect();
        verdict
    }
}

/// Why a feature gate cannot be as it is given.
fn refused_gate(gate: &str) -> Option<String> {
    if gate.is_empty() {
        return None;
    }
    let (name, value) = gate.split_once('=').unwrap_or((gate, "true"));
    let is_wanted = value.eq_ignore_ascii_case("true");
    match (name.trim(), is_wanted) {
        ("ResourceAdoption" | "ReadOnlyResources" | "IgnoreFieldDrift", false) => {
            Some(format!("--feature-gates {gate}: it is asked for by annotation only, and cannot be switched off"))
        }
        ("IAMRoleSelector" | "TeamLevelCARM" | "ServiceLevelCARM", true) => {
            Some(format!("--feature-gates {gate}: roles for other accounts are not supported yet"))
        }
        ("ResourceAdoption" | "ReadOnlyResources" | "IgnoreFieldDrift", true)
        | ("IAMRoleSelector" | "TeamLevelCARM" | "ServiceLevelCARM", false) => None,
        (other, _) => Some(format!("--feature-gates: there is no gate `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        ack: Ack,
    }

    fn ack(flags: &[&str]) -> Ack {
        Only::try_parse_from(std::iter::once(&"cso").chain(flags)).map_or_else(|error| panic!("{error}"), |it| it.ack)
    }

    /// What a chart of theirs passes by default is taken.
    #[test]
    fn their_defaults_are_no_reason_to_stop() {
        let chart = [
            "--log-level",
            "info",
            "--reconcile-default-resync-seconds",
            "36000",
            "--reconcile-default-max-concurrent-syncs",
            "1",
            "--enable-carm=true",
            "--enable-cross-namespace=false",
            "--enable-field-export-reconciler=true",
            "--feature-gates",
            "ResourceAdoption=true,ReadOnlyResources=true,IAMRoleSelector=false",
            "--watch-selectors",
            "",
            "--http-client-timeout",
            "60s",
        ];
        let ack = ack(&chart);
        assert_eq!(ack.verdict().refused, [""; 0]);
        assert_eq!(ack.verdict().without_effect.len(), 2);
        assert_eq!(ack.verify_every(), Some(Duration::from_hours(10)));
        assert_eq!((ack.verbosity(), ack.cross_namespace()), (Some(1), Some(false)));
    }

    #[test]
    fn what_cannot_be_done_is_said_with_the_reason() {
        let flags = [
            "--enable-leader-election",
            "--leader-election-namespace=kube-system",
            "--enable-webhook-server",
            "--enable-field-export-reconciler=false",
            "--enable-development-logging",
            "--aws-identity-endpoint-url=http://127.0.0.1:1",
            "--http-client-timeout=5s",
            "--watch-selectors=team=blue",
            "--reconcile-resource-resync-seconds=Queue=1",
            "--reconcile-resource-max-concurrent-syncs=Queue=1",
            "--feature-gates=ReadOnlyResources=false,IAMRoleSelector=true,Unheard=true",
            "--allow-unsafe-aws-endpoint-urls=false",
            "--aws-endpoint-use-path-style=false",
            "--webhook-server-addr=:9433",
        ];
        let Verdict { refused, without_effect } = ack(&flags).verdict();
        insta::assert_snapshot!(format!("{}\n\n{}", refused.join("\n"), without_effect.join("\n")));
    }
}
