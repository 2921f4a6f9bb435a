//! Time that stands still until the test, or an idle runtime, moves it.

use cso_core::port::Clock;
use jiff::Timestamp;
use tokio::time::Instant;

/// Wall-clock time on tokio's clock. On a runtime with paused time an hour of waiting takes no time at all.
#[derive(Clone, Copy, Debug)]
pub struct ManualClock {
    start: Instant,
}

impl ManualClock {
    /// A clock that reads 2026-01-01T00:00:00Z now. Panics outside a tokio runtime.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        const START: i64 = 1_767_225_600;
        let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
        start.checked_add(self.start.elapsed()).unwrap_or(Timestamp::MAX)
    }
}
