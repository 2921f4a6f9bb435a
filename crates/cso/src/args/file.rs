//! Settings of the controller in a file: long flags by their names. What a flag is called and takes is known from clap alone:
//! a file is a command line that is written down.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;
use std::{fmt, fs};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _};
use cso_schema::names::nearest;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Cli, Command};

/// Flags that are not for a file: they say what to do, or where the file is.
const NOT_HERE: [&str; 3] = ["config", "help", "version"];

/// Why a command line, or the file that it leads to, cannot be used.
#[derive(Debug)]
pub(crate) enum Refused {
    /// For clap to tell: also that help was asked for.
    Typed(clap::Error),
    /// `FILE:LINE: what is wrong`, one line each.
    File(Vec<String>),
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::Typed(error)
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed(error) => error.fmt(f),
            Self::File(faults) => f.write_str(&faults.join("\n")),
        }
    }
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<String, Setting>);

/// One setting, as flags.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    flags: Vec<OsString>,
    /// The command line or the environment says otherwise.
    overridden: bool,
}

/// A setting that is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The long flag without dashes.
    pub(crate) name: String,
    /// The command line or the environment says otherwise, and comes first.
    pub(crate) overridden: bool,
}

impl Settings {
    /// What is otherwise in `other`, by name.
    pub(crate) fn changed(&self, other: &Self) -> Vec<Changed> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differs = names.into_iter().filter(|name| self.flags(name) != other.flags(name));
        let overridden = |name: &String| other.0.get(name).or_else(|| self.0.get(name)).is_some_and(|it| it.overridden);
        differs.map(|name| Changed { name: name.clone(), overridden: overridden(name) }).collect()
    }

    /// Whether both say the same of a flag.
    pub(crate) fn agrees(&self, other: &Self, name: &str) -> bool {
        self.flags(name) == other.flags(name)
    }

    fn flags(&self, name: &str) -> Option<&Vec<OsString>> {
        self.0.get(name).map(|setting| &setting.flags)
    }
}

impl Cli {
    /// What was typed; below it what the environment says, and below that the file of a controller.
    ///
    /// # Errors
    /// When one of them cannot be understood.
    pub(crate) fn read(typed: &[OsString]) -> Result<(Self, Settings), Refused> {
        let matches = Self::command().try_get_matches_from(typed)?;
        let cli = Self::from_arg_matches(&matches)?;
        let path = match &cli.command {
            Command::Controller(controller) => controller.config.as_deref(),
            _ => None,
        };
        let (Some(path), Some((_, said))) = (path, matches.subcommand()) else { return Ok((cli, Settings::default())) };
        let settings = read(path, said)?;
        let below = settings.0.values().filter(|setting| !setting.overridden).flat_map(|setting| &setting.flags);
        let matches = Self::command().try_get_matches_from(typed.iter().chain(below))?;
        Ok((Self::from_arg_matches(&matches)?, settings))
    }
}

/// `said`: what the command line and the environment said.
fn read(path: &Path, said: &ArgMatches) -> Result<Settings, Refused> {
    let text = fs::read_to_string(path)
        .map_err(|error| Refused::File(vec![format!("cannot read {}: {error}", path.display())]))?;
    understood(path, &text, said).map_err(Refused::File)
}

/// What a text says, or what is wrong with it.
fn understood(path: &Path, text: &str, said: &ArgMatches) -> Result<Settings, Vec<String>> {
    let told = |line: u64, fault: String| format!("{}:{line}: {fault}", path.display());
    let members = members(text).map_err(|(line, fault)| vec![told(line, fault)])?;
    let mut entries: Vec<(Spanned<String>, Value)> = members.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.referenced.line());
    let mut command = Cli::command();
    command.build();
    let controller = command.find_subcommand("controller");
    let known: Vec<&Arg> = controller.into_iter().flat_map(clap::Command::get_arguments).collect();
    let (mut settings, mut faults) = (BTreeMap::new(), Vec::new());
    for (key, value) in entries {
        let setting = named(&known, &key.value).and_then(|arg| {
            let name = arg.get_long().unwrap_or_default().to_owned();
            let flags = flags(arg, &name, &value).map_err(|fault| format!("{}: {fault}", key.value))?;
            valid(&flags).map_err(|fault| format!("{}: {fault}", key.value))?;
            let source = said.value_source(arg.get_id().as_str());
            let overridden = matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable));
            if settings.insert(name.clone(), Setting { flags, overridden }).is_some() {
                return Err(format!("{}: is said twice: it is another name of `{name}`", key.value));
            }
            Ok(())
        });
        faults.extend(setting.err().map(|fault| told(key.referenced.line(), fault)));
    }
    if faults.is_empty() { Ok(Settings(settings)) } else { Err(faults) }
}

/// The members of a YAML mapping; nothing of a text without any. Where and why it is none.
fn members(text: &str) -> Result<HashMap<Spanned<String>, Value>, (u64, String)> {
    let parsed: Option<HashMap<Spanned<String>, Value>> = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        (line, error.without_snippet().to_string())
    })?;
    Ok(parsed.unwrap_or_default())
}

/// The flag of a key.
fn named<'a>(known: &[&'a Arg], key: &str) -> Result<&'a Arg, String> {
    let names = |arg: &'a Arg| arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default());
    let allowed = known.iter().copied().filter(|arg| !arg.get_long().is_some_and(|long| NOT_HERE.contains(&long)));
    if let Some(arg) = allowed.clone().find(|arg| names(arg).any(|name| name == key)) {
        return Ok(arg);
    }
    if NOT_HERE.contains(&key) {
        return Err(format!("`{key}` is not for a file"));
    }
    let shown = allowed.filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
    let hint = nearest(key, shown)
        .map_or_else(|| "see `cso controller --help`".to_owned(), |near| format!("did you mean {near}?"));
    Err(format!("there is no setting `{key}`; {hint}"))
}

/// A value as somebody would type it.
fn flags(arg: &Arg, name: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let with = |text: String| OsString::from(format!("--{name}={text}"));
    let bare = || OsString::from(format!("--{name}"));
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Bool(is)) => Ok(is.then(bare).into_iter().collect()),
        (ArgAction::SetTrue, _) => Err("say true or false".to_owned()),
        (ArgAction::Count, Value::Number(count)) => {
            let count = count.as_u64().filter(|count| *count <= 3).ok_or("say a whole number from 0 to 3")?;
            Ok((0..count).map(|_| bare()).collect())
        }
        (ArgAction::Count, _) => Err("say a whole number from 0 to 3".to_owned()),
        (ArgAction::Append, Value::Array(all)) => all.iter().map(|one| Ok(with(scalar(one)?))).collect(),
        (_, value) => Ok(vec![with(scalar(value)?)]),
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is) => Ok(is.to_string()),
        Value::Null => Err("has no value: give one, or leave it out".to_owned()),
        Value::Array(_) => Err("takes one value, and this is a list".to_owned()),
        Value::Object(_) => Err("takes no mapping".to_owned()),
    }
}

/// Whether clap takes these flags. The value itself is not told again.
fn valid(flags: &[OsString]) -> Result<(), String> {
    let line = ["cso", "controller"].map(OsString::from);
    let Err(error) = Cli::command().try_get_matches_from(line.iter().chain(flags)) else { return Ok(()) };
    if let Some(ContextValue::Strings(allowed)) = error.get(ContextKind::ValidValue)
        && !allowed.is_empty()
    {
        return Err(format!("say {}", allowed.join(" or ")));
    }
    let reason = std::error::Error::source(&error).map(ToString::to_string);
    Err(reason.unwrap_or_else(|| "is not a value that the flag takes".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::{Controller, LogFormat};

    fn settings(text: &str) -> Result<Settings, String> {
        let matches = Cli::command().try_get_matches_from(["cso", "controller"]).unwrap();
        let said = matches.subcommand().unwrap().1;
        understood(Path::new("cso.yaml"), text, said).map_err(|faults| faults.join("\n"))
    }

    /// What a command line and a file come to.
    fn both(line: &[&str], text: &str) -> (Cli, Settings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cso.yaml");
        fs::write(&path, text).unwrap();
        let typed: Vec<OsString> = ["cso", "controller"].iter().chain(line).map(OsString::from).collect();
        let config = OsString::from(format!("--config={}", path.display()));
        Cli::read(&[typed, vec![config]].concat()).unwrap()
    }

    fn controller(cli: &Cli) -> &Controller {
        match &cli.command {
            Command::Controller(controller) => controller,
            _ => unreachable!("it is a controller"),
        }
    }

    #[test]
    fn a_file_says_what_flags_say_and_flags_come_first() {
        let text = "# of the platform team\nverify-every: 5m\nconcurrency: 8\nlog-format: json\nleader-elect: false\n\
                    take-back: true\nallow-cross-namespace: false\nverbose: 1\naws-region: eu-west-1\n\
                    default-tag: [team=blue, 'cost=7']\nwatch-namespace:\n- blue\n- green\n";
        let (cli, _) = both(&["--concurrency", "4"], text);
        let it = controller(&cli);
        assert_eq!((it.verify_every, it.log_format), (Duration::from_secs(300), LogFormat::Json));
        assert!(!it.leader_elect && it.take_back && !cli.global.allow_cross_namespace);
        assert_eq!((cli.global.concurrency, cli.global.verbose), (4, 1));
        assert_eq!(cli.global.region.as_deref(), Some("eu-west-1"));
        assert_eq!(it.watch_namespace, ["blue", "green"]);
        let tags: Vec<_> = cli.global.default_tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(tags, ["team=blue", "cost=7"]);
    }

    #[test]
    fn an_empty_file_says_nothing() {
        for text in ["", "# nothing yet\n", "{}\n"] {
            assert_eq!(settings(text), Ok(Settings::default()), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let text = "verify-evry: 5m\nconcurrency: 0\nlog-format: xml\ntake-back: maybe\ndeletion-policy:\n  - retain\n\
                    region: a\naws-region: b\nlease-duration: 1s\nverbose: many\nconfig: other.yaml\nmetrics-addr:\n\
                    default-tag: [team]\nleader-elect: perhaps\nqqqq: 1\n";
        insta::assert_snapshot!(settings(text).unwrap_err());
        let broken = ["- a\n- b\n", "verify-every: 5m\n  concurrency: 4\n", "a: 1\na: 2\n"];
        insta::assert_snapshot!(broken.map(|text| settings(text).unwrap_err()).join("\n"));
    }

    #[test]
    fn what_changed_is_told_by_name() {
        let (_, before) = both(&["--concurrency", "4"], "concurrency: 8\nverify-every: 1m\nregion: eu-west-1\n");
        let (_, after) = both(&["--concurrency", "4"], "concurrency: 9\nverify-every: 1m\ndeletion-policy: retain\n");
        let changed = |name: &str, overridden| Changed { name: name.to_owned(), overridden };
        let expected = [changed("concurrency", true), changed("deletion-policy", false), changed("region", false)];
        assert_eq!(before.changed(&after), expected);
        assert!(before.agrees(&after, "verify-every") && !before.agrees(&after, "region"));
    }
}
