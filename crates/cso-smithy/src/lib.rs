//! A model-driven AWS client: calls any operation of any [`Service`](cso_facts::api::Service) it is given.
//!
//! ```text
//! Call --protocol::encode--> WireRequest --endpoint, sign, send--> WireResponse --protocol::decode--> Value | CallError
//!            (pure)                          (client)                              (pure)
//! ```
//!
//! * [`Client`] holds what is shared by all calls: connections, credentials, endpoints, the retry quota. One is enough
//!   for all services and regions.
//! * [`protocol`] turns values into bytes and back. It is pure: every wire protocol is tested without a socket.
//! * [`Pace`] lets the caller decide when an attempt may leave.
//!
//! Values are JSON with the API's member names. Blobs are base64 text and timestamps are RFC 3339 text (`2026-01-02T03:04:05Z`),
//! whatever the wire protocol does.
//!
//! # The promise about mutating calls
//! A call with [`Effect::Mutates`](cso_core::port::Effect::Mutates) reaches the service at most once, unless the failure
//! proves that the service did nothing: the connection was never made, or the service refused before it started to work
//! (throttling, an expired credential, a wrong clock). After a time-out, a reset, a truncated answer or a 5xx the caller
//! gets [`Outcome::Unknown`](cso_core::Outcome::Unknown) and has to look.
//!
//! Only this crate names `aws_*` crates. It knows no Kubernetes.

pub mod client;
pub mod protocol;

pub use client::{Call, Client, Config, Pace, Reply};
