//! A cloud that takes so many calls at the same time, and lets the others wait in their order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cso_core::CallError;
use cso_core::port::{Cloud, Identity, Purpose, Request};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The limit is on calls and not on turns: a turn that waits for the store leaves its place to another's call.
///
/// Half of the places are not for checks. A call keeps its place while its service makes it wait, and a sweep before a
/// service that throttles would keep them all: what somebody waits for would not even get in line.
#[derive(Debug)]
pub struct Limited<C> {
    cloud: C,
    places: Places,
    checks: Places,
}

impl<C> Limited<C> {
    /// At most `calls` at the same time, and at least one.
    pub(crate) fn new(cloud: C, calls: usize) -> Self {
        let [places, checks] = shares(calls).map(Places::new);
        Self { cloud, places, checks }
    }

    /// Lets so many calls go out at the same time from now on. Those that are out are not disturbed.
    pub(crate) fn resize(&self, calls: usize) {
        let [places, checks] = shares(calls);
        self.places.resize(places);
        self.checks.resize(checks);
    }
}

/// Places for all calls, and for checks among them.
fn shares(calls: usize) -> [usize; 2] {
    let places = calls.clamp(1, Semaphore::MAX_PERMITS);
    [places, places.div_ceil(2)]
}

/// Places that become more or fewer while some are taken.
#[derive(Debug)]
struct Places {
    free: Semaphore,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    places: usize,
    /// Places that are taken and will not be free again.
    excess: usize,
}

/// A place that is taken, until it is dropped.
struct Place<'a> {
    places: &'a Places,
    permit: Option<SemaphorePermit<'a>>,
}

impl Places {
    const fn new(places: usize) -> Self {
        Self { free: Semaphore::const_new(places), size: Mutex::new(Size { places, excess: 0 }) }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self) -> Place<'_> {
        // An error would mean that the places are closed, which nobody does.
        Place { places: self, permit: self.free.acquire().await.ok() }
    }

    fn resize(&self, places: usize) {
        let mut size = self.size();
        if places > size.places {
            let more = places - size.places;
            let kept = more.min(size.excess);
            size.excess -= kept;
            self.free.add_permits(more - kept);
        } else {
            let fewer = size.places - places;
            size.excess += fewer - self.free.forget_permits(fewer);
        }
        size.places = places;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut size = self.places.size();
        if let Some(fewer) = size.excess.checked_sub(1)
            && let Some(permit) = self.permit.take()
        {
            size.excess = fewer;
            permit.forget();
        }
    }
}

impl<C: Cloud> Cloud for Limited<C> {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        let _check = match request.purpose {
            Purpose::Check => Some(self.checks.take().await),
            Purpose::Change => None,
        };
        let _place = self.places.take().await;
        self.cloud.call(request).await
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        self.cloud.identity().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many places are free.
    fn free(places: &Places) -> usize {
        places.free.available_permits()
    }

    #[tokio::test]
    async fn places_that_are_taken_go_when_they_are_given_back() {
        let places = Places::new(3);
        let taken = [places.take().await, places.take().await];
        places.resize(1);
        assert_eq!(free(&places), 0);
        let [first, second] = taken;
        drop(first);
        assert_eq!(free(&places), 0, "one is still taken, and there is one");
        drop(second);
        assert_eq!(free(&places), 1);
    }

    #[tokio::test]
    async fn places_that_were_to_go_stay_when_more_are_wanted_again() {
        let places = Places::new(2);
        let taken = [places.take().await, places.take().await];
        places.resize(1);
        places.resize(4);
        assert_eq!(free(&places), 2);
        drop(taken);
        assert_eq!(free(&places), 4);
    }
}
