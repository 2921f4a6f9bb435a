//! `cargo xtask facts diff`: what an update of facts means for those who use them.
//!
//! A line for each change, `!` in front of what could break a manifest or a descriptor:
//!
//! ```text
//! ! aws/sqs operation PurgeQueue: removed
//! ! aws/sqs shape CreateQueueRequest.tags required: no -> yes
//!   aws/sqs shape CreateQueueRequest.Colour: added
//! ```
//!
//! Such a line, without its mark, goes into `facts/allow.txt` once a person has looked. The file is for the update under
//! review: a line that no longer says anything fails too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::outline::{Outline, Thing, outline};
use crate::pages::Pages;

/// Removals and flips that were reviewed.
pub(super) const ALLOW: &str = "facts/allow.txt";

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// What changed and how, in one line.
    line: String,
    /// Someone's manifest or our descriptor may stop working.
    breaking: bool,
}

pub(super) fn run(root: &Path, old: &str, new: &str) -> Result<()> {
    let side = |name: &str| outline(&pages(root, name)?).with_context(|| name.to_owned());
    let changes = changes(&side(old)?, &side(new)?);
    for change in &changes {
        println!("{} {}", if change.breaking { '!' } else { ' ' }, change.line);
    }
    let allowed = match fs::read_to_string(root.join(ALLOW)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context(ALLOW),
    };
    let wrong = unreviewed(&changes, &allowed);
    println!("{} changes, {} of them breaking", changes.len(), changes.iter().filter(|change| change.breaking).count());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The pages of a folder, if there is one of that name, or of a git revision.
fn pages(root: &Path, name: &str) -> Result<Pages> {
    if root.join(name).is_dir() {
        return super::read_folder(&root.join(name));
    }
    let listing = git(root, &["ls-tree", "-r", "--name-only", name, "--", "facts"])
        .with_context(|| format!("`{name}` is neither a folder nor a git revision"))?;
    let mut pages = Pages::new();
    for path in listing.lines().filter(|path| super::is_page(path)) {
        pages.insert(path.to_owned(), git(root, &["show", &format!("{name}:{path}")])?);
    }
    ensure!(!pages.is_empty(), "`{name}` has no pages in facts/");
    Ok(pages)
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().context("git")?;
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

/// All changes, sorted by what they are about. Parts of what was added or removed as a whole are not listed.
fn changes(old: &Outline, new: &Outline) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .flat_map(|name| match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => changed(name, old, new),
            (Some(thing), None) if parent_in(thing, new, true) => {
                vec![Change { line: format!("{name}: removed"), breaking: true }]
            }
            (None, Some(thing)) if parent_in(thing, old, true) => vec![added(name, thing, old)],
            _ => Vec::new(),
        })
        .collect()
}

/// Whether the whole that a thing is a part of is there too; `top` if it is no part of anything.
fn parent_in(thing: &Thing, outline: &Outline, top: bool) -> bool {
    thing.parent.as_ref().map_or(top, |parent| outline.contains_key(parent))
}

/// A new part that must be given breaks those who do not give it.
fn added(name: &str, thing: &Thing, old: &Outline) -> Change {
    let breaking = thing.attributes.contains_key("required") && parent_in(thing, old, false);
    let how = if breaking { "added, required" } else { "added" };
    Change { line: format!("{name}: {how}"), breaking }
}

fn changed(name: &str, old: &Thing, new: &Thing) -> Vec<Change> {
    let attributes: BTreeSet<&'static str> = old.attributes.keys().chain(new.attributes.keys()).copied().collect();
    attributes
        .into_iter()
        .filter_map(|attribute| {
            let (was, is) = (old.attributes.get(attribute), new.attributes.get(attribute));
            let text = |value: Option<&String>| value.map_or("no", String::as_str).to_owned();
            (was != is).then(|| Change {
                line: format!("{name} {attribute}: {} -> {}", text(was), text(is)),
                breaking: match attribute {
                    "required" | "immutable" => is.is_some(),
                    "type" => true,
                    _ => false,
                },
            })
        })
        .collect()
}

/// Breaking changes that the list lacks, and lines of the list that are none.
fn unreviewed(changes: &[Change], allowed: &str) -> Vec<String> {
    let breaking: BTreeSet<&str> =
        changes.iter().filter(|change| change.breaking).map(|change| change.line.as_str()).collect();
    let allowed: Vec<(usize, &str)> = (1..)
        .zip(allowed.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let missing = breaking.iter().filter(|line| !allowed.iter().any(|(_, allowed)| allowed == *line));
    let stale = allowed.iter().filter(|(_, line)| !breaking.contains(line));
    missing
        .map(|line| format!("breaking, and {ALLOW} does not list it: {line}"))
        .chain(stale.map(|(number, line)| format!("{ALLOW}:{number}: stale, nothing of the kind changes: {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
service s
api-version 1
service-id S
protocol json-1.0
endpoint-prefix s
signing-name s

operation Drop POST / input=In
operation Make POST / input=In output=Out

shape In structure
  Name String required
  Size Int
  Token String
shape Int integer
shape Mode string
  = fast
  = slow
shape Out structure
  Mode Mode
shape String string
";

    const KIND: &str = "\
surface s.services.k8s.aws v1 Thing list=ThingList plural=things singular=thing
  field name immutable
  spec object
    name string required
    size integer
  status object
";

    fn pages(service: &str, kind: &str) -> Outline {
        let pages = [("facts/aws/s.txt", service), ("facts/ack/s.txt", kind)];
        outline(&pages.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()).unwrap()
    }

    /// What one edit of the pages means.
    fn edited(from: &str, to: &str) -> Vec<(bool, String)> {
        assert!(OLD.contains(from) != KIND.contains(from), "{from:?} must be in one of the pages");
        let new = pages(&OLD.replace(from, to), &KIND.replace(from, to));
        changes(&pages(OLD, KIND), &new).into_iter().map(|change| (change.breaking, change.line)).collect()
    }

    /// What is replaced, by what, and the changes: whether each breaks, and its line.
    type Case = (&'static str, &'static str, &'static [(bool, &'static str)]);

    #[test]
    fn every_edit_is_named_and_judged() {
        let cases: &[Case] = &[
            ("operation Drop POST / input=In\n", "", &[(true, "aws/s operation Drop: removed")]),
            (
                "operation Drop",
                "operation Deal",
                &[(false, "aws/s operation Deal: added"), (true, "aws/s operation Drop: removed")],
            ),
            ("  Size Int\n", "  Size Int required\n", &[(true, "aws/s shape In.Size required: no -> yes")]),
            ("  Name String required\n", "  Name String\n", &[(false, "aws/s shape In.Name required: yes -> no")]),
            (
                "  Token String\n",
                "  Token String token\n",
                &[(false, "aws/s shape In.Token idempotency-token: no -> yes")],
            ),
            (
                "  Size Int\n",
                "  Size String\n",
                &[
                    (false, "aws/s shape In.Size shape: Int -> String"),
                    (true, "aws/s shape In.Size type: integer -> string"),
                ],
            ),
            ("  = slow\n", "", &[(true, "aws/s shape Mode value slow: removed")]),
            ("  = slow\n", "  = slow\n  = slower\n", &[(false, "aws/s shape Mode value slower: added")]),
            ("shape Out structure\n", "shape Out structure\n  Age Int\n", &[(false, "aws/s shape Out.Age: added")]),
            (
                "shape Out structure\n",
                "shape Out structure\n  Age Int required\n",
                &[(true, "aws/s shape Out.Age: added, required")],
            ),
            (
                "  field name immutable\n",
                "  field name late-initialize\n",
                &[
                    (false, "ack/s kind Thing generator name immutable: yes -> no"),
                    (false, "ack/s kind Thing generator name late-initialize: no -> yes"),
                ],
            ),
            (
                "    size integer\n",
                "    size string immutable\n",
                &[
                    (true, "ack/s kind Thing spec.size immutable: no -> yes"),
                    (true, "ack/s kind Thing spec.size type: integer -> string"),
                ],
            ),
            ("    size integer\n", "", &[(true, "ack/s kind Thing spec.size: removed")]),
        ];
        for (from, to, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(breaking, line)| (*breaking, (*line).to_owned())).collect();
            assert_eq!(edited(from, to), expected, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn order_means_nothing_and_a_whole_stands_for_its_parts() {
        let reordered = OLD.replace("  Size Int\n  Token String\n", "  Token String\n  Size Int\n");
        assert_ne!(reordered, OLD);
        assert_eq!(changes(&pages(OLD, KIND), &pages(&reordered, KIND)), []);

        let other = KIND.replace(" Thing ", " Item ");
        let lines: Vec<String> =
            changes(&pages(OLD, KIND), &pages(OLD, &other)).into_iter().map(|change| change.line).collect();
        assert_eq!(lines, ["ack/s kind Item: added", "ack/s kind Thing: removed"]);
    }

    #[test]
    fn what_breaks_must_be_listed_and_what_is_listed_must_break() {
        let change = |line: &str, breaking| Change { line: line.to_owned(), breaking };
        let changes = [change("a: removed", true), change("b: added", false)];
        assert_eq!(
            unreviewed(&changes, "# reviewed\n\n"),
            ["breaking, and facts/allow.txt does not list it: a: removed"]
        );
        assert!(unreviewed(&changes, "a: removed\n").is_empty());
        assert_eq!(
            unreviewed(&changes, "a: removed\n# next\nb: added\n"),
            ["facts/allow.txt:3: stale, nothing of the kind changes: b: added"]
        );
    }
}
