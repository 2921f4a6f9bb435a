//! A process that answers each line of JSON with a line of JSON.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One question at a time; the lock keeps questions and answers in pairs. Dropping it ends the process.
pub(crate) struct Conversation {
    child: Child,
    pipes: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Conversation {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take().map(BufReader::new));
        Ok(Self { child, pipes: Mutex::new(pipes) })
    }

    pub(crate) fn ask<A: DeserializeOwned>(&self, question: &impl Serialize) -> io::Result<A> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (to, from) = pipes.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = serde_json::to_string(question)?;
        line.push('\n');
        to.write_all(line.as_bytes())?;
        to.flush()?;
        line.clear();
        from.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // End of input ends it.
        self.pipes.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.child.wait();
    }
}
