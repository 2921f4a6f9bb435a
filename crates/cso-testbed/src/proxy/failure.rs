//! Errors in the envelope of the protocol that the caller speaks.

use serde_json::json;

use crate::http::{Head, Message};

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: u16,
    code: String,
    message: String,
    query_code: Option<String>,
    page: bool,
    headers: Vec<(String, String)>,
}

impl Failure {
    /// An error of the caller (status 400) with a code, as `ThrottlingException` or `AccessDenied`.
    pub fn new(code: impl Into<String>) -> Self {
        let code = code.into();
        Self {
            status: 400,
            message: format!("injected {code}"),
            code,
            query_code: None,
            page: false,
            headers: Vec::new(),
        }
    }

    /// ... with another status; from 500 on the fault is the service's.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// ... with this sentence.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// ... with a code of its own for clients from the service's query days (SQS: `QueueNameExists` is `QueueAlreadyExists`).
    #[must_use]
    pub fn query_code(self, code: impl Into<String>) -> Self {
        Self { query_code: Some(code.into()), ..self }
    }

    /// ... as a page for people, the way middleboxes and load balancers fail: no envelope, no code.
    #[must_use]
    pub fn page(self) -> Self {
        Self { page: true, ..self }
    }

    /// ... with a header more, as `Date` or `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The code that the caller sees.
    pub fn code(&self) -> &str {
        &self.code
    }

    fn fault(&self) -> &'static str {
        if self.status >= 500 { "Receiver" } else { "Sender" }
    }

    /// The answer to a request of a service.
    pub(crate) fn answer(&self, request: &Message, service: &str) -> Message {
        let content_type = request.head.header("content-type").unwrap_or_default();
        let (headers, body) = if self.page {
            let page = format!("<!DOCTYPE html><html><body><h1>{}</h1></body></html>", escaped(&self.message));
            (vec![("content-type", "text/html".to_owned())], page)
        } else if content_type.starts_with("application/x-amz-json") {
            let query_error = format!("{};{}", self.query_code.as_ref().unwrap_or(&self.code), self.fault());
            // Harmless for the services that do not have the trait: their clients do not look.
            (vec![("content-type", content_type.to_owned()), ("x-amzn-query-error", query_error)], self.json())
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            (vec![("content-type", "text/xml".to_owned())], self.query_xml())
        } else if service == "s3" {
            (vec![("content-type", "application/xml".to_owned())], self.s3_xml())
        } else {
            let headers = [("content-type", "application/json"), ("x-amzn-errortype", &self.code)];
            (headers.map(|(name, value)| (name, value.to_owned())).to_vec(), self.json())
        };
        let mut headers: Vec<_> = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        headers.push(("x-amzn-requestid".to_owned(), REQUEST_ID.to_owned()));
        headers.extend(self.headers.iter().cloned());
        Message { head: Head { start: format!("HTTP/1.1 {} Injected", self.status), headers }, body: body.into_bytes() }
    }

    fn json(&self) -> String {
        json!({"__type": self.code, "message": self.message}).to_string()
    }

    fn query_xml(&self) -> String {
        let (fault, code, message) = (self.fault(), escaped(&self.code), escaped(&self.message));
        format!(
            "<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        )
    }

    fn s3_xml(&self) -> String {
        let (code, message) = (escaped(&self.code), escaped(&self.message));
        format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{REQUEST_ID}</RequestId></Error>")
    }
}

/// Tells a reader of logs that no cloud gave this answer.
const REQUEST_ID: &str = "injected-by-the-test-bed";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
