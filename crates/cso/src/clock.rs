//! The clock of the machine.

use cso_core::port::Clock;
use jiff::Timestamp;

/// The real time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock port's one real implementation")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
