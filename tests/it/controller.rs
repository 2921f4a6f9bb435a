//! Stories of `cso controller`: a real API server, an emulated cloud, and nobody believed but `kubectl`, the Python client,
//! boto3 and the API server's audit log.

mod crash;
mod life;
mod looks;
mod replicas;
mod rights;
pub(crate) mod scene;
mod takeover;
mod trouble;
