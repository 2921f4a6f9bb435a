//! A real Kubernetes cluster for tests: an API server and etcd, an independent client, and a proxy that plays faults.
//!
//! ```text
//! controller under test --> Proxy (records, injects faults, cuts watches) --> kube-apiserver --> etcd
//!                                                                              ^     |
//!                          Reader (Python), kubectl: written by neither of us --+     +--> audit log
//! ```
//!
//! ```no_run
//! use cso_testbed::kube::{Action, Cluster, ClusterOptions, Match, Proxy, Status};
//!
//! # fn main() -> Result<(), cso_testbed::Error> {
//! let cluster = Cluster::start(&ClusterOptions::new().user("operator", &["operators"]))?;
//! let proxy = Proxy::before(&cluster)?;
//! let refused = proxy.on(Match::writes().of("configmaps"), Action::Fail(Status::new(409)));
//! let mark = cluster.audit_mark()?;
//! // ... run something with `proxy.kubeconfig("operator")?` ...
//! assert_eq!(refused.fired(), 1);
//! let writes = cluster.audit_since(mark)?.into_iter().filter(|event| event.user == "operator" && event.is_write());
//! assert_eq!(writes.count(), 1, "made once");
//! # Ok(())
//! # }
//! ```

mod audit;
mod cluster;
mod directory;
mod https;
mod port;
mod proxy;
mod reader;
mod target;

pub use audit::{AuditEvent, AuditMark};
pub use cluster::{ADMIN, Cluster, ClusterOptions};
pub use proxy::{Action, Call, End, Match, Proxy, Rule, Status};
pub use reader::{ReadError, Reader};
pub use target::Target;
