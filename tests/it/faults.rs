//! Bad weather: the message names object, action and remedy, nothing is lost, and work resumes. Bad input is told offline:
//! the tests of `cso` itself see to that.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use anyhow::{Result, ensure};
use cso_testbed::{Action, Failure, Match, Outcome};

use crate::stage::{APPLY, BRIEFLY, QUEUE, Run, Stage, TOPIC};

/// Each protocol: JSON and query.
const BOTH: [(&str, &str, &str); 2] = [("CreateQueue", QUEUE, "sqs/Queue"), ("CreateTopic", TOPIC, "sns/Topic")];

#[test]
fn what_is_refused_is_told_and_resumed() -> Result<()> {
    for (operation, manifest, _) in BOTH {
        for (code, status) in [
            ("AccessDeniedException", 400),
            ("AuthorizationError", 403),
            ("ExpiredTokenException", 403),
            ("ExpiredToken", 403),
        ] {
            let stage = Stage::with(manifest)?;
            stage.proxy.on(Match::operation(operation).always(), Action::Fail(Failure::new(code).status(status)));
            let run = stage.cso(&APPLY)?.ends(1)?.tells("story")?.tells(operation)?.tells(code)?;
            run.tells("credentials")?.tells("permission")?;
            stage.resumes()?;
        }
    }
    Ok(())
}

#[test]
fn credentials_that_nobody_accepts_are_told_once() -> Result<()> {
    let stage = Stage::with(QUEUE)?;
    let expired = Failure::new("ExpiredToken").status(403);
    stage.proxy.on(Match::operation("GetCallerIdentity").always(), Action::Fail(expired));
    for command in [&["plan", "-f", "m"][..], &APPLY] {
        stage.cso(command)?.ends(1)?.tells("ExpiredToken")?.tells("credentials")?;
    }
    ensure!(stage.mutations().is_empty(), "it went on without an identity");
    stage.resumes()
}

#[test]
fn an_endpoint_that_is_down_is_named() -> Result<()> {
    let stage = Stage::with(QUEUE)?;
    // Free a moment ago, so nobody listens.
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    for command in [&["plan", "-f", "m"][..], &BRIEFLY] {
        let mut command = stage.command(command)?;
        let run = Run::of(command.env("AWS_ENDPOINT_URL", format!("http://{nobody}")))?.ends(1)?;
        run.tells(&nobody.to_string())?;
    }
    let mut command = stage.command(&BRIEFLY)?;
    let run = Run::of(command.env("AWS_ENDPOINT_URL_SQS", format!("http://{nobody}")))?.ends(1)?;
    run.tells("story")?.tells(&nobody.to_string())?;
    stage.resumes()
}

#[test]
fn bad_weather_passes() -> Result<()> {
    for (operation, manifest, _) in BOTH {
        for failure in [
            Failure::new("ThrottlingException").status(400),
            Failure::new("Throttling").status(503),
            Failure::new("InternalFailure").status(500),
            Failure::new("Unavailable").status(503).page(),
        ] {
            let stage = Stage::with(manifest)?;
            let rule = stage.proxy.on(Match::operation(operation).times(2), Action::Fail(failure.clone()));
            stage.cso(&APPLY)?.ends(0)?;
            ensure!(rule.fired() == 2, "{failure:?} came {} times", rule.fired());
            stage.resumes()?;
        }
    }
    Ok(())
}

#[test]
fn weather_that_does_not_pass_is_told() -> Result<()> {
    for (operation, manifest, object) in BOTH {
        for (failure, told) in [
            (Failure::new("ThrottlingException"), "ThrottlingException"),
            (Failure::new("InternalFailure").status(500), "InternalFailure"),
            (Failure::new("Bad Gateway").status(502).page(), "502"),
            (Failure::new("Hotel Wi-Fi").status(200).page(), "200"),
        ] {
            let stage = Stage::with(manifest)?;
            stage.proxy.on(Match::operation(operation).always(), Action::Fail(failure));
            stage.cso(&BRIEFLY)?.ends(1)?.tells(object)?.tells("story")?.tells(operation)?.tells(told)?;
            stage
                .cso(&["describe", "queue", "story"])
                .and_then(|run| if object == "sqs/Queue" { run.ends(0) } else { Ok(run) })?;
            stage.resumes()?;
        }
    }
    Ok(())
}

/// Reads are repeated by the client; a mutating call goes out once and is then looked for.
#[test]
fn a_mutating_call_of_unknown_outcome_is_not_repeated_blindly() -> Result<()> {
    for (operation, manifest, _) in BOTH {
        let stage = Stage::with(manifest)?;
        stage.proxy.on(Match::operation(operation), Action::DropReply);
        stage.cso(&APPLY)?.ends(0)?;
        let calls = stage.proxy.calls();
        let sent: Vec<_> = calls.iter().filter(|call| call.operation == operation).collect();
        ensure!(sent.len() == 1 && matches!(sent[0].outcome, Outcome::ReplyLost { .. }), "{sent:?}");
        stage.resumes()?;
    }
    Ok(())
}

/// As much of a file as fits, and not a byte more: what a full disk does.
#[test]
fn a_full_disk_is_told_and_loses_nothing() -> Result<()> {
    let stage = Stage::with(QUEUE)?;
    stage.cso(&APPLY)?.ends(0)?;
    stage.write("m/object.yaml", &format!("{QUEUE}---\n{TOPIC}"))?;
    let cso = stage.command(&APPLY)?;
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]).arg(cso.get_program()).args(cso.get_args());
    limited.current_dir(stage.path()).env_clear().env("PATH", "/usr/bin:/bin");
    limited.envs(cso.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Run::of(&mut limited)?.ends(1)?.tells("state.db")?;
    ensure!(stage.mutations().iter().all(|call| call.operation != "CreateTopic"), "it acted without a memory");
    stage.cso(&APPLY)?.ends(0)?;
    ensure!(stage.everything()?.len() == 2, "there is {:?}", stage.everything()?);
    stage.rests()
}
