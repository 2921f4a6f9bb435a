//! ACK's published CRDs and generator configuration: the Kubernetes surfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use cso_facts::surface::{Column, FieldFacts, Reference, Schema, SchemaType, Surface};
use cso_facts::text::print_surfaces;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::lock::Lock;
use crate::pages::Pages;

/// Pages of the surfaces of every service in the lock file.
pub(super) fn pages(folder: &Path, lock: &Lock) -> Result<Pages> {
    let crds = Crds::read(&folder.join("crds"))?;
    let mut pages = Pages::new();
    for service in &lock.ack.services {
        let surfaces = service_surfaces(folder, &crds, service).with_context(|| format!("service {service}"))?;
        pages.insert(format!("facts/ack/{service}.txt"), print_surfaces(&surfaces));
    }
    let common = common_surfaces(&crds, &lock.common.kinds).context("common kinds")?;
    pages.insert(COMMON.to_owned(), print_surfaces(&common));
    Ok(pages)
}

/// The page of the kinds that belong to no service.
pub(super) const COMMON: &str = "facts/ack/services.txt";

/// The surfaces of kinds of the common group.
fn common_surfaces(crds: &Crds, kinds: &[String]) -> Result<Vec<Surface>> {
    let mut surfaces = crds.of_group("services.k8s.aws")?;
    surfaces.retain(|surface| kinds.contains(&surface.kind));
    let missing = kinds.iter().find(|kind| surfaces.iter().all(|surface| surface.kind != **kind));
    ensure!(missing.is_none(), "no CRD of {missing:?}");
    Ok(surfaces)
}

/// The surfaces of a service's kinds, sorted by kind.
fn service_surfaces(folder: &Path, crds: &Crds, service: &str) -> Result<Vec<Surface>> {
    let generator: Generator = read_yaml(&folder.join(format!("generator/{service}.yaml")))?;
    let mut surfaces = Vec::new();
    for mut surface in crds.of_group(&group(service))? {
        if let Some(resource) = generator.resources.get(&surface.kind) {
            resource.describe(&mut surface, crds, service).with_context(|| surface.kind.clone())?;
        }
        surfaces.push(surface);
    }
    ensure!(!surfaces.is_empty(), "no CRDs of {}", group(service));
    Ok(surfaces)
}

fn group(service: &str) -> String {
    format!("{service}.services.k8s.aws")
}

fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
}

/// The folder of CRDs. Files are named `GROUP_PLURAL.yaml`.
struct Crds {
    files: Vec<PathBuf>,
}

impl Crds {
    fn read(folder: &Path) -> Result<Self> {
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        Ok(Self { files })
    }

    /// All kinds of a group, sorted by kind.
    fn of_group(&self, group: &str) -> Result<Vec<Surface>> {
        let start = format!("{group}_");
        let is_its = |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
        let mut surfaces = self
            .files
            .iter()
            .filter(is_its)
            .map(|file| surface(read_yaml(file)?).with_context(|| file.display().to_string()))
            .collect::<Result<Vec<_>>>()?;
        surfaces.sort_by(|a, b| a.kind.cmp(&b.kind));
        Ok(surfaces)
    }
}

/// A `CustomResourceDefinition`.
#[derive(Deserialize)]
struct Crd {
    spec: CrdSpec,
}

#[derive(Deserialize)]
struct CrdSpec {
    group: String,
    names: Names,
    scope: String,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    kind: String,
    list_kind: String,
    plural: String,
    singular: String,
    #[serde(rename = "shortNames", default)]
    short: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    name: String,
    storage: bool,
    #[serde(default)]
    additional_printer_columns: Vec<RawColumn>,
    schema: VersionSchema,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawColumn {
    name: String,
    json_path: String,
    #[serde(rename = "type")]
    column_type: String,
    #[serde(default)]
    priority: u32,
}

#[derive(Deserialize)]
struct VersionSchema {
    #[serde(rename = "openAPIV3Schema")]
    root: RawSchema,
}

/// A schema. A keyword that is not listed is refused, so that none is lost unnoticed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSchema {
    #[serde(rename = "type")]
    schema_type: String,
    #[serde(rename = "description")]
    _description: Option<IgnoredAny>,
    format: Option<String>,
    #[serde(rename = "enum", default)]
    values: Vec<String>,
    #[serde(default)]
    properties: BTreeMap<String, RawSchema>,
    #[serde(default)]
    required: BTreeSet<String>,
    items: Option<Box<RawSchema>>,
    additional_properties: Option<Box<RawSchema>>,
    #[serde(rename = "x-kubernetes-validations", default)]
    validations: Vec<Validation>,
    #[serde(rename = "x-kubernetes-map-type")]
    map_type: Option<String>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields", default)]
    preserve_unknown: bool,
}

#[derive(Deserialize)]
struct Validation {
    rule: String,
}

fn surface(crd: Crd) -> Result<Surface> {
    let CrdSpec { group, names, scope, versions } = crd.spec;
    let version = versions.into_iter().find(|version| version.storage).context("no version is stored")?;
    let mut root = version.schema.root.properties;
    let mut part = |name: &str| root.remove(name).map(schema).transpose().with_context(|| name.to_owned());
    Ok(Surface {
        group,
        version: version.name,
        kind: names.kind,
        list_kind: names.list_kind,
        plural: names.plural,
        singular: names.singular,
        short_names: names.short,
        namespaced: scope == "Namespaced",
        columns: version.additional_printer_columns.into_iter().map(column).collect(),
        spec: part("spec")?.context("no spec")?,
        status: part("status")?.unwrap_or_default(),
        ..Surface::default()
    })
}

fn column(raw: RawColumn) -> Column {
    Column { name: raw.name, json_path: raw.json_path, column_type: raw.column_type, priority: raw.priority }
}

fn schema(raw: RawSchema) -> Result<Schema> {
    let immutable = match raw.validations.as_slice() {
        [] => false,
        [one] if one.rule == "self == oldSelf" => true,
        [first, ..] => bail!("the validation `{}` is not understood", first.rule),
    };
    let nested = |raw: Option<Box<RawSchema>>| raw.map(|raw| schema(*raw).map(Box::new)).transpose();
    Ok(Schema {
        schema_type: match raw.schema_type.as_str() {
            "object" => SchemaType::Object,
            "array" => SchemaType::Array,
            "string" => SchemaType::String,
            "integer" => SchemaType::Integer,
            "number" => SchemaType::Number,
            "boolean" => SchemaType::Boolean,
            other => bail!("the type `{other}` is not known"),
        },
        format: raw.format,
        values: raw.values,
        properties: raw
            .properties
            .into_iter()
            .map(|(name, raw)| schema(raw).map(|schema| (name.clone(), schema)).with_context(|| name))
            .collect::<Result<_>>()?,
        required: raw.required,
        items: nested(raw.items)?,
        additional: nested(raw.additional_properties)?,
        immutable,
        atomic: match raw.map_type.as_deref() {
            None => false,
            Some("atomic") => true,
            Some(other) => bail!("the map type `{other}` is not known"),
        },
        preserve_unknown: raw.preserve_unknown,
    })
}

/// The parts of a generator configuration that state facts of the API. Hooks and templates are code and not read.
#[derive(Deserialize)]
struct Generator {
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Resource {
    fields: BTreeMap<String, RawField>,
    exceptions: Exceptions,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Exceptions {
    errors: BTreeMap<String, RawError>,
    terminal_codes: BTreeSet<String>,
}

#[derive(Deserialize)]
struct RawError {
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct RawField {
    late_initialize: Option<IgnoredAny>,
    is_immutable: bool,
    is_read_only: bool,
    is_primary_key: bool,
    is_iam_policy: bool,
    is_document: bool,
    is_secret: bool,
    is_attribute: bool,
    is_arn: bool,
    is_owner_account_id: bool,
    references: Option<RawReference>,
}

#[derive(Deserialize)]
struct RawReference {
    /// The configuration's own service when left out.
    service_name: Option<String>,
    resource: String,
    path: String,
}

impl Resource {
    fn describe(&self, surface: &mut Surface, crds: &Crds, service: &str) -> Result<()> {
        surface.terminal_codes = self.exceptions.terminal_codes.iter().cloned().collect();
        surface.not_found_code = self.exceptions.errors.get("404").and_then(|error| error.code.clone());
        for (name, raw) in &self.fields {
            let Some(path) = raw.path(surface, name) else {
                println!("{service} {}: {name} is not on the surface", surface.kind);
                continue;
            };
            let reference = raw.references.as_ref().map(|reference| reference.read(surface, &path, crds, service));
            let facts = raw.facts(reference.transpose().with_context(|| name.clone())?);
            if facts != FieldFacts::default() {
                let (_, below) = path.split_once('.').unwrap_or_default();
                surface.fields.insert(below.to_owned(), facts);
            }
        }
        Ok(())
    }
}

impl RawField {
    /// Where the field is on the surface, `spec` or `status` included.
    fn path(&self, surface: &Surface, name: &str) -> Option<String> {
        let tops = if self.is_read_only { ["status", "spec"] } else { ["spec", "status"] };
        let named = tops.iter().find_map(|top| surface_path(surface, &format!("{top}.{name}")));
        let metadata = match self {
            Self { is_arn: true, .. } => Some("status.ackResourceMetadata.arn"),
            Self { is_owner_account_id: true, .. } => Some("status.ackResourceMetadata.ownerAccountID"),
            _ => None,
        };
        named.or_else(|| metadata.map(ToOwned::to_owned))
    }

    fn facts(&self, reference: Option<Reference>) -> FieldFacts {
        FieldFacts {
            late_initialize: self.late_initialize.is_some(),
            immutable: self.is_immutable,
            read_only: self.is_read_only,
            primary_key: self.is_primary_key,
            iam_policy: self.is_iam_policy,
            document: self.is_document,
            secret: self.is_secret,
            attribute: self.is_attribute,
            reference,
        }
    }
}

impl RawReference {
    fn read(&self, surface: &Surface, path: &str, crds: &Crds, own_service: &str) -> Result<Reference> {
        let service = self.service_name.as_deref().unwrap_or(own_service);
        let kinds = crds.of_group(&group(service))?;
        let target = kinds.iter().find(|target| target.kind == self.resource);
        let target = target.with_context(|| format!("there is no CRD of {} in {}", self.resource, group(service)))?;
        let target_path = surface_path(target, &self.path);
        Ok(Reference {
            field: reference_field(surface, path).context("no field of the surface holds the reference")?,
            service: service.to_owned(),
            kind: self.resource.clone(),
            path: target_path.with_context(|| format!("{} lacks {}", self.resource, self.path))?,
        })
    }
}

/// Spells a path of the generator's (`Spec.KmsMasterKeyId`) as the surface does (`spec.kmsMasterKeyID`). Upstream's own
/// spelling follows a table that changed over the years, so names are compared without case and punctuation.
fn surface_path(surface: &Surface, path: &str) -> Option<String> {
    let (top, rest) = path.split_once('.')?;
    let top = top.to_lowercase();
    let mut schema = surface.schema_at([top.as_str()])?;
    let mut found = top;
    for step in rest.split('.') {
        let (name, next) = schema.element().properties.iter().find(|(name, _)| folded(name) == folded(step))?;
        found = format!("{found}.{name}");
        schema = next;
    }
    Some(found)
}

fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The sibling `FOORef` or `FOORefs` of a field `FOO`, `FOOID`, `FOOARN`, `FOOName` or a plural of them.
fn reference_field(surface: &Surface, path: &str) -> Option<String> {
    let (parent, field) = path.rsplit_once('.')?;
    let field = folded(field);
    let singular = field.strip_suffix('s').unwrap_or(&field);
    let with_y = field.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let stems: BTreeSet<String> = [field.as_str(), singular]
        .into_iter()
        .chain(with_y.as_deref())
        .flat_map(|name| ["", "id", "arn", "name"].map(|suffix| name.strip_suffix(suffix).unwrap_or(name).to_owned()))
        .collect();
    let siblings = &surface.schema_at(parent.split('.'))?.element().properties;
    let mut found = siblings.iter().filter(|(name, schema)| {
        let stem = name.strip_suffix("Refs").or_else(|| name.strip_suffix("Ref"));
        schema.element().properties.contains_key("from") && stem.is_some_and(|stem| stems.contains(&folded(stem)))
    });
    // Two candidates would be a guess.
    found.next().filter(|_| found.next().is_none()).map(|(name, _)| name.clone())
}
