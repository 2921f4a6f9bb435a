//! `cargo xtask bench`: what the product costs, on real parts and release builds, beside what we promised.

mod catalog;
mod chain;
mod create;
mod first_call;
mod kube;
mod memory;
mod repeat;
mod report;
mod samples;
mod stage;
mod start;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use report::{Machine, Report, Row};
use stage::Stage;

/// What to measure, and where the figures go.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these; all if left out
    #[arg(value_name = "NAME")]
    names: Vec<Bench>,
    /// Write all figures into docs/benchmarks.md
    #[arg(long, conflicts_with = "names")]
    write: bool,
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Makes 1,000 queues, beside a bare client that makes the same calls
    Create,
    /// Applies 1,000 unchanged queues again
    Repeat,
    /// From the start of the process to the first call
    FirstCall,
    /// From an object that is ready to the first call for one that refers to it
    Chain,
    /// Memory, CPU and writes at rest with 10,000 objects
    Memory,
    /// 1,000 queues through a real API server, and 10,000 objects at rest behind one
    Kube,
    /// Opening the embedded facts, and decoding a service for the first time
    Catalog,
    /// Size of the binary, and how fast it starts
    Start,
}

impl Bench {
    /// As it is typed.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn run(self, stage: &mut Stage) -> Result<Vec<Row>> {
        match self {
            Self::Create => create::run(stage),
            Self::Repeat => repeat::run(stage),
            Self::FirstCall => first_call::run(stage),
            Self::Chain => chain::run(stage),
            Self::Memory => memory::run(stage),
            Self::Kube => kube::run(stage),
            Self::Catalog => catalog::run(stage),
            Self::Start => start::run(stage),
        }
    }
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let machine = Machine::read()?;
    let mut stage = Stage::set(root)?;
    let names = if args.names.is_empty() { Bench::value_variants() } else { &args.names };
    let mut report = Report::new(machine);
    for bench in names {
        println!("\n=== {}", bench.name());
        for row in bench.run(&mut stage)? {
            println!("{row}");
            report.add(*bench, row);
        }
    }
    if args.write { report.write(&root.join("docs/benchmarks.md")) } else { Ok(()) }
}
