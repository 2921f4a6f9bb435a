//! The descriptor language as written: a strict subset of YAML, typed, one file per service.
//!
//! Only shape is checked here; [`crate::compile`] checks every name against facts. `docs/descriptors.md` is the grammar
//! for people.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct File {
    pub(crate) service: String,
    /// API group of the kinds, where it is not `SERVICE.services.k8s.aws`.
    pub(crate) group: Option<String>,
    pub(crate) scope: Option<String>,
    #[serde(default)]
    pub(crate) errors: Errors,
    pub(crate) consistency: Option<String>,
    pub(crate) kinds: IndexMap<String, KindSpec>,
}

/// What the service's error codes mean.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Errors {
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) invalid: Vec<String>,
    #[serde(default)]
    pub(crate) conflict: Vec<String>,
    #[serde(default)]
    pub(crate) denied: Vec<String>,
    #[serde(default)]
    pub(crate) foreign: Vec<String>,
    #[serde(default)]
    pub(crate) later: BTreeMap<String, String>,
    /// Codes of the other lists that facts do not know.
    #[serde(default)]
    pub(crate) unlisted: Vec<String>,
}

/// One kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KindSpec {
    pub(crate) api: Api,
    pub(crate) identity: IdentitySpec,
    pub(crate) surface: Option<SurfaceSpec>,
    pub(crate) recover: Option<RecoverSpec>,
    pub(crate) tombstone: Option<String>,
    #[serde(default)]
    pub(crate) names: BTreeMap<String, NameSpec>,
    #[serde(default)]
    pub(crate) inside: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) fields: IndexMap<String, FieldSpec>,
    #[serde(default)]
    pub(crate) parts: IndexMap<String, PartSpec>,
    pub(crate) tags: Option<TagsSpec>,
    pub(crate) delete: Option<DeleteSpec>,
    #[serde(default)]
    pub(crate) states: Vec<AxisSpec>,
    #[serde(default)]
    pub(crate) refs: IndexMap<String, String>,
    #[serde(default)]
    pub(crate) options: IndexMap<String, OptionSpec>,
    #[serde(default)]
    pub(crate) status: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) exports: BTreeMap<String, String>,
}

/// The body's calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Api {
    pub(crate) create: CallSpec,
    pub(crate) read: CallSpec,
    pub(crate) update: CallSpec,
    pub(crate) delete: CallSpec,
    pub(crate) list: Option<ListSpec>,
}

/// The surface of a kind that is not the published one: the word `derived`, or details.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SurfaceSpec {
    /// By rule where it is not said.
    pub(crate) plural: Option<String>,
    #[serde(default)]
    pub(crate) short_names: Vec<String>,
    /// Members of the API that the kind leaves out.
    #[serde(default)]
    pub(crate) without: Vec<String>,
    /// Said alone: not a key of the mapping.
    #[serde(skip)]
    pub(crate) word: Option<String>,
}

/// A list of all resources.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ListSpec {
    pub(crate) op: String,
    #[serde(default, rename = "in")]
    pub(crate) inputs: BTreeMap<String, Value>,
    pub(crate) elements: String,
    pub(crate) gives: GivesSpec,
    #[serde(default)]
    pub(crate) unless: BTreeMap<String, Names>,
}

/// What the elements of a list tell: members of theirs, or one value each.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum GivesSpec {
    Whole(String),
    Members(BTreeMap<String, String>),
}

/// An operation: its name alone, or with details.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CallSpec {
    pub(crate) op: String,
    #[serde(default, rename = "in")]
    pub(crate) inputs: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) out: BTreeMap<String, String>,
    /// Member of a create that takes the idempotency token where no field fills it, though the model does not say so.
    pub(crate) token: Option<String>,
    pub(crate) send: Option<String>,
    pub(crate) at: Option<String>,
    #[serde(default)]
    pub(crate) pick: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) none: Vec<String>,
}

/// What must be done before the body's delete.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DeleteSpec {
    pub(crate) empty: Vec<String>,
}

/// The member of a field: one for all calls and answers, or one for the create and one for the update.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NameSpec {
    pub(crate) create: Option<String>,
    pub(crate) update: Option<String>,
    /// Said for all: not a key of the mapping.
    #[serde(skip)]
    pub(crate) all: Option<String>,
}

impl NameSpec {
    /// The member in the create call.
    pub(crate) fn in_create(&self) -> Option<&str> {
        self.create.as_deref().or(self.all.as_deref())
    }

    /// The member in the update call.
    pub(crate) fn in_update(&self) -> Option<&str> {
        self.update.as_deref().or(self.all.as_deref())
    }
}

/// Who the resource is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct IdentitySpec {
    pub(crate) name: Option<Names>,
    pub(crate) assigned: Option<String>,
    /// Spec fields that calls want beside the name or the assigned identifier: the place where the resource is.
    pub(crate) within: Option<Names>,
    #[serde(default)]
    pub(crate) handle: BTreeMap<String, Names>,
    #[serde(default)]
    pub(crate) lookup: Option<CallSpec>,
    pub(crate) arn: Option<ArnSpec>,
}

/// Where the ARN is.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ArnSpec {
    Path(String),
    Pattern(ArnPattern),
}

/// A pattern of an ARN.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ArnPattern {
    pub(crate) pattern: String,
    /// The name cannot be told from an ARN of this form.
    #[serde(default)]
    pub(crate) one_way: bool,
}

/// How a create is found again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RecoverSpec {
    pub(crate) natural: Option<FinderSpec>,
    pub(crate) owner_tag: Option<String>,
    pub(crate) window: Option<String>,
}

/// A list read that picks one element.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FinderSpec {
    pub(crate) op: String,
    #[serde(default, rename = "in")]
    pub(crate) inputs: BTreeMap<String, Value>,
    pub(crate) elements: String,
    pub(crate) pick: BTreeMap<String, Value>,
    pub(crate) out: BTreeMap<String, String>,
}

/// Rules of a field: a role alone, or with details.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FieldSpec {
    pub(crate) role: Option<String>,
    pub(crate) compare: Option<String>,
    #[serde(default)]
    pub(crate) nested: BTreeMap<String, String>,
    pub(crate) prefix: Option<String>,
    pub(crate) lens: Option<String>,
    pub(crate) clear: Option<Value>,
    pub(crate) start: Option<Value>,
    pub(crate) seen: Option<String>,
    #[serde(default)]
    pub(crate) unreadable: bool,
    #[serde(default)]
    pub(crate) late: bool,
    #[serde(default)]
    pub(crate) when: IndexMap<String, Vec<String>>,
    pub(crate) off: Option<String>,
    #[serde(default)]
    pub(crate) restart: bool,
    pub(crate) shared: Option<String>,
    /// Words of answers, and the values they stand for.
    #[serde(default, rename = "enum")]
    pub(crate) words: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) members: BTreeMap<String, MemberSpec>,
}

/// How answers have a member of a structure.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MemberSpec {
    pub(crate) seen: Option<String>,
    #[serde(default, rename = "enum")]
    pub(crate) words: BTreeMap<String, Value>,
}

/// A part: one shape, its fields, and rules for them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PartSpec {
    pub(crate) config: Option<ConfigSpec>,
    pub(crate) switch: Option<SwitchSpec>,
    pub(crate) table: Option<TableSpec>,
    pub(crate) revisions: Option<RevisionsSpec>,
    pub(crate) field: Option<String>,
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    pub(crate) member: Option<String>,
    pub(crate) seen: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) compare: Option<String>,
    pub(crate) clear: Option<Value>,
    #[serde(default)]
    pub(crate) when: IndexMap<String, Vec<String>>,
    /// Fields of others that the additions of a table carry.
    #[serde(default)]
    pub(crate) with: Vec<String>,
    /// Elements of a table that are nobody's: a member, and the source of its value.
    #[serde(default)]
    pub(crate) skip: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfigSpec {
    #[serde(default)]
    pub(crate) get: Option<CallSpec>,
    pub(crate) put: CallSpec,
    #[serde(default)]
    pub(crate) delete: Option<CallSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SwitchSpec {
    pub(crate) enable: CallSpec,
    pub(crate) disable: CallSpec,
    #[serde(default)]
    pub(crate) get: Option<CallSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TableSpec {
    #[serde(default)]
    pub(crate) list: Option<CallSpec>,
    #[serde(default)]
    pub(crate) get: Option<CallSpec>,
    pub(crate) add: CallSpec,
    #[serde(default)]
    pub(crate) change: Option<CallSpec>,
    pub(crate) remove: CallSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RevisionsSpec {
    pub(crate) list: CallSpec,
    pub(crate) get: CallSpec,
    pub(crate) add: CallSpec,
    pub(crate) remove: CallSpec,
    pub(crate) keep: usize,
    pub(crate) current: String,
    pub(crate) oldest: String,
}

/// The tags of a kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TagsSpec {
    pub(crate) field: Option<String>,
    pub(crate) at_create: Option<String>,
    #[serde(default)]
    pub(crate) read: Option<CallSpec>,
    pub(crate) seen: Option<String>,
    #[serde(default)]
    pub(crate) add: Option<CallSpec>,
    #[serde(default)]
    pub(crate) remove: Option<CallSpec>,
    #[serde(default)]
    pub(crate) put: Option<CallSpec>,
}

/// A status axis.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AxisSpec {
    pub(crate) at: String,
    #[serde(default)]
    pub(crate) ready: Vec<String>,
    #[serde(default)]
    pub(crate) busy: Vec<String>,
    #[serde(default)]
    pub(crate) waiting: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) failed: Vec<String>,
    #[serde(default)]
    pub(crate) gone: Vec<String>,
}

/// A typed annotation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OptionSpec {
    pub(crate) annotation: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) default: Option<Value>,
}

/// One name or a list of names.
#[derive(Clone, Debug)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one name or a list of names")
            }

            fn visit_str<E>(self, text: &str) -> Result<Names, E> {
                Ok(Names(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

/// A type that may be written as one name instead of a mapping.
trait Short: Sized {
    fn short(name: String) -> Self;
    fn long<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

impl Short for CallSpec {
    fn short(op: String) -> Self {
        Self { op, ..Self::default() }
    }

    fn long<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map))
    }
}

impl Short for FieldSpec {
    fn short(role: String) -> Self {
        Self { role: Some(role), ..Self::default() }
    }

    fn long<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map))
    }
}

impl Short for NameSpec {
    fn short(name: String) -> Self {
        Self { all: Some(name), ..Self::default() }
    }

    fn long<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map))
    }
}

impl Short for SurfaceSpec {
    fn short(word: String) -> Self {
        Self { word: Some(word), ..Self::default() }
    }

    fn long<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map))
    }
}

struct ShortOrLong<T>(PhantomData<T>);

impl<'de, T: Short> Visitor<'de> for ShortOrLong<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a mapping")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::short(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::long(map)
    }
}

impl<'de> Deserialize<'de> for CallSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortOrLong(PhantomData))
    }
}

impl<'de> Deserialize<'de> for FieldSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortOrLong(PhantomData))
    }
}

impl<'de> Deserialize<'de> for NameSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortOrLong(PhantomData))
    }
}

impl<'de> Deserialize<'de> for SurfaceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortOrLong(PhantomData))
    }
}
