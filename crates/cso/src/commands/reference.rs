//! `kinds`, `explain`, `completion`: what this build knows, without asking anybody.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::{Value, json};

use super::Exit;
use crate::args::{self, Cli, Global, Report};
use crate::kinds::{Known, Origins, find, of_session};
use crate::output::{self, explain, table};

/// The kinds that can be managed.
pub(super) fn kinds(global: &Global, args: &args::Kinds) -> Result<Exit> {
    let kinds = of_session(global)?;
    let origins = Origins::of_session(global)?;
    // Every kind of this build is of AWS: `--cloud aws` leaves none out.
    if args.output == Report::Json {
        let list: Vec<Value> = Known::all(&kinds)
            .map(|kind| {
                let surface = kind.surface();
                json!({
                    "cloud": "aws",
                    "service": kind.service(),
                    "kind": surface.kind,
                    "group": surface.group,
                    "version": surface.version,
                    "plural": surface.plural,
                    "shortNames": surface.short_names,
                    "namespaced": surface.namespaced,
                    "from": origins.of(kind),
                })
            })
            .collect();
        output::json(&list)?;
    } else {
        let row = |kind: Known<'_>| {
            let surface = kind.surface();
            let api_version = format!("{}/{}", surface.group, surface.version);
            let from = origins.of(kind).unwrap_or("built in").to_owned();
            vec![kind.full_name(), surface.plural.clone(), api_version, "aws".to_owned(), from]
        };
        let rows: Vec<Vec<String>> = Known::all(&kinds).map(row).collect();
        output::result(&table::table(&["KIND", "PLURAL", "APIVERSION", "CLOUD", "FROM"], &rows));
    }
    Ok(Exit::Done)
}

/// What a kind or a field takes.
pub(super) fn explain(global: &Global, args: &args::Explain) -> Result<Exit> {
    let kinds = of_session(global)?;
    let (kind, path) = explain::split(&args.what, |word| find(&kinds, word))?;
    let explanation = explain::explain(kind, path)?;
    match args.output {
        Report::Text => output::result(&explanation.text()),
        Report::Json => output::json(&explanation)?,
    }
    Ok(Exit::Done)
}

/// The JSON Schema of descriptors.
pub(super) fn schema() -> Result<Exit> {
    output::json(&cso_schema::json_schema())?;
    Ok(Exit::Done)
}

/// A completion script.
pub(super) fn completion(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cso", &mut script);
    output::raw(&script);
    Exit::Done
}
