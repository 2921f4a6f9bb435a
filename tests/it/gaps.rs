//! What each emulator gets wrong, as `gaps.toml` lists it: nothing more, and nothing less.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Emulator, Kind, Reader};
use serde::Deserialize;

use crate::steps::{self, Kept, Step};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gaps {
    probe: Vec<Probe>,
    #[serde(default)]
    check: Vec<Known>,
}

/// A fact about AWS, as steps of which the last one asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    /// The fact.
    says: String,
    steps: Vec<Step>,
    /// Emulators for which it does not hold, and what they do instead.
    #[serde(default)]
    gaps: BTreeMap<String, String>,
}

/// A check of a story that an emulator cannot pass.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    id: String,
    gaps: BTreeMap<String, String>,
}

fn listed() -> Result<Gaps> {
    toml::from_str(include_str!("gaps.toml")).context("reading gaps.toml")
}

/// Checks that some emulator cannot pass: by check, what each emulator does instead.
pub(crate) fn of_checks() -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    Ok(listed()?.check.into_iter().map(|known| (known.id, known.gaps)).collect())
}

/// Checks of a story on one emulator, held against the list: a check fails if and only if it is listed.
pub(crate) struct Verdicts {
    emulator: Kind,
    known: BTreeMap<String, String>,
    ran: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Verdicts {
    pub(crate) fn on(emulator: Kind) -> Result<Self> {
        let of_emulator = |known: Known| Some((known.id, known.gaps.get(emulator.name())?.clone()));
        let known = listed()?.check.into_iter().filter_map(of_emulator).collect();
        Ok(Self { emulator, known, ran: BTreeSet::new(), wrong: Vec::new() })
    }

    /// Whether the emulator cannot pass a check.
    pub(crate) fn is_listed(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// Takes the result of a check in.
    pub(crate) fn hear(&mut self, id: &str, result: Result<()>) {
        self.ran.insert(id.to_owned());
        match (result, self.known.get(id)) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(_)) => self.wrong.push(format!("{id}: passes, take it off the list")),
            (Err(error), None) => self.wrong.push(format!("{id}: {error:#}")),
        }
    }

    /// How many checks there were, or what is wrong.
    pub(crate) fn end(mut self) -> Result<usize> {
        let unheard = self.known.keys().filter(|id| !self.ran.contains(*id));
        self.wrong.extend(unheard.map(|id| format!("{id}: listed, but there is no such check")));
        ensure!(self.wrong.is_empty(), "{}:\n{}", self.emulator.name(), self.wrong.join("\n"));
        Ok(self.ran.len())
    }
}

impl Probe {
    /// What differs from AWS, if anything does. A step before the last that fails is an error, not a gap.
    fn run(&self, reader: &Reader, account: &str) -> Result<Option<String>> {
        let (question, setup) = self.steps.split_last().context("a probe without steps")?;
        let mut kept = Kept::from([("account".to_owned(), account.to_owned())]);
        steps::run(setup, reader, &mut kept).with_context(|| format!("setting up `{}`", self.says))?;
        Ok(question.difference(question.call(reader, &kept), &kept))
    }
}

fn gaps_are_as_listed(kind: Kind) -> Result<()> {
    let gaps = listed()?;
    let emulator = Emulator::start(kind)?;
    let reader = Reader::connect(emulator.endpoint())?;
    let mut wrong = Vec::new();
    for probe in &gaps.probe {
        match (probe.run(&reader, kind.account()), probe.gaps.get(kind.name())) {
            (Ok(Some(_)), Some(_)) | (Ok(None), None) => {}
            (Ok(Some(difference)), None) => wrong.push(format!("new gap: {}: {difference}", probe.says)),
            (Ok(None), Some(_)) => wrong.push(format!("closed gap, take it off the list: {}", probe.says)),
            (Err(error), _) => wrong.push(format!("{error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}:\n{}", kind.name(), wrong.join("\n"));
    Ok(())
}

on_every_emulator!(gaps_are_as_listed);

#[test]
fn every_gap_names_an_emulator() -> Result<()> {
    let gaps = listed()?;
    let of_probes = gaps.probe.iter().flat_map(|probe| probe.gaps.keys().map(move |name| (name, &probe.says)));
    let of_checks = gaps.check.iter().flat_map(|known| known.gaps.keys().map(move |name| (name, &known.id)));
    for (name, of) in of_probes.chain(of_checks) {
        ensure!(Kind::OPINIONS.iter().any(|kind| kind.name() == name), "`{of}` names `{name}`");
    }
    Ok(())
}
