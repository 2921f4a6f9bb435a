//! `cargo xtask protocol-tests`: the Smithy project's protocol tests, cut down to what a client test needs.
//!
//! ```text
//! aws-protocol-tests.json --extract--> tests/protocol/aws-query.jsonl
//! {"protocol":"aws.protocols#awsQuery"}       the header
//! {"id":..,"shape":{..}}                      then a shape a line, with its cases among its traits
//! ```
//!
//! Canonical: members sorted, no white space, no documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::pages::{self, Pages};

/// Where the cases are committed.
const FOLDER: &str = "tests/protocol";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write `tests/protocol/` from the JSON AST of `smithy-aws-protocol-tests`.
    Extract {
        /// The AST [default: ../shared/oracle/smithy/aws-protocol-tests.json]
        #[arg(long)]
        ast: Option<PathBuf>,
    },
    /// Check that the cases are what the AST says, if it is there.
    Verify {
        /// The AST [default: ../shared/oracle/smithy/aws-protocol-tests.json]
        #[arg(long)]
        ast: Option<PathBuf>,
    },
    /// Write `docs/protocols.md` from a run of the cases.
    Table,
}

/// File name and trait of each protocol.
const PROTOCOLS: [(&str, &str); 6] = [
    ("aws-json-1-0", "aws.protocols#awsJson1_0"),
    ("aws-json-1-1", "aws.protocols#awsJson1_1"),
    ("aws-query", "aws.protocols#awsQuery"),
    ("ec2-query", "aws.protocols#ec2Query"),
    ("rest-json-1", "aws.protocols#restJson1"),
    ("rest-xml", "aws.protocols#restXml"),
];

const TESTS: [&str; 2] = ["smithy.test#httpRequestTests", "smithy.test#httpResponseTests"];

/// Traits that change bytes. All others, documentation first, stay out.
const TRAITS: [&str; 34] = [
    "aws.api#service",
    "aws.auth#sigv4",
    "aws.protocols#awsQueryCompatible",
    "aws.protocols#awsQueryError",
    "aws.protocols#ec2QueryName",
    "aws.protocols#httpChecksum",
    "smithy.api#default",
    "smithy.api#endpoint",
    "smithy.api#error",
    "smithy.api#eventPayload",
    "smithy.api#hostLabel",
    "smithy.api#http",
    "smithy.api#httpChecksumRequired",
    "smithy.api#httpError",
    "smithy.api#httpHeader",
    "smithy.api#httpLabel",
    "smithy.api#httpPayload",
    "smithy.api#httpPrefixHeaders",
    "smithy.api#httpQuery",
    "smithy.api#httpQueryParams",
    "smithy.api#httpResponseCode",
    "smithy.api#idempotencyToken",
    "smithy.api#jsonName",
    "smithy.api#mediaType",
    "smithy.api#requestCompression",
    "smithy.api#required",
    "smithy.api#sensitive",
    "smithy.api#sparse",
    "smithy.api#streaming",
    "smithy.api#timestampFormat",
    "smithy.api#xmlAttribute",
    "smithy.api#xmlFlattened",
    "smithy.api#xmlName",
    "smithy.api#xmlNamespace",
];

pub(crate) fn run(root: &Path, command: Command) -> Result<()> {
    match command {
        Command::Extract { ast } => pages::replace(root, FOLDER, &extract(&source(root, ast))?),
        Command::Verify { ast } => verify(root, ast),
        Command::Table => table(root),
    }
}

fn source(root: &Path, given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| root.join("../shared/oracle/smithy/aws-protocol-tests.json"))
}

fn verify(root: &Path, given: Option<PathBuf>) -> Result<()> {
    let (is_given, ast) = (given.is_some(), source(root, given));
    if !is_given && !ast.exists() {
        println!("{FOLDER}: comparison skipped: neither --ast, nor {}", ast.display());
        return Ok(());
    }
    let wrong = pages::differences(&pages::read(&root.join(FOLDER), FOLDER)?, &extract(&ast)?);
    println!("{FOLDER}: compared with {}", ast.display());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn extract(ast: &Path) -> Result<Pages> {
    let text = fs::read(ast).with_context(|| ast.display().to_string())?;
    let ast: Value = serde_json::from_slice(&text).with_context(|| ast.display().to_string())?;
    let shapes = ast.get("shapes").and_then(Value::as_object).context("the AST has no shapes")?;
    let shapes = &mixed(shapes);
    let page = |(file, protocol): (&str, &str)| {
        let mut page = format!("{}\n", json!({ "protocol": protocol }));
        for (id, shape) in cut(shapes, protocol) {
            page.push_str(&json!({"id": id, "shape": shape}).to_string());
            page.push('\n');
        }
        (format!("{FOLDER}/{file}.jsonl"), page)
    };
    Ok(PROTOCOLS.map(page).into())
}

/// The shapes with the members and traits of their mixins in them.
fn mixed(shapes: &Map<String, Value>) -> Map<String, Value> {
    let mix = |(id, shape): (&String, &Value)| {
        let mut shape = shape.clone();
        if let Some(shape) = shape.as_object_mut()
            && shape.remove("mixins").is_some()
        {
            shape.insert("members".to_owned(), inherited(shapes, id, "members").into());
            shape.insert("traits".to_owned(), inherited(shapes, id, "traits").into());
        }
        (id.clone(), shape)
    };
    shapes.iter().map(mix).collect()
}

/// Members or traits of a shape, its mixins' first.
fn inherited(shapes: &Map<String, Value>, id: &str, what: &str) -> Map<String, Value> {
    let shape = &shapes[id];
    let mixins = shape["mixins"].as_array().into_iter().flatten().filter_map(|mixin| mixin["target"].as_str());
    let mut all: Map<_, _> = mixins.flat_map(|mixin| inherited(shapes, mixin, what)).collect();
    all.extend(shape[what].as_object().cloned().unwrap_or_default());
    all
}

/// The services of a protocol and everything they reach.
fn cut(shapes: &Map<String, Value>, protocol: &str) -> Map<String, Value> {
    let services =
        shapes.iter().filter(|(_, shape)| shape["type"] == "service" && !shape["traits"][protocol].is_null());
    let mut open: Vec<&str> = services.map(|(id, _)| id.as_str()).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = open.pop() {
        if let Some(shape) = shapes.get(id)
            && reached.insert(id)
        {
            targets(shape, &mut open);
        }
    }
    reached.into_iter().map(|id| (id.to_owned(), cut_shape(&shapes[id], protocol))).collect()
}

/// Ids that a shape refers to.
fn targets<'a>(shape: &'a Value, found: &mut Vec<&'a str>) {
    let single = ["input", "output", "member", "key", "value"].iter().map(|name| &shape[*name]);
    let lists = ["operations", "errors", "resources"].iter().filter_map(|name| shape[*name].as_array()).flatten();
    let members = shape["members"].as_object().into_iter().flat_map(Map::values);
    found.extend(single.chain(lists).chain(members).filter_map(|reference| reference["target"].as_str()));
}

fn cut_shape(shape: &Value, protocol: &str) -> Value {
    let mut shape = shape.clone();
    cut_traits(&mut shape, protocol);
    for name in ["member", "key", "value"] {
        if let Some(member) = shape.get_mut(name) {
            cut_traits(member, protocol);
        }
    }
    for member in shape.get_mut("members").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        cut_traits(member, protocol);
    }
    shape
}

fn cut_traits(shape: &mut Value, protocol: &str) {
    let Some(traits) = shape.get_mut("traits").and_then(Value::as_object_mut) else { return };
    traits.retain(|name, _| TRAITS.contains(&name.as_str()) || TESTS.contains(&name.as_str()) || name == protocol);
    for tests in TESTS {
        let Some(Value::Array(cases)) = traits.get_mut(tests) else { continue };
        cases.retain(|case| case["protocol"] == protocol && case["appliesTo"] != "server");
        for case in cases.iter_mut().filter_map(Value::as_object_mut) {
            case.retain(|name, _| {
                !["appliesTo", "documentation", "protocol", "tags", "vendorParamsShape"].contains(&&**name)
            });
        }
        if cases.is_empty() {
            traits.remove(tests);
        }
    }
    if traits.is_empty()
        && let Some(shape) = shape.as_object_mut()
    {
        shape.remove("traits");
    }
}

/// The cases run as a test of `cso-smithy`, which writes the table instead of comparing it when it is told so.
fn table(root: &Path) -> Result<()> {
    let status = Process::new(env!("CARGO"))
        .current_dir(root)
        .args(["test", "--quiet", "--package", "cso-smithy", "--test", "it", "protocol"])
        .env("UPDATE_GOLDEN", "1")
        .status()?;
    ensure!(status.success(), "the protocol tests fail: see above");
    Ok(())
}
