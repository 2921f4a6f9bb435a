//! A cloud that takes so many calls at the same time, and lets the others wait in their order.

use cso_core::CallError;
use cso_core::port::{Cloud, Identity, Purpose, Request};
use serde_json::Value;
use tokio::sync::Semaphore;

/// The limit is on calls and not on turns: a turn that waits for the store leaves its place to another's call.
///
/// Half of the places are not for checks. A call keeps its place while its service makes it wait, and a sweep before a
/// service that throttles would keep them all: what somebody waits for would not even get in line.
#[derive(Debug)]
pub struct Limited<C> {
    cloud: C,
    places: Semaphore,
    checks: Semaphore,
}

impl<C> Limited<C> {
    /// At most `calls` at the same time, and at least one.
    pub(crate) fn new(cloud: C, calls: usize) -> Self {
        let places = calls.clamp(1, Semaphore::MAX_PERMITS);
        Self { cloud, places: Semaphore::new(places), checks: Semaphore::new(places.div_ceil(2)) }
    }
}

impl<C: Cloud> Cloud for Limited<C> {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        // An error would mean that the places are closed, which nobody does.
        let _check = match request.purpose {
            Purpose::Check => Some(self.checks.acquire().await),
            Purpose::Change => None,
        };
        let _place = self.places.acquire().await;
        self.cloud.call(request).await
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        self.cloud.identity().await
    }
}
