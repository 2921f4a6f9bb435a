//! What `-v` and a controller tell, on stderr. The engine names the object, the client tells each call; inputs, answers and messages of the
//! provider may hold secrets and are never told.

mod json;

use std::sync::OnceLock;

use tracing::info;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::args::LogFormat;

/// Libraries of others that would tell too much: canonical requests hold session tokens, and the wire holds bodies.
const SILENT: [&str; 4] = ["aws_sigv4", "hyper", "h2", "rustls"];

/// What our own lines tell too, once and not at each try: failures of watches.
const REPEATED: &str = "kube_runtime::watcher";

/// What is let through, for [`set`].
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Starts the logs: `1` mutating calls, `2` reads and turns too, `3` what libraries do as well.
pub(crate) fn start(verbose: u8, format: LogFormat, colors: bool) {
    if verbose == 0 {
        return;
    }
    let (filter, handle) = reload::Layer::new(targets(verbose));
    // Started once: there is no other.
    let _ = FILTER.set(handle);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colors)).init();
        }
        LogFormat::Json => registry.with(json::Lines::new(std::io::stderr)).init(),
    }
}

/// Tells more or less from now on; nothing where logs were not started.
pub(crate) fn set(verbose: u8) {
    if let Some(filter) = FILTER.get() {
        // Gone only with the process.
        let _ = filter.reload(targets(verbose));
    }
}

/// Who may tell how much.
fn targets(verbose: u8) -> Targets {
    let (ours, others) = match verbose {
        0 => (LevelFilter::OFF, LevelFilter::OFF),
        1 => (LevelFilter::INFO, LevelFilter::WARN),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let silent = SILENT.map(|target| (target, LevelFilter::OFF));
    let repeated = if verbose < 3 { LevelFilter::OFF } else { others };
    Targets::new().with_default(others).with_target("cso", ours).with_target(REPEATED, repeated).with_targets(silent)
}

/// Tells how often the state file was written. A run that found everything as wished writes nothing.
pub(crate) fn wrote(transactions: u64) {
    info!(target: "cso::state", transactions, "state file");
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn each_level_tells_more_and_no_level_tells_what_signs() {
        let tells = |verbose, target, level| targets(verbose).would_enable(target, &level);
        assert!(tells(1, "cso::call", Level::INFO) && !tells(1, "cso::call", Level::DEBUG));
        assert!(tells(2, "cso::turn", Level::DEBUG) && !tells(2, "aws_config", Level::DEBUG));
        assert!(tells(3, "aws_config", Level::DEBUG));
        for target in ["aws_sigv4::http_request::sign", "hyper_util::client", "rustls::client"] {
            assert!(!tells(3, target, Level::ERROR), "{target}");
        }
    }
}
