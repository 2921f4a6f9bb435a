//! `cso`: keeps cloud resources as declared in Kubernetes-style manifests.
//!
//! ```text
//! args --> commands --> engine <-- manifests, state file, AWS
//!              `--> output                (the only place that prints)
//! ```

mod args;
mod clock;
mod commands;
mod kinds;
mod manifests;
mod output;
mod session;
mod snapshot;
mod traced;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    output::choose_color(cli.global.color);
    traced::tell(cli.global.verbose, output::colors_stderr());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(commands::run(cli)));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::error(&error);
            commands::Exit::Failed.into()
        }
    }
}
