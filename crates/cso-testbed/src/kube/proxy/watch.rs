//! Answers that go on: watches, a line of JSON for each event, and what drips.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use serde_json::json;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::status::Status;

/// Bytes that come at once where an answer drips.
const PIECE: usize = 64;

/// How a watch ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Broken off, as by a network.
    Cut,
    /// Closed in good order, as the API server does when its time is up.
    Close,
    /// By an event of type `ERROR`, as when the resource version is too old (410, `Expired`), then closed.
    Error(Status),
    /// It does not: it goes on without a word, as when a middlebox has forgotten the connection.
    Silence,
}

/// A body that is fed from elsewhere. It ends in good order when the sender is gone.
pub(super) struct Fed(Receiver<io::Result<Bytes>>);

/// A body and what feeds it, each part when the one before it has been taken.
pub(super) fn channel() -> (Sender<io::Result<Bytes>>, Fed) {
    let (to, from) = mpsc::channel(1);
    (to, Fed(from))
}

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data)))
    }
}

/// Passes an answer on piece by piece, with a pause before each, until it ends or its caller has enough.
pub(super) fn dripping(mut from: Incoming, pause: Duration) -> Fed {
    let (to, body) = channel();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = from.frame().await {
            let part = frame.into_data().unwrap_or_default();
            for piece in part.chunks(PIECE) {
                tokio::time::sleep(pause).await;
                if to.send(Ok(part.slice_ref(piece))).await.is_err() {
                    return;
                }
            }
        }
    });
    body
}

/// Passes a watch on until it ends, its caller leaves, or it is cut.
pub(super) async fn relay(from: Incoming, to: Sender<io::Result<Bytes>>, ending: Option<(usize, End)>, cut: &Notify) {
    let broken = tokio::select! {
        () = to.closed() => false,
        () = cut.notified() => true,
        broken = pass(from, &to, ending) => broken,
    };
    if broken {
        // An error in the body breaks the connection, or resets the stream: nobody takes it for an end in good order.
        let _ = to.send(Err(io::Error::other("cut"))).await;
    }
}

/// Passes events on to the end of the watch. Says whether it broke.
async fn pass(mut from: Incoming, to: &Sender<io::Result<Bytes>>, ending: Option<(usize, End)>) -> bool {
    let (mut left, end) = ending.map_or((usize::MAX, None), |(after, end)| (after, Some(end)));
    while left > 0 {
        match from.frame().await {
            None => return false,
            Some(Err(_)) => return true,
            Some(Ok(frame)) => {
                let part = frame.into_data().unwrap_or_default();
                // Fails when the caller has left; then somebody else ends this.
                let _ = to.send(Ok(first_lines(&part, &mut left))).await;
            }
        }
    }
    match end {
        None | Some(End::Close) => false,
        Some(End::Cut) => true,
        Some(End::Silence) => pending().await,
        Some(End::Error(status)) => {
            let event = json!({"type": "ERROR", "object": status.object()});
            let _ = to.send(Ok(format!("{event}\n").into())).await;
            false
        }
    }
}

/// As much as holds the ends of so many lines, which are then counted off.
fn first_lines(part: &Bytes, left: &mut usize) -> Bytes {
    for (place, byte) in part.iter().enumerate() {
        if *byte == b'\n' {
            *left -= 1;
        }
        if *left == 0 {
            return part.slice(..=place);
        }
    }
    part.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_their_ends() {
        let taken = |part: &'static str, mut left: usize| {
            let taken = first_lines(&Bytes::from_static(part.as_bytes()), &mut left);
            (String::from_utf8(taken.to_vec()).unwrap(), left)
        };
        assert_eq!(taken("a\nb\nc", 3), ("a\nb\nc".to_owned(), 1));
        assert_eq!(taken("a\nb\nc\n", 2), ("a\nb\n".to_owned(), 0));
        assert_eq!(taken("", 1), (String::new(), 1));
    }
}
