//! Stories over real parts: one binary, one module per story.

#![expect(
    clippy::cmp_owned,
    clippy::format_collect,
    clippy::single_match_else,
    clippy::type_complexity,
    reason = "a story is read from top to bottom, and its cost does not count"
)]

/// Every story on every emulator, each a test of its own.
macro_rules! on_every_emulator {
    ($($story:ident),* $(,)?) => {
        mod ministack { $(#[test] fn $story() -> anyhow::Result<()> { super::$story(cso_testbed::Kind::Ministack) })* }
        mod moto { $(#[test] fn $story() -> anyhow::Result<()> { super::$story(cso_testbed::Kind::Moto) })* }
    };
}

mod bed;
mod cases;
mod compatibility;
mod crash;
mod faults;
mod gaps;
mod lifecycle;
mod ownership;
mod page;
mod readme;
mod stage;
mod steps;
mod structure;
mod traces;
mod watch;
