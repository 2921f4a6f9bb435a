//! Which surface a kind has: the published one, or one that is derived.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_facts::api::Service;
use cso_facts::surface::Surface;

use super::{Facts, Opened, Violation, derive};
use crate::descriptor::{File, KindSpec};
use crate::names::nearest;

/// Facts, and the surfaces of the files that are compiled.
pub(super) struct WithDerived<'a> {
    facts: &'a dyn Facts,
    surfaces: BTreeMap<(&'a str, &'a str), &'a Arc<Surface>>,
}

impl<'a> WithDerived<'a> {
    pub(super) fn new(facts: &'a dyn Facts, opened: &'a [Opened<'_>]) -> Self {
        let own = opened.iter().flat_map(|file| file.surfaces.values());
        let surfaces = own.map(|surface| ((surface.group.as_str(), surface.kind.as_str()), surface)).collect();
        Self { facts, surfaces }
    }
}

impl Facts for WithDerived<'_> {
    fn service(&self, name: &str) -> Option<Arc<Service>> {
        self.facts.service(name)
    }

    fn services(&self) -> Vec<String> {
        self.facts.services()
    }

    fn surface(&self, group: &str, kind: &str) -> Option<Arc<Surface>> {
        let own = self.surfaces.get(&(group, kind)).map(|surface| Arc::clone(surface));
        own.or_else(|| self.facts.surface(group, kind))
    }

    fn published(&self, group: &str) -> Vec<String> {
        self.facts.published(group)
    }
}

/// The surface of a kind, or what is wrong with the kind or a key of it.
pub(super) fn of_kind(
    file: &File,
    group: &str,
    (name, kind): (&str, &KindSpec),
    api: &Service,
    facts: &dyn Facts,
) -> Result<Arc<Surface>, (Option<&'static str>, String)> {
    if let Some(said) = &kind.surface {
        return match said.word.as_deref() {
            None | Some("derived") => Ok(Arc::new(derive::surface(api, group, name, kind))),
            Some(other) => Err((
                Some("surface"),
                format!("`{other}` is not a surface: derived, or {{plural, short-names, without}}"),
            )),
        };
    }
    if let Some(published) = facts.surface(group, name) {
        return Ok(published);
    }
    // A slip of the pen must not make a second kind.
    let published = facts.published(group);
    match nearest(name, published.iter().map(String::as_str)) {
        Some(near) => Err((
            None,
            format!(
                "no kind `{name}` is published for service `{}`; did you mean {near}? If not, say `surface: derived`",
                file.service
            ),
        )),
        None => Ok(Arc::new(derive::surface(api, group, name, kind))),
    }
}

/// The API group of a file's kinds.
pub(super) fn group(file: &File) -> Result<String, String> {
    match &file.group {
        None => Ok(group_of(&file.service)),
        Some(group) if is_group(group) => Ok(group.clone()),
        Some(other) => Err(format!("`{other}` is not an API group: lower-case words with dots between them")),
    }
}

/// The API group of a service's kinds, where nothing else is said.
pub fn group_of(service: &str) -> String {
    format!("{service}.services.k8s.aws")
}

/// Whether a text may be an API group: a DNS name of two labels or more.
fn is_group(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.contains('.') && text.len() <= 253 && text.split('.').all(is_label)
}

/// Kinds that two files have.
pub(super) fn twice(opened: &[Opened<'_>]) -> Vec<Violation> {
    let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut found = Vec::new();
    for file in opened {
        for (name, surface) in &file.surfaces {
            if let Some(other) = seen.insert((&surface.group, name), &file.document.file) {
                let kind = format!("{}/{name}", file.parsed.service);
                let message = format!("{other} has this kind too: leave one of them out");
                found.push(file.document.violation(&["kinds", name], &kind, message));
            }
        }
    }
    found
}
