//! What no emulator has, answered in its place: three kinds could have no story otherwise. Written from the public API
//! references; `gaps.toml` says which operations emulators lack, and fails when one learns them.

mod global_tables;
mod registry;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::Result;
use cso_testbed::{Action, AwsCall, Endpoint, Failure, Match, Proxy, Reader};
use serde_json::{Value, json};

use global_tables::GlobalTables;
pub(crate) use registry::Registry;

/// When everything happened, in seconds.
pub(crate) const TIME: f64 = 1_700_000_000.0;

/// A code and a sentence.
pub(crate) type Refusal = (&'static str, &'static str);
pub(crate) type Answer = Result<Value, Refusal>;

/// Stands before an emulator. Whoever asks here finds one cloud that has everything.
pub(crate) struct StandIn {
    proxy: Proxy,
    shared: Arc<Shared>,
}

struct Shared {
    emulator: Endpoint,
    /// Asks whether there are tables. Most stories need none.
    tables: OnceLock<Option<Reader>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By region.
    registries: BTreeMap<String, Registry>,
    global_tables: GlobalTables,
}

impl StandIn {
    pub(crate) fn before(emulator: &Endpoint) -> Result<Self> {
        let shared = Shared { emulator: emulator.clone(), tables: OnceLock::new(), kept: Mutex::default() };
        let (shared, proxy) = (Arc::new(shared), Proxy::before(emulator)?);
        let asked = Arc::clone(&shared);
        proxy.on(Match::any().always(), Action::answer(move |call| asked.answer(call)));
        Ok(Self { proxy, shared })
    }

    /// Where the product and the independent client connect.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.proxy.endpoint()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.proxy.clear();
        *self.shared.kept() = Kept::default();
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer in JSON, which these services speak, unless the emulator has it.
    fn answer(&self, call: &AwsCall) -> Option<Result<String, Failure>> {
        let (account, operation, input) = (&self.emulator.account, &call.operation, &call.input);
        let answer = match call.service.as_str() {
            "ecr" => {
                let mut kept = self.kept();
                kept.registries.entry(call.region.clone()).or_default().answer(account, operation, input)
            }
            "dynamodb" => {
                let has_table = |region: &str, name: &str| self.has_table(region, name);
                self.kept().global_tables.answer(account, operation, input, has_table)
            }
            _ => None,
        };
        Some(answer?.map(|output| output.to_string()).map_err(|(code, told)| Failure::new(code).message(told)))
    }

    /// Whether a region has a table that can be a replica.
    fn has_table(&self, region: &str, name: &str) -> bool {
        let tables = self.tables.get_or_init(|| Reader::connect(&self.emulator).ok());
        let table = tables
            .as_ref()
            .and_then(|tables| tables.call_in(region, "dynamodb", "DescribeTable", json!({"TableName": name})).ok());
        table.is_some_and(|table| table["Table"]["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES")
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
