//! Chores of the repository that are more than one line of shell: `cargo xtask help` lists them.

#![expect(clippy::print_stdout, reason = "a command-line program reports on standard output")]

use std::path::{Path, PathBuf};

use clap::Parser;

mod bench;
mod demo;
mod facts;
mod kinds;
mod lock;
mod oracle;
mod pages;
mod protocol_tests;
mod traces;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
enum Command {
    /// What it costs, on release builds and a fast emulated cloud, beside what was promised.
    Bench(bench::Args),
    /// Builds, starts an emulated cloud, and shows the main job done; what it installs goes into `.cache`.
    Demo,
    /// What providers' APIs say: from pinned packages to `facts/` to the catalogue.
    #[command(subcommand)]
    Facts(facts::Command),
    /// The descriptors of managed kinds.
    #[command(subcommand)]
    Kinds(kinds::Command),
    /// The Smithy project's cases for the AWS wire protocols.
    #[command(subcommand)]
    ProtocolTests(protocol_tests::Command),
    /// What ACK's controllers were seen to do: recordings to test against.
    #[command(subcommand)]
    Traces(traces::Command),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Bench(args) => bench::run(&root(), &args),
        Command::Demo => demo::run(&root()),
        Command::Facts(command) => facts::run(&root(), command),
        Command::Kinds(command) => kinds::run(&root(), command),
        Command::ProtocolTests(command) => protocol_tests::run(&root(), command),
        Command::Traces(command) => traces::run(&root(), command),
    }
}

/// The repository, wherever the command is called from.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
