//! `validate`: everything that can be known without asking anybody.

use anyhow::{Result, bail};
use cso_local::manifest::Problem;
use serde_json::json;

use super::Exit;
use crate::args::{self, Global, Report};
use crate::cluster::is_meant;
use crate::kinds::of_session;
use crate::manifests::{self, Declared, Remembered};
use crate::output::{self, count};
use crate::session::namespace;
use crate::snapshot::Snapshot;

/// Checks manifests.
pub(super) fn run(global: &Global, args: &args::Validate) -> Result<Exit> {
    if is_meant(global) {
        bail!(
            "`cso validate` asks nobody, and --context, --kubeconfig or CSO_CONTEXT names a cluster: leave it out, or see \
             what the cluster would make of the manifests with `cso plan -f`"
        );
    }
    let kinds = of_session(global)?;
    let snapshot = Snapshot::of(&global.state)?;
    let declared =
        manifests::load(&args.manifests.paths, namespace(global), &kinds, &Remembered::of(snapshot.records()));
    match args.output {
        Report::Json => output::json(&json!({"objects": declared.objects.len(), "problems": declared.problems}))?,
        Report::Text if declared.problems.is_empty() => {
            output::result(&format!("{}, no problems", count(declared.objects.len(), "object")));
        }
        Report::Text => output::note(&text(&declared.problems)),
    }
    Ok(if declared.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Tells what is wrong with manifests; nothing is to be done with them then.
pub(super) fn refuse(declared: &Declared) -> bool {
    if !declared.problems.is_empty() {
        output::note(&text(&declared.problems));
    }
    !declared.problems.is_empty()
}

fn text(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("{}\n{}; nothing was done", lines.join("\n"), count(problems.len(), "problem"))
}
