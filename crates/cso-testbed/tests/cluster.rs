//! The cluster and its proxy do what stories rely on: judged by `kubectl`, the Python client, and the audit.
//!
//! Not in `tests/it`, because nothing of the product takes part.

use std::net::TcpStream;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::kube::{
    ADMIN, Action, AuditEvent, Cluster, ClusterOptions, End, Match, Proxy, ReadError, Reader, Status,
};
use cso_testbed::{Outcome, Then};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Much longer than anything here takes; hit only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// For everything that leaves the servers alone; each test in a namespace of its own.
static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
    Cluster::start(&ClusterOptions::new().user("visitor", &["visitors"])).expect("a cluster for all tests")
});

fn succeeded(output: &Output) -> Result<String> {
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn until(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !look()? {
        ensure!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn is_missing(object: &Result<Value, ReadError>) -> bool {
    object.as_ref().is_err_and(|error| error.status() == Some(404))
}

fn namespace(reader: &Reader, name: &str) -> Result<()> {
    reader.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    Ok(())
}

fn config_map(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"colour": "blue"},
    })
}

/// Requests about config maps of a namespace.
fn about(events: Vec<AuditEvent>, namespace: &str) -> Vec<(String, String, u16)> {
    let fitting = events.into_iter().filter(|event| event.target.resource == "configmaps");
    let fitting = fitting.filter(|event| event.target.namespace == namespace);
    fitting.map(|event| (event.user, event.verb, event.code)).collect()
}

#[test]
fn the_audit_tells_each_request_once() -> Result<()> {
    let reader = SHARED.reader()?;
    namespace(&reader, "audit")?;
    let mark = SHARED.audit_mark()?;
    let args = ["create", "configmap", "settings", "--namespace", "audit", "--from-literal", "colour=blue"];
    succeeded(&SHARED.kubectl(&args)?)?;
    let created = (ADMIN.to_owned(), "create".to_owned(), 201);
    assert_eq!(about(SHARED.audit_since(mark)?, "audit"), [created]);

    let seen = reader.get("v1", "ConfigMap", "audit", "settings")?;
    assert_eq!(seen["data"]["colour"], "blue");
    assert!(is_missing(&reader.get("v1", "ConfigMap", "audit", "missing")));
    reader.merge(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "audit"},
        "data": {"colour": null, "size": "large"},
    }))?;
    let listed = reader.list("v1", "ConfigMap", "audit")?;
    assert_eq!(listed.iter().map(|object| object["data"].clone()).collect::<Vec<_>>(), [json!({"size": "large"})]);
    reader.delete("v1", "ConfigMap", "audit", "settings")?;

    let since = about(SHARED.audit_since(mark)?, "audit");
    let verbs: Vec<&str> = since.iter().map(|(_, verb, _)| verb.as_str()).collect();
    assert_eq!(verbs, ["create", "get", "get", "patch", "list", "delete"]);
    assert!(SHARED.audit()?.len() > since.len(), "the whole audit begins before the mark");
    Ok(())
}

#[test]
fn users_may_do_what_roles_say() -> Result<()> {
    let (reader, visitor) = (SHARED.reader()?, Reader::connect(&SHARED.kubeconfig("visitor")?)?);
    namespace(&reader, "access")?;
    let mark = SHARED.audit_mark()?;
    let denied = visitor.create(&config_map("access", "settings"));
    assert_eq!(denied.err().and_then(|error| error.status()), Some(403));

    let role = ["create", "role", "writer", "--namespace", "access", "--verb=create", "--resource=configmaps"];
    let binding = ["create", "rolebinding", "writers", "--namespace", "access", "--role=writer", "--group=visitors"];
    succeeded(&SHARED.kubectl(&role)?)?;
    succeeded(&SHARED.kubectl(&binding)?)?;
    // Roles reach the authorizer by a watch.
    until("the role is known", || Ok(visitor.create(&config_map("access", "settings")).is_ok()))?;
    let events = about(SHARED.audit_since(mark)?, "access");
    let told = |code| events.contains(&("visitor".to_owned(), "create".to_owned(), code));
    assert!(told(403) && told(201), "{events:?}");

    // Service accounts have tokens without the controller manager.
    succeeded(&SHARED.kubectl(&["create", "serviceaccount", "robot", "--namespace", "access"])?)?;
    let token = succeeded(&SHARED.kubectl(&["create", "token", "robot", "--namespace", "access"])?)?;
    let whoami = ["auth", "whoami", "--output", "jsonpath={.status.userInfo.username}", "--token", token.trim()];
    assert_eq!(succeeded(&SHARED.kubectl(&whoami)?)?, "system:serviceaccount:access:robot");
    assert!(SHARED.kubeconfig("nobody").is_err_and(|error| error.to_string().contains("nobody")));
    Ok(())
}

#[test]
fn servers_stop_pause_and_come_back() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::new().controller_manager().durable())?;
    let reader = cluster.reader()?;
    namespace(&reader, "old")?;
    reader.create(&config_map("old", "settings"))?;

    cluster.stop_api_server();
    assert!(TcpStream::connect(cluster.address()).is_err(), "nobody listens");
    cluster.stop_etcd();
    cluster.start_etcd()?;
    cluster.start_api_server()?;
    assert_eq!(reader.get("v1", "ConfigMap", "old", "settings")?["data"]["colour"], "blue");

    let hurried = ["get", "configmaps", "--namespace", "old", "--request-timeout", "1s"];
    cluster.pause_api_server()?;
    assert!(!cluster.kubectl(&hurried)?.status.success(), "a paused server answers nothing");
    cluster.resume_api_server()?;
    succeeded(&cluster.kubectl(&hurried)?)?;
    cluster.pause_etcd()?;
    let args = ["create", "configmap", "second", "--namespace", "old", "--request-timeout", "1s"];
    assert!(!cluster.kubectl(&args)?.status.success(), "nothing is written without etcd");
    cluster.resume_etcd()?;
    until("writes go on", || {
        Ok(cluster.kubectl(&["label", "namespace", "old", "a=b", "--overwrite"])?.status.success())
    })?;

    // The controller manager's work.
    reader.delete("v1", "Namespace", "", "old")?;
    until("the namespace is gone", || Ok(is_missing(&reader.get("v1", "Namespace", "", "old"))))?;

    let (address, directory) = (cluster.address(), cluster.directory().to_owned());
    drop(cluster);
    assert!(TcpStream::connect(address).is_err());
    assert!(!directory.exists());
    Ok(())
}

/// A client that says what it sees, over either version of the protocol.
struct Caller<'a> {
    proxy: &'a Proxy,
    runtime: tokio::runtime::Runtime,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl<'a> Caller<'a> {
    fn new(proxy: &'a Proxy, http2: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        Ok(Self { proxy, runtime, client })
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<http::Response<Incoming>> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.proxy.url()))
            .header("authorization", format!("Bearer {}", SHARED.token(ADMIN)?))
            .header("content-type", "application/json")
            .body(Full::from(body.map(Value::to_string).unwrap_or_default()))?;
        self.runtime.block_on(async { Ok(tokio::time::timeout(PATIENCE, self.client.request(request)).await??) })
    }

    fn status(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let answer = self.send(method, path, body)?;
        let status = answer.status().as_u16();
        let body = self.runtime.block_on(answer.into_body().collect())?.to_bytes();
        Ok((status, serde_json::from_slice(&body)?))
    }

    /// The types of the next events of a watch, and how it went on after so many.
    fn events(&self, watch: &mut Incoming, most: usize) -> (Vec<String>, Went) {
        let mut text = Vec::new();
        let types = |text: &[u8]| -> Vec<String> {
            let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
            let events = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
            events.map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
        };
        loop {
            if types(&text).len() >= most {
                return (types(&text), Went::On);
            }
            match self.runtime.block_on(async { tokio::time::timeout(PATIENCE, watch.frame()).await }) {
                Ok(Some(Ok(frame))) => text.extend(frame.into_data().unwrap_or_default()),
                Ok(Some(Err(_))) => return (types(&text), Went::Broken),
                Ok(None) => return (types(&text), Went::Closed),
                Err(_) => return (types(&text), Went::Silent),
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Went {
    On,
    Closed,
    Broken,
    Silent,
}

/// Both versions of the protocol, each with a proxy and a namespace of its own.
fn with_both(story: &str, tell: impl Fn(&Proxy, &Caller<'_>, &str) -> Result<()>) -> Result<()> {
    for (http2, version) in [(false, "http1"), (true, "http2")] {
        let namespace_name = format!("{story}-{version}");
        namespace(&SHARED.reader()?, &namespace_name)?;
        let proxy = Proxy::before(&SHARED)?;
        tell(&proxy, &Caller::new(&proxy, http2)?, &namespace_name).context(version)?;
    }
    Ok(())
}

fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

#[test]
fn an_injected_error_is_a_status_and_happens_once() -> Result<()> {
    with_both("errors", |proxy, caller, namespace| {
        let throttled = Status::new(429).retry_after(3);
        let rule = proxy.on(Match::writes().of("configmaps").containing("\"settings\""), Action::Fail(throttled));
        let object = config_map(namespace, "settings");
        let refused = caller.send("POST", &path(namespace), Some(&object))?;
        assert_eq!(refused.headers()["retry-after"], "3");
        assert_eq!(caller.status("POST", &path(namespace), Some(&config_map(namespace, "other")))?.0, 201);
        assert_eq!(caller.status("POST", &path(namespace), Some(&object))?.0, 201);
        assert_eq!(rule.fired(), 1);

        proxy.on(Match::verb("list").within(namespace), Action::Fail(Status::new(410).reason("Expired")));
        let (status, body) = caller.status("GET", &path(namespace), None)?;
        assert_eq!((status, &body["reason"], &body["kind"]), (410, &json!("Expired"), &json!("Status")));

        let calls: Vec<String> = proxy.calls().iter().map(ToString::to_string).collect();
        let expected = [
            format!("create configmaps {namespace}: Refused {{ code: \"TooManyRequests\" }}"),
            format!("create configmaps {namespace}: Answered {{ status: 201 }}"),
            format!("create configmaps {namespace}: Answered {{ status: 201 }}"),
            format!("list configmaps {namespace}: Refused {{ code: \"Expired\" }}"),
        ];
        assert_eq!(calls, expected);
        assert!(proxy.calls().iter().all(|call| call.user == ADMIN), "{:?}", proxy.calls());
        assert_eq!(proxy.writes().len(), 2);
        Ok(())
    })
}

#[test]
fn a_lost_reply_leaves_the_effect_and_a_lost_request_none() -> Result<()> {
    let reader = SHARED.reader()?;
    with_both("losses", |proxy, caller, namespace| {
        proxy.on(Match::writes().containing("first"), Action::DropReply);
        proxy.on(Match::writes().containing("second"), Action::DropRequest);
        for name in ["first", "second"] {
            let lost = caller.send("POST", &path(namespace), Some(&config_map(namespace, name)));
            assert!(lost.is_err(), "{name}: {lost:?}");
        }
        assert!(reader.get("v1", "ConfigMap", namespace, "first").is_ok());
        assert!(is_missing(&reader.get("v1", "ConfigMap", namespace, "second")));
        let outcomes: Vec<_> = proxy.calls().into_iter().map(|call| call.outcome).collect();
        assert_eq!(outcomes, [Outcome::ReplyLost { status: 201 }, Outcome::NeverSent]);
        Ok(())
    })
}

#[test]
fn hooks_run_around_the_effect() -> Result<()> {
    with_both("hooks", |proxy, caller, namespace| {
        let seen = [Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicUsize::new(usize::MAX))];
        let look = |place: usize, then: Then| {
            let (seen, reader, namespace) = (Arc::clone(&seen[place]), SHARED.reader(), namespace.to_owned());
            move |_: &cso_testbed::kube::Call| {
                let found = reader.as_ref().expect("a client").list("v1", "ConfigMap", &namespace);
                seen.store(found.expect("a list").len(), Ordering::SeqCst);
                then
            }
        };
        proxy.on(Match::writes().nth(1), Action::before(look(0, Then::GoOn)));
        proxy.on(Match::writes().nth(1), Action::after(look(1, Then::HangUp)));
        assert_eq!(caller.status("POST", &path(namespace), Some(&config_map(namespace, "first")))?.0, 201);
        assert!(caller.send("POST", &path(namespace), Some(&config_map(namespace, "second"))).is_err());
        assert_eq!(seen.map(|count| count.load(Ordering::SeqCst)), [0, 2]);
        Ok(())
    })
}

#[test]
fn a_watch_ends_as_told() -> Result<()> {
    with_both("watches", |proxy, caller, namespace| {
        for name in ["a", "b"] {
            caller.status("POST", &path(namespace), Some(&config_map(namespace, name)))?;
        }
        let watch = format!("{}?watch=true", path(namespace));
        let endings = [
            (1, End::Cut, vec!["ADDED"], Went::Broken),
            (2, End::Close, vec!["ADDED", "ADDED"], Went::Closed),
            (0, End::Error(Status::new(410).reason("Expired")), vec!["ERROR"], Went::Closed),
        ];
        for (after, end, types, went) in endings {
            let rule = proxy.on(Match::verb("watch").of("configmaps"), Action::EndWatch { after, end });
            let mut events = caller.send("GET", &watch, None)?.into_body();
            assert_eq!(caller.events(&mut events, usize::MAX), (types.iter().map(ToString::to_string).collect(), went));
            assert_eq!(rule.fired(), 1);
        }

        // One that nobody ends goes on, until it is cut.
        let mut events = caller.send("GET", &watch, None)?.into_body();
        assert_eq!(caller.events(&mut events, 2), (vec!["ADDED".to_owned(); 2], Went::On));
        SHARED.reader()?.create(&config_map(namespace, "c"))?;
        assert_eq!(caller.events(&mut events, 1), (vec!["ADDED".to_owned()], Went::On));
        until("only one watch goes on", || Ok(proxy.watches().len() == 1))?;
        assert_eq!(proxy.cut(&Match::verb("watch").of("secrets")), 0);
        assert_eq!(proxy.cut(&Match::verb("watch").of("configmaps").within(namespace)), 1);
        assert_eq!(caller.events(&mut events, 1), (vec![], Went::Broken));

        // One whose caller leaves does not go on behind the proxy.
        let left = caller.send("GET", &watch, None)?;
        assert_eq!(proxy.watches().len(), 1);
        drop(left);
        until("the watch has ended", || Ok(proxy.watches().is_empty()))
    })
}

#[test]
fn clients_of_others_go_through_the_proxy() -> Result<()> {
    let proxy = Proxy::before(&SHARED)?;
    let reader = Reader::connect(&proxy.kubeconfig("visitor")?)?;
    proxy.on(Match::verb("get").of("namespaces"), Action::Fail(Status::new(503)));
    let statuses =
        [(); 2].map(|()| reader.get("v1", "Namespace", "", "default").err().and_then(|error| error.status()));
    assert_eq!(statuses, [Some(503), Some(403)], "an injected answer, then one to the visitor");
    let asked: Vec<_> = proxy.calls().into_iter().filter(|call| call.target.name == "default").collect();
    assert!(asked.len() == 2 && asked.iter().all(|call| call.user == "visitor"), "{asked:?}");
    Ok(())
}

/// Runs only as a child of the test below: tells where its cluster is, and waits to be killed.
#[test]
#[ignore = "started by another test"]
fn a_process_with_a_cluster() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::new())?;
    std::fs::write(std::env::var("WHERE")?, cluster.address().to_string())?;
    loop {
        thread::park();
    }
}

#[test]
fn a_cluster_ends_with_its_process_however_that_ends() -> Result<()> {
    // What is missing is built before anybody waits for the process.
    drop(Cluster::start(&ClusterOptions::new())?);
    let directory = tempfile::tempdir()?;
    let place = directory.path().join("address");
    let mut process = Command::new(std::env::current_exe()?)
        .args(["a_process_with_a_cluster", "--exact", "--ignored"])
        .env("WHERE", &place)
        .spawn()?;
    let mut address = String::new();
    let started = until("the cluster runs", || {
        ensure!(process.try_wait()?.is_none(), "the process ended");
        address = std::fs::read_to_string(&place).unwrap_or_default();
        Ok(!address.is_empty() && TcpStream::connect(&*address).is_ok())
    });
    process.kill()?;
    process.wait()?;
    started?;
    until("nobody listens", || Ok(TcpStream::connect(&*address).is_err()))?;
    if address.is_empty() {
        bail!("the process told nothing");
    }
    Ok(())
}
