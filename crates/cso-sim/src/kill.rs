//! Sudden death at a chosen action.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// A switch that all ports of one process share. Every action passes a point before its effect and one after it; at the
/// chosen point the process dies: this and every later action never returns, and [`Kill::died`] does. Whoever runs the
/// process then drops it, as the operating system would.
#[derive(Clone, Debug)]
pub struct Kill(Arc<Switch>);

#[derive(Debug)]
struct Switch {
    passed: AtomicUsize,
    fatal: Option<usize>,
    dead: watch::Sender<bool>,
}

impl Kill {
    /// Nobody dies; points are counted all the same.
    pub fn never() -> Self {
        Self::new(None)
    }

    /// The process dies at the `n`-th point, from 1.
    pub fn at(n: usize) -> Self {
        Self::new(Some(n))
    }

    fn new(fatal: Option<usize>) -> Self {
        Self(Arc::new(Switch { passed: AtomicUsize::new(0), fatal, dead: watch::Sender::new(false) }))
    }

    /// Passes one point, or dies there.
    pub async fn point(&self) {
        let here = self.0.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if self.0.fatal.is_some_and(|fatal| here >= fatal) {
            self.0.dead.send_replace(true);
            std::future::pending::<()>().await;
        }
    }

    /// Whether the process has died.
    pub fn is_dead(&self) -> bool {
        *self.0.dead.borrow()
    }

    /// Returns when the process has died.
    pub async fn died(&self) {
        // The sender lives in `self`, so the channel cannot close.
        let _ = self.0.dead.subscribe().wait_for(|dead| *dead).await;
    }
}
