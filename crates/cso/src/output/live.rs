//! The board on a screen: one line for each object at work, updated in place; plain lines where there is no screen.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use anstream::adapter::strip_str;
use cso_core::ObjectKey;
use cso_engine::engine::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::level_filters::LevelFilter;

use super::board::{Board, Line};
use super::{STRONG, styled};

/// Lines that are updated in place at the same time; more would scroll away on a small screen.
const ROWS: usize = 12;

/// Shows events as they happen.
pub(crate) struct Live {
    board: Board,
    screen: Option<Screen>,
    /// The result is for programs: everything else goes to stderr.
    beside: bool,
}

struct Screen {
    lines: MultiProgress,
    rows: BTreeMap<ObjectKey, ProgressBar>,
    total: ProgressBar,
}

impl Live {
    /// A view of the work on `objects` objects. `beside`: stdout is kept for a result that programs read.
    pub(crate) fn new(objects: usize, beside: bool) -> Self {
        // Lines that are updated in place and lines of a log between them do not go together.
        let has_logs = LevelFilter::current() > LevelFilter::OFF;
        let screen = (std::io::stderr().is_terminal() && !has_logs).then(|| Screen::new(objects));
        Self { board: Board::default(), screen, beside }
    }

    /// Shows what happened, in one piece.
    pub(crate) fn hear(&mut self, events: impl Iterator<Item = Progress>) {
        let lines: Vec<String> = events.filter_map(|event| self.show(&event)).collect();
        let text = lines.join("\n");
        let print = || if self.beside { super::note(&text) } else { super::result(&text) };
        match &self.screen {
            _ if text.is_empty() => {}
            Some(screen) => screen.lines.suspend(print),
            None => print(),
        }
    }

    /// Takes one event in; returns the line that is to be printed of it.
    fn show(&mut self, event: &Progress) -> Option<String> {
        let line = self.board.hear(event);
        let Some(screen) = &mut self.screen else { return line.map(|line| line.text) };
        let object = match event {
            Progress::Calling { object, .. }
            | Progress::Called { object, .. }
            | Progress::Standing { object, .. }
            | Progress::Owned { object, .. }
            | Progress::Exported { object, .. }
            | Progress::Forgotten { object, .. } => object,
        };
        screen.show(object, self.board.present(object), line.as_ref());
        screen.total.set_position(self.board.resting() as u64);
        line.filter(|line| line.lasting).map(|line| line.text)
    }

    /// Tells something that is not about one object.
    pub(crate) fn tell(&self, text: &str) {
        match &self.screen {
            Some(screen) => screen.lines.suspend(|| super::note(text)),
            None => super::note(text),
        }
    }

    /// Takes the lines that are updated in place away.
    pub(crate) fn finish(mut self) -> Board {
        if let Some(screen) = self.screen.take() {
            // A screen that cannot be cleared is not worth an error.
            let _ = screen.lines.clear();
        }
        self.board
    }

    /// What was heard so far.
    pub(crate) const fn board(&self) -> &Board {
        &self.board
    }
}

impl Screen {
    fn new(objects: usize) -> Self {
        let lines = MultiProgress::new();
        let total = lines.add(ProgressBar::new(objects as u64));
        if let Ok(style) = ProgressStyle::with_template("{pos} of {len} settled  {elapsed}") {
            total.set_style(style);
        }
        total.tick();
        Self { lines, rows: BTreeMap::new(), total }
    }

    fn show(&mut self, object: &ObjectKey, present: Option<&str>, line: Option<&Line>) {
        let Some(present) = present else {
            if let Some(row) = self.rows.remove(object) {
                row.finish_and_clear();
                self.lines.remove(&row);
            }
            return;
        };
        if !self.rows.contains_key(object) && self.rows.len() < ROWS {
            let row = self.lines.insert_before(&self.total, ProgressBar::no_length());
            if let Ok(style) = ProgressStyle::with_template("  {wide_msg}") {
                row.set_style(style);
            }
            self.rows.insert(object.clone(), row);
        }
        if let Some(row) = self.rows.get(object) {
            let text = match line {
                Some(line) if !line.lasting => line.text.clone(),
                _ => format!("{}: {present}", styled(STRONG, object)),
            };
            // What is drawn by the library passes by what takes styles away where they are not wanted.
            row.set_message(if super::colors_stderr() { text } else { strip_str(&text).to_string() });
        }
    }
}
