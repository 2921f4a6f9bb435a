//! Every client case of the Smithy project's protocol tests.
//!
//! The result is the table in `docs/protocols.md`; `cargo xtask protocol-tests table` writes it anew.

mod ast;
mod request;
mod response;

use std::fmt::Write as _;
use std::path::PathBuf;

use cso_facts::api::Protocol;

use ast::{Case, Model};

/// Cases that do not pass, and why that is right. A case that passes, or is not there, must not be listed.
const LEFT_OUT: [(&str, &str, &str); 25] = [
    ("awsJson1_0", "AwsJson10ClientPopulatesDefaultValuesInInput", DEFAULTS),
    ("awsJson1_0", "AwsJson10ClientPopulatesNestedDefaultValuesWhenMissing", DEFAULTS),
    ("awsJson1_0", "AwsJson10ClientPopulatesDefaultsValuesWhenMissingInResponse", DEFAULTS),
    ("awsJson1_0", "AwsJson10ClientPopulatesNestedDefaultsWhenMissingInResponseBody", DEFAULTS),
    ("awsJson1_0", "AwsJson10ClientErrorCorrectsWhenServerFailsToSerializeRequiredValues", DEFAULTS),
    ("awsJson1_0", "AwsJson10ClientErrorCorrectsWithDefaultValuesWhenServerFailsToSerializeRequiredValues", DEFAULTS),
    ("awsJson1_0", "SDKAppliedContentEncoding_awsJson1_0", COMPRESSION),
    ("awsJson1_0", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0", COMPRESSION),
    ("awsJson1_1", "SDKAppliedContentEncoding_awsJson1_1", COMPRESSION),
    ("awsJson1_1", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1", COMPRESSION),
    ("awsQuery", "SDKAppliedContentEncoding_awsQuery", COMPRESSION),
    ("awsQuery", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery", COMPRESSION),
    ("ec2Query", "SDKAppliedContentEncoding_ec2Query", COMPRESSION),
    ("ec2Query", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query", COMPRESSION),
    ("restJson1", "RestJsonClientPopulatesDefaultValuesInInput", DEFAULTS),
    ("restJson1", "RestJsonClientPopulatesNestedDefaultValuesWhenMissing", DEFAULTS),
    ("restJson1", "RestJsonClientPopulatesDefaultsValuesWhenMissingInResponse", DEFAULTS),
    ("restJson1", "RestJsonClientPopulatesNestedDefaultsWhenMissingInResponseBody", DEFAULTS),
    ("restJson1", "RestJsonHttpPayloadTraitsWithMediaTypeWithBlob", MEDIA_TYPES),
    ("restJson1", "RestJsonStreamingTraitsWithMediaTypeWithBlob", MEDIA_TYPES),
    ("restJson1", "SDKAppliedContentEncoding_restJson1", COMPRESSION),
    ("restJson1", "SDKAppendedGzipAfterProvidedEncoding_restJson1", COMPRESSION),
    ("restXml", "HttpPayloadTraitsWithMediaTypeWithBlob", MEDIA_TYPES),
    ("restXml", "SDKAppliedContentEncoding_restXml", COMPRESSION),
    ("restXml", "SDKAppendedGzipAfterProvidedEncoding_restXml", COMPRESSION),
];

const DEFAULTS: &str =
    "what is absent stays absent: a reconciler must tell it from a default, and the facts carry none";
const COMPRESSION: &str = "requests are not compressed: no call of a reconciler is large enough to gain by it";
const MEDIA_TYPES: &str = "the facts carry no media types: bytes go as `application/octet-stream` unless a member of the input names their type";

const PROTOCOLS: [(Protocol, &str, &str); 6] = [
    (Protocol::AwsJson1_0, "awsJson1_0", "aws-json-1-0"),
    (Protocol::AwsJson1_1, "awsJson1_1", "aws-json-1-1"),
    (Protocol::AwsQuery, "awsQuery", "aws-query"),
    (Protocol::Ec2Query, "ec2Query", "ec2-query"),
    (Protocol::RestJson1, "restJson1", "rest-json-1"),
    (Protocol::RestXml, "restXml", "rest-xml"),
];

/// How many cases of one protocol and direction there are, and which fail.
struct Tally {
    cases: usize,
    failures: Vec<(String, String)>,
}

#[test]
fn every_case_passes_or_is_left_out_for_a_reason() {
    let mut rows = String::new();
    let mut failed = Vec::new();
    for (protocol, name, file) in PROTOCOLS {
        let model = Model::read(&root().join("tests/protocol").join(file).with_extension("jsonl"), protocol);
        let (requests, responses) = (model.requests(), model.responses());
        let tallies = [tally(&requests, request::check), tally(&responses, response::check)];
        let cells = tallies.iter().map(|tally| format!("{} of {}", tally.cases - tally.failures.len(), tally.cases));
        let _ = writeln!(rows, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        failed.extend(tallies.into_iter().flat_map(|tally| tally.failures).map(|(id, why)| (name, id, why)));
    }
    let is_listed = |protocol: &str, id: &str| LEFT_OUT.iter().any(|(p, i, _)| (*p, *i) == (protocol, id));
    let unlisted: Vec<_> = failed.iter().filter(|(protocol, id, _)| !is_listed(protocol, id)).collect();
    assert!(unlisted.is_empty(), "{} cases fail: {unlisted:#?}", unlisted.len());
    let fails = |protocol: &str, id: &str| failed.iter().any(|(p, i, _)| (*p, i.as_str()) == (protocol, id));
    let stale: Vec<_> = LEFT_OUT.iter().filter(|(protocol, id, _)| !fails(protocol, id)).collect();
    assert!(stale.is_empty(), "these are left out although they pass or do not exist: {stale:#?}");
    compare_table(&page(&rows));
}

fn tally<'m>(cases: &[Case<'m>], check: impl Fn(&Case<'m>) -> Result<(), String>) -> Tally {
    let failure = |case: &Case<'m>| check(case).err().map(|why| (case.id.to_owned(), why));
    Tally { cases: cases.len(), failures: cases.iter().filter_map(failure).collect() }
}

fn page(rows: &str) -> String {
    let mut page = format!(
        "# Wire protocols\n\nGenerated by `cargo xtask protocol-tests table`; a test keeps it true. The cases are the Smithy \
         project's own for AWS clients\n(`tests/protocol/`): a request is compared in method, URI, headers and body, a response \
         in output or error.\n\n| protocol | requests | responses |\n|---|---|---|\n{rows}\n## Cases left out\n\n"
    );
    for reason in [DEFAULTS, MEDIA_TYPES, COMPRESSION] {
        let _ = writeln!(page, "{}{}:\n", reason[..1].to_uppercase(), &reason[1..]);
        for (protocol, id, _) in LEFT_OUT.iter().filter(|(_, _, why)| *why == reason) {
            let _ = writeln!(page, "- {protocol} `{id}`");
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

#[expect(clippy::disallowed_methods, reason = "the update switch of golden files")]
fn compare_table(page: &str) {
    let path = root().join("docs/protocols.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, page, "docs/protocols.md is old: run `cargo xtask protocol-tests table`");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
