//! The same work on many things, on all cores.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

/// Fewer things than this are not worth a thread.
const SHARE: usize = 64;

/// What `work` makes of each item, in the order of the items. Each core takes one run of neighbours, so `work` should cost
/// about the same for each.
///
/// # Panics
/// When `work` does, as it does.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    split(items, items.len().div_ceil(cores).max(SHARE), &work)
}

/// `share`: so many items a thread, at least one.
fn split<T: Sync, R: Send>(items: &[T], share: usize, work: &(impl Fn(&T) -> R + Sync)) -> Vec<R> {
    let (own, others) = items.split_at(share.min(items.len()));
    thread::scope(|scope| {
        let run = |items: &[T]| items.iter().map(work).collect::<Vec<R>>();
        let others: Vec<_> = others.chunks(share).map(|items| scope.spawn(move || run(items))).collect();
        let mut made = run(own);
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_in_the_order_of_the_items_however_they_are_split() {
        let items: Vec<usize> = (0..100).collect();
        let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
        for share in [1, 7, 50, 99, 100, 101] {
            assert_eq!(split(&items, share, &|item| item * 2), doubled, "{share} a thread");
        }
        assert!(map(&[], |item: &usize| *item).is_empty());
    }

    #[test]
    fn threads_are_used() {
        let items: Vec<usize> = (0..3).collect();
        let at_once = std::sync::Barrier::new(items.len());
        // Would not end if one thread did it all.
        split(&items, 1, &|_| at_once.wait().is_leader());
    }
}
