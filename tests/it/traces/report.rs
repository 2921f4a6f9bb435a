//! How it went, for people: the section of `docs/compatibility.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::waivers::{Class, Review, Waivers};
use super::{Found, RECORDINGS};
use crate::page::Section;

/// How a scenario went.
pub(super) struct Outcome {
    recording: String,
    scenario: String,
    /// `RECORDING/SCENARIO/STEP PATH` and what differs there.
    pub(super) differences: BTreeMap<String, String>,
    ours: usize,
    acks: usize,
    our_reads: usize,
    ack_reads: usize,
}

impl Outcome {
    pub(super) fn new(recording: &str, scenario: &str) -> Self {
        Self {
            recording: recording.to_owned(),
            scenario: scenario.to_owned(),
            differences: BTreeMap::new(),
            ours: 0,
            acks: 0,
            our_reads: 0,
            ack_reads: 0,
        }
    }

    pub(super) fn add(&mut self, step: usize, found: Found) {
        for difference in found.differences {
            let place = format!("{}/{}/{step} {}", self.recording, self.scenario, difference.path);
            self.differences.insert(place, difference.text);
        }
        self.ours += found.ours;
        self.acks += found.acks;
        self.our_reads += found.our_reads;
        self.ack_reads += found.ack_reads;
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.differences.keys().map(String::as_str)
    }
}

/// Where it stands.
pub(super) const SECTION: Section = Section {
    begin: "<!-- recorded truth: written by the test, see tests/it/traces.rs -->",
    end: "<!-- end of recorded truth -->",
};

/// The section.
pub(super) fn page(outcomes: &[Outcome], waivers: &Waivers, review: &Review) -> String {
    let mut page = String::from(
        "A scenario with several reasons counts under the last that it has.\n\n\
         | recording | scenarios | equal | fewer changes | more shown | ACK's defect | our choice | emulator | gap \
         | changing calls (ACK) | reads (ACK) |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let class_of = |place: &str| review.waiver_of(place).map(|index| waivers.waiver[index].class);
    let rows =
        RECORDINGS.iter().map(|name| (*name, outcomes.iter().filter(|outcome| outcome.recording == *name).collect()));
    for (name, outcomes) in rows.chain([("all", outcomes.iter().collect::<Vec<_>>())]) {
        page.push_str(&row(name, &outcomes, &class_of));
    }
    for class in Class::ALL {
        let of_class = waivers.waiver.iter().enumerate().filter(|(_, waiver)| waiver.class == class);
        let mut lines = String::new();
        for (index, waiver) in of_class {
            let places = review.waived.get(&index).cloned().unwrap_or_default();
            let scenarios: BTreeSet<&str> = places
                .iter()
                .filter_map(|place| place.split(' ').next()?.rsplit_once('/').map(|(name, _)| name))
                .collect();
            let _ = writeln!(lines, "| {} | {} | {} |", waiver.reason, scenarios.len(), places.len());
        }
        if !lines.is_empty() {
            let _ = write!(page, "\n**{}**\n\n| reason | scenarios | places |\n|---|---|---|\n{lines}", class.title());
        }
    }
    page
}

fn row(name: &str, outcomes: &[&Outcome], class_of: &dyn Fn(&str) -> Option<Class>) -> String {
    let sum = |of: &dyn Fn(&Outcome) -> usize| outcomes.iter().map(|outcome| of(outcome)).sum::<usize>();
    let worst = |outcome: &Outcome| outcome.places().filter_map(class_of).max();
    let same = outcomes.iter().filter(|outcome| outcome.differences.is_empty());
    let (fewer, equal): (Vec<&&Outcome>, Vec<&&Outcome>) = same.partition(|outcome| outcome.ours < outcome.acks);
    let classes = Class::ALL.map(|class| outcomes.iter().filter(|outcome| worst(outcome) == Some(class)).count());
    let counts = [outcomes.len(), equal.len(), fewer.len()].into_iter().chain(classes);
    let counts: Vec<String> = counts.map(|count| count.to_string()).collect();
    format!(
        "| {name} | {} | {} ({}) | {} ({}) |\n",
        counts.join(" | "),
        sum(&|outcome| outcome.ours),
        sum(&|outcome| outcome.acks),
        sum(&|outcome| outcome.our_reads),
        sum(&|outcome| outcome.ack_reads),
    )
}
