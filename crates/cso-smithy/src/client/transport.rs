//! Bytes out, bytes in: signing, connections, limits.

use std::error::Error;
use std::fmt::Display;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningInstructions, SigningParams,
    SigningSettings, UriPathNormalizationMode, sign as sign_request,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::body::SdkBody;
use cso_core::ErrorClass;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::Config;
use super::endpoint::Endpoint;
use super::failure::Failure;
use crate::protocol::WireRequest;

/// Connections and the limits on them.
pub(super) struct Transport {
    connector: SharedHttpConnector,
    attempt_timeout: Duration,
    max_answer_bytes: usize,
}

/// An answer, complete.
pub(super) struct Delivery {
    pub(super) status: u16,
    pub(super) headers: HeaderMap<HeaderValue>,
    pub(super) body: Vec<u8>,
}

/// AWS closes idle connections after 20 seconds and more. We close first: a request that meets a closing connection may
/// or may not have been read, and a mutating call must not be sent again.
const IDLE: Duration = Duration::from_secs(15);

impl Transport {
    pub(super) fn new(config: &Config) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(config.connect_timeout).build();
        let connector = Connector::builder()
            .connector_settings(settings)
            .proxy_config(ProxyConfig::from_env())
            .pool_idle_timeout(IDLE)
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .build();
        Self {
            connector: SharedHttpConnector::new(connector),
            attempt_timeout: config.attempt_timeout,
            max_answer_bytes: config.max_answer_bytes,
        }
    }

    /// Sends a request once and reads the whole answer.
    pub(super) async fn send(&self, request: Request<SdkBody>, host: &str) -> Result<Delivery, Failure> {
        let timeout = self.attempt_timeout;
        tokio::time::timeout(timeout, self.exchange(request, host)).await.unwrap_or_else(|_| {
            Err(Failure::lost("timeout", format!("{host} did not answer within {} s", timeout.as_secs_f32())))
        })
    }

    async fn exchange(&self, request: Request<SdkBody>, host: &str) -> Result<Delivery, Failure> {
        let request = request.try_into().map_err(|error| unsendable(&error))?;
        let answer = self.connector.call(request).await.map_err(|error| lost(&error, host))?;
        let (parts, body) = answer.try_into_http1x().map_err(|error| lost(&error, host))?.into_parts();
        let too_large = || {
            let message = format!("the answer of {host} is longer than {} bytes", self.max_answer_bytes);
            Failure { class: ErrorClass::Unsupported, ..Failure::lost("answer-too-large", message) }
        };
        // What announces that it is too long is not read at all.
        if body.content_length().is_some_and(|length| length > self.max_answer_bytes as u64) {
            return Err(too_large());
        }
        match Limited::new(body, self.max_answer_bytes).collect().await {
            Ok(body) => {
                Ok(Delivery { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes().into() })
            }
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => {
                Err(Failure::lost("connection-lost", format!("the answer of {host} was cut short: {}", chain(&*error))))
            }
        }
    }
}

/// What went wrong between sending and the head of the answer.
fn lost(error: &(dyn Error + 'static), host: &str) -> Failure {
    if is_connect(error) {
        return Failure::not_connected(format!("cannot connect to {host}: {}", chain(error)));
    }
    Failure::lost("connection-lost", format!("the connection to {host} was lost: {}", chain(error)))
}

/// Whether the failure came before a connection stood, so that no byte of the request left. This asks the one layer
/// that knows; a refused port and a failed TLS handshake count, a reset while waiting does not.
fn is_connect(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost cause: the outer layers say "io error" and "client error" over and over.
fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn unsendable(error: &dyn Display) -> Failure {
    Failure::local("unsendable", ErrorClass::Invalid, format!("the request cannot be built: {error}"))
}

/// The request as it goes out, signed unless there is no identity.
pub(super) fn prepare(
    wire: &WireRequest,
    endpoint: &Endpoint,
    identity: Option<&Identity>,
    now: SystemTime,
    user_agent: &str,
) -> Result<Request<SdkBody>, Failure> {
    let uri = endpoint.url(wire);
    let mut request = Request::builder().method(&*wire.method).uri(&uri).header("user-agent", user_agent);
    for (name, value) in &wire.headers {
        request = request.header(&**name, value);
    }
    if let Some(identity) = identity {
        let instructions = sign(wire, &uri, endpoint, identity, now).map_err(|error| unsendable(&error))?;
        let (headers, _) = instructions.into_parts();
        for header in headers {
            let mut value = HeaderValue::from_str(header.value()).map_err(|error| unsendable(&error))?;
            value.set_sensitive(header.sensitive());
            request = request.header(header.name(), value);
        }
    }
    request.body(SdkBody::from(wire.body.clone())).map_err(|error| unsendable(&error))
}

/// S3 signs paths as they are, because keys may look like anything, and wants the body's digest in a header.
fn settings(signing_name: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if signing_name.starts_with("s3") {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

/// The headers that make a request signed.
fn sign(
    wire: &WireRequest,
    uri: &str,
    endpoint: &Endpoint,
    identity: &Identity,
    now: SystemTime,
) -> Result<SigningInstructions, Box<dyn Error + Send + Sync>> {
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(identity)
        .region(&endpoint.signing_region)
        .name(&endpoint.signing_name)
        .time(now)
        .settings(settings(&endpoint.signing_name))
        .build()?
        .into();
    let headers = wire.headers.iter().map(|(name, value)| (&**name, value.as_str()));
    let signable = SignableRequest::new(&wire.method, uri, headers, SignableBody::Bytes(&wire.body))?;
    Ok(sign_request(signable, &params)?.into_parts().0)
}
