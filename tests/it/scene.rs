//! One object of one kind on a stage, brought to where the process is about to do something with it, and what must hold once
//! it is done.

use std::process::Command;

use anyhow::{Result, ensure};
use cso_testbed::{Action, AwsCall, Match, Then, Victim};
use serde_json::{Value, json};

use crate::cases::Case;
use crate::stage::{APPLY, DELETE, Stage, run_until_killed};
use crate::steps::Kept;

/// What the process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Create,
    Update,
    Delete,
}

impl Doing {
    /// Everything that can be done with an object of which these fields change.
    pub(crate) fn all(fields: &[&str]) -> Vec<Self> {
        if fields.is_empty() {
            vec![Self::Create, Self::Delete]
        } else {
            vec![Self::Create, Self::Update, Self::Delete]
        }
    }

    /// The command that does it.
    pub(crate) const fn command(self) -> &'static [&'static str] {
        match self {
            Self::Create | Self::Update => &APPLY,
            Self::Delete => &DELETE,
        }
    }

    /// Which values of its fields the object has afterwards, if it is there.
    pub(crate) const fn sets(self) -> usize {
        match self {
            Self::Create | Self::Delete => 0,
            Self::Update => 1,
        }
    }
}

/// One object, before the process does something with it.
pub(crate) struct Scene<'a> {
    case: &'a Case,
    pub(crate) stage: &'a Stage,
    kept: Kept,
    /// The fields that are set, and changed all at once.
    fields: &'a [&'a str],
    /// What existed before the object.
    others: Vec<String>,
}

impl<'a> Scene<'a> {
    /// Clears the stage, and makes what is to be changed or deleted.
    pub(crate) fn set(case: &'a Case, fields: &'a [&'a str], stage: &'a mut Stage, doing: Doing) -> Result<Self> {
        let kept = case.set(stage)?;
        let others = stage.everything()?;
        let scene = Self { case, stage, kept, fields, others };
        scene.declare(0)?;
        if doing != Doing::Create {
            scene.stage.cso(&APPLY)?.ends(0)?;
            scene.stage.mutations();
            scene.declare(doing.sets())?;
        }
        Ok(scene)
    }

    /// Writes the manifest with the first or second value of each field.
    pub(crate) fn declare(&self, which: usize) -> Result<()> {
        self.declare_with(which, &json!({}))
    }

    /// The same with annotations.
    pub(crate) fn declare_with(&self, which: usize, annotations: &Value) -> Result<()> {
        let more = self.case.values(self.fields, which);
        self.case.declare_with(self.stage, &self.kept, self.case.spec(&more), annotations)
    }

    /// What there is beyond what existed before, all of which still does.
    pub(crate) fn ours(&self) -> Result<Vec<String>> {
        let mut ours = self.stage.everything()?;
        let count = ours.len();
        ours.retain(|id| !self.others.contains(id));
        ensure!(count == self.others.len() + ours.len(), "what was there before is not as it was");
        Ok(ours)
    }

    /// Exactly one resource, with the values asked for, and nothing left to do.
    pub(crate) fn is_there_once(&self, which: usize) -> Result<()> {
        let ours = self.ours()?;
        ensure!(ours.len() == 1, "there is {ours:?} instead of one");
        for name in self.fields {
            let field = &self.case.fields[*name];
            self.case.shows(self.stage, &self.kept, &field.at, Some(field.sees(which)))?;
        }
        self.stage.rests()
    }

    /// Nothing of ours is left, in the cloud or in the state.
    pub(crate) fn is_gone(&self) -> Result<()> {
        let ours = self.ours()?;
        ensure!(ours.is_empty(), "left: {ours:?}");
        self.stage.cso(&DELETE)?.ends(0)?.tells("nothing to do")?;
        Ok(())
    }

    /// Runs a command that dies when the cloud has carried its first mutating call out, before it learns of it.
    pub(crate) fn dies_after_its_first_call(&self, command: &mut Command) -> Result<()> {
        let (victim, kill) = victim();
        let rule = self.stage.proxy.on(Match::mutating(), Action::after(kill));
        let code = run_until_killed(command, &victim)?;
        ensure!(rule.fired() == 1 && code.is_none(), "the process ended with {code:?}");
        self.stage.proxy.behave();
        Ok(())
    }
}

/// A process, and the hook that kills it in the middle of a call.
pub(crate) fn victim() -> (Victim, impl Fn(&AwsCall) -> Then + Send + Sync + 'static) {
    let victim = Victim::new();
    let killed = victim.clone();
    let kill = move |_: &AwsCall| {
        killed.kill();
        Then::HangUp
    };
    (victim, kill)
}
