//! How an answer travels: whole, or as bad networks and bad servers send it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::http::{Head, Message};

/// How an answer is sent.
pub(super) enum Delivery {
    Whole,
    /// Only so many bytes of its body.
    Truncated(usize),
    /// Each byte of its body this long after the one before.
    Dripping(Duration),
    /// So many bytes more than its body has, none of them announced.
    Flooding(u64),
}

/// What a flood is made of: it is cheap to make and valid within a text.
static FILLER: [u8; 1 << 16] = [b'x'; 1 << 16];

impl Delivery {
    /// Sends an answer. Says whether the connection is still of use.
    pub(super) fn write(&self, answer: &Message, to: &mut impl Write) -> io::Result<bool> {
        match self {
            Self::Whole => answer.write(to, true)?,
            Self::Truncated(bytes) => {
                answer.write_head(to, Some(answer.body.len() as u64))?;
                to.write_all(&answer.body[..answer.body.len().min(*bytes)])?;
                return Ok(*bytes >= answer.body.len());
            }
            Self::Dripping(pause) => {
                answer.write_head(to, Some(answer.body.len() as u64))?;
                for byte in &answer.body {
                    thread::sleep(*pause);
                    to.write_all(&[*byte])?;
                }
            }
            Self::Flooding(bytes) => {
                answer.write_head(to, None)?;
                to.write_all(&answer.body)?;
                let mut left = *bytes;
                while left > 0 {
                    let part = usize::try_from(left).unwrap_or(usize::MAX).min(FILLER.len());
                    to.write_all(&FILLER[..part])?;
                    left -= part as u64;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The beginning of a good answer in the caller's format, and much more of it.
pub(super) fn flood(request: &Message, bytes: u64) -> (Message, Delivery) {
    let content_type = request.head.header("content-type").unwrap_or_default();
    let (format, beginning) = if content_type.starts_with("application/x-amz-json") {
        (content_type, "{\"Padding\":\"")
    } else {
        ("text/xml", "<Padding>")
    };
    let headers = vec![("content-type".to_owned(), format.to_owned())];
    let head = Head { start: "HTTP/1.1 200 OK".to_owned(), headers };
    (Message { head, body: beginning.as_bytes().to_vec() }, Delivery::Flooding(bytes))
}

/// Closes a connection by a reset: what a server that died, or a middlebox that forgot, does.
pub(super) fn reset(connection: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(connection).set_linger(Some(Duration::ZERO))
}
