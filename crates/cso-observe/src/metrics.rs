//! Metrics: their names, labels and what they count. `docs/metrics.md` says the same for those who read dashboards.

use std::collections::BTreeMap;
use std::fmt;

use cso_core::CallError;
use cso_core::port::{Cloud, Effect, Identity, Request};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    ack_calls: Family<AckCallLabels, Counter>,
    ack_errors: Family<AckErrorLabels, Counter>,
    leading: Gauge,
    objects: Family<ObjectLabels, Gauge>,
    queue: Family<StateLabels, Gauge>,
    watches: Family<StateLabels, Gauge>,
    failing: Family<KindLabels, Gauge>,
    reloads: Family<ResultLabels, Counter>,
}

/// What is counted when somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub leading: bool,
    /// Objects by group, kind, and whether they are as wished: `true`, `false` or `unknown`.
    pub objects: BTreeMap<(String, String, &'static str), usize>,
    /// Objects of the queue by state: `ready`, `later`, `in_flight`.
    pub queue: BTreeMap<&'static str, usize>,
    /// Watches by state: `listed`, `listing`, `failing`.
    pub watches: BTreeMap<&'static str, usize>,
    /// Watches that fail, by group and kind.
    pub failing: BTreeMap<(String, String), usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    service: String,
    operation: String,
    effect: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    service: String,
    effect: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AckCallLabels {
    service: String,
    op_type: &'static str,
    op_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AckErrorLabels {
    service: String,
    op_id: String,
    status_code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    group: String,
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    group: String,
    kind: String,
    synced: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

impl Metrics {
    /// The metrics of this version of the program, all at zero.
    pub fn new(version: &str) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            calls: Family::default(),
            // From ten milliseconds to forty seconds: throttled calls wait for their turn.
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 13))),
            ack_calls: Family::default(),
            ack_errors: Family::default(),
            leading: Gauge::default(),
            objects: Family::default(),
            queue: Family::default(),
            watches: Family::default(),
            failing: Family::default(),
            reloads: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("cso_build", "The program", Info::new(vec![("version", version.to_owned())]));
        registry.register("cso_cloud_calls", "Cloud calls that ended", metrics.calls.clone());
        registry.register(
            "cso_cloud_call_duration_seconds",
            "How long cloud calls took, with the wait for their turn",
            metrics.durations.clone(),
        );
        registry.register("ack_outbound_api_requests", "Cloud calls, as ACK counts them", metrics.ack_calls.clone());
        registry.register(
            "ack_outbound_api_requests_error",
            "Cloud calls that failed, as ACK counts them",
            metrics.ack_errors.clone(),
        );
        registry.register("cso_leading", "1 while this process may act", metrics.leading.clone());
        registry.register("cso_objects", "Objects, by whether they are as wished", metrics.objects.clone());
        registry.register("cso_queue_objects", "Objects that are worked on or will be", metrics.queue.clone());
        registry.register("cso_watches", "Watches of the API server", metrics.watches.clone());
        registry.register("cso_failing_watches", "Watches that fail, by kind", metrics.failing.clone());
        registry.register("cso_config_reloads", "Times the file of settings was another", metrics.reloads.clone());
        metrics
    }

    /// Counts a call that ended.
    fn called(&self, call: &Called, error: Option<&CallError>, seconds: f64) {
        let Called { service, operation, effect } = call;
        let (service, op_id) = (service.clone(), operation.clone());
        let name = match effect {
            Effect::Mutates => "mutates",
            Effect::Reads => "reads",
        };
        let result = error.map_or("ok", |error| error.class.label());
        let labels = CallLabels { service: service.clone(), operation: op_id.clone(), effect: name, result };
        self.calls.get_or_create(&labels).inc();
        self.durations.get_or_create(&DurationLabels { service: service.clone(), effect: name }).observe(seconds);
        let op_type = op_type(operation, *effect);
        self.ack_calls.get_or_create(&AckCallLabels { service: service.clone(), op_type, op_id: op_id.clone() }).inc();
        if let Some(error) = error {
            let status_code = error.status.unwrap_or_default().to_string();
            self.ack_errors.get_or_create(&AckErrorLabels { service, op_id, status_code }).inc();
        }
    }

    /// Counts that the file of settings was another, and whether it could be used.
    pub fn reloaded(&self, usable: bool) {
        let result = if usable { "ok" } else { "invalid" };
        self.reloads.get_or_create(&ResultLabels { result }).inc();
    }

    /// All metrics in the OpenMetrics text form.
    ///
    /// # Errors
    /// Never with the metrics of this type.
    pub fn text(&self, now: &Snapshot) -> Result<String, fmt::Error> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.leading.set(now.leading.into());
        // What is not there any more must not be told as it was.
        self.objects.clear();
        for ((group, kind, synced), count) in &now.objects {
            let labels = ObjectLabels { group: group.clone(), kind: kind.clone(), synced };
            self.objects.get_or_create(&labels).set(number(*count));
        }
        self.failing.clear();
        for ((group, kind), count) in &now.failing {
            let labels = KindLabels { group: group.clone(), kind: kind.clone() };
            self.failing.get_or_create(&labels).set(number(*count));
        }
        for (family, counts) in [(&self.queue, &now.queue), (&self.watches, &now.watches)] {
            family.clear();
            for (state, count) in counts {
                family.get_or_create(&StateLabels { state }).set(number(*count));
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The sort of call that ACK's dashboards know, told by what the operation is called.
fn op_type(operation: &str, effect: Effect) -> &'static str {
    let begins = |words: &[&str]| words.iter().any(|word| operation.starts_with(word));
    match effect {
        Effect::Reads if begins(&["List"]) => "READ_MANY",
        Effect::Reads => "READ_ONE",
        Effect::Mutates if begins(&["Create", "Run"]) => "CREATE",
        Effect::Mutates if begins(&["Delete", "Terminate"]) => "DELETE",
        Effect::Mutates => "UPDATE",
    }
}

/// A cloud whose calls are counted.
#[derive(Debug)]
pub struct Measured<C> {
    cloud: Arc<C>,
    metrics: Arc<Metrics>,
}

impl<C> Measured<C> {
    /// Counts the calls of a cloud.
    pub const fn new(cloud: Arc<C>, metrics: Arc<Metrics>) -> Self {
        Self { cloud, metrics }
    }
}

/// What is counted of a call.
struct Called {
    service: String,
    operation: String,
    effect: Effect,
}

impl<C: Cloud> Cloud for Measured<C> {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        let began = Instant::now();
        let call =
            Called { service: request.service.clone(), operation: request.operation.clone(), effect: request.effect };
        let result = self.cloud.call(request).await;
        self.metrics.called(&call, result.as_ref().err(), began.elapsed().as_secs_f64());
        result
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        self.cloud.identity().await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cso_core::port::Purpose;
    use cso_core::{ErrorClass, Outcome};
    use serde_json::json;

    use super::*;

    /// Answers reads and refuses changes.
    struct Reader;

    impl Cloud for Reader {
        async fn call(&self, request: Request) -> Result<Value, CallError> {
            match request.effect {
                Effect::Reads => Ok(json!({})),
                Effect::Mutates => Err(CallError {
                    action: "sqs:CreateQueue".to_owned(),
                    code: "AccessDenied".to_owned(),
                    message: String::new(),
                    request_id: None,
                    status: Some(403),
                    outcome: Outcome::Refused,
                    class: ErrorClass::Denied,
                    retry_after: None,
                }),
            }
        }

        async fn identity(&self) -> Result<Identity, CallError> {
            Ok(Identity { account: "111111111111".to_owned(), partition: "aws".to_owned() })
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            leading: true,
            objects: [(("sqs.services.k8s.aws".to_owned(), "Queue".to_owned(), "true"), 7)].into(),
            queue: [("ready", 1), ("later", 6), ("in_flight", 0)].into(),
            watches: [("listed", 5)].into(),
            failing: [(("kms.services.k8s.aws".to_owned(), "Key".to_owned()), 1)].into(),
        }
    }

    async fn used() -> Arc<Metrics> {
        let metrics = Arc::new(Metrics::new("1.2.3"));
        let cloud = Measured::new(Arc::new(Reader), Arc::clone(&metrics));
        for (operation, effect) in [("GetQueueUrl", Effect::Reads), ("CreateQueue", Effect::Mutates)] {
            let [service, region, namespace] = ["sqs", "eu-west-1", "team-blue"].map(str::to_owned);
            let operation = operation.to_owned();
            let purpose = Purpose::Change;
            // Either end is counted.
            let _ =
                cloud.call(Request { service, operation, region, namespace, input: json!({}), effect, purpose }).await;
        }
        metrics.reloaded(true);
        metrics.reloaded(false);
        metrics
    }

    /// Series of a text, without comments.
    fn series(text: &str) -> impl Iterator<Item = (&str, &str)> {
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '))
    }

    #[tokio::test]
    async fn calls_are_counted_for_us_and_as_ack_does() {
        let text = used().await.text(&snapshot()).unwrap();
        let value = |name| series(&text).find(|(series, _)| *series == name).map(|(_, value)| value);
        for (name, expected) in [
            (r#"cso_cloud_calls_total{service="sqs",operation="GetQueueUrl",effect="reads",result="ok"}"#, "1"),
            (r#"cso_cloud_calls_total{service="sqs",operation="CreateQueue",effect="mutates",result="denied"}"#, "1"),
            (r#"cso_cloud_call_duration_seconds_count{service="sqs",effect="reads"}"#, "1"),
            (r#"ack_outbound_api_requests_total{service="sqs",op_type="CREATE",op_id="CreateQueue"}"#, "1"),
            (r#"ack_outbound_api_requests_total{service="sqs",op_type="READ_ONE",op_id="GetQueueUrl"}"#, "1"),
            (r#"ack_outbound_api_requests_error_total{service="sqs",op_id="CreateQueue",status_code="403"}"#, "1"),
            (r#"cso_objects{group="sqs.services.k8s.aws",kind="Queue",synced="true"}"#, "7"),
            (r#"cso_queue_objects{state="later"}"#, "6"),
            (r#"cso_build_info{version="1.2.3"}"#, "1"),
            ("cso_leading", "1"),
            (r#"cso_config_reloads_total{result="invalid"}"#, "1"),
        ] {
            assert_eq!(value(name), Some(expected), "{name} in\n{text}");
        }
    }

    #[tokio::test]
    async fn what_is_gone_is_not_told_any_more() {
        let metrics = used().await;
        metrics.text(&snapshot()).unwrap();
        let text = metrics.text(&Snapshot::default()).unwrap();
        assert!(!text.contains("Queue\",synced") && text.contains("cso_leading 0"), "{text}");
    }

    #[tokio::test]
    async fn names_and_labels_follow_the_rules_and_are_documented() {
        const DOCUMENTED: &str = include_str!("../../../docs/metrics.md");
        /// Labels whose values come from the API models, the kinds, or a closed list: never from a user.
        const LABELS: [&str; 13] = [
            "service",
            "operation",
            "effect",
            "result",
            "op_type",
            "op_id",
            "status_code",
            "group",
            "kind",
            "synced",
            "state",
            "version",
            "le",
        ];
        let text = used().await.text(&snapshot()).unwrap();
        let types: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        assert_eq!(types.len(), 11, "{types:?}");
        for (name, kind) in &types {
            let snake = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            assert!(snake && (name.starts_with("cso_") || name.starts_with("ack_")), "{name}");
            assert!(!name.ends_with("_total") && !name.ends_with("_ms"), "{name}");
            assert_eq!(*kind == "histogram", name.ends_with("_seconds"), "{name} says its unit");
        }
        let mut labels = BTreeSet::new();
        for (series, _) in series(&text) {
            let (name, pairs) = series.split_once('{').unwrap_or((series, ""));
            let family = ["_total", "_info", "_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end).filter(|stem| types.contains_key(stem)))
                .unwrap_or(name);
            let of = types.get(family).copied();
            assert_eq!(of == Some("counter"), name.ends_with("_total"), "{name} is a {of:?}");
            let shown = if of == Some("histogram") { family } else { name };
            let row = DOCUMENTED.lines().find(|line| line.starts_with(&format!("| `{shown}`")));
            let row = row.unwrap_or_else(|| panic!("docs/metrics.md has no row of `{shown}`"));
            for label in pairs.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once('=')) {
                assert!(LABELS.contains(&label.0), "{label:?} of {series}");
                assert!(label.0 == "le" || row.contains(&format!("`{}`", label.0)), "{label:?} of {series} in {row}");
                labels.insert(label.0);
            }
        }
        assert_eq!(labels.len(), LABELS.len(), "a label that nothing has any more: {labels:?}");
    }
}
