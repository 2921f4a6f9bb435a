//! Figures beside promises, as `docs/benchmarks.md` shows them.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};

use super::Bench;

/// What is between these in the document is written here; everything else is written by people.
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --write` -->";
const END: &str = "<!-- end of figures -->";

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    what: String,
    target: String,
    measured: String,
    /// Nothing if there is no target.
    met: Option<bool>,
}

impl Row {
    /// A figure that explains others.
    pub(super) fn told(what: String, measured: String) -> Self {
        Self { what, target: "-".to_owned(), measured, met: None }
    }

    /// A figure that is held to a target.
    pub(super) fn held(what: String, target: &str, measured: String, met: bool) -> Self {
        Self { what, target: target.to_owned(), measured, met: Some(met) }
    }

    const fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.measured)?;
        match self.met {
            Some(true) => write!(f, "  [{}: met]", self.target),
            Some(false) => write!(f, "  [{}: MISSED]", self.target),
            None => Ok(()),
        }
    }
}

/// Where it was measured, without what would name the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    cores: usize,
    gigabytes: u64,
    processor: String,
    /// Average of the last minute, before anything was measured: how much other work there was.
    load: String,
}

impl Machine {
    pub(super) fn read() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("reading {path}; benches need Linux"));
        let (memory, processors, load) = (read("/proc/meminfo")?, read("/proc/cpuinfo")?, read("/proc/loadavg")?);
        let after = |text: &str, name: &str| {
            text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([' ', '\t', ':']).to_owned()))
        };
        let kilobytes = after(&memory, "MemTotal").context("no MemTotal in /proc/meminfo")?;
        let kilobytes: u64 = kilobytes.trim_end_matches(" kB").parse()?;
        Ok(Self {
            cores: thread::available_parallelism()?.get(),
            gigabytes: (kilobytes + (1 << 19)) >> 20,
            processor: after(&processors, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, gigabytes, processor, load } = self;
        write!(f, "{cores} cores ({processor}), {gigabytes} GB; load before the first measurement {load}")
    }
}

/// All figures of one run.
pub(super) struct Report {
    machine: Machine,
    rows: Vec<(Bench, Row)>,
}

impl Report {
    pub(super) const fn new(machine: Machine) -> Self {
        Self { machine, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, bench: Bench, row: Row) {
        self.rows.push((bench, row));
    }

    /// Puts the figures into the document, in place of the ones that are there.
    pub(super) fn write(&self, document: &Path) -> Result<()> {
        let text = fs::read_to_string(document).with_context(|| format!("reading {}", document.display()))?;
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        let text = replace(&text, &self.figures(&date))
            .with_context(|| format!("{} has lost the line `{BEGIN}` or `{END}`", document.display()))?;
        fs::write(document, text)?;
        println!("\nwritten to {}", document.display());
        Ok(())
    }

    fn figures(&self, date: &str) -> String {
        let mut text = format!("Measured {date} on {}.\n\n", self.machine);
        text.push_str("| what | target | measured | met | command |\n| --- | --- | --- | --- | --- |\n");
        for (bench, row) in &self.rows {
            let (Row { what, target, measured, .. }, verdict, name) = (row, row.verdict(), bench.name());
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {what} | {target} | {measured} | {verdict} | `cargo xtask bench {name}` |");
        }
        text
    }
}

/// The document with other figures.
fn replace(document: &str, figures: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{figures}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_figures_and_nothing_else() {
        let document = format!("# Title\n{BEGIN}\nold\n{END}\nHow to read it.\n");
        let expected = format!("# Title\n{BEGIN}\nnew\n{END}\nHow to read it.\n");
        assert_eq!(replace(&document, "new\n"), Some(expected.clone()));
        assert_eq!(replace(&expected, "new\n"), Some(expected));
        assert_eq!(replace("# Title\n", "new\n"), None);
    }

    #[test]
    fn a_missed_target_is_told_as_such() {
        let load = "0.10".to_owned();
        let machine = Machine { cores: 2, gigabytes: 24, processor: "p".to_owned(), load };
        let mut report = Report::new(machine);
        report.add(Bench::Start, Row::held("size".to_owned(), "1", "2".to_owned(), false));
        report.add(Bench::FirstCall, Row::told("time".to_owned(), "3".to_owned()));
        let text = report.figures("2026-01-02");
        assert!(text.starts_with("Measured 2026-01-02 on 2 cores (p), 24 GB; load before"), "{text}");
        assert!(text.contains("| size | 1 | 2 | **no** | `cargo xtask bench start` |\n"), "{text}");
        assert!(text.ends_with("| time | - | 3 |  | `cargo xtask bench first-call` |\n"), "{text}");
    }
}
