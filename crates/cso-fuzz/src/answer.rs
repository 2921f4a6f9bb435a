//! Answers of services: the decoders of all protocols.
//!
//! The bytes are an exchange: service, operation and status in the first line, headers, an empty line, the body.
//!
//! ```text
//! sqs GetQueueUrl 200
//! x-amzn-requestid: 1
//!
//! {"QueueUrl": "https://queue"}
//! ```

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cso_facts::Catalog;
use cso_facts::api::{Protocol, Service, ShapeId, ShapeKind};
use cso_smithy::protocol::{Answer, WireResponse, codes, decode};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

pub(crate) fn json(bytes: &[u8]) {
    answer(bytes, &[Protocol::AwsJson1_0, Protocol::RestJson1]);
}

pub(crate) fn query(bytes: &[u8]) {
    answer(bytes, &[Protocol::AwsQuery, Protocol::Ec2Query]);
}

pub(crate) fn rest_xml(bytes: &[u8]) {
    answer(bytes, &[Protocol::RestXml]);
}

struct Exchange<'a> {
    service: &'a str,
    operation: &'a str,
    status: u16,
    headers: HeaderMap<HeaderValue>,
    body: &'a [u8],
}

impl<'a> Exchange<'a> {
    /// Nothing if the head is no head: that is about this text form, not about a decoder.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(2).position(|two| two == b"\n\n")?;
        let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.lines();
        let mut first = lines.next()?.split(' ');
        let (service, operation, status) = (first.next()?, first.next()?, first.next()?.parse().ok()?);
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        Some(Self { service, operation, status, headers, body: &bytes[end + 2..] })
    }
}

/// An output has no members but its shape's; an error has a class.
fn answer(bytes: &[u8], protocols: &[Protocol]) {
    let Some(exchange) = Exchange::read(bytes) else { return };
    for protocol in protocols {
        let Some(service) = speaking(exchange.service, *protocol) else { return };
        let Some(operation) = service.operation(exchange.operation).filter(|known| !known.event_stream) else { return };
        let response = WireResponse { status: exchange.status, headers: &exchange.headers, body: exchange.body };
        match decode(&service, operation, response) {
            Ok(Answer::Output(output)) => {
                assert!(output.is_object(), "{protocol:?}: an output is an object: {output}");
                if let Some(shape) = operation.output {
                    conforms(&service, shape, &output);
                }
            }
            Ok(Answer::Error(error)) => {
                assert!(error.fields.is_object(), "{protocol:?}: {error:?}");
                codes::classify(&error.code, exchange.status, false);
            }
            Err(unreadable) => assert!(!unreadable.0.is_empty(), "{protocol:?}: it does not say why"),
        }
    }
}

type Adapted = HashMap<(String, Protocol), Arc<Service>>;

/// The service as if it spoke this protocol: the facts have no service for some of them.
fn speaking(name: &str, protocol: Protocol) -> Option<Arc<Service>> {
    static ADAPTED: LazyLock<Mutex<Adapted>> = LazyLock::new(Mutex::default);
    let service = Catalog::builtin().service(name).ok()?;
    if service.protocol == protocol {
        return Some(service);
    }
    let mut adapted = ADAPTED.lock().unwrap_or_else(PoisonError::into_inner);
    let adapted = adapted.entry((name.to_owned(), protocol));
    Some(Arc::clone(adapted.or_insert_with(|| Arc::new(Service { protocol, ..(*service).clone() }))))
}

/// Insists that structures, lists and maps are what the model says. A null stands for what is not there, and a scalar may
/// be anything: a call that worked must not fail over one.
fn conforms(service: &Service, shape: ShapeId, value: &Value) {
    let shape = service.shape(shape);
    let object = || value.as_object().unwrap_or_else(|| panic!("{} is {value}", shape.name));
    match &shape.kind {
        _ if value.is_null() => {}
        ShapeKind::List { member, .. } => {
            let items = value.as_array().unwrap_or_else(|| panic!("{} is {value}", shape.name));
            for item in items {
                conforms(service, member.shape, item);
            }
        }
        ShapeKind::Map { value: of, .. } => {
            for entry in object().values() {
                conforms(service, of.shape, entry);
            }
        }
        ShapeKind::Structure { .. } => {
            for (name, value) in object() {
                let member = shape.member(name).unwrap_or_else(|| panic!("{} has no member {name}", shape.name));
                // JSON text in a header is told as it is.
                if !member.json_value {
                    conforms(service, member.shape, value);
                }
            }
        }
        _ => {}
    }
}
