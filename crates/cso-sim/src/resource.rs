//! What the model cloud keeps of one resource.

use std::collections::BTreeMap;

use cso_core::{FieldPath, Tree};
use cso_schema::kind::{
    Arn, CallTemplate, Context, Kind, Pattern, PatternPart, PickTest, Recovery, Scope, Shape, Source,
};

use crate::spelling::default_of;

/// One resource of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Name of its kind, for example `Queue`.
    pub kind: String,
    pub region: String,
    /// What was set, by spec field, in the published spelling.
    pub values: BTreeMap<String, Tree>,
    pub tags: BTreeMap<String, Tree>,
    /// What the provider assigned, below `status`.
    pub identifiers: Tree,
    pub life: Life,
    /// Versions of the field that has some, oldest first; the value is that of the current one.
    pub revisions: Vec<Revision>,
    /// Reads that will still see it busy.
    pub busy: u32,
    /// Token of the call that made it.
    pub(crate) token: Option<Tree>,
    pub(crate) serial: u32,
}

/// One version of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub number: u32,
    pub current: bool,
    /// What a superseded one said.
    pub(crate) content: Option<Tree>,
}

impl Revision {
    /// Its name in calls and answers.
    pub(crate) fn name(&self) -> String {
        format!("v{}", self.number)
    }
}

/// Whether a resource exists, or only takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Alive,
    /// Soft-deleted: seen by reads as such, taken by its name, refused by every write.
    Tombstone,
}

/// The account and partition of the model cloud.
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const PARTITION: &str = "aws";

impl Resource {
    /// A resource as its create call made it, with the identifiers that its kind has assigned.
    pub(crate) fn new(kind: &Kind, region: &str, values: BTreeMap<String, Tree>, serial: u32) -> Self {
        let mut resource = Self {
            kind: kind.name().to_owned(),
            region: region.to_owned(),
            values,
            tags: BTreeMap::new(),
            identifiers: Tree::object(),
            life: Life::Alive,
            revisions: Vec::new(),
            busy: 0,
            token: None,
            serial,
        };
        if kind.parts.iter().any(|part| matches!(part.shape, Shape::Revisions(_))) {
            resource.add_revision(None);
        }
        resource.identify(kind);
        resource
    }

    /// A new version, which is current from now on; `superseded` is what the one before said.
    pub(crate) fn add_revision(&mut self, superseded: Option<&Tree>) {
        for revision in self.revisions.iter_mut().filter(|revision| revision.current) {
            revision.current = false;
            revision.content = superseded.cloned();
        }
        let number = self.revisions.iter().map(|revision| revision.number).max().unwrap_or(0) + 1;
        self.revisions.push(Revision { number, current: true, content: None });
    }

    /// Gives it what the provider gives: an ARN, an id, a handle.
    fn identify(&mut self, kind: &Kind) {
        let end = self.end_of_id(kind).unwrap_or_default();
        let region = if kind.scope == Scope::Partition { "" } else { &self.region };
        let (service, serial) = (&kind.service, self.serial);
        let names = kind.identity.name.iter().filter_map(|path| self.values.get(&path.to_string())?.as_str());
        let name =
            if kind.is_named_by_user() { names.collect::<Vec<_>>().join("/") } else { format!("id-{serial:08}{end}") };
        let arn = match &kind.identity.arn {
            Arn::None => None,
            Arn::Read(_) => {
                let noun = kind.name().to_lowercase();
                Some(format!("arn:{PARTITION}:{service}:{region}:{ACCOUNT}:{noun}/{name}"))
            }
            Arn::Pattern(pattern) => self.spelt(kind, pattern),
        };
        let handles = kind.identity.lookup.iter().flat_map(|lookup| &lookup.out).map(|(status, _)| status);
        for status in handles {
            let url = format!("https://{service}.{region}.example/{ACCOUNT}/{name}");
            self.identifiers.set(status, Tree::text(url));
        }
        if let Some(assigned) = &kind.identity.assigned {
            self.identifiers.set(assigned, Tree::text(&name));
        }
        if let Some(arn) = arn {
            self.identifiers.set(&arn_path(), Tree::text(arn));
        }
    }

    /// What an assigned name ends in, where the finder looks at that.
    fn end_of_id(&self, kind: &Kind) -> Option<String> {
        let Recovery::Natural(finder) = &kind.recovery else { return None };
        finder.pick.iter().find_map(|pick| match &pick.test {
            PickTest::Ends(pattern) => self.spelt(kind, pattern),
            PickTest::Equals(_) => None,
        })
    }

    /// A text with its holes filled.
    pub(crate) fn spelt(&self, kind: &Kind, pattern: &Pattern) -> Option<String> {
        pattern.0.iter().try_fold(String::new(), |text, part| {
            Some(match part {
                PatternPart::Text(literal) => text + literal,
                PatternPart::Context(context) => text + self.context(*context),
                PatternPart::Spec { path, default } => {
                    let known = self.values.get(&path.to_string()).and_then(Tree::as_str).or(default.as_deref());
                    text + kind.bare(path, known?)
                }
            })
        })
    }

    fn context(&self, context: Context) -> &str {
        match context {
            Context::Account => ACCOUNT,
            Context::Region => &self.region,
            Context::Partition => PARTITION,
        }
    }

    /// Whether calls through a region reach it.
    pub(crate) fn is_in(&self, kind: &Kind, region: &str) -> bool {
        kind.scope == Scope::Partition || self.region == region
    }

    /// Its ARN, if its kind has one.
    pub fn arn(&self) -> Option<&str> {
        self.identifiers.at(&arn_path()).and_then(Tree::as_str)
    }

    /// The values that a call may give at a member with this source to mean this resource.
    fn called(&self, kind: &Kind, source: &Source) -> Vec<Tree> {
        match source {
            Source::Spec(path) => match path.split_first() {
                Some((field, rest)) => {
                    let set = self.values.get(field).and_then(|value| value.at(&rest)).cloned();
                    // Of a place that nobody chose, reads tell which it is.
                    let is_place = kind.identity.within.contains(path);
                    let chosen = || Some(default_of(kind.fields.get(field).filter(|_| is_place)?, &kind.api, None));
                    set.or_else(chosen).into_iter().collect()
                }
                None => Vec::new(),
            },
            // A status field may be read in the body: `status: {id: ARN}`.
            Source::Status(path) => {
                let assigned = self.identifiers.at(path).cloned();
                assigned.or_else(|| crate::answer::identifier_like(self, kind, path)).into_iter().collect()
            }
            Source::Arn => self.arn().map(Tree::text).into_iter().collect(),
            Source::FirstKnown(sources) => sources.iter().flat_map(|source| self.called(kind, source)).collect(),
            Source::List(sources) => match sources.as_slice() {
                [one] => self.called(kind, one).into_iter().map(|name| Tree::List(vec![name])).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Whether a call's input means this resource: every member that addresses something addresses this. What may be left
    /// out, and is, narrows nothing down.
    pub(crate) fn is_meant(&self, kind: &Kind, call: &CallTemplate, input: &Tree) -> bool {
        call.inputs.iter().filter(|(_, source)| is_address(source)).all(|(member, source)| match input.member(member) {
            Some(given) => self.called(kind, source).contains(given),
            None => !kind.requires(call, member),
        })
    }
}

/// Whether a source names a resource, rather than saying something about it.
pub(crate) fn is_address(source: &Source) -> bool {
    match source {
        Source::Spec(_) | Source::Status(_) | Source::Arn => true,
        Source::FirstKnown(sources) | Source::List(sources) => sources.iter().any(is_address),
        _ => false,
    }
}

/// Where the ARN stands below `status`.
pub(crate) fn arn_path() -> FieldPath {
    FieldPath::root().child("ackResourceMetadata").child("arn")
}
