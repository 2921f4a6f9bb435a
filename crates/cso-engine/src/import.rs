//! From resources that exist to wishes for them. Only reads.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cso_core::port::{Cloud, Effect, Purpose, Request};
use cso_core::{CallError, Digest, DigestKey, ErrorClass, FieldPath, ObjectKey, OwnerMark, Record, Tree};
use cso_schema::fill::{Load, Subject, Surroundings};
use cso_schema::import::Known;
use cso_schema::kind::{Arn, Kind, State};
use cso_schema::lens::Lens;
use cso_schema::observe::{Observation, Seen};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::classify;
use crate::decide::Input;
use crate::dialect::{self, Policies};
use crate::read::{Extent, Marked, Reader};

/// Looks for the resources of one kind in one place.
#[derive(Debug)]
pub struct Importer<'a, C> {
    pub cloud: &'a C,
    pub kind: &'a Kind,
    pub surroundings: &'a Surroundings,
}

/// A resource, as an object that adopts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub spec: Map<String, Value>,
    /// Where the resource is, and that it is to be adopted.
    pub annotations: BTreeMap<String, String>,
    /// What people call it.
    pub name: String,
    pub arn: Option<String>,
    /// Whose it is already, if its tags say so.
    pub mark: Option<OwnerMark>,
    /// Secret fields of the kind: their values stay where they are.
    pub secrets: Vec<String>,
    /// Fields that could not be read, and why.
    pub unknown: Vec<(String, String)>,
}

/// Why nothing can be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("{kind} cannot be listed: the provider lists them below other resources only; name one")]
    Unlisted { kind: String },
    #[error("{text} names no {kind}: {form}")]
    BadName { kind: String, text: String, form: String },
    #[error("{kind} `{name}` cannot be written down: the provider does not tell {field}, which its manifest must have")]
    Untold { kind: String, name: String, field: String },
    #[error(transparent)]
    Call(#[from] CallError),
}

impl<C: Cloud> Importer<'_, C> {
    /// Every resource of the kind, as far as the provider's list tells.
    ///
    /// # Errors
    /// [`ImportError::Unlisted`] for a kind without a list, or what the call said.
    pub async fn list(&self) -> Result<Vec<Known>, ImportError> {
        let listing = self.kind.list.as_ref().ok_or_else(|| ImportError::Unlisted { kind: self.kind_name() })?;
        let nothing = Known::nothing();
        let unfilled = |error: cso_schema::fill::Unfilled| ImportError::BadName {
            kind: self.kind_name(),
            text: listing.call.operation.clone(),
            form: error.to_string(),
        };
        let call =
            self.subject(&nothing.spec, &nothing.status).fill(&listing.call, &Load::default()).map_err(unfilled)?;
        let request = Request {
            service: call.service,
            operation: call.operation,
            region: self.surroundings.region.clone(),
            namespace: String::new(),
            input: call.input.shown(),
            effect: Effect::Reads,
            purpose: Purpose::Change,
        };
        let answer = self.cloud.call(request).await.map_err(ImportError::Call)?;
        Ok(listing.known(&Tree::from(answer)))
    }

    /// The resource of a name, an identifier or an ARN; `None` if there is none.
    ///
    /// # Errors
    /// [`ImportError::BadName`] if the text cannot be a name of such a resource, or what a call said.
    pub async fn find(&self, text: &str) -> Result<Option<Found>, ImportError> {
        let is_arn = text.starts_with("arn:");
        for known in self.candidates(text)? {
            match self.read(&known).await {
                // A name that was taken out of an ARN may be of another resource.
                Ok(Some(found)) if !is_arn || found.arn.as_deref() == Some(text) => return Ok(Some(found)),
                Ok(_) => {}
                Err(ImportError::Call(error))
                    if is_arn && classify::class(&self.kind.errors, &error) == ErrorClass::Invalid => {}
                Err(error) => return Err(error),
            }
        }
        if is_arn { Ok(None) } else { self.find_in_list(text).await }
    }

    /// A resource whose calls want more than its name, such as a path: the list has both.
    async fn find_in_list(&self, text: &str) -> Result<Option<Found>, ImportError> {
        if !self.kind.is_named_by_user() || self.kind.list.is_none() {
            return Ok(None);
        }
        let wanted = self.candidates(text)?;
        let has_name = |known: &Known| {
            let same = |path: &FieldPath| wanted.iter().all(|wanted| wanted.spec.at(path) == known.spec.at(path));
            self.kind.identity.name.iter().all(same)
        };
        match self.list().await?.iter().find(|known| has_name(known)) {
            Some(known) => self.read(known).await,
            None => Ok(None),
        }
    }

    /// What a text may mean, in the order in which it is tried.
    fn candidates(&self, text: &str) -> Result<Vec<Known>, ImportError> {
        let identity = &self.kind.identity;
        let bad = |form: String| ImportError::BadName { kind: self.kind_name(), text: text.to_owned(), form };
        let arn = arn_path();
        if let Some(within) = identity.within.first() {
            return Err(bad(format!(
                "it lies within spec.{within}, which a name does not tell; write its manifest by hand"
            )));
        }
        let mut known = Known::nothing();
        if text.starts_with("arn:") {
            known.status.set(&arn, Tree::text(text));
        }
        if let Some(assigned) = &identity.assigned {
            if !text.starts_with("arn:") {
                if *assigned == arn {
                    return Err(bad("it has no name; give its ARN".to_owned()));
                }
                known.status.set(assigned, Tree::text(text));
                return Ok(vec![known]);
            }
            let identified = |id| {
                let mut known = Known::nothing();
                known.status.set(assigned, Tree::text(id));
                known
            };
            return Ok(std::iter::once(known).chain(names_in(text).map(identified)).collect());
        }
        let names = identity.name.as_slice();
        if !text.starts_with("arn:") {
            let parts: Vec<&str> = if names.len() == 1 { vec![text] } else { text.split('/').collect() };
            if parts.len() != names.len() {
                let form: Vec<String> = names.iter().map(ToString::to_string).collect();
                return Err(bad(format!("write {}", form.join("/"))));
            }
            for (path, part) in names.iter().zip(parts) {
                known.spec.set(path, Tree::text(part));
            }
            return Ok(vec![known]);
        }
        match (&identity.arn, names) {
            (Arn::None, _) => Err(bad("it has no ARN; give its name".to_owned())),
            (Arn::Pattern(_), _) => {
                known.spec = self.kind.names_in(text);
                Ok(vec![known])
            }
            (Arn::Read(_), [only]) => Ok(names_in(text)
                .map(|name| {
                    let mut known = Known::nothing();
                    known.spec.set(only, Tree::text(name));
                    known
                })
                .collect()),
            (Arn::Read(_), _) => Err(bad("it cannot be told from an ARN; give its name".to_owned())),
        }
    }

    /// Reads one resource; `None` if it does not exist, or is not the user's.
    ///
    /// # Errors
    /// What a call said.
    pub async fn read(&self, known: &Known) -> Result<Option<Found>, ImportError> {
        let observation = self.observe(known).await.map_err(ImportError::Call)?;
        let Seen::Value(body) = &observation.body else { return Ok(None) };
        let is_dead = self.kind.state(body).0 == State::Gone
            || self.kind.tombstone.as_ref().is_some_and(|path| body.at(path).is_some());
        if is_dead || self.kind.list.as_ref().is_some_and(|list| list.passes_over(body)) {
            return Ok(None);
        }
        let mut status = known.status.clone();
        crate::read::lay_over(&mut status, &self.kind.status_of(&observation));
        let arn = self.subject(&known.spec, &status).arn().and_then(|arn| arn.as_str().map(str::to_owned));
        let mut names = arn.as_deref().map_or_else(Tree::object, |arn| self.kind.names_in(arn));
        crate::read::lay_over(&mut names, &known.spec);
        let draft = self.kind.draft(&self.subject(&names, &status), &observation);
        let mut spec = draft.spec;
        if let (Some(tags), Seen::Value(Tree::Object(seen))) = (&self.kind.tags, &observation.tags) {
            let own: BTreeMap<String, Tree> = seen
                .iter()
                .filter(|(key, _)| !dialect::is_system_tag(key))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            if let Some((first, rest)) = tags.field.split_first().filter(|_| !own.is_empty()) {
                let mut value = Tree::object();
                value.set(&rest, self.kind.spelt_tags(&own));
                spec.insert(first.to_owned(), value);
            }
        }
        let name = self.called(&spec, &status, arn.as_deref());
        if let Some(field) = self.untold(&spec, &draft.secrets) {
            return Err(ImportError::Untold { kind: self.kind_name(), name, field });
        }
        let Value::Object(spec) = Tree::Object(spec).shown() else { return Ok(None) };
        Ok(Some(Found {
            spec,
            annotations: self.annotations(&status),
            name,
            arn,
            mark: crate::decide::mark_in(&observation.tags),
            secrets: draft.secrets,
            unknown: draft.unknown,
        }))
    }

    /// A field that every manifest has, and that nothing tells.
    fn untold(&self, spec: &BTreeMap<String, Tree>, secrets: &[String]) -> Option<String> {
        let mut required = self.kind.surface.spec.required.iter();
        required
            .find(|field| !spec.contains_key(*field) && !secrets.contains(field))
            .map(|field| format!("spec.{field}"))
    }

    async fn observe(&self, known: &Known) -> Result<Observation, CallError> {
        let key = ObjectKey::new(self.kind.group(), self.kind.name(), "", "import");
        let digest_key = DigestKey::from_bytes([0; 32]);
        let digest: Digest = digest_key.digest("spec", &Value::Null);
        let mut record = Record::new(key.clone(), String::new(), digest);
        if let Value::Object(status) = known.status.shown() {
            record.status = status;
        }
        let nothing = Observation::nothing();
        let input = Input {
            kind: self.kind,
            key: &key,
            spec: &known.spec,
            deleting: false,
            policies: &Policies::default(),
            options: &BTreeMap::new(),
            surroundings: self.surroundings,
            observation: &nothing,
            record: &record,
            mark: &OwnerMark::new("import", &key),
            default_tags: &BTreeMap::new(),
            digest_key: &digest_key,
            consistency: None,
            now: Timestamp::UNIX_EPOCH,
        };
        let extent = Extent::All { body: known.body.as_ref() };
        let (known, marked) = (&BTreeMap::new(), &Marked::default());
        let reader = Reader { cloud: self.cloud, input: &input, purpose: Purpose::Change, extent, known, marked };
        Box::pin(reader.observe()).await
    }

    fn subject<'s>(&'s self, spec: &'s Tree, status: &'s Tree) -> Subject<'s> {
        static NO_OPTIONS: BTreeMap<String, Value> = BTreeMap::new();
        static NOTHING_CHOSEN: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let (kind, surroundings, chosen) = (self.kind, self.surroundings, &*NOTHING_CHOSEN);
        Subject { kind, spec, chosen, status, surroundings, options: &NO_OPTIONS, made_by: None, token: None }
    }

    /// The annotations that lead an object back to this resource.
    fn annotations(&self, status: &Tree) -> BTreeMap<String, String> {
        let name = |word: &str| format!("{}{word}", dialect::PREFIX);
        let mut annotations = BTreeMap::from([
            (name("adoption-policy"), "adopt".to_owned()),
            (name("region"), self.surroundings.region.clone()),
        ]);
        if let Some(path) = &self.kind.identity.assigned
            && let Some(id) = status.at(path).and_then(Tree::as_str)
        {
            let field = if *path == arn_path() { "arn".to_owned() } else { path.to_string() };
            annotations.insert(name("adoption-fields"), json!({field: id}).to_string());
        }
        annotations
    }

    /// The name that the user gave it, or else the last word of what the provider calls it.
    fn called(&self, spec: &BTreeMap<String, Tree>, status: &Tree, arn: Option<&str>) -> String {
        let identity = &self.kind.identity;
        let names: Vec<&str> = identity
            .name
            .iter()
            .filter_map(|path| {
                let field = path.to_string();
                let text = spec.get(&field)?.as_str()?;
                match self.kind.fields.get(&field).map(|field| &field.lens) {
                    Some(Lens::Prefix(prefix)) => text.strip_prefix(prefix.as_str()),
                    _ => None,
                }
                .or(Some(text))
            })
            .collect();
        if !names.is_empty() {
            return names.join("-");
        }
        let id = identity.assigned.as_ref().and_then(|path| status.at(path)).and_then(Tree::as_str).or(arn);
        let id = id.unwrap_or_default();
        id.rsplit([':', '/']).next().unwrap_or(id).to_owned()
    }

    fn kind_name(&self) -> String {
        format!("{}/{}", self.kind.service, self.kind.name())
    }
}

/// What may be a name in an ARN: its resource part and what follows each separator in it, the longest first; at last the
/// ARN itself, which some calls take for a name.
fn names_in(arn: &str) -> impl Iterator<Item = &str> {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let inner = resource.match_indices([':', '/']).map(|(at, _)| &resource[at + 1..]);
    std::iter::once(resource).chain(inner).chain([arn]).filter(|name| !name.is_empty())
}

fn arn_path() -> FieldPath {
    FieldPath::root().child("ackResourceMetadata").child("arn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_may_hold_several_names() {
        let arn = "arn:aws:ecr:eu-west-1:111122223333:repository/team/app";
        assert_eq!(names_in(arn).collect::<Vec<_>>(), ["repository/team/app", "team/app", "app", arn]);
        assert_eq!(names_in("arn:aws:sqs:eu-west-1:111122223333:orders").next(), Some("orders"));
    }
}
