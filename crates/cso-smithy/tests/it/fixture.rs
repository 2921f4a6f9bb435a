//! A small service of our own, and a client for it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use cso_core::SecretValue;
use cso_core::port::Effect;
use cso_facts::api::{
    Endpoint, Endpoints, ErrorFacts, Member, Operation, Paginator, Protocol, Service, Shape, ShapeId, ShapeKind,
};
use cso_smithy::{Call, Client, Config, Pace, Reply};
use serde_json::Value;

/// A service that keeps things. Its shapes are in order of their names.
pub(crate) fn things(protocol: Protocol) -> Service {
    let member = |name: &str, shape: u32| Member::new(name, ShapeId(shape));
    let structure = |members: Vec<Member>, error: Option<ErrorFacts>| ShapeKind::Structure {
        members,
        union: false,
        error,
        payload: None,
    };
    let token = Member { idempotency_token: true, ..member("Token", 4) };
    let busy = ErrorFacts { throttling: true, ..ErrorFacts::default() };
    let shapes = vec![
        shape("Busy", structure(vec![], Some(busy))),
        shape("CreateInput", structure(vec![member("Name", 4), member("Password", 3), token], None)),
        shape("Names", ShapeKind::List { member: Box::new(member("member", 4)), flattened: false }),
        Shape { sensitive: true, ..shape("Password", ShapeKind::String { values: vec![] }) },
        shape("String", ShapeKind::String { values: vec![] }),
        shape("ThingList", structure(vec![member("Names", 2), member("Next", 4)], None)),
    ];
    let create = operation("CreateThing", 1, 5, None);
    let pages = Paginator {
        input_tokens: vec!["Name".into()],
        output_tokens: vec!["Next".into()],
        result_keys: vec!["Names".into()],
        more_results: None,
        limit_key: None,
    };
    Service {
        name: "things".into(),
        api_version: "2026-01-01".into(),
        service_id: "Some Things".into(),
        protocol,
        query_compatible: false,
        target_prefix: Some("Things".into()),
        xml_namespace: None,
        endpoint_prefix: "things".into(),
        signing_name: "things".into(),
        operations: vec![create, operation("ListThings", 1, 5, Some(pages))],
        shapes,
        endpoints: Endpoints {
            partitions: BTreeMap::new(),
            regions: BTreeMap::from([(
                "eu-west-9".to_owned(),
                Endpoint {
                    host: "odd.{region}.example.com".into(),
                    signing_region: Some("eu-west-1".into()),
                    signing_name: None,
                },
            )]),
        },
    }
}

fn operation(name: &str, input: u32, output: u32, paginator: Option<Paginator>) -> Operation {
    Operation {
        name: name.into(),
        method: "POST".into(),
        uri: "/".into(),
        input: Some(ShapeId(input)),
        output: Some(ShapeId(output)),
        result_wrapper: Some(format!("{name}Result")),
        errors: vec![ShapeId(0)],
        paginator,
        ..Operation::default()
    }
}

fn shape(name: &str, kind: ShapeKind) -> Shape {
    Shape { name: name.into(), kind, sensitive: false }
}

/// A client that does not wait long.
pub(crate) fn client(url: &str) -> Client {
    let config = Config {
        connect_timeout: Duration::from_secs(2),
        attempt_timeout: Duration::from_millis(300),
        backoff: Duration::from_millis(1),
        max_answer_bytes: 10_000,
        max_pages: 5,
        ..Config::default()
    };
    Client::fixed(url, "AKIDEXAMPLE", &SecretValue::new("very-secret-key"), config)
}

/// A call of the service above.
pub(crate) fn call<'a>(service: &'a Service, operation: &'a str, effect: Effect, input: Value) -> Call<'a> {
    Call { service, operation, region: "eu-west-1", input, effect }
}

/// Counts attempts and what came of them.
#[derive(Default)]
pub(crate) struct Ledger(pub(crate) Mutex<Vec<Reply>>);

impl Pace for Ledger {
    async fn turn(&self) {}

    fn learn(&self, reply: Reply) {
        self.0.lock().unwrap().push(reply);
    }
}
