//! `cso`: keeps cloud resources as declared in Kubernetes-style manifests.
//!
//! ```text
//! args --> commands --> engine <-- manifests, state file, AWS
//!              `--> output                (the only place that prints)
//! ```

mod args;
mod clock;
mod cluster;
mod commands;
mod descriptors;
mod kinds;
mod logs;
mod manifests;
mod memory;
mod output;
mod session;
mod snapshot;

use std::ffi::OsString;
use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let (cli, file) = match args::Cli::read(&typed) {
        Ok(read) => read,
        Err(args::Refused::Typed(error)) => error.exit(),
        Err(error @ args::Refused::File(_)) => {
            output::error(&error.into());
            return commands::Exit::Failed.into();
        }
    };
    output::choose_color(cli.global.color);
    let (verbose, format) = cli.logs();
    logs::start(verbose, format, output::colors_stderr());
    match run(cli, commands::Origin { typed, file }) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::error(&error);
            commands::Exit::Failed.into()
        }
    }
}

fn run(cli: args::Cli, origin: commands::Origin) -> anyhow::Result<commands::Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(commands::run(cli, origin));
    // Whatever is still going on was left on purpose: a name that is being looked up must not hold up the end.
    runtime.shutdown_background();
    outcome
}
