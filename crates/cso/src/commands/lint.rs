//! `kinds lint`: what is to be said of descriptors.

use anyhow::{Result, bail};
use cso_facts::Catalog;
use cso_schema::lint::{Report as Findings, lint};

use super::Exit;
use crate::args::{self, Global, Report};
use crate::descriptors;
use crate::output::{self, CHANGE, count, styled};

/// Checks descriptors.
pub(super) fn run(global: &Global, args: &args::Lint) -> Result<Exit> {
    let paths = match (args.paths.as_slice(), &global.descriptors) {
        ([], Some(folder)) => std::slice::from_ref(folder),
        ([], None) => bail!("say which descriptors to check: a file, a directory, or --kinds"),
        (paths, _) => paths,
    };
    let findings = lint(&descriptors::read(paths)?, Catalog::builtin());
    let told = text(&findings, global.verbose > 0);
    match args.output {
        Report::Json => output::json(&findings)?,
        Report::Text if findings.errors.is_empty() => output::result(&told),
        Report::Text => output::note(&told),
    }
    Ok(if findings.errors.is_empty() { Exit::Done } else { Exit::Failed })
}

fn text(findings: &Findings, verbose: bool) -> String {
    let Findings { kinds, errors, warnings, uncovered } = findings;
    let mut lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.extend(warnings.iter().map(|warning| format!("{} {warning}", styled(CHANGE, "warning:"))));
    for one in uncovered.iter().filter(|_| verbose) {
        lines.push(format!("{}: no field covers {} of {}", one.kind, one.members.join(", "), one.operation));
    }
    lines.push(if errors.is_empty() {
        format!("{} ({}), no errors", count(kinds.len(), "kind"), shortened(kinds))
    } else {
        count(errors.len(), "error")
    });
    lines.join("\n")
}

/// How many names a line has room for.
const NAMED: usize = 8;

fn shortened(names: &[String]) -> String {
    match names.split_at_checked(NAMED) {
        Some((named, more)) if !more.is_empty() => format!("{} and {} more", named.join(", "), more.len()),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_some_of_many_kinds() {
        let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(shortened(&names[..8]), "0, 1, 2, 3, 4, 5, 6, 7");
        assert_eq!(shortened(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
