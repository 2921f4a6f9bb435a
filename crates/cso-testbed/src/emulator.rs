//! Cloud emulators as child processes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::error::{Context as _, Error};
use crate::http;
use crate::process::{Process, leashed};
use crate::tools::Tool;

/// The region that tests work in.
pub const REGION: &str = "eu-west-1";

/// Another process can take the free port between our looking and the emulator's binding.
const START_TRIES: usize = 3;

/// Which emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Broad, quick to start: the demo and the primary test bed.
    Ministack,
    /// The second opinion: refuses other bad input than ministack does.
    Moto,
    /// Native and fast: benchmarks. Knows neither ECR nor the tagging API.
    Roto,
}

impl Kind {
    /// The emulators that every story runs on.
    pub const OPINIONS: [Self; 2] = [Self::Ministack, Self::Moto];

    /// Lower-case name, as in files and logs.
    pub fn name(self) -> &'static str {
        self.tool().name()
    }

    /// The account that static credentials belong to. It differs, so that nobody hard-codes one.
    pub fn account(self) -> &'static str {
        match self {
            Self::Ministack => "000000000000",
            Self::Moto | Self::Roto => "123456789012",
        }
    }

    fn tool(self) -> Tool {
        match self {
            Self::Ministack => Tool::Ministack,
            Self::Moto => Tool::Moto,
            Self::Roto => Tool::Roto,
        }
    }

    fn command(self, port: u16) -> Result<Command, Error> {
        let program = self.tool().program(match self {
            Self::Ministack => "ministack",
            Self::Moto => "moto_server",
            Self::Roto => "roto-server",
        })?;
        let mut command = leashed(program);
        let port = port.to_string();
        match self {
            Self::Ministack => command
                .env("GATEWAY_PORT", port)
                .env("BIND_HOST", "127.0.0.1")
                // Otherwise it listens on every address of the machine as well.
                .env("IOT_MTLS_ENABLED", "0"),
            Self::Moto => command.args(["-H", "127.0.0.1", "-p", &port]),
            Self::Roto => command.args(["--host", "127.0.0.1", "--port", &port, "--ephemeral"]),
        };
        Ok(command)
    }

    /// What is still amiss.
    fn check_health(self, address: SocketAddr) -> io::Result<()> {
        let page = match self {
            Self::Ministack => "/_ministack/health",
            Self::Moto => "/moto-api/data.json",
            Self::Roto => "/",
        };
        let answer = http::exchange(address, &http::Head::get(page))?;
        // Roto has no health page: that it answers at all is the news.
        if self == Self::Roto { Ok(()) } else { answer.expect_ok() }
    }
}

/// Where a client connects, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Twelve-digit id of the account behind the credentials.
    pub account: String,
}

impl Endpoint {
    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment that points a standard AWS client here. Clear the rest of its environment first.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            // Never wait for a metadata service that a laptop does not have.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

/// A running emulator. Dropping it ends its process.
pub struct Emulator {
    kind: Kind,
    endpoint: Endpoint,
    process: Process,
}

impl Emulator {
    /// Installs the emulator if need be, starts it on a free port of the loopback interface, and waits until it answers.
    pub fn start(kind: Kind) -> Result<Self, Error> {
        let mut tries = 1;
        let (process, address) = loop {
            let address = free_address()?;
            match run(kind, address) {
                Err(Error::Ended { .. }) if tries < START_TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok(process) => break (process, address),
            }
        };
        Ok(Self { kind, endpoint: Endpoint { address, account: kind.account().to_owned() }, process })
    }

    /// Which emulator this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it printed, after what an emulator of the same kind and port printed earlier. Kept for a day.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Forgets every resource. The endpoint stays.
    pub fn reset(&mut self) -> Result<(), Error> {
        let path = match self.kind {
            Kind::Ministack => "/_ministack/reset",
            Kind::Moto => "/moto-api/reset",
            // It has no such page, but starts in a tenth of a second and keeps nothing.
            Kind::Roto => {
                self.process.end();
                self.process = run(self.kind, self.endpoint.address)?;
                return Ok(());
            }
        };
        http::exchange(self.endpoint.address, &http::Head::post(path))
            .and_then(|answer| answer.expect_ok())
            .context(|| format!("resetting {}", self.kind.name()))
    }
}

/// Starts an emulator, and waits until it answers.
fn run(kind: Kind, address: SocketAddr) -> Result<Process, Error> {
    let mut process = Process::start(kind.name(), address, kind.command(address.port())?)?;
    process.wait_until(|| kind.check_health(address))?;
    Ok(process)
}

fn free_address() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context(|| "looking for a free port".to_owned())
}
