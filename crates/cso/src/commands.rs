//! One module for each command: what was typed becomes what is done.

mod apply;
mod controller;
mod crds;
mod delete;
mod drive;
mod import;
mod inspect;
mod lint;
mod plan;
mod reference;
mod validate;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Cli, Command, FileSettings, KindsCommand};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Something failed, or is not as wished.
    Failed,
    /// A plan found changes.
    Changes,
    /// The user interrupted.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Changes => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// Where a command's arguments are from, for one that reads them again.
pub(crate) struct Origin {
    /// What was typed.
    pub(crate) typed: Vec<OsString>,
    /// What the file said that it leads to.
    pub(crate) file: FileSettings,
}

/// Runs a command.
pub(crate) async fn run(cli: Cli, origin: Origin) -> Result<Exit> {
    let global = &cli.global;
    match &cli.command {
        Command::Plan(args) => plan::run(global, args).await,
        Command::Apply(args) => apply::run(global, args).await,
        Command::Controller(args) => controller::run(global, args, origin).await,
        Command::Delete(args) => delete::run(global, args).await,
        Command::Import(args) => import::run(global, args).await,
        Command::Validate(args) => validate::run(global, args),
        Command::Get(args) => inspect::get(global, args).await,
        Command::Describe(args) => inspect::describe(global, args).await,
        Command::Events(args) => inspect::events(global, args).await,
        Command::Kinds(args) => match &args.command {
            None => reference::kinds(global, args),
            Some(KindsCommand::Lint(args)) => lint::run(global, args),
            Some(KindsCommand::Schema) => reference::schema(),
        },
        Command::Explain(args) => reference::explain(global, args),
        Command::Crds(args) => crds::run(global, args).await,
        Command::Completion { shell } => Ok(reference::completion(*shell)),
    }
}
