//! Stories over real parts: one binary, one module per story.

/// Every story on every emulator, each a test of its own.
macro_rules! on_every_emulator {
    ($($story:ident),* $(,)?) => {
        mod ministack { $(#[test] fn $story() -> anyhow::Result<()> { super::$story(cso_testbed::Kind::Ministack) })* }
        mod moto { $(#[test] fn $story() -> anyhow::Result<()> { super::$story(cso_testbed::Kind::Moto) })* }
    };
}

mod adapter;
mod bed;
mod cases;
mod compatibility;
mod controller;
mod crash;
mod exports;
mod extend;
mod faults;
mod gaps;
mod import;
mod interrupt;
mod lifecycle;
mod logs;
mod memory;
mod ownership;
mod page;
mod play;
mod rates;
mod readme;
mod running;
mod s3;
mod scene;
mod stage;
mod stand_in;
mod steps;
mod structure;
mod terminal;
mod traces;
mod watch;
mod weather;
mod writes;
