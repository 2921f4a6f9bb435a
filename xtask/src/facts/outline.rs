//! Facts as a flat list of things with attributes, so that two versions can be compared thing by thing.
//!
//! Structures are taken apart without `..`: a fact that is added to the model must find its place here.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use cso_facts::api::{
    Endpoint, Endpoints, ErrorFacts, Location, Member, Operation, Paginator, Service, Shape, ShapeKind,
};
use cso_facts::partition::Partition;
use cso_facts::surface::{Column, FieldFacts, Reference, Schema, Surface};
use cso_facts::text::{parse_partitions, parse_service, parse_surfaces};

use crate::pages::Pages;

/// Things by name, for example `aws/sqs shape CreateQueueRequest.QueueName`.
pub(super) type Outline = BTreeMap<String, Thing>;

/// One thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Thing {
    /// Name of the thing it is a part of.
    pub(super) parent: Option<String>,
    /// What is known of it; a flag that is not set, and a value that is not there, has no entry.
    pub(super) attributes: BTreeMap<&'static str, String>,
}

/// The outline of all pages.
pub(super) fn outline(pages: &Pages) -> Result<Outline> {
    let mut out = Outline::new();
    for (name, text) in pages {
        let page = name.strip_prefix("facts/").unwrap_or(name).trim_end_matches(".txt");
        match page.split('/').next() {
            Some("aws") => service(&mut out, page, &parse_service(name, text)?),
            Some("ack") => surfaces(&mut out, page, &parse_surfaces(name, text)?),
            Some("aws-partitions") => partitions(&mut out, &parse_partitions(name, text)?),
            _ => bail!("{name}: not a page of facts"),
        }
    }
    Ok(out)
}

/// A thing being described.
struct Entry<'a>(&'a mut Thing);

impl Entry<'_> {
    fn flag(&mut self, name: &'static str, set: bool) -> &mut Self {
        self.value(name, set.then_some("yes"))
    }

    fn value(&mut self, name: &'static str, value: Option<impl Into<String>>) -> &mut Self {
        if let Some(value) = value {
            self.0.attributes.insert(name, value.into());
        }
        self
    }

    fn list(&mut self, name: &'static str, values: &[String]) -> &mut Self {
        self.value(name, (!values.is_empty()).then(|| values.join(" ")))
    }
}

fn entry<'a>(out: &'a mut Outline, parent: Option<&str>, name: &str) -> Entry<'a> {
    let thing = out.entry(name.to_owned()).or_default();
    thing.parent = parent.map(str::to_owned);
    Entry(thing)
}

fn service(out: &mut Outline, page: &str, service: &Service) {
    let Service {
        name: _,
        api_version,
        service_id,
        protocol,
        query_compatible,
        target_prefix,
        xml_namespace,
        endpoint_prefix,
        signing_name,
        operations,
        shapes,
        endpoints,
    } = service;
    entry(out, None, page)
        .value("api-version", Some(api_version))
        .value("service-id", Some(service_id))
        .value("protocol", Some(format!("{protocol:?}")))
        .flag("query-compatible", *query_compatible)
        .value("target-prefix", target_prefix.as_ref())
        .value("xml-namespace", xml_namespace.as_ref())
        .value("endpoint-prefix", Some(endpoint_prefix))
        .value("signing-name", Some(signing_name));
    for operation in operations {
        self::operation(out, page, service, operation);
    }
    for shape in shapes {
        self::shape(out, page, service, shape);
    }
    let Endpoints { partitions, regions } = endpoints;
    for (what, list) in [("partition", partitions), ("region", regions)] {
        for (name, endpoint) in list {
            let Endpoint { host, signing_region, signing_name } = endpoint;
            entry(out, Some(page), &format!("{page} {what} {name}"))
                .value("host", Some(host))
                .value("signing-region", signing_region.as_ref())
                .value("signing-name", signing_name.as_ref());
        }
    }
}

fn operation(out: &mut Outline, page: &str, service: &Service, operation: &Operation) {
    let Operation {
        name,
        method,
        uri,
        host_prefix,
        unsigned,
        checksum_required,
        checksum_algorithm,
        event_stream,
        input,
        output,
        xml_root,
        xml_namespace,
        result_wrapper,
        errors,
        paginator,
    } = operation;
    let shape = |id| &service.shape(id).name;
    let errors: Vec<String> = errors.iter().map(|id| shape(*id).clone()).collect();
    let mut entry = entry(out, Some(page), &format!("{page} operation {name}"));
    entry
        .value("method", Some(method))
        .value("uri", Some(uri))
        .value("host-prefix", host_prefix.as_ref())
        .flag("unsigned", *unsigned)
        .flag("checksum-required", *checksum_required)
        .value("checksum", checksum_algorithm.as_ref())
        .flag("event-stream", *event_stream)
        .value("input", input.map(shape))
        .value("output", output.map(shape))
        .value("xml-root", xml_root.as_ref())
        .value("xml-namespace", xml_namespace.as_ref())
        .value("result-wrapper", result_wrapper.as_ref())
        .list("errors", &errors);
    if let Some(Paginator { input_tokens, output_tokens, result_keys, more_results, limit_key }) = paginator {
        entry
            .list("pages-in", input_tokens)
            .list("pages-out", output_tokens)
            .list("pages-result", result_keys)
            .value("pages-more", more_results.as_ref())
            .value("pages-limit", limit_key.as_ref());
    }
}

fn shape(out: &mut Outline, page: &str, service: &Service, shape: &Shape) {
    let Shape { name, kind, sensitive } = shape;
    let name = format!("{page} shape {name}");
    let mut entry = entry(out, Some(page), &name);
    entry.value("type", Some(kind.type_name())).flag("sensitive", *sensitive);
    match kind {
        ShapeKind::Boolean
        | ShapeKind::Integer
        | ShapeKind::Long
        | ShapeKind::Float
        | ShapeKind::Double
        | ShapeKind::Document => {}
        ShapeKind::String { values } => self::values(out, &name, values),
        ShapeKind::Blob { streaming } => _ = entry.flag("streaming", *streaming),
        ShapeKind::Timestamp { format } => _ = entry.value("format", format.map(|format| format!("{format:?}"))),
        ShapeKind::List { member: element, flattened } => {
            entry.flag("flattened", *flattened);
            member(out, service, &name, element);
        }
        ShapeKind::Map { key, value, flattened } => {
            entry.flag("flattened", *flattened);
            member(out, service, &name, key);
            member(out, service, &name, value);
        }
        ShapeKind::Structure { members, union, error, payload } => {
            entry.flag("union", *union).value("payload", payload.as_ref());
            if let Some(ErrorFacts { code, http_status, sender_fault, retryable, throttling }) = error {
                entry
                    .flag("error", true)
                    .value("code", code.as_ref())
                    .value("status", http_status.map(|status| status.to_string()))
                    .flag("sender-fault", *sender_fault)
                    .flag("retryable", *retryable)
                    .flag("throttling", *throttling);
            }
            for one in members {
                member(out, service, &name, one);
            }
        }
    }
}

fn member(out: &mut Outline, service: &Service, parent: &str, member: &Member) {
    let Member {
        name,
        shape,
        wire_name,
        query_name,
        location,
        required,
        idempotency_token,
        host_label,
        xml_attribute,
        flattened,
        xml_namespace,
        timestamp_format,
        json_value,
    } = member;
    let target = service.shape(*shape);
    let namespace = xml_namespace.as_ref().map(|(prefix, uri)| format!("{}:{uri}", prefix.as_deref().unwrap_or("")));
    entry(out, Some(parent), &format!("{parent}.{name}"))
        .value("shape", Some(&target.name))
        .value("type", Some(target.kind.type_name()))
        .value("wire-name", wire_name.as_ref())
        .value("query-name", query_name.as_ref())
        .value("location", (*location != Location::Body).then(|| format!("{location:?}")))
        .flag("required", *required)
        .flag("idempotency-token", *idempotency_token)
        .flag("host-label", *host_label)
        .flag("xml-attribute", *xml_attribute)
        .flag("flattened", *flattened)
        .value("xml-namespace", namespace)
        .value("format", timestamp_format.map(|format| format!("{format:?}")))
        .flag("json-value", *json_value);
}

fn values(out: &mut Outline, parent: &str, values: &[String]) {
    for value in values {
        entry(out, Some(parent), &format!("{parent} value {value}"));
    }
}

fn surfaces(out: &mut Outline, page: &str, surfaces: &[Surface]) {
    entry(out, None, page);
    for surface in surfaces {
        self::surface(out, page, surface);
    }
}

fn surface(out: &mut Outline, page: &str, surface: &Surface) {
    let Surface {
        group,
        version,
        kind,
        list_kind,
        plural,
        singular,
        short_names,
        namespaced,
        columns,
        spec,
        status,
        fields,
        terminal_codes,
        not_found_code,
    } = surface;
    let name = format!("{page} kind {kind}");
    entry(out, Some(page), &name)
        .value("group", Some(group))
        .value("version", Some(version))
        .value("list-kind", Some(list_kind))
        .value("plural", Some(plural))
        .value("singular", Some(singular))
        .list("short-names", short_names)
        .flag("cluster", !namespaced)
        .list("terminal", terminal_codes)
        .value("not-found", not_found_code.as_ref());
    for Column { name: column, json_path, column_type, priority } in columns {
        entry(out, Some(&name), &format!("{name} column {column}"))
            .value("path", Some(json_path))
            .value("type", Some(column_type))
            .value("priority", (*priority > 0).then(|| priority.to_string()));
    }
    for (root, node) in [("spec", spec), ("status", status)] {
        schema(out, &name, &format!("{name} {root}"), node, false);
    }
    for (path, facts) in fields {
        field(out, &name, path, facts);
    }
}

fn schema(out: &mut Outline, parent: &str, name: &str, schema: &Schema, is_required: bool) {
    let Schema {
        schema_type,
        format,
        values,
        properties,
        required,
        items,
        additional,
        immutable,
        atomic,
        preserve_unknown,
    } = schema;
    entry(out, Some(parent), name)
        .value("type", Some(format!("{schema_type:?}").to_lowercase()))
        .value("format", format.as_ref())
        .flag("required", is_required)
        .flag("immutable", *immutable)
        .flag("atomic", *atomic)
        .flag("preserve-unknown", *preserve_unknown);
    self::values(out, name, values);
    for (property, nested) in properties {
        self::schema(out, name, &format!("{name}.{property}"), nested, required.contains(property));
    }
    for (step, nested) in [("[]", items), ("{}", additional)] {
        if let Some(nested) = nested {
            self::schema(out, name, &format!("{name}{step}"), nested, false);
        }
    }
}

/// What the generator's configuration says of a field is a thing of its own: its path is below spec or status, and it
/// may speak of a field of which the schema says the opposite.
fn field(out: &mut Outline, kind: &str, path: &str, facts: &FieldFacts) {
    let FieldFacts {
        late_initialize,
        immutable,
        read_only,
        primary_key,
        iam_policy,
        document,
        secret,
        attribute,
        reference,
    } = facts;
    let reference =
        reference.as_ref().map(|Reference { field, service, kind, path }| format!("{field} {service}/{kind} {path}"));
    entry(out, Some(kind), &format!("{kind} generator {path}"))
        .flag("late-initialize", *late_initialize)
        .flag("immutable", *immutable)
        .flag("read-only", *read_only)
        .flag("primary-key", *primary_key)
        .flag("iam-policy", *iam_policy)
        .flag("document", *document)
        .flag("secret", *secret)
        .flag("attribute", *attribute)
        .value("reference", reference);
}

fn partitions(out: &mut Outline, partitions: &[Partition]) {
    for Partition { name, dns_suffix, global_region, prefixes, regions } in partitions {
        let partition = format!("partition {name}");
        entry(out, None, &partition)
            .value("dns-suffix", Some(dns_suffix))
            .value("global-region", Some(global_region))
            .list("prefixes", prefixes);
        for region in regions {
            entry(out, Some(&partition), &format!("{partition} region {region}"));
        }
    }
}
