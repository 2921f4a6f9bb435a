//! Stories of `cso controller`: a real API server, an emulated cloud, and nobody believed but `kubectl`, the Python client,
//! boto3 and the API server's audit log.

mod asked;
mod config;
mod crash;
mod import;
mod life;
mod looks;
mod replicas;
mod rights;
pub(crate) mod scene;
mod secrets;
mod slow;
mod some_kinds;
mod takeover;
mod trouble;
