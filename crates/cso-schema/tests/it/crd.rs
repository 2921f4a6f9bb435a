//! A rendered definition, written as YAML and read back, is the surface it came from.

use std::collections::BTreeMap;

use cso_facts::Catalog;
use cso_facts::surface::{Column, Schema, SchemaType, Surface};
use cso_schema::crd;
use serde_json::Value;

#[test]
fn every_rendered_definition_reads_back_as_its_surface() {
    let surfaces = Catalog::builtin().surfaces().expect("the embedded catalogue parses");
    assert!(surfaces.len() >= 7, "{}", surfaces.len());
    for surface in surfaces {
        let yaml = serde_saphyr::to_string(&crd::definition(&surface)).expect("JSON is YAML");
        let read: Value = serde_saphyr::from_str(&yaml).expect("what we write can be read");
        let facts_only = Surface {
            fields: BTreeMap::new(),
            terminal_codes: Vec::new(),
            not_found_code: None,
            ..Surface::clone(&surface)
        };
        assert_eq!(surface_of(&read), facts_only, "{}", surface.kind);
    }
}

fn surface_of(crd: &Value) -> Surface {
    let spec = &crd["spec"];
    let names = &spec["names"];
    let version = &spec["versions"][0];
    let root = &version["schema"]["openAPIV3Schema"]["properties"];
    assert_eq!(crd["metadata"]["name"], format!("{}.{}", text(&names["plural"]), text(&spec["group"])));
    assert_eq!(version["subresources"]["status"], serde_json::json!({}));
    Surface {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short_names: elements(&names["shortNames"]).map(text).collect(),
        namespaced: spec["scope"] == "Namespaced",
        columns: elements(&version["additionalPrinterColumns"]).map(column_of).collect(),
        spec: schema_of(&root["spec"]),
        status: schema_of(&root["status"]),
        ..Surface::default()
    }
}

fn column_of(value: &Value) -> Column {
    Column {
        name: text(&value["name"]),
        json_path: text(&value["jsonPath"]),
        column_type: text(&value["type"]),
        priority: value["priority"].as_u64().map_or(0, |priority| u32::try_from(priority).expect("a small number")),
    }
}

fn schema_of(value: &Value) -> Schema {
    let nested = |name: &str| value.get(name).map(|nested| Box::new(schema_of(nested)));
    let properties = value["properties"].as_object().into_iter().flatten();
    Schema {
        schema_type: match value["type"].as_str() {
            Some("object") => SchemaType::Object,
            Some("array") => SchemaType::Array,
            Some("string") => SchemaType::String,
            Some("integer") => SchemaType::Integer,
            Some("number") => SchemaType::Number,
            Some("boolean") => SchemaType::Boolean,
            other => panic!("type {other:?}"),
        },
        format: value["format"].as_str().map(str::to_owned),
        values: elements(&value["enum"]).map(text).collect(),
        properties: properties.map(|(name, child)| (name.clone(), schema_of(child))).collect(),
        required: elements(&value["required"]).map(text).collect(),
        items: nested("items"),
        additional: nested("additionalProperties"),
        immutable: value["x-kubernetes-validations"][0]["rule"] == "self == oldSelf",
        atomic: value["x-kubernetes-map-type"] == "atomic",
        preserve_unknown: value["x-kubernetes-preserve-unknown-fields"] == true,
    }
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
