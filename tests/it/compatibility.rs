//! The compatibility table: one row for each built-in kind, from the descriptors, the stories, the recordings and the
//! lists of gaps. A kind without a row, or a row that is no longer true, fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use cso_facts::Catalog;
use cso_schema::kind::{Kind, Role};
use cso_testbed::Kind as Emulator;

use crate::cases::{self, Case};
use crate::gaps;
use crate::page::{self, Section};
use crate::traces;

const SECTION: Section = Section {
    begin: "<!-- kinds: written by the test, see tests/it/compatibility.rs -->",
    end: "<!-- end of kinds -->",
};

/// How far a kind is proved, from the least to the most. Every built-in kind compiles and obeys the laws, or the build
/// and `cso-sim` fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Modelled,
    Emulated,
    Recorded,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Modelled => "modelled",
            Self::Emulated => "emulated",
            Self::Recorded => "recorded",
        }
    }
}

#[test]
fn the_table_is_current() -> Result<()> {
    let kinds = cso_schema::catalog::kinds(Catalog::builtin()).map_err(|wrong| anyhow::anyhow!("{wrong:?}"))?;
    let cases = cases::all()?;
    let gaps = gaps::of_checks()?;
    let mut table = String::from(
        "\n| kind | level | fields | mutable, told fixed, options | stories on | recorded scenarios | known gaps |\n|---|---|---|---|---|---|---|\n",
    );
    for kind in &kinds {
        let of_kind: Vec<&Case> =
            cases.iter().filter(|case| case.kind == kind.name() && service(case) == kind.service).collect();
        table.push_str(&row(kind, &of_kind, &gaps)?);
    }
    let _ = writeln!(table, "\n{} kinds.", kinds.len());
    let wrong = SECTION.check(&page::compatibility(), &table)?;
    ensure!(wrong.is_none(), "{}", wrong.unwrap_or_default());
    Ok(())
}

fn service(case: &Case) -> &str {
    case.api.split('.').next().unwrap_or_default()
}

fn row(kind: &Kind, cases: &[&Case], gaps: &BTreeMap<String, BTreeMap<String, String>>) -> Result<String> {
    let recording = format!("{}_{}", kind.service, kind.name());
    let scenarios = traces::scenarios_of(&recording)?;
    let emulators: Vec<&str> = Emulator::OPINIONS
        .iter()
        .map(|emulator| emulator.name())
        .filter(|name| cases.iter().any(|case| !case.missing.contains_key(*name) && !case.stood_in))
        .collect();
    let stories = if emulators.is_empty() { "a stand-in".to_owned() } else { emulators.join(", ") };
    let level = match (scenarios, emulators.is_empty()) {
        (Some(_), _) => Level::Recorded,
        (None, false) => Level::Emulated,
        (None, true) => Level::Modelled,
    };
    let count = |role: Role| kind.fields.values().filter(|field| field.role == role).count();
    let tags = usize::from(kind.tags.is_some());
    let published = published(kind);
    let covered = kind.fields.len() + tags;
    let roles = format!(
        "{}, {}, {}",
        count(Role::Mutable) + count(Role::Secret) + tags,
        count(Role::CreateOnly),
        count(Role::Option)
    );
    Ok(format!(
        "| {}/{} | {} | {covered} of {published} | {roles} | {} | {} | {} |\n",
        kind.service,
        kind.name(),
        level.name(),
        stories,
        scenarios.map_or_else(|| "-".to_owned(), |scenarios| scenarios.to_string()),
        told_gaps(&recording, cases, gaps)?,
    ))
}

/// Fields of the published spec that carry a wish; a reference stands for one of them.
fn published(kind: &Kind) -> usize {
    let references: Vec<String> = kind.refs.iter().map(|reference| reference.field.to_string()).collect();
    kind.surface.spec.properties.keys().filter(|name| !references.contains(name)).count()
}

/// What an emulator lacks or gets wrong for this kind, and what ACK does and we do not.
fn told_gaps(recording: &str, cases: &[&Case], gaps: &BTreeMap<String, BTreeMap<String, String>>) -> Result<String> {
    let mut told: Vec<String> = Vec::new();
    if cases.iter().all(|case| case.stood_in) {
        told.push("no emulator has it".to_owned());
    }
    for (emulator, why) in cases.iter().flat_map(|case| &case.missing) {
        told.push(format!("{emulator} {why}"));
    }
    for emulator in Emulator::OPINIONS {
        let of_case = |id: &str| {
            let name = id.split([':', '.']).next().unwrap_or_default();
            cases.iter().any(|case| case.kind == name)
        };
        let count = gaps.iter().filter(|(id, by)| of_case(id) && by.contains_key(emulator.name())).count();
        if count > 0 {
            told.push(format!("{} fails {count} of the stories' checks", emulator.name()));
        }
    }
    told.extend(traces::open_gaps(recording)?);
    Ok(if told.is_empty() { "none".to_owned() } else { told.join("; ") })
}
