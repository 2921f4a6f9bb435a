//! What `-v` tells: the object and the call at each level, on stderr, and a secret at none.

use anyhow::{Result, ensure};
use cso_testbed::{Action, Failure, Kind, Match};

use crate::stage::{APPLY, Run, Stage};

const PASSWORD: &str = "correct-horse-battery";

fn manifests(password: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{password: {password}}}\n---\n\
         apiVersion: secretsmanager.services.k8s.aws/v1alpha1\nkind: Secret\nmetadata: {{name: db}}\n\
         spec: {{name: db, secretString: {{name: db, key: password}}}}\n"
    )
}

fn stage() -> Result<Stage> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/secret.yaml", &manifests(PASSWORD))?;
    Ok(stage)
}

/// The lines of a log that tell of calls of an operation.
fn lines<'a>(run: &'a Run, operation: &str) -> Vec<&'a str> {
    run.stderr.lines().filter(|line| line.contains("cso::call") && line.contains(operation)).collect()
}

#[test]
fn each_level_tells_more_and_names_the_object() -> Result<()> {
    let object = "kind=secretsmanager/Secret namespace=\"default\" name=\"db\"";
    let mut stage = stage()?;
    for (level, tells_reads) in [("-v", false), ("-vv", true), ("-vvv", true)] {
        let run = stage.cso(&[&APPLY[..], &[level, "-o", "json"]].concat())?.ends(0)?;
        ensure!(run.json()?["calls"] == 1, "the result is not as without {level}: {}", run.stdout);
        let [created] = lines(&run, "CreateSecret")[..] else { anyhow::bail!("{level}: {run:?}") };
        for part in [object, "request_id=", "took=", "done"] {
            ensure!(created.contains(part), "{level} does not tell {part}: {created}");
        }
        let reads = lines(&run, "DescribeSecret");
        ensure!(reads.is_empty() != tells_reads, "{level}: {reads:?}");
        ensure!(reads.iter().all(|line| line.contains(object) && line.contains("request_id=")), "{level}: {reads:?}");
        ensure!(run.stderr.contains("ended=\"settled\"") == tells_reads, "{level}: {}", run.stderr);
        stage.clear()?;
        stage.write("m/secret.yaml", &manifests(PASSWORD))?;
    }
    let quiet = stage.cso(&[&APPLY[..], &["-o", "json"]].concat())?.ends(0)?;
    ensure!(!quiet.stderr.contains("request_id"), "without -v: {}", quiet.stderr);
    Ok(())
}

#[test]
fn a_failed_call_is_told_with_its_code() -> Result<()> {
    let stage = stage()?;
    stage.proxy.on(Match::operation("CreateSecret"), Action::Fail(Failure::new("ThrottlingException")));
    let run = stage.cso(&[&APPLY[..], &["-v"]].concat())?.ends(0)?;
    let tells = |line: &&str| line.contains("WARN") && line.contains("code=\"ThrottlingException\" status=400");
    ensure!(lines(&run, "CreateSecret").iter().any(tells), "{}", run.stderr);
    Ok(())
}

/// All of `-vvv` over create, refusal, rotation and deletion, with credentials of every sort in the environment.
#[test]
fn no_level_tells_a_secret() -> Result<()> {
    const SESSION: &str = "a-session-token-of-somebody";
    const KEY: &str = "a-secret-access-key-of-somebody";
    let stage = stage()?;
    let loud = |args: &[&str]| -> Result<Run> {
        let mut command = stage.command(&[args, &["-vvv"]].concat())?;
        Run::of(command.env("AWS_SESSION_TOKEN", SESSION).env("AWS_SECRET_ACCESS_KEY", KEY))
    };
    let refused = Failure::new("ThrottlingException").message(format!("no room for {PASSWORD}"));
    let refusal = stage.proxy.on(Match::operation("CreateSecret"), Action::Fail(refused));
    let mut told = vec![loud(&["plan", "-f", "m"])?.ends(2)?, loud(&APPLY)?.ends(0)?];
    ensure!(refusal.fired() == 1, "nothing was refused");
    stage.write("m/secret.yaml", &manifests("another-horse-battery"))?;
    told.push(loud(&["plan", "-f", "m"])?.ends(2)?);
    told.push(loud(&APPLY)?.ends(0)?);
    told.push(loud(&["describe", "secrets", "db"])?.ends(0)?);
    told.push(loud(&["delete", "-f", "m"])?.ends(0)?);
    ensure!(lines(&told[1], "CreateSecret").len() > 1 && told[1].stderr.contains("aws_config"), "it tells too little");
    for run in told {
        for secret in [PASSWORD, "another-horse-battery", "horse", SESSION, KEY] {
            ensure!(!run.stderr.contains(secret) && !run.stdout.contains(secret), "`{secret}` is told: {run:?}");
        }
    }
    Ok(())
}
