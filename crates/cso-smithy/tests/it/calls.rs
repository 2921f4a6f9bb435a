//! Everything else that a caller notices.

use cso_core::port::Effect;
use cso_core::{ErrorClass, Outcome};
use cso_facts::api::Protocol;
use serde_json::json;

use crate::fixture::{Ledger, call, client, things};
use crate::server::{Act, Server, answer, json as reply};

#[tokio::test]
async fn a_request_is_signed_targeted_and_carries_a_token() {
    let service = things(Protocol::AwsJson1_0);
    let server = Server::play([reply(200, "{}"), reply(200, "{}")]).await;
    let client = client(&server.url);
    for token in [json!({"Name": "a"}), json!({"Name": "a", "Token": "mine"})] {
        client.call(call(&service, "CreateThing", Effect::Mutates, token), &()).await.unwrap();
    }
    let seen = server.seen();
    for part in [
        "post / http/1.1\r\n",
        "\r\nx-amz-target: things.creatething\r\n",
        "\r\ncontent-type: application/x-amz-json-1.0\r\n",
        "\r\nauthorization: aws4-hmac-sha256 credential=akidexample/",
        "/eu-west-1/things/aws4_request, signedheaders=content-type;host;x-amz-date;x-amz-target, signature=",
        "\r\nuser-agent: cloud-service-operator/",
    ] {
        assert!(seen[0].head.contains(part), "no {part:?} in {}", seen[0].head);
    }
    let body: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!((body["Name"].as_str(), body["Token"].as_str().map(str::len)), (Some("a"), Some(36)));
    assert_eq!(seen[1].body, r#"{"Name":"a","Token":"mine"}"#);
}

#[tokio::test]
async fn the_token_is_the_same_in_every_attempt() {
    let service = things(Protocol::AwsJson1_0);
    let server = Server::play([reply(429, "{}"), reply(200, "{}")]).await;
    client(&server.url).call(call(&service, "CreateThing", Effect::Mutates, json!({})), &()).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].body.contains("Token"));
    assert_eq!(seen[0].body, seen[1].body);
}

#[tokio::test]
async fn the_signing_scope_follows_the_facts() {
    let service = things(Protocol::AwsQuery);
    let server = Server::play([answer(200, "text/xml", "")]).await;
    let mut create = call(&service, "CreateThing", Effect::Mutates, json!({"Token": "t", "Name": "a b"}));
    create.region = "eu-west-9";
    client(&server.url).call(create, &()).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].head.contains("/eu-west-1/things/aws4_request"), "{}", seen[0].head);
    assert_eq!(seen[0].body, "Action=CreateThing&Version=2026-01-01&Name=a%20b&Token=t");
}

#[tokio::test]
async fn pages_are_read_to_the_end() {
    let service = things(Protocol::AwsJson1_1);
    let server = Server::play([
        reply(200, r#"{"Names": ["a", "b"], "Next": "n1"}"#),
        reply(200, r#"{"Names": ["c"], "Next": ""}"#),
    ])
    .await;
    let ledger = Ledger::default();
    let list = call(&service, "ListThings", Effect::Reads, json!({"Token": "t"}));
    let all = client(&server.url).call_all_pages(list, &ledger).await.unwrap();
    assert_eq!(all, json!({"Names": ["a", "b", "c"]}));
    assert_eq!(server.seen()[1].body, r#"{"Name":"n1","Token":"t"}"#);
    assert_eq!(ledger.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_sensitive_member_is_never_echoed() {
    let service = things(Protocol::AwsJson1_0);
    let echo =
        |text: &str| reply(400, &json!({"__type": "Invalid", "message": format!("bad value {text}!")}).to_string());
    let server = Server::play([echo("hunter2-hunter2"), echo("abc")]).await;
    let client = client(&server.url);
    for password in ["hunter2-hunter2", "abc"] {
        let input = json!({"Name": "bad", "Password": password});
        let error = client.call(call(&service, "CreateThing", Effect::Mutates, input), &()).await.unwrap_err();
        assert!(!error.to_string().contains(password), "{error}");
        assert!(!format!("{error:?}").contains(password), "{error:?}");
    }
    let input = json!({"Password": ["hunter2"]});
    let error = client.call(call(&service, "CreateThing", Effect::Mutates, input), &()).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("invalid-input", "`Password` must be a string, not a list")
    );
}

#[tokio::test]
async fn wrong_input_is_refused_before_it_leaves() {
    let service = things(Protocol::AwsJson1_0);
    let server = Server::play([]).await;
    let client = client(&server.url);
    for (operation, input, code, class, message) in [
        (
            "Create",
            json!({}),
            "unknown-operation",
            ErrorClass::Unsupported,
            "service `things` has no operation `Create`",
        ),
        (
            "CreateThing",
            json!({"Nmae": 1}),
            "invalid-input",
            ErrorClass::Invalid,
            "`Nmae` is not a member of CreateInput",
        ),
        (
            "CreateThing",
            json!({"Name": 1}),
            "invalid-input",
            ErrorClass::Invalid,
            "`Name` must be a string, not a number",
        ),
    ] {
        let error = client.call(call(&service, operation, Effect::Mutates, input), &()).await.unwrap_err();
        assert_eq!((&*error.code, error.class, &*error.message), (code, class, message));
        assert_eq!(error.outcome, Outcome::Refused);
    }
    let mut streaming = things(Protocol::RestXml);
    streaming.operations[0].event_stream = true;
    let error = client.call(call(&streaming, "CreateThing", Effect::Reads, json!({})), &()).await.unwrap_err();
    assert_eq!((&*error.code, error.class), ("event-stream", ErrorClass::Unsupported));
    assert!(error.message.starts_with("operation `CreateThing` of service `things`"), "{error}");
    let mut nowhere = call(&service, "CreateThing", Effect::Reads, json!({}));
    nowhere.region = "";
    assert_eq!(client.call(nowhere, &()).await.unwrap_err().code, "no-region");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn strange_answers_have_clear_errors() {
    let service = things(Protocol::AwsJson1_0);
    let page = answer(404, "text/html", "<!DOCTYPE html><html><p>not here<br></html>");
    let xml = answer(403, "text/xml", "<R><Error><Code>AccessDenied</Code><Message>no</Message></Error></R>");
    let with_ids = Act::Answer {
        status: 400,
        headers: vec![("x-amzn-requestid", "id-1".into()), ("retry-after", "7".into())],
        body: r#"{"code": "Odd"}"#.into(),
    };
    let server = Server::play([page, xml, with_ids, reply(200, &"x".repeat(20_000))]).await;
    let client = client(&server.url);
    let mut errors = Vec::new();
    for _ in 0..4 {
        let create = call(&service, "CreateThing", Effect::Mutates, json!({}));
        errors.push(client.call(create, &()).await.unwrap_err());
    }
    assert_eq!(
        (&*errors[0].code, errors[0].outcome, errors[0].class),
        ("unreadable-answer", Outcome::Refused, ErrorClass::Invalid)
    );
    assert!(
        errors[0].message.contains("HTTP 404 from 127.0.0.1:") && errors[0].message.contains("proxy"),
        "{}",
        errors[0]
    );
    assert_eq!((&*errors[1].code, &*errors[1].message, errors[1].class), ("AccessDenied", "no", ErrorClass::Denied));
    assert_eq!(errors[2].request_id.as_deref(), Some("id-1"));
    assert_eq!(errors[2].retry_after.map(|pause| pause.as_secs()), Some(7));
    assert_eq!((&*errors[3].code, errors[3].outcome), ("answer-too-large", Outcome::Unknown));
}

#[tokio::test]
async fn connections_are_used_again() {
    let service = things(Protocol::AwsJson1_0);
    let server = Server::play((0..5).map(|_| reply(200, "{}"))).await;
    let client = client(&server.url);
    for _ in 0..5 {
        client.call(call(&service, "CreateThing", Effect::Reads, json!({})), &()).await.unwrap();
    }
    assert_eq!((server.seen().len(), server.connections()), (5, 1));
}
