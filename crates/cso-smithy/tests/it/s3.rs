//! S3's ways, against scripted servers and by the built-in facts.

use std::sync::Arc;

use cso_core::port::Effect;
use cso_core::{CallError, ErrorClass, Outcome};
use cso_facts::Catalog;
use cso_facts::api::Service;
use serde_json::{Value, json};

use crate::fixture::{call, client};
use crate::server::{Act, Seen, Server, answer};

const NAMESPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

fn s3() -> Arc<Service> {
    Catalog::builtin().service("s3").unwrap()
}

fn ok(body: &str) -> Act {
    answer(200, "application/xml", body)
}

fn stated(status: u16, region: Option<&str>, body: &str) -> Act {
    let region = region.map(|region| ("x-amz-bucket-region", region.to_owned()));
    let headers = [("x-amz-request-id", "ID1".to_owned())].into_iter().chain(region).collect();
    Act::Answer { status, headers, body: body.to_owned() }
}

/// Makes one call against a script; returns its result and the requests that arrived.
async fn run(
    effect: Effect,
    operation: &str,
    input: Value,
    script: impl IntoIterator<Item = Act>,
) -> (Result<Value, CallError>, Vec<Seen>) {
    let server = Server::play(script).await;
    let service = s3();
    let result = client(&server.url).call(call(&service, operation, effect, input), &()).await;
    (result, server.seen())
}

#[tokio::test]
async fn a_request_has_path_namespace_checksum_and_digest() {
    let input = json!({"Bucket": "photos", "Tagging": {"TagSet": [{"Key": "team", "Value": "a<b"}]}});
    let (result, seen) = run(Effect::Mutates, "PutBucketTagging", input, [stated(204, None, "")]).await;
    result.unwrap();
    let expected =
        format!("<Tagging {NAMESPACE}><TagSet><Tag><Key>team</Key><Value>a&lt;b</Value></Tag></TagSet></Tagging>");
    assert_eq!(seen[0].body, expected);
    for part in [
        "put /photos?tagging http/1.1\r\n",
        "\r\ncontent-type: application/xml\r\n",
        "\r\nx-amz-sdk-checksum-algorithm: crc32\r\n",
        "\r\nx-amz-checksum-crc32: ",
        "\r\nx-amz-content-sha256: ",
        "/eu-west-1/s3/aws4_request, signedheaders=content-type;host;x-amz-checksum-crc32;x-amz-content-sha256;x-amz-date;",
    ] {
        assert!(seen[0].head.contains(part), "no {part:?} in {}", seen[0].head);
    }
}

#[tokio::test]
async fn the_caller_may_choose_the_checksum_or_bring_it() {
    let base = json!({"Bucket": "photos", "VersioningConfiguration": {"Status": "Enabled"}});
    for (name, value, header) in [
        ("ChecksumAlgorithm", "SHA256", "\r\nx-amz-checksum-sha256: "),
        ("ContentMD5", "mine", "\r\ncontent-md5: mine\r\n"),
    ] {
        let mut input = base.clone();
        input[name] = value.into();
        let (result, seen) = run(Effect::Mutates, "PutBucketVersioning", input, [ok("")]).await;
        result.unwrap();
        assert!(seen[0].head.contains(header), "{}", seen[0].head);
        assert!(!seen[0].head.contains("crc32"), "{}", seen[0].head);
    }
    let mut input = base;
    input["ChecksumAlgorithm"] = "CRC64NVME".into();
    let (result, seen) = run(Effect::Mutates, "PutBucketVersioning", input, [ok("")]).await;
    let error = result.unwrap_err();
    assert!(error.message.starts_with("`ChecksumAlgorithm` names a checksum"), "{error}");
    assert!(seen.is_empty());
}

#[tokio::test]
async fn lists_attributes_and_prefixes_follow_the_model() {
    let grant = json!({"Grantee": {"Type": "Group", "URI": "http://x"}, "Permission": "READ"});
    let input = json!({"Bucket": "photos", "AccessControlPolicy": {"Grants": [grant]}});
    let (result, seen) = run(Effect::Mutates, "PutBucketAcl", input, [ok("")]).await;
    result.unwrap();
    let grantee = "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\"><URI>http://x</URI></Grantee>";
    assert!(seen[0].body.contains(grantee), "{}", seen[0].body);

    let rules = json!([{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"]}]);
    let input = json!({"Bucket": "photos", "CORSConfiguration": {"CORSRules": rules}});
    let (result, seen) = run(Effect::Mutates, "PutBucketCors", input.clone(), [ok("")]).await;
    result.unwrap();
    let sent = seen[0].body.clone();
    assert!(sent.contains("<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>"), "{sent}");
    let (result, _) = run(Effect::Reads, "GetBucketCors", json!({"Bucket": "photos"}), [ok(&sent)]).await;
    assert_eq!(result.unwrap(), input["CORSConfiguration"]);
}

#[tokio::test]
async fn bodies_without_a_structure_are_read() {
    let bucket = json!({"Bucket": "photos"});
    for (body, expected) in [
        (
            format!("<LocationConstraint {NAMESPACE}>eu-north-1</LocationConstraint>"),
            json!({"LocationConstraint": "eu-north-1"}),
        ),
        (format!("<LocationConstraint {NAMESPACE}/>"), json!({})),
    ] {
        let (result, _) = run(Effect::Reads, "GetBucketLocation", bucket.clone(), [ok(&body)]).await;
        assert_eq!(result.unwrap(), expected);
    }
    let policy = answer(200, "application/json", r#"{"Version": "2012-10-17"}"#);
    let (result, _) = run(Effect::Reads, "GetBucketPolicy", bucket, [policy]).await;
    assert_eq!(result.unwrap(), json!({"Policy": r#"{"Version": "2012-10-17"}"#}));
}

#[tokio::test]
async fn objects_go_and_come_as_base64_with_their_metadata() {
    let input = json!({"Bucket": "photos", "Key": "a b/c+d.txt", "Body": "aGVsbG8=", "Metadata": {"team": "blue"}});
    let (result, seen) = run(Effect::Mutates, "PutObject", input, [stated(200, None, "")]).await;
    result.unwrap();
    assert_eq!(seen[0].body, "hello");
    for part in
        ["put /photos/a%20b/c%2bd.txt http/1.1\r\n", "\r\nx-amz-meta-team: blue\r\n", "\r\ncontent-length: 5\r\n"]
    {
        assert!(seen[0].head.contains(part), "no {part:?} in {}", seen[0].head);
    }
    let object = Act::Answer {
        status: 200,
        headers: vec![("x-amz-meta-team", "blue".into()), ("last-modified", "Tue, 29 Apr 2014 18:30:38 GMT".into())],
        body: "<Error><Code>not an error, but a file</Code></Error>".into(),
    };
    let (result, _) = run(Effect::Reads, "GetObject", json!({"Bucket": "photos", "Key": "k"}), [object]).await;
    let output = result.unwrap();
    assert_eq!(
        (&output["Metadata"], &output["LastModified"]),
        (&json!({"team": "blue"}), &json!("2014-04-29T18:30:38Z"))
    );
    assert!(output["Body"].as_str().unwrap().starts_with("PEVycm9y"), "{output}");
}

#[tokio::test]
async fn errors_are_read_with_and_without_a_body() {
    let gone = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>none</Message><RequestId>B</RequestId></Error>";
    let (result, _) =
        run(Effect::Reads, "GetBucketTagging", json!({"Bucket": "photos"}), [stated(404, None, gone)]).await;
    let error = result.unwrap_err();
    assert_eq!((&*error.code, &*error.message, error.request_id.as_deref()), ("NoSuchBucket", "none", Some("ID1")));
    assert_eq!((error.class, error.status, error.outcome), (ErrorClass::Invalid, Some(404), Outcome::Refused));
    for (status, code, class) in [(404, "NotFound", ErrorClass::Invalid), (403, "Forbidden", ErrorClass::Denied)] {
        let (result, _) =
            run(Effect::Reads, "HeadBucket", json!({"Bucket": "photos"}), [stated(status, None, "")]).await;
        let error = result.unwrap_err();
        assert_eq!((&*error.code, error.class), (code, class));
    }
}

#[tokio::test]
async fn an_error_under_the_status_of_success_is_doubtful() {
    let late = "<?xml version=\"1.0\"?>\n<Error><Code>Odd</Code><Message>m</Message></Error>";
    let input = json!({"Bucket": "photos", "Key": "k", "CopySource": "photos/j"});
    let (result, seen) = run(Effect::Mutates, "CopyObject", input, [ok(late), ok("")]).await;
    let error = result.unwrap_err();
    assert_eq!((&*error.code, error.outcome, error.class), ("Odd", Outcome::Unknown, ErrorClass::Transient));
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_bucket_elsewhere_is_asked_there_once() {
    let moved = "<Error><Code>PermanentRedirect</Code><Message>m</Message></Error>";
    let malformed =
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-north-1</Region></Error>";
    for (status, region, body) in
        [(301, Some("eu-north-1"), moved), (400, None, malformed), (301, Some("eu-north-1"), "")]
    {
        let refusal = || stated(status, region, body);
        for effect in [Effect::Reads, Effect::Mutates] {
            let (result, seen) =
                run(effect, "DeleteBucket", json!({"Bucket": "photos"}), [refusal(), stated(204, None, "")]).await;
            result.unwrap();
            assert_eq!(seen.len(), 2);
            assert!(seen[0].head.contains("/eu-west-1/s3/aws4_request"), "{}", seen[0].head);
            assert!(seen[1].head.contains("/eu-north-1/s3/aws4_request"), "{}", seen[1].head);
        }
        let (result, seen) = run(
            Effect::Mutates,
            "DeleteBucket",
            json!({"Bucket": "photos"}),
            [refusal(), stated(301, Some("eu-south-1"), moved), ok("")],
        )
        .await;
        assert_eq!((result.unwrap_err().outcome, seen.len()), (Outcome::Refused, 2));
    }
    let (result, seen) = run(
        Effect::Mutates,
        "DeleteBucket",
        json!({"Bucket": "photos"}),
        [stated(301, Some("eu-west-1"), moved), ok("")],
    )
    .await;
    assert_eq!((result.is_err(), seen.len()), (true, 1), "the region that was asked is no redirect");
}

#[tokio::test]
async fn what_cannot_be_reached_is_refused_before_it_leaves() {
    for (operation, input, message) in [
        (
            "DeleteBucket",
            json!({"Bucket": "arn:aws:s3:eu-west-1:1:accesspoint/a"}),
            "`Bucket` is the ARN of an access point",
        ),
        ("DeleteBucket", json!({"Bucket": "b--euw1-az1--x-s3"}), "`Bucket` is a directory bucket"),
        ("DeleteBucket", json!({"Bucket": ""}), "`Bucket` is part of the path: it must not be empty"),
        ("DeleteBucket", json!({}), "`Bucket` is part of the path: set it"),
        ("DeleteBucket", json!({"Bucket": ".."}), "`Bucket` is part of the path: it must not be `.` or `..`"),
        (
            "PutObject",
            json!({"Bucket": "b", "Key": "k", "Metadata": {"a": "é"}}),
            "`Metadata.a` goes into a header: plain ASCII",
        ),
        (
            "PutObject",
            json!({"Bucket": "b", "Key": "k", "Metadata": {"a b": "c"}}),
            "`Metadata.a b` is part of a header's name",
        ),
        ("SelectObjectContent", json!({}), "operation `SelectObjectContent` of service `s3` works by an event stream"),
    ] {
        let (result, seen) = run(Effect::Mutates, operation, input, []).await;
        let error = result.unwrap_err();
        assert!(error.message.starts_with(message), "{error}");
        assert!(seen.is_empty());
    }
}
