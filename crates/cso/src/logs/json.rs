//! Logs as JSON, one flat object a line: what the spans around an event say stands beside what it says itself, so that a
//! collector finds `kind`, `namespace` and `name` of an object at the same place in every line.

use std::fmt::Debug;
use std::io::Write;

use cso_core::port::Clock as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::SystemClock;

/// Writes lines.
pub(super) struct Lines<W>(W);

impl<W> Lines<W> {
    pub(super) const fn new(writer: W) -> Self {
        Self(writer)
    }
}

/// What a span or an event says.
#[derive(Default)]
struct Said(Map<String, Value>);

impl Said {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut said = Said::default();
        attributes.record(&mut said);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(said);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Said::default();
        for span in context.event_scope(event).into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(said) = span.extensions().get::<Said>() {
                line.0.extend(said.0.clone());
            }
        }
        event.record(&mut line);
        let metadata = event.metadata();
        let level = metadata.level().as_str().to_ascii_lowercase();
        for (name, text) in
            [("time", SystemClock.now().to_string()), ("level", level), ("target", metadata.target().to_owned())]
        {
            line.0.insert(name.to_owned(), text.into());
        }
        // Nobody can be told that telling fails.
        let _ = self.0.make_writer().write_all(format!("{}\n", Value::Object(line.0)).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info, info_span};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_flat_and_names_the_object_of_its_span() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = Lines::new(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let span = info_span!("object", kind = %"sqs/Queue", namespace = "default", name = "orders");
            span.in_scope(|| info!(target: "cso::call", operation = "CreateQueue", status = 200, "done"));
        });
        let mut line: Value = serde_json::from_slice(&kept.0.lock().unwrap()).unwrap();
        assert!(line["time"].take().as_str().is_some_and(|time| time.ends_with('Z')));
        let expected = serde_json::json!({
            "time": null, "level": "info", "target": "cso::call", "message": "done", "operation": "CreateQueue",
            "status": 200, "kind": "sqs/Queue", "namespace": "default", "name": "orders",
        });
        assert_eq!(line, expected);
    }
}
