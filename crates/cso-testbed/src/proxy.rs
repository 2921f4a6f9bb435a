//! A proxy in front of an emulator: records every call, and does to chosen ones what networks and crashes do.

mod call;
mod delivery;
mod failure;
mod rest;
mod rule;

use std::collections::HashMap;
use std::io::{self, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::emulator::Endpoint;
use crate::error::{Context as _, Error};
use crate::http::{self, Head, Message};
use crate::rule::{Rule, Then};

use delivery::Delivery;

pub use call::{AwsCall, Outcome};
pub use failure::Failure;
pub use rule::{Action, Match};

/// The witness: what reached the cloud, in which order, and how it ended.
///
/// It forwards requests as they came, signature and Host header included, so an emulator must not verify signatures
/// against its own port. Calls are recorded when they arrive. Rules are asked in the order in which they were made, and the
/// first whose turn it is decides.
pub struct Proxy {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    calls: Mutex<Calls>,
    rules: Mutex<Vec<Rule>>,
    /// The last answer to each reading request, for [`Action::Stale`].
    answers: Mutex<HashMap<Vec<u8>, Message>>,
    closing: AtomicBool,
}

#[derive(Default)]
struct Calls {
    /// How many calls came before the ones that are kept.
    forgotten: usize,
    kept: Vec<AwsCall>,
}

impl Proxy {
    /// Starts on a free port of the loopback interface, in front of an endpoint.
    pub fn before(upstream: &Endpoint) -> Result<Self, Error> {
        let what = || "starting the proxy".to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(what)?;
        let address = listener.local_addr().context(what)?;
        let shared = Arc::new(Shared {
            upstream: upstream.address,
            calls: Mutex::default(),
            rules: Mutex::default(),
            answers: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { endpoint: Endpoint { address, account: upstream.account.clone() }, shared })
    }

    /// Where the process under test connects.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Every call since the start or the last [`Proxy::clear`], in the order of arrival.
    pub fn calls(&self) -> Vec<AwsCall> {
        locked(&self.shared.calls).kept.clone()
    }

    /// The calls that may have changed something: the ones that reached the cloud, and the ones still on their way.
    pub fn mutating(&self) -> Vec<AwsCall> {
        let mut calls = self.calls();
        calls.retain(|call| call.is_mutating() && (call.outcome == Outcome::Pending || call.outcome.reached_cloud()));
        calls
    }

    /// Forgets the calls so far. Rules stay.
    pub fn clear(&self) {
        let mut calls = locked(&self.shared.calls);
        calls.forgotten += calls.kept.len();
        calls.kept.clear();
    }

    /// From now on, does something to the calls that match.
    pub fn on(&self, matches: Match, action: Action) -> Rule {
        let rule = Rule::new(matches, action);
        locked(&self.shared.rules).push(rule.clone());
        rule
    }

    /// Drops every rule.
    pub fn behave(&self) {
        locked(&self.shared.rules).clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.endpoint.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let (Ok(client), shared) = (client, Arc::clone(shared)) else { continue };
        // A client that goes away in the middle is its own business: the outcome is recorded already.
        thread::spawn(move || shared.serve(client));
    }
}

/// What the caller gets.
enum Reply {
    Send(Message, Delivery),
    HangUp,
    Reset,
}

impl Reply {
    fn whole(answer: Message) -> Self {
        Self::Send(answer, Delivery::Whole)
    }
}

impl Shared {
    /// Serves a connection until the client closes it or a rule hangs up.
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut writer = client.try_clone()?;
        let mut reader = BufReader::new(client);
        while let Some(head) = Head::read(&mut reader)? {
            if head.header("expect").is_some() {
                writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = head.read_request_body(&mut reader)?;
            let request = Message { head, body };
            let call = self.record(&request);
            let (reply, outcome) = self.answer(&call, &request);
            // Before the answer goes out: whoever has the answer must find the call in the log.
            self.conclude(call.sequence, outcome);
            match reply {
                Reply::HangUp => break,
                Reply::Reset => return delivery::reset(&writer),
                Reply::Send(answer, _) if request.head.method() == "HEAD" => {
                    answer.write_head_only(&mut writer, true)?;
                }
                Reply::Send(answer, how) => {
                    if !how.write(&answer, &mut writer)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn answer(&self, call: &AwsCall, request: &Message) -> (Reply, Outcome) {
        let action = locked(&self.rules).iter().find_map(|rule| rule.apply(call).cloned());
        match action {
            None => self.forward(call, request, || Then::GoOn),
            Some(Action::DropReply) => self.forward(call, request, || Then::HangUp),
            Some(Action::DropRequest) => (Reply::HangUp, Outcome::NeverSent),
            Some(Action::Reset) => match self.forward(call, request, || Then::HangUp) {
                (Reply::HangUp, outcome) => (Reply::Reset, outcome),
                other => other,
            },
            Some(Action::Truncate(bytes)) => match self.forward(call, request, || Then::GoOn) {
                (Reply::Send(answer, _), Outcome::Answered { status }) => {
                    (Reply::Send(answer, Delivery::Truncated(bytes)), Outcome::ReplyLost { status })
                }
                other => other,
            },
            Some(Action::Drip(pause)) => match self.forward(call, request, || Then::GoOn) {
                (Reply::Send(answer, _), outcome) => (Reply::Send(answer, Delivery::Dripping(pause)), outcome),
                other => other,
            },
            Some(Action::Flood(bytes)) => {
                let (answer, delivery) = delivery::flood(request, bytes);
                (Reply::Send(answer, delivery), Outcome::Refused { code: "flood".to_owned() })
            }
            Some(Action::Stale) => match locked(&self.answers).get(&request_key(call, request)).cloned() {
                Some(answer) => (Reply::whole(answer), Outcome::Refused { code: "stale".to_owned() }),
                None => self.forward(call, request, || Then::GoOn),
            },
            Some(Action::Fail(failure)) => refused(&failure, call, request),
            Some(Action::Delay(time)) => {
                thread::sleep(time);
                self.forward(call, request, || Then::GoOn)
            }
            Some(Action::Before(hook)) => match hook(call) {
                Then::GoOn => self.forward(call, request, || Then::GoOn),
                Then::HangUp => (Reply::HangUp, Outcome::NeverSent),
            },
            Some(Action::After(hook)) => self.forward(call, request, || hook(call)),
            Some(Action::Answer(stand_in)) => match stand_in(call) {
                None => self.forward(call, request, || Then::GoOn),
                Some(Err(failure)) => refused(&failure, call, request),
                Some(Ok(output)) => (Reply::whole(answered(output, request)), Outcome::Answered { status: 200 }),
            },
        }
    }

    /// Lets the cloud carry the call out, and asks what then.
    fn forward(&self, call: &AwsCall, request: &Message, then: impl FnOnce() -> Then) -> (Reply, Outcome) {
        let answer = http::send(self.upstream, request);
        let then = then();
        match answer {
            Err(error) => (Reply::HangUp, Outcome::Broken { why: error.to_string() }),
            Ok(answer) => match (answer.status(), then) {
                (None, _) => (Reply::HangUp, Outcome::Broken { why: answer.head.start }),
                (Some(status), Then::GoOn) => {
                    if !call.is_mutating() {
                        locked(&self.answers).insert(request_key(call, request), answer.clone());
                    }
                    (Reply::whole(answer), Outcome::Answered { status })
                }
                (Some(status), Then::HangUp) => (Reply::HangUp, Outcome::ReplyLost { status }),
            },
        }
    }

    fn record(&self, request: &Message) -> AwsCall {
        let mut calls = locked(&self.calls);
        let call = AwsCall::read(calls.forgotten + calls.kept.len(), request);
        calls.kept.push(call.clone());
        call
    }

    fn conclude(&self, sequence: usize, outcome: Outcome) {
        let mut calls = locked(&self.calls);
        // A call that was cleared away while it was on its way needs no ending.
        let Some(place) = sequence.checked_sub(calls.forgotten) else { return };
        if let Some(call) = calls.kept.get_mut(place) {
            call.ended = Some(Instant::now());
            call.outcome = outcome;
        }
    }
}

/// An error that no cloud gave.
fn refused(failure: &Failure, call: &AwsCall, request: &Message) -> (Reply, Outcome) {
    let outcome = Outcome::Refused { code: failure.code().to_owned() };
    (Reply::whole(failure.answer(request, &call.service)), outcome)
}

/// An output, in JSON to whoever speaks it.
fn answered(output: String, request: &Message) -> Message {
    let spoken = request.head.header("content-type").filter(|spoken| spoken.contains("json"));
    let headers = vec![("content-type".to_owned(), spoken.unwrap_or("application/xml").to_owned())];
    Message { head: Head { start: "HTTP/1.1 200 OK".to_owned(), headers }, body: output.into_bytes() }
}

/// What makes two requests the same: who is asked for what, not when and by whom.
fn request_key(call: &AwsCall, request: &Message) -> Vec<u8> {
    let asked = format!("{} {} {} {}\n", call.service, call.region, call.operation, request.head.target());
    [asked.as_bytes(), &request.body].concat()
}

/// A panicking hook poisons nothing that matters: what is behind the locks is whole after every statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
