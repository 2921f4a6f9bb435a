//! The reviewed list of differences, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Deserialize;

/// `waivers.toml`
#[derive(Deserialize)]
pub(super) struct Waivers {
    pub(super) waiver: Vec<Waiver>,
}

/// Differences with one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiver {
    pub(super) class: Class,
    pub(super) reason: String,
    /// Patterns of `RECORDING/SCENARIO/STEP PATH`; `*` stands for any text.
    r#where: Vec<String>,
}

impl Waiver {
    /// Whether it is about places of a recording.
    pub(super) fn speaks_of(&self, recording: &str) -> bool {
        self.r#where.iter().any(|pattern| pattern.starts_with(&format!("{recording}/")) || pattern.starts_with('*'))
    }
}

/// Why we differ, from the best reason to the worst.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Class {
    /// The same, and something more is shown.
    More,
    /// ACK does what nobody wants.
    Defect,
    /// Both ways are sound; ours is deliberate.
    Choice,
    /// The emulator, not the cloud.
    Emulator,
    /// ACK does more than we do, so far.
    Gap,
}

impl Class {
    pub(super) const ALL: [Self; 5] = [Self::More, Self::Defect, Self::Choice, Self::Emulator, Self::Gap];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::More => "Equal, and more is shown",
            Self::Defect => "Defects of ACK that are not copied",
            Self::Choice => "Deliberately otherwise",
            Self::Emulator => "The emulator's doing",
            Self::Gap => "Not done yet",
        }
    }
}

/// How differences and waivers fit together.
pub(super) struct Review {
    /// By waiver, the places that it explains.
    pub(super) waived: BTreeMap<usize, BTreeSet<String>>,
    /// Places without a reason.
    pub(super) open: BTreeSet<String>,
    /// Patterns without a difference.
    pub(super) stale: Vec<String>,
}

impl Review {
    /// The waiver that explains a place.
    pub(super) fn waiver_of(&self, place: &str) -> Option<usize> {
        self.waived.iter().find(|(_, places)| places.contains(place)).map(|(index, _)| *index)
    }
}

impl Waivers {
    pub(super) fn read() -> Result<Self> {
        Ok(toml::from_str(include_str!("../waivers.toml"))?)
    }

    /// Gives each place its first reason.
    pub(super) fn review<'a>(&self, places: impl Iterator<Item = &'a str>) -> Review {
        let mut waived: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        let mut open = BTreeSet::new();
        let mut used = BTreeSet::new();
        for place in places {
            let mut first = None;
            for (index, waiver) in self.waiver.iter().enumerate() {
                for pattern in waiver.r#where.iter().filter(|pattern| matches(pattern, place)) {
                    used.insert((index, pattern));
                    first = first.or(Some(index));
                }
            }
            match first {
                Some(index) => waived.entry(index).or_default().insert(place.to_owned()),
                None => open.insert(place.to_owned()),
            };
        }
        let all = self
            .waiver
            .iter()
            .enumerate()
            .flat_map(|(index, waiver)| waiver.r#where.iter().map(move |pattern| (index, pattern)));
        let stale = all.filter(|one| !used.contains(one)).map(|(_, pattern)| pattern.clone()).collect();
        Review { waived, open, stale }
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let part: &str = part;
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
    }
    last.map_or(rest.is_empty(), |part| rest.ends_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("a/*/1 b", "a/x/y/1 b"));
        assert!(matches("a*", "a"));
        assert!(matches("*.b.*", "a.b.c"));
        assert!(!matches("a*b", "a"));
        assert!(!matches("a", "ab"));
        assert!(!matches("*b*c", "bcd"));
    }

    #[test]
    fn a_difference_needs_a_reason_and_a_reason_a_difference() {
        let text = "[[waiver]]\nclass = 'choice'\nreason = 'r'\nwhere = ['k/s/1 *', 'k/other/*']";
        let waivers: Waivers = toml::from_str(text).unwrap();
        let review = waivers.review(["k/s/1 calls.X", "k/s/2 calls.X"].into_iter());
        assert_eq!(review.waived[&0], BTreeSet::from(["k/s/1 calls.X".to_owned()]));
        assert_eq!(review.open, BTreeSet::from(["k/s/2 calls.X".to_owned()]));
        assert_eq!(review.stale, ["k/other/*"]);
    }
}
