//! A run of the engine with everything around it: signals, progress, edits of the manifests, and how it ended.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cso_core::ObjectKey;
use cso_core::port::{Secrets, Store};
use cso_engine::engine::Progress;
use cso_engine::run::{Control, Goal, Rest, Summary};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Exit;
use crate::args::Report;
use crate::output::board::{Board, unrest};
use crate::output::live::Live;
use crate::output::{self, STRONG, count, styled};
use crate::session::Worker;

/// At most so often is told what happened: who tells something then seldom has to wake this thread, and one write shows
/// what many objects did. Too short for a person to notice.
const PACE: Duration = Duration::from_millis(10);

/// How a run ended.
pub(super) struct Driven {
    summary: Summary,
    board: Board,
    interrupted: bool,
}

/// Somebody who changes wishes while a run goes on.
pub(super) trait Editor {
    /// Waits for the next change; returns the objects whose wishes are others now, and what is to be told.
    fn edits(&mut self) -> impl Future<Output = (Vec<ObjectKey>, Option<String>)>;
}

/// Nobody edits.
pub(super) struct Nobody;

impl Editor for Nobody {
    async fn edits(&mut self) -> (Vec<ObjectKey>, Option<String>) {
        std::future::pending().await
    }
}

/// Runs the engine until its goal is reached or the user interrupts. `None`: the user did not want to wait for the
/// calls in flight.
pub(super) async fn drive<S: Store, P: Secrets>(
    engine: Arc<Worker<S, P>>,
    goal: Goal,
    mut happens: UnboundedReceiver<Progress>,
    report: Report,
    mut editor: impl Editor,
) -> Result<Option<Driven>> {
    let objects = engine.world().wished().count();
    let mut live = Live::new(objects, report == Report::Json);
    let (control, inbox) = mpsc::unbounded_channel();
    let mut signals = Signals::listen()?;
    let mut interrupted = false;
    let mut hears_at = Instant::now();
    // A task: woken by its turns on their threads, while this thread waits for what it tells.
    let mut run = JoinSet::new();
    run.spawn(engine.run(goal, inbox));
    let (edited, mut edits) = mpsc::unbounded_channel();
    // One future for as long as the run takes: begun anew with each event, it would never get to look at the files.
    let mut editing = pin!(async move {
        loop {
            let _ = edited.send(editor.edits().await);
        }
    });
    let result = loop {
        let is_quiet = Instant::now() < hears_at;
        tokio::select! {
            biased;
            () = signals.next() => {
                // What was sent before the signal came is in flight.
                live.hear(waiting(&mut happens));
                if interrupted {
                    live.tell(&left_in_flight(live.board()));
                    return Ok(None);
                }
                interrupted = true;
                live.tell(&stopping(live.board()));
                // A run that is over does not listen, and needs not.
                let _ = control.send(Control::Stop);
            }
            () = tokio::time::sleep_until(hears_at), if is_quiet => {}
            Some(event) = happens.recv(), if !is_quiet => {
                live.hear(std::iter::once(event).chain(waiting(&mut happens)));
                hears_at = Instant::now() + PACE;
            }
            Some(result) = run.join_next() => break result?,
            () = &mut editing, if !interrupted => {}
            Some((keys, told)) = edits.recv() => {
                if let Some(text) = told {
                    live.tell(&text);
                }
                let _ = control.send(Control::Changed(keys));
            }
        }
    };
    live.hear(waiting(&mut happens));
    let board = live.finish();
    Ok(Some(Driven { summary: result?, board, interrupted }))
}

/// What has happened and was not heard yet.
fn waiting(happens: &mut UnboundedReceiver<Progress>) -> impl Iterator<Item = Progress> {
    std::iter::from_fn(|| happens.try_recv().ok())
}

fn stopping(board: &Board) -> String {
    match board.in_flight().len() {
        0 => "stopping".to_owned(),
        calls => format!("stopping: finishing {} in flight; Ctrl-C again leaves at once", count(calls, "call")),
    }
}

fn left_in_flight(board: &Board) -> String {
    let calls: Vec<String> = board.in_flight().iter().map(|(object, call)| format!("\n  {object}: {call}")).collect();
    if calls.is_empty() {
        return "left".to_owned();
    }
    format!("left with calls in flight; the next apply finds out what became of them:{}", calls.concat())
}

impl Driven {
    /// Tells how it ended; `gone` are objects whose manifests are gone and that were left alone.
    pub(super) fn tell(&self, report: Report, gone: &[ObjectKey]) -> Result<Exit> {
        let restless = self.summary.objects.values().any(|rest| unrest(rest).is_some());
        match report {
            Report::Json => output::json(&self.json(gone))?,
            Report::Text => output::result(&self.text(gone)),
        }
        Ok(match (self.interrupted, restless) {
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::Failed,
            (false, false) => Exit::Done,
        })
    }

    fn text(&self, gone: &[ObjectKey]) -> String {
        let mut lines: Vec<String> = gone
            .iter()
            .map(|key| format!("{}: its manifest is gone; left alone: deleted with --prune", styled(STRONG, key)))
            .collect();
        let objects = &self.summary.objects;
        let unrest: Vec<String> = objects
            .iter()
            .filter_map(|(key, rest)| Some(format!("{}: {}", styled(STRONG, key), unrest(rest)?)))
            .collect();
        if unrest.is_empty() && self.board.is_idle() && !self.interrupted {
            lines.push("nothing to do".to_owned());
            return lines.join("\n");
        }
        let at_rest = objects.len() - unrest.len();
        // What was told on the way scrolled by: how it ended stands apart.
        lines.push(String::new());
        lines.extend(unrest);
        let calls = count(self.board.calls(), "call");
        lines.push(format!(
            "{}: {at_rest} as wished, {} not; {calls}",
            count(objects.len(), "object"),
            objects.len() - at_rest
        ));
        lines.join("\n")
    }

    fn json(&self, gone: &[ObjectKey]) -> Value {
        let objects: Vec<Value> = self
            .summary
            .objects
            .iter()
            .map(|(object, rest)| {
                let (state, message) = match rest {
                    Rest::Settled => ("settled", None),
                    Rest::Forgotten => ("gone", None),
                    Rest::Waiting { message } => ("waiting", Some(message)),
                    Rest::Pending { message } => ("pending", Some(message)),
                    Rest::Failed { message, .. } => ("failed", Some(message)),
                    Rest::Unfinished => ("unfinished", None),
                };
                let mut value = json!({"object": object, "state": state});
                if let Some(message) = message {
                    value["message"] = message.as_str().into();
                }
                if let Rest::Failed { class, .. } = rest {
                    value["class"] = class.label().into();
                }
                value
            })
            .collect();
        json!({"calls": self.board.calls(), "interrupted": self.interrupted, "manifestGone": gone, "objects": objects})
    }
}

/// Requests to stop: Ctrl-C, and the polite signal of process managers.
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
