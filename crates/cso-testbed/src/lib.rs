//! Real parts for tests, demos and benchmarks: cloud emulators, an independent client, and a recording proxy.
//!
//! ```text
//! process under test --> Proxy (records, injects faults, calls hooks) --> Emulator (ministack, moto, roto)
//!                                                                            ^
//!                                   Reader (boto3, written by neither of us) --+
//! ```
//!
//! ```no_run
//! use cso_testbed::{Action, Emulator, Kind, Match, Proxy, Reader};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), cso_testbed::Error> {
//! let emulator = Emulator::start(Kind::Ministack)?;
//! let proxy = Proxy::before(emulator.endpoint())?;
//! proxy.on(Match::operation("CreateQueue"), Action::DropReply);
//! // ... run something with the variables of `proxy.endpoint().env()` ...
//! let reader = Reader::connect(emulator.endpoint())?;
//! let queues = reader.all("sqs", "ListQueues", json!({}))?;
//! assert_eq!(queues["QueueUrls"].as_array().map(Vec::len), Some(1), "made once: {:?}", proxy.mutating());
//! # Ok(())
//! # }
//! ```
//!
//! A cluster, with a proxy of its own, is in [`kube`].
//!
//! Everything is installed on first use into `.cache/tools` of the checkout, from pinned lists in `tools/`, and nothing
//! outlives the process that started it. Only development code depends on this crate, and it depends on nothing of ours:
//! a witness must not share the code of the accused.

mod conversation;
mod emulator;
mod error;
mod http;
pub mod kube;
mod process;
mod program;
mod proxy;
mod reader;
mod rule;
mod tools;

pub use emulator::{Emulator, Endpoint, Kind, REGION};
pub use error::Error;
pub use program::{Victim, build};
pub use proxy::{Action, AwsCall, Failure, Match, Outcome, Proxy};
pub use reader::{ReadError, Reader};
pub use rule::{Rule, Then};
pub use tools::cache_dir;
