//! Kinds from users: the tutorial, run as it is written; what stands in for a built-in kind; what happens without them.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::Kind;
use serde_json::{Map, Value, json};

use crate::stage::{Run, Stage};

/// How each `cso` command of the tutorial ends, in order.
const ENDS: [(&str, i32); 13] = [
    ("kinds", 1),
    ("kinds", 1),
    ("kinds", 0),
    ("explain", 0),
    ("crds", 0),
    ("validate", 0),
    ("plan", 2),
    ("apply", 0),
    ("plan", 2),
    ("apply", 0),
    ("apply", 0),
    ("plan", 1),
    ("delete", 0),
];

/// What boto3 sees after each command that changes something: the retention of each group that is there.
const SEEN: [&str; 5] = ["[30]", "[7]", "[30]", "[null]", "[]"];

/// A fenced block of a page.
enum Block<'a> {
    /// A file, by its name.
    File(&'a str, &'a str),
    /// Commands, and what each tells.
    Console(Vec<(&'a str, String)>),
}

/// The blocks of a page, in order.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let fenced = page.split("```").skip(1).step_by(2);
    let block = |fenced| {
        let (info, body): (&str, &str) = str::split_once(fenced, '\n')?;
        match info.split_once(' ') {
            Some((_, name)) => Some(Block::File(name, body)),
            None if info == "console" => Some(Block::Console(console(body))),
            None => None,
        }
    };
    fenced.filter_map(block).collect()
}

fn console(body: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in body.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, String::new())),
            (None, Some((_, told))) => told.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    commands
}

/// Whether a text is the expected one, in which `...` stands for anything.
fn is_like(expected: &str, text: &str) -> bool {
    let pieces: Vec<&str> = expected.trim().split("...").collect();
    let [first, middle @ .., last] = pieces.as_slice() else { return expected.trim() == text.trim() };
    let Some(mut rest) = text.trim().strip_prefix(first) else { return false };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Runs a command with both of its streams in one text, as a terminal shows them.
fn terminal(command: &mut Command) -> Result<(Option<i32>, String)> {
    let mut screen = tempfile::tempfile()?;
    let status = command.stdout(screen.try_clone()?).stderr(screen.try_clone()?).status()?;
    screen.rewind()?;
    let mut text = String::new();
    screen.read_to_string(&mut text)?;
    Ok((status.code(), text))
}

/// `aws logs put-retention-policy --retention-in-days 7`, as a call.
fn aws(words: &[&str]) -> Result<(String, Map<String, Value>)> {
    let [_, operation, flags @ ..] = words else { bail!("no operation in {words:?}") };
    let capital = |word: &str| word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default();
    let mut input = Map::new();
    for pair in flags.chunks(2) {
        let [flag, value] = pair else { bail!("{pair:?} is no flag with a value") };
        let words: Vec<&str> = flag.trim_start_matches('-').split('-').collect();
        let name = words[0].to_owned() + &words[1..].iter().map(|word| capital(word)).collect::<String>();
        input.insert(name, value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)));
    }
    Ok((operation.split('-').map(capital).collect(), input))
}

/// The retention of each log group that is there.
fn seen(stage: &Stage) -> Result<String> {
    let answer = stage.cloud.call("logs", "DescribeLogGroups", json!({"logGroupNamePrefix": "/shop/"}))?;
    let groups = answer["logGroups"].as_array().context("a list of groups")?;
    Ok(groups.iter().map(|group| group["retentionInDays"].clone()).collect::<Value>().to_string())
}

fn tutorial() -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no root")?;
    Ok(fs::read_to_string(root.join("docs/tutorial-new-kind.md"))?)
}

#[test]
fn the_tutorial_works_as_written() -> Result<()> {
    let page = tutorial()?;
    let stage = Stage::open(Kind::Ministack)?;
    let (mut ends, mut sights) = (ENDS.iter(), SEEN.iter());
    let mut environment: Vec<(String, String)> = Vec::new();
    for block in blocks(&page) {
        let commands = match block {
            Block::File(name, text) => {
                ensure!(!name.starts_with("kinds/") || text.lines().count() < 40, "{name} has forty lines or more");
                stage.write(name, text)?;
                continue;
            }
            Block::Console(commands) => commands,
        };
        for (line, expected) in commands {
            let words: Vec<&str> = line.split_whitespace().collect();
            let told = match words.as_slice() {
                ["export", pair] => {
                    let (name, value) = pair.split_once('=').context("NAME=VALUE")?;
                    environment.push((name.to_owned(), value.to_owned()));
                    String::new()
                }
                ["sed", args @ ..] => terminal(Command::new("sed").args(args).current_dir(stage.path()))?.1,
                ["aws", call @ ..] => {
                    let (operation, input) = aws(call)?;
                    stage.cloud.call(call[0], &operation, Value::Object(input))?;
                    String::new()
                }
                ["cso", args @ ..] => {
                    let (code, told) = terminal(stage.command(args)?.envs(environment.clone()))?;
                    let (command, end) = ends.next().context("more commands than the test knows")?;
                    ensure!(args[0] == *command && code == Some(*end), "`{line}` ended with {code:?}: {told}");
                    told
                }
                _ => bail!("`{line}` is no command that the test knows"),
            };
            ensure!(is_like(&expected, &told), "`{line}` tells\n{told}\nand not\n{expected}");
            if matches!(words.as_slice(), ["cso", "apply" | "delete", ..] | ["aws", ..]) {
                let sight = seen(&stage)?;
                ensure!(sights.next() == Some(&sight.as_str()), "after `{line}` there is {sight}");
            }
        }
    }
    ensure!(ends.next().is_none() && sights.next().is_none(), "the tutorial has fewer commands than the test knows");
    Ok(())
}

/// The tutorial's last descriptor, with its typing error corrected.
fn log_group() -> Result<String> {
    let page = tutorial()?;
    let mut files = blocks(&page).into_iter().filter_map(|block| match block {
        Block::File("kinds/logs.yaml", text) => Some(text.replace("DeletRetention", "DeleteRetention")),
        _ => None,
    });
    files.next_back().context("the tutorial has no descriptor")
}

const APP: &str = "apiVersion: logs.services.k8s.aws/v1alpha1\nkind: LogGroup\nmetadata: {name: app}\n\
                   spec: {logGroupName: /shop/app}\n";

/// Without its descriptor an object is remembered, shown, and left alone.
#[test]
fn an_object_outlives_its_descriptor() -> Result<()> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("kinds/logs.yaml", &log_group()?)?;
    stage.write("m/app.yaml", APP)?;
    let with = |args: &[&str]| stage.cso(&[args, &["--kinds", "kinds"]].concat());
    with(&["apply", "-f", "m", "--wait"])?.ends(0)?;
    stage.mutations();

    stage.cso(&["get"])?.ends(0)?.tells("logs/LogGroup/app")?;
    stage.cso(&["delete", "-f", "m"])?.ends(1)?.tells("there is no kind logs.services.k8s.aws/LogGroup")?;
    ensure!(stage.mutations().is_empty() && seen(&stage)? == "[null]", "it was touched");

    with(&["import", "loggroup", "--all"])?.ends(0)?.tells("left out")?;
    with(&["delete", "-f", "m"])?.ends(0)?;
    ensure!(seen(&stage)? == "[]", "it is still there");
    Ok(())
}

/// A user's descriptor of a built-in kind stands in for it, and that is said.
#[test]
fn a_built_in_kind_is_overridden_and_that_is_said() -> Result<()> {
    let stage = Stage::open(Kind::Ministack)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no root")?;
    let built_in = fs::read_to_string(root.join("kinds/aws/sqs.yaml"))?;
    ensure!(built_in.matches("delaySeconds: {compare: number, clear: \"0\"").count() == 1, "another descriptor");
    let own = built_in
        .replace("delaySeconds: {compare: number, clear: \"0\"", "delaySeconds: {compare: number, clear: \"5\"");
    stage.write("kinds/queues.yaml", &own)?;
    let cso = |args: &[&str]| Run::of(stage.command(args)?.env("CSO_KINDS", "kinds"));

    cso(&["kinds"])?.ends(0)?.tells("kinds/queues.yaml")?;
    cso(&["validate", "-f", "kinds", "-v"])?.tells("stands in for the built-in kind")?.tells("sqs/Queue")?;
    let queue = |spec: &str| {
        let text = "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {name: q}\nspec: {queueName: q";
        stage.write("m/q.yaml", &format!("{text}{spec}}}\n"))
    };
    queue(", delaySeconds: \"9\"")?;
    cso(&["apply", "-f", "m", "--wait"])?.ends(0)?;
    queue("")?;
    cso(&["apply", "-f", "m", "--wait"])?.ends(0)?;
    let url = &stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": "q"}))?["QueueUrl"];
    let all = stage.cloud.call("sqs", "GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]}))?;
    ensure!(all["Attributes"]["DelaySeconds"] == "5", "the removed field became {all}");
    Ok(())
}

/// What is wrong with descriptors stops every command, with file, line and proposal; lint tells it as data too.
#[test]
fn wrong_descriptors_are_told_and_nothing_is_done() -> Result<()> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("kinds/logs.yaml", &log_group()?.replace("arn: logGroupArn", "arn: logGroupArm"))?;
    stage.write("m/app.yaml", APP)?;
    let told = "kinds/logs.yaml:23: logs/LogGroup: the answer has no logGroupArm; did you mean logGroupArn?";
    for command in ["plan", "apply", "delete", "validate"] {
        stage.cso(&[command, "-f", "m", "--kinds", "kinds"])?.ends(1)?.tells(told)?;
    }
    ensure!(stage.mutations().is_empty(), "something was done");
    let findings = stage.cso(&["kinds", "lint", "kinds", "-o", "json"])?.ends(1)?.json()?;
    let error = &findings["errors"][0];
    ensure!(error["line"] == 23 && error["file"] == "kinds/logs.yaml", "{findings}");

    stage.write("kinds/logs.yaml", "service: logs\nkinds: {\n")?;
    let findings = stage.cso(&["kinds", "lint", "kinds", "-o", "json"])?.ends(1)?.json()?;
    ensure!(findings["errors"][0]["column"].is_u64(), "{findings}");
    stage.cso(&["kinds", "lint", "nowhere"])?.ends(1)?.tells("nowhere")?;
    stage.cso(&["kinds", "lint"])?.ends(1)?.tells("--kinds")?;
    Ok(())
}
