//! `cargo xtask facts verify`: what is committed is canonical, complete, and what its sources say.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cso_facts::{Catalog, pack};

use super::{ack, botocore, fetch, print_back};
use crate::lock::Lock;
use crate::oracle;
use crate::pages::{self, Pages};

/// Most bytes that the catalogue may add to the binary.
const BUDGET: usize = 6_000_000;

/// Runs every check that can be run, says which could not and why, and fails with all that is wrong.
pub(super) fn run(root: &Path, lock: &Lock, ack: oracle::Ack) -> Result<()> {
    let committed = super::read(root)?;
    let mut wrong = text(&committed);
    wrong.extend(listed(&committed, lock));
    wrong.extend(catalogue(root)?);
    wrong.extend(aws_sources(root, lock, &committed)?);
    wrong.extend(ack_sources(root, lock, ack, &committed)?);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Every page parses, and prints back byte for byte.
fn text(committed: &Pages) -> Vec<String> {
    println!("facts: {} pages parsed and printed back", committed.len());
    let check = |(name, text): (&String, &String)| match print_back(name, text) {
        Ok(printed) if printed == *text => None,
        Ok(printed) => Some(format!("{name}:{}: not canonical", pages::first_difference(text, &printed))),
        Err(error) => Some(format!("{error:#}")),
    };
    committed.iter().filter_map(check).collect()
}

/// Every service of the lock file has a page, and no page is of another.
fn listed(committed: &Pages, lock: &Lock) -> Vec<String> {
    let expected: Vec<String> = [("aws", &lock.aws.services), ("ack", &lock.ack.services)]
        .iter()
        .flat_map(|(folder, services)| services.iter().map(move |service| format!("facts/{folder}/{service}.txt")))
        .chain([botocore::PARTITIONS.to_owned(), ack::COMMON.to_owned()])
        .collect();
    let missing = expected.iter().filter(|name| !committed.contains_key(*name));
    let surplus = committed.keys().filter(|name| !expected.contains(name));
    missing
        .map(|name| format!("{name}: sources.lock lists it, but it is not committed"))
        .chain(surplus.map(|name| format!("{name}: committed, but sources.lock does not list it")))
        .collect()
}

/// The catalogue is the same when packed again, small enough, opens, and its descriptors compile.
fn catalogue(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let sections = pack::collect(root)?;
    let file = pack::write(&sections);
    println!("catalogue: {} sections in {} bytes (limit {BUDGET}), packed twice", sections.len(), file.len());
    if pack::write(&pack::collect(root)?) != file {
        wrong.push("catalogue: packing twice gives different bytes".to_owned());
    }
    if file.len() > BUDGET {
        wrong.push(format!("catalogue: {} bytes exceed the limit of {BUDGET}", file.len()));
    }
    let catalog = Catalog::open(file).context("the catalogue that was just packed")?;
    match cso_schema::catalog::kinds(&catalog) {
        Ok(kinds) => println!("kinds: {} compile", kinds.len()),
        Err(violations) => wrong.extend(violations.iter().map(ToString::to_string)),
    }
    Ok(wrong)
}

fn aws_sources(root: &Path, lock: &Lock, committed: &Pages) -> Result<Vec<String>> {
    let wheel = fetch::folder(root).join(&lock.package("botocore")?.file);
    if !wheel.exists() {
        println!("facts/aws: comparison skipped: {} is not there (cargo xtask facts fetch)", wheel.display());
        return Ok(Vec::new());
    }
    println!("facts/aws: compared with {}", wheel.display());
    let of_aws = |name: &str| name.starts_with("facts/aws/") || name == botocore::PARTITIONS;
    Ok(pages::differences(&only(committed, of_aws), &botocore::pages(root, lock)?))
}

fn ack_sources(root: &Path, lock: &Lock, ack: oracle::Ack, committed: &Pages) -> Result<Vec<String>> {
    let Some(folder) = ack.folder(root)? else {
        println!("facts/ack: comparison skipped: {}", oracle::NO_ACK);
        return Ok(Vec::new());
    };
    println!("facts/ack: compared with {}", folder.display());
    Ok(pages::differences(&only(committed, |name| name.starts_with("facts/ack/")), &ack::pages(&folder, lock)?))
}

fn only(pages: &Pages, keep: impl Fn(&str) -> bool) -> Pages {
    pages.iter().filter(|(name, _)| keep(name)).map(|(name, text)| (name.clone(), text.clone())).collect()
}
