//! The servers of a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::audit::{self, AuditEvent, AuditMark};
use super::directory::Directory;
use super::https;
use super::port::Port;
use super::reader::Reader;
use crate::error::{Context as _, Error};
use crate::process::{Process, leashed};
use crate::tools::Program;

/// The user that may do everything. Every cluster has it.
pub const ADMIN: &str = "admin";
/// The group that access rules do not apply to.
const MASTERS: &str = "system:masters";
/// The controller manager's own, so that the audit tells it from tests.
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// What a test may need of the controller manager; the others write at rest, and cost memory.
const CONTROLLERS: &str =
    "clusterrole-aggregation-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller";

/// What a cluster is to have.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    users: Vec<(String, Vec<String>)>,
    controller_manager: bool,
    durable: bool,
}

impl ClusterOptions {
    /// An API server and etcd, and nobody but [`ADMIN`].
    pub fn new() -> Self {
        Self::default()
    }

    /// ... and a user of some groups. It may do nothing until a role says so: access rules are in force.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, groups: &[&str]) -> Self {
        self.users.push((name.into(), groups.iter().map(|group| (*group).to_owned()).collect()));
        self
    }

    /// ... and the controllers that collect garbage, end namespaces, make default service accounts, and fill the roles
    /// `admin`, `edit` and `view`. Without them, what is deleted with dependents leaves those behind, a deleted namespace
    /// stays, and the three roles allow nothing.
    #[must_use]
    pub fn controller_manager(self) -> Self {
        Self { controller_manager: true, ..self }
    }

    /// ... with an etcd that has on the disk what it has confirmed. Several times slower to write.
    #[must_use]
    pub fn durable(self) -> Self {
        Self { durable: true, ..self }
    }
}

/// A running cluster. Dropping it ends its servers and removes their files; so does the end of the process that started
/// it, however it ends, except that the files are then removed by the next one that starts a cluster.
pub struct Cluster {
    // They are dropped in this order: nobody looks for a server that is gone.
    _controller_manager: Option<Process>,
    api_server: Mutex<Option<Process>>,
    etcd: Mutex<Option<Process>>,
    plan: Plan,
}

/// What the servers are started from, as often as need be.
struct Plan {
    directory: Directory,
    etcd: Port,
    etcd_peers: Port,
    api_server: Port,
    durable: bool,
    tokens: BTreeMap<String, String>,
}

impl Cluster {
    /// Builds what is missing, which takes minutes the first time, starts the servers on free ports of the loopback
    /// interface, and waits until they are ready.
    pub fn start(options: &ClusterOptions) -> Result<Self, Error> {
        let plan = Plan::make(options)?;
        let etcd = plan.start_etcd()?;
        let api_server = plan.start_api_server()?;
        let controller_manager = options.controller_manager.then(|| plan.start_controller_manager()).transpose()?;
        Ok(Self {
            _controller_manager: controller_manager,
            api_server: Mutex::new(Some(api_server)),
            etcd: Mutex::new(Some(etcd)),
            plan,
        })
    }

    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.plan.url()
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.plan.api_server.address
    }

    /// The certificates, in PEM, that the API server's own is to be checked with.
    pub fn ca(&self) -> PathBuf {
        self.plan.ca()
    }

    /// What a user authenticates with.
    pub fn token(&self, user: &str) -> Result<&str, Error> {
        self.plan.token(user)
    }

    pub(super) fn tokens(&self) -> &BTreeMap<String, String> {
        &self.plan.tokens
    }

    /// A kubeconfig of a user.
    pub fn kubeconfig(&self, user: &str) -> Result<PathBuf, Error> {
        self.token(user)?;
        Ok(self.plan.kubeconfig(user))
    }

    /// Where the servers keep their files, and tests may keep theirs: gone with the cluster. What the servers say is in
    /// `.cache/logs`, for a day.
    pub fn directory(&self) -> &Path {
        self.plan.directory.path()
    }

    /// An independent client, as [`ADMIN`].
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::connect(&self.kubeconfig(ADMIN)?)
    }

    /// Runs `kubectl` as [`ADMIN`] to its end. Builds it the first time.
    pub fn kubectl(&self, args: &[&str]) -> Result<Output, Error> {
        self.kubectl_as(ADMIN)?.args(args).output().context(|| format!("running kubectl {}", args.join(" ")))
    }

    /// `kubectl` as a user, for the caller to go on with.
    pub fn kubectl_as(&self, user: &str) -> Result<Command, Error> {
        let mut command = Command::new(Program::Kubectl.path()?);
        command.arg("--kubeconfig").arg(self.kubeconfig(user)?);
        // Not the developer's.
        command.arg("--cache-dir").arg(self.directory().join("kubectl"));
        Ok(command)
    }

    /// Every request so far, in the order of arrival, those of the servers among themselves included.
    ///
    /// A request is told of before its answer ends, so whoever has the answer finds it here. A large answer may be read
    /// a moment earlier.
    pub fn audit(&self) -> Result<Vec<AuditEvent>, Error> {
        self.audit_since(AuditMark::default())
    }

    /// A place in the audit to look from later.
    pub fn audit_mark(&self) -> Result<AuditMark, Error> {
        audit::mark(&self.plan.audit_log()).context(|| "looking at the audit log".to_owned())
    }

    /// Every request since a mark. A watch counts when it begins.
    pub fn audit_since(&self, mark: AuditMark) -> Result<Vec<AuditEvent>, Error> {
        audit::since(&self.plan.audit_log(), mark).context(|| "reading the audit log".to_owned())
    }

    /// Ends the API server by SIGKILL: every connection breaks, and new ones are refused.
    pub fn stop_api_server(&self) {
        locked(&self.api_server).take();
    }

    /// Starts the API server on the same port with the same data, and waits until it is ready. Does nothing if it runs.
    pub fn start_api_server(&self) -> Result<(), Error> {
        start(&self.api_server, || self.plan.start_api_server())
    }

    /// Stops the API server from running: its connections stay, and nothing is answered.
    pub fn pause_api_server(&self) -> Result<(), Error> {
        locked(&self.api_server).as_mut().map_or(Ok(()), Process::pause)
    }

    /// Lets the API server run again.
    pub fn resume_api_server(&self) -> Result<(), Error> {
        locked(&self.api_server).as_mut().map_or(Ok(()), Process::resume)
    }

    /// Ends etcd by SIGKILL. With [`ClusterOptions::durable`], nothing that was confirmed is lost.
    pub fn stop_etcd(&self) {
        locked(&self.etcd).take();
    }

    /// Starts etcd on the same port with the same data, and waits until it is healthy. Does nothing if it runs.
    pub fn start_etcd(&self) -> Result<(), Error> {
        start(&self.etcd, || self.plan.start_etcd())
    }

    /// Stops etcd from running: the API server answers what it remembers, and writes hang until they time out.
    pub fn pause_etcd(&self) -> Result<(), Error> {
        locked(&self.etcd).as_mut().map_or(Ok(()), Process::pause)
    }

    /// Lets etcd run again.
    pub fn resume_etcd(&self) -> Result<(), Error> {
        locked(&self.etcd).as_mut().map_or(Ok(()), Process::resume)
    }
}

impl Plan {
    fn make(options: &ClusterOptions) -> Result<Self, Error> {
        let what = || "preparing a cluster".to_owned();
        let masters = [ADMIN, CONTROLLER_MANAGER].map(|name| (name.to_owned(), vec![MASTERS.to_owned()]));
        let users: Vec<_> = masters.into_iter().chain(options.users.iter().cloned()).collect();
        let mut tokens = BTreeMap::new();
        let mut table = Vec::new();
        for (number, (name, groups)) in users.iter().enumerate() {
            let token = random_token().context(what)?;
            table.push(format!("{token},{name},{number},\"{}\"", groups.join(",")));
            tokens.insert(name.clone(), token);
        }
        let plan = Self {
            directory: Directory::make().context(what)?,
            etcd: Port::hold().context(what)?,
            etcd_peers: Port::hold().context(what)?,
            api_server: Port::hold().context(what)?,
            durable: options.durable,
            tokens,
        };
        fs::write(plan.path("tokens.csv"), table.join("\n")).context(what)?;
        fs::write(plan.path("audit-policy.yaml"), audit::POLICY).context(what)?;
        for (user, token) in &plan.tokens {
            let cluster = json!({"server": plan.url(), "certificate-authority": plan.ca()});
            fs::write(plan.kubeconfig(user), kubeconfig(&cluster, user, token)).context(what)?;
        }
        Ok(plan)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn url(&self) -> String {
        format!("https://{}", self.api_server.address)
    }

    /// The API server makes this when it first starts, with the key beside it.
    fn ca(&self) -> PathBuf {
        self.path("certificates/apiserver.crt")
    }

    fn audit_log(&self) -> PathBuf {
        self.path("audit.log")
    }

    fn token(&self, user: &str) -> Result<&str, Error> {
        self.tokens.get(user).map(String::as_str).ok_or_else(|| Error::UnknownUser { name: user.to_owned() })
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        self.path(&format!("kubeconfig-{user}"))
    }

    fn start_etcd(&self) -> Result<Process, Error> {
        let (clients, peers) = (format!("http://{}", self.etcd.address), format!("http://{}", self.etcd_peers.address));
        let mut command = leashed(Program::Etcd.path()?);
        command
            .arg("--data-dir")
            .arg(self.path("etcd"))
            .arg("--socket-reuse-port")
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}"), "--log-level", "warn"]);
        if !self.durable {
            command.arg("--unsafe-no-fsync");
        }
        let mut etcd = Process::start(Program::Etcd.name(), self.etcd.address, command)?;
        let health = crate::http::Head::get("/health");
        etcd.wait_until(|| crate::http::exchange(self.etcd.address, &health)?.expect_ok())?;
        Ok(etcd)
    }

    fn start_api_server(&self) -> Result<Process, Error> {
        let path = |name: &str| self.path(name);
        let port = self.api_server.address.port().to_string();
        // The key that the server makes for TLS signs the tokens of service accounts too.
        let key = path("certificates/apiserver.key");
        let mut command = leashed(Program::ApiServer.path()?);
        command
            .args(["--etcd-servers", &format!("http://{}", self.etcd.address)])
            .args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", &port])
            .args(["--permit-port-sharing", "--service-cluster-ip-range", "10.0.0.0/24"])
            .arg("--cert-dir")
            .arg(path("certificates"))
            .args(["--service-account-issuer", &self.url(), "--service-account-key-file"])
            .arg(&key)
            .arg("--service-account-signing-key-file")
            .arg(&key)
            // Otherwise no pod is admitted before the controller manager has made its namespace a service account.
            .args(["--disable-admission-plugins", "ServiceAccount"])
            .args(["--authorization-mode", "RBAC", "--token-auth-file"])
            .arg(path("tokens.csv"))
            .arg("--audit-policy-file")
            .arg(path("audit-policy.yaml"))
            .arg("--audit-log-path")
            .arg(self.audit_log())
            // One file, in megabytes: readers keep their place in it.
            .args(["--audit-log-maxsize", "100000"]);
        let mut server = Process::start(Program::ApiServer.name(), self.api_server.address, command)?;
        let token = self.token(ADMIN)?;
        // It says that it is ready a moment before it has made the namespace that everybody uses.
        let mut missing = vec!["/api/v1/namespaces/default", "/readyz"];
        server.wait_until(|| {
            // Read anew each time: it may have been read while the server was writing it.
            let config = Arc::new(https::trusting(&self.ca())?);
            while let Some(page) = missing.last() {
                https::get(Arc::clone(&config), self.api_server.address, token, page)?.expect_ok()?;
                missing.pop();
            }
            Ok(())
        })?;
        Ok(server)
    }

    fn start_controller_manager(&self) -> Result<Process, Error> {
        let mut command = leashed(Program::ControllerManager.path()?);
        command.arg("--kubeconfig").arg(self.kubeconfig(CONTROLLER_MANAGER));
        command.args(["--controllers", CONTROLLERS, "--leader-elect=false", "--secure-port", "0"]);
        Process::start(Program::ControllerManager.name(), self.api_server.address, command)
    }
}

/// A kubeconfig with one of each. JSON, which is YAML.
pub(super) fn kubeconfig(cluster: &serde_json::Value, user: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        "current-context": "test",
    })
    .to_string()
}

/// Not guessable, so that a client of a cluster that had the port before is refused.
fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn start(place: &Mutex<Option<Process>>, start: impl FnOnce() -> Result<Process, Error>) -> Result<(), Error> {
    let mut place = locked(place);
    if place.is_none() {
        *place = Some(start()?);
    }
    Ok(())
}

/// A panic poisons nothing that matters: a server is there or it is not.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
