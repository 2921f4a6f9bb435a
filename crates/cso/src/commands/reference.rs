//! `kinds`, `explain`, `crds`, `completion`: what this build knows, without asking anybody.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;
use cso_schema::crd;
use serde_json::{Value, json};

use super::Exit;
use crate::args::{self, Cli, Report};
use crate::kinds::{Known, builtin, find};
use crate::output::{self, explain, table};

/// The kinds that can be managed.
pub(super) fn kinds(args: &args::Kinds) -> Result<Exit> {
    let kinds = builtin()?;
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
                })
            })
            .collect();
        output::json(&list)?;
    } else {
        let row = |kind: Known<'_>| {
            let surface = kind.surface();
            let api_version = format!("{}/{}", surface.group, surface.version);
            vec![kind.full_name(), surface.plural.clone(), api_version, "aws".to_owned()]
        };
        let rows: Vec<Vec<String>> = Known::all(&kinds).map(row).collect();
        output::result(&table::table(&["KIND", "PLURAL", "APIVERSION", "CLOUD"], &rows));
    }
    Ok(Exit::Done)
}

/// What a kind or a field takes.
pub(super) fn explain(args: &args::Explain) -> Result<Exit> {
    let kinds = builtin()?;
    let (kind, path) = explain::split(&args.what, |word| find(&kinds, word))?;
    let explanation = explain::explain(kind, path)?;
    match args.output {
        Report::Text => output::result(&explanation.text()),
        Report::Json => output::json(&explanation)?,
    }
    Ok(Exit::Done)
}

/// Custom resource definitions as one YAML stream.
pub(super) fn crds(args: &args::Crds) -> Result<Exit> {
    let kinds = builtin()?;
    let chosen = if args.kinds.is_empty() {
        Known::all(&kinds).collect()
    } else {
        args.kinds.iter().map(|word| find(&kinds, word)).collect::<Result<Vec<_>>>()?
    };
    let mut stream = String::new();
    for kind in chosen {
        stream.push_str("---\n");
        stream.push_str(output::yaml(&crd::definition(kind.surface()))?.trim_end());
        stream.push('\n');
    }
    output::raw(stream.as_bytes());
    Ok(Exit::Done)
}

/// A completion script.
pub(super) fn completion(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cso", &mut script);
    output::raw(&script);
    Exit::Done
}
