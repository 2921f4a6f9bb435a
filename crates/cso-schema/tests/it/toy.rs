//! Services of the tests' own, and edits of descriptors of theirs.

use std::sync::Arc;

use cso_facts::api::Service;
use cso_facts::surface::Surface;
use cso_facts::text::{parse_service, parse_surfaces};
use cso_schema::compile::{Facts, compile};
use cso_schema::kind::Kind;

/// The facts of one service with one published kind.
pub(crate) struct Toy(Arc<Service>, Arc<Surface>);

impl Facts for Toy {
    fn service(&self, name: &str) -> Option<Arc<Service>> {
        (name == self.0.name).then(|| Arc::clone(&self.0))
    }

    fn services(&self) -> Vec<String> {
        vec![self.0.name.clone()]
    }

    fn surface(&self, group: &str, kind: &str) -> Option<Arc<Surface>> {
        (group == self.1.group && kind == self.1.kind).then(|| Arc::clone(&self.1))
    }

    fn published(&self, group: &str) -> Vec<String> {
        if group == self.1.group { vec![self.1.kind.clone()] } else { Vec::new() }
    }
}

impl Toy {
    pub(crate) fn new(api: &str, surface: &str) -> Self {
        let surface = parse_surfaces("surface", surface).unwrap().remove(0);
        Self(Arc::new(parse_service("api", api).unwrap()), Arc::new(surface))
    }

    /// The kinds of a descriptor, or what is wrong with it.
    pub(crate) fn compiled(&self, text: &str) -> Result<Vec<Kind>, Vec<String>> {
        compile("toy.yaml", text, self).map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    /// Insists on a message (without the file's name) among those of a descriptor.
    #[track_caller]
    pub(crate) fn tells(&self, text: &str, message: &str) {
        assert_eq!(self.told_instead(text, message), None);
    }

    /// Breaks a good descriptor in one way after the other: what is replaced, by what, and the message.
    #[track_caller]
    pub(crate) fn tells_each(&self, good: &str, cases: &[(&str, &str, &str)]) {
        let told = cases.iter().filter_map(|(from, to, message)| {
            let told = self.told_instead(&edited(good, &[(from, to)]), message)?;
            Some(format!("{from:?} -> {to:?}: {told}"))
        });
        let wrong: Vec<String> = told.collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// What a descriptor is told that is not told the message.
    fn told_instead(&self, text: &str, message: &str) -> Option<String> {
        let found = self.compiled(text).err().unwrap_or_default();
        let told = found.contains(&format!("toy.yaml:{message}"));
        (!told).then(|| format!("expected {message}\nfound {found:#?}"))
    }
}

/// The text with pieces of it replaced, each of which must be there once.
#[track_caller]
pub(crate) fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} must be there once");
        text.replace(from, to)
    })
}
