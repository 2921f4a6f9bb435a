//! How much the compiler catches: every name in every committed descriptor is misspelt in turn.
//!
//! Of 1049 misspellings 1008 were caught when this was written. What survives is what facts cannot know:
//!
//! * labels that we invent: names of exports (28) and of parts (3), the prefixes of annotations (2), a word of an ARN (1);
//! * sentences for people, in `waiting` (2);
//! * keys and values of SNS attribute maps, whose shapes are free text: `Attributes.Endpoint`, `MessageAttributes` (5).

use std::collections::BTreeSet;

use cso_facts::Catalog;
use cso_facts::api::{Service, ShapeKind};
use cso_facts::surface::Schema;
use cso_schema::compare::Compare;
use cso_schema::compile::compile;

#[test]
fn misspelt_names_are_caught() {
    let catalog = Catalog::builtin();
    let (mut tried, mut survivors) = (0, Vec::new());
    for service in catalog.descriptors() {
        let text = catalog.descriptor(service).unwrap();
        let names = names(catalog, service);
        for (start, end) in words(text).filter(|(start, end)| names.contains(&text[*start..*end])) {
            tried += 1;
            let misspelt = misspell(&text[start..end]);
            let mutant = format!("{}{misspelt}{}", &text[..start], &text[end..]);
            if compile(service, &mutant, catalog).is_ok() {
                let line = text[..start].matches('\n').count();
                let source = text.lines().nth(line).unwrap_or_default().trim();
                survivors.push(format!("{service}:{}: {misspelt}: {source}", line + 1));
            }
        }
    }
    let caught = tried - survivors.len();
    let summary = format!("{caught} of {tried} caught; survivors:\n{}", survivors.join("\n"));
    assert!(tried > 300, "{tried} names are too few: the scanner misses some");
    assert!(caught * 10 >= tried * 9, "{summary}");
}

/// Names that mean something in the descriptor of a service.
fn names(catalog: &Catalog, service: &str) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = Compare::NAMES.map(str::to_owned).into();
    names.extend(
        ["create-only", "secret", "option", "spec", "status", "arn", "change", "items", "item"].map(str::to_owned),
    );
    api_names(&catalog.service(service).unwrap(), &mut names);
    for surface in catalog.surfaces().unwrap() {
        names.insert(surface.kind.clone());
        if surface.group.starts_with(service) {
            property_names(&surface.spec, &mut names);
            property_names(&surface.status, &mut names);
        }
    }
    names
}

fn api_names(api: &Service, names: &mut BTreeSet<String>) {
    names.extend(api.operations.iter().map(|operation| operation.name.clone()));
    for shape in &api.shapes {
        names.insert(shape.name.clone());
        names.extend(shape.members().iter().map(|member| member.name.clone()));
        if let ShapeKind::String { values } = &shape.kind {
            names.extend(values.iter().cloned());
        }
    }
}

fn property_names(schema: &Schema, names: &mut BTreeSet<String>) {
    for (name, nested) in &schema.properties {
        names.insert(name.clone());
        property_names(nested.element(), names);
    }
}

/// Where the words are: letters, digits, dashes and underscores, outside comments.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    let mut in_comment = false;
    for (at, c) in text.char_indices() {
        in_comment = c != '\n' && (in_comment || c == '#');
        let in_word = !in_comment && (c.is_ascii_alphanumeric() || c == '-' || c == '_');
        match start {
            None if in_word => start = Some(at),
            Some(from) if !in_word => {
                found.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    found.into_iter()
}

/// Two neighbouring letters change places, near the middle where typing errors hide best.
fn misspell(word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let middle = letters.len() / 2;
    let differ = |a: char, b: char| a != '-' && b != '-' && !a.eq_ignore_ascii_case(&b);
    let swap = (middle..letters.len()).chain(1..middle).find(|&at| at > 0 && differ(letters[at - 1], letters[at]));
    match swap {
        Some(at) => letters.swap(at - 1, at),
        None => letters.push('x'),
    }
    letters.into_iter().collect()
}
