//! The custom resource definition of a kind, rendered from its surface. Canonical, without descriptions.

use cso_facts::surface::{Column, Schema, SchemaType, Surface};
use serde_json::{Map, Value, json};

/// The definition as a Kubernetes API server takes it.
pub fn definition(surface: &Surface) -> Value {
    let mut names = json!({
        "kind": surface.kind,
        "listKind": surface.list_kind,
        "plural": surface.plural,
        "singular": surface.singular,
    });
    if !surface.short_names.is_empty() {
        names["shortNames"] = json!(surface.short_names);
    }
    let mut version = json!({
        "name": surface.version,
        "served": true,
        "storage": true,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": root(surface)},
    });
    if !surface.columns.is_empty() {
        version["additionalPrinterColumns"] = surface.columns.iter().map(column).collect();
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", surface.plural, surface.group)},
        "spec": {
            "group": surface.group,
            "names": names,
            "scope": if surface.namespaced { "Namespaced" } else { "Cluster" },
            "versions": [version],
        },
    })
}

fn root(surface: &Surface) -> Value {
    json!({
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": schema(&surface.spec),
            "status": schema(&surface.status),
        },
    })
}

fn column(column: &Column) -> Value {
    let mut rendered = json!({"name": column.name, "type": column.column_type, "jsonPath": column.json_path});
    if column.priority > 0 {
        rendered["priority"] = column.priority.into();
    }
    rendered
}

fn schema(node: &Schema) -> Value {
    let mut rendered = Map::new();
    let mut set = |name: &str, value: Value| rendered.insert(name.to_owned(), value);
    set("type", type_name(node.schema_type).into());
    if let Some(format) = &node.format {
        set("format", format.as_str().into());
    }
    if !node.values.is_empty() {
        set("enum", json!(node.values));
    }
    if !node.properties.is_empty() {
        set("properties", node.properties.iter().map(|(name, child)| (name.clone(), schema(child))).collect());
    }
    if !node.required.is_empty() {
        set("required", json!(node.required));
    }
    if let Some(items) = &node.items {
        set("items", schema(items));
    }
    if let Some(values) = &node.additional {
        set("additionalProperties", schema(values));
    }
    if node.immutable {
        set(
            "x-kubernetes-validations",
            json!([{"rule": "self == oldSelf", "message": "cannot be changed after creation"}]),
        );
    }
    if node.atomic {
        set("x-kubernetes-map-type", "atomic".into());
    }
    if node.preserve_unknown {
        set("x-kubernetes-preserve-unknown-fields", true.into());
    }
    Value::Object(rendered)
}

/// The JSON type's name in a schema.
pub const fn type_name(schema_type: SchemaType) -> &'static str {
    match schema_type {
        SchemaType::Object => "object",
        SchemaType::Array => "array",
        SchemaType::String => "string",
        SchemaType::Integer => "integer",
        SchemaType::Number => "number",
        SchemaType::Boolean => "boolean",
    }
}
