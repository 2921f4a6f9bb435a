//! As much HTTP/1.1 as a recording proxy needs: whole messages, read and written again with a length.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any emulator takes for anything; a test that hits it has found a hang.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Headers that describe one hop or one framing, not the message.
const HOP_HEADERS: [&str; 5] = ["connection", "keep-alive", "transfer-encoding", "content-length", "expect"];

/// Start line and headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Request line or status line.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// A message with all of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Head {
    pub(crate) fn get(path: &str) -> Self {
        Self::request("GET", path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::request("POST", path)
    }

    fn request(method: &str, path: &str) -> Self {
        Self { start: format!("{method} {path} HTTP/1.1"), headers: vec![("host".into(), "localhost".into())] }
    }

    /// Value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// Path and query of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Status code of an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.start.split(' ').nth(1)?.parse().ok()
    }

    /// Reads up to the empty line; `None` if the peer has closed instead of sending another message.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Self::default();
        if from.read_line(&mut head.start)? == 0 {
            return Ok(None);
        }
        head.start.truncate(head.start.trim_end().len());
        head.headers = read_headers(from)?;
        Ok(Some(head))
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> io::Result<Option<u64>> {
        self.header("content-length").map(|value| value.trim().parse().map_err(io::Error::other)).transpose()
    }

    /// The body of a request: none unless one is announced.
    pub(crate) fn read_request_body(&self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        if self.is_chunked() { read_chunks(from) } else { read_exactly(from, self.length()?.unwrap_or(0)) }
    }

    /// The body of an answer: without a length, all that comes until the peer closes.
    fn read_answer_body(&self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        if self.is_chunked() {
            return read_chunks(from);
        }
        match (self.status(), self.length()?) {
            (Some(100..200 | 204 | 304), _) => Ok(Vec::new()),
            (_, Some(length)) => read_exactly(from, length),
            (_, None) => {
                let mut body = Vec::new();
                from.read_to_end(&mut body)?;
                Ok(body)
            }
        }
    }
}

impl Message {
    /// Status code of an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.head.status()
    }

    /// Refuses an answer that is not of success, with its first line.
    pub(crate) fn expect_ok(&self) -> io::Result<()> {
        match self.status() {
            Some(200..300) => Ok(()),
            _ => Err(io::Error::other(format!("it answered {}", self.head.start.trim_end()))),
        }
    }

    /// Sends the message with a length of its own. `persist` says whether another one may follow on the connection.
    pub(crate) fn write(&self, to: &mut impl Write, persist: bool) -> io::Result<()> {
        self.write_with_length(to, persist, self.body.len() as u64)
    }

    /// Sends the answer of a HEAD request: it announces a body and has none.
    pub(crate) fn write_head_only(&self, to: &mut impl Write, persist: bool) -> io::Result<()> {
        self.write_with_length(to, persist, self.head.length()?.unwrap_or(0))
    }

    fn write_with_length(&self, to: &mut impl Write, persist: bool, length: u64) -> io::Result<()> {
        let mut bytes = self.head_bytes(persist, Some(length))?;
        bytes.extend_from_slice(&self.body);
        to.write_all(&bytes)?;
        to.flush()
    }

    /// Sends the head alone, with a length that is the caller's to keep; without one the body goes on until the end of
    /// the connection.
    pub(crate) fn write_head(&self, to: &mut impl Write, length: Option<u64>) -> io::Result<()> {
        to.write_all(&self.head_bytes(length.is_some(), length)?)
    }

    fn head_bytes(&self, persist: bool, length: Option<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = format!("{}\r\n", self.head.start).into_bytes();
        let end_to_end = |name: &str| !HOP_HEADERS.iter().any(|hop| name.eq_ignore_ascii_case(hop));
        for (name, value) in self.head.headers.iter().filter(|(name, _)| end_to_end(name)) {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        let connection = if persist { "keep-alive" } else { "close" };
        if let Some(length) = length {
            write!(bytes, "content-length: {length}\r\n")?;
        }
        write!(bytes, "connection: {connection}\r\n\r\n")?;
        Ok(bytes)
    }
}

/// Sends a request without a body and reads the answer.
pub(crate) fn exchange(address: SocketAddr, head: &Head) -> io::Result<Message> {
    send(address, &Message { head: head.clone(), body: Vec::new() })
}

/// Sends a request on a connection of its own and reads the answer.
pub(crate) fn send(address: SocketAddr, request: &Message) -> io::Result<Message> {
    send_over(connect(address)?, request)
}

/// A connection that fails rather than hangs.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Sends a request on a connection that is for nothing else, and reads the answer.
pub(crate) fn send_over(mut stream: impl Read + Write, request: &Message) -> io::Result<Message> {
    request.write(&mut stream, false)?;
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = if request.head.method() == "HEAD" { Vec::new() } else { head.read_answer_body(&mut reader)? };
    Ok(Message { head, body })
}

fn read_headers(from: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(headers),
        }
    }
}

fn read_exactly(from: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let read = from.take(length).read_to_end(&mut body)? as u64;
    if read == length { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            read_headers(from)?;
            return Ok(body);
        }
        body.extend(read_exactly(from, size)?);
        from.read_line(&mut String::new())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &str) -> (Head, io::Result<Vec<u8>>) {
        let mut from = bytes.as_bytes();
        let head = Head::read(&mut from).unwrap().unwrap();
        let body = head.read_answer_body(&mut from);
        (head, body)
    }

    #[test]
    fn a_body_is_framed_by_length_chunks_or_the_end() {
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").1.unwrap(), b"ab");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\n";
        assert_eq!(answer(chunked).1.unwrap(), b"abc");
        assert_eq!(answer("HTTP/1.0 200 OK\r\n\r\nabc").1.unwrap(), b"abc");
        assert_eq!(answer("HTTP/1.1 204 No Content\r\n\r\nabc").1.unwrap(), b"");
    }

    #[test]
    fn a_body_that_is_cut_short_is_an_error() {
        assert!(answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").1.is_err());
        assert!(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").1.is_err());
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        let head = Head::get("/");
        assert_eq!(head.read_request_body(&mut "left over".as_bytes()).unwrap(), b"");
    }

    #[test]
    fn writing_frames_anew_and_keeps_the_other_headers() {
        let headers = [("Transfer-Encoding", "chunked"), ("Connection", "close"), ("X-Kept", "a: b")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let message = Message { head: Head { start: "HTTP/1.1 200 OK".into(), headers }, body: b"abc".to_vec() };
        let mut bytes = Vec::new();
        message.write(&mut bytes, true).unwrap();
        let expected = "HTTP/1.1 200 OK\r\nX-Kept: a: b\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nabc";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
