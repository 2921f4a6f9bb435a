//! The canonical text: committed pages and generated models survive reading and printing; errors name the place.

use std::collections::{BTreeMap, BTreeSet};

use cso_facts::api::*;
use cso_facts::partition::Partition;
use cso_facts::surface::*;
use cso_facts::text::*;
use proptest::collection::{btree_map, vec};
use proptest::option::of as maybe;
use proptest::prelude::*;

/// Every committed page, read and printed, is the same page.
#[test]
fn committed_pages_are_canonical() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages: Vec<_> = cso_facts::pack::collect(&root)
        .expect("facts")
        .into_iter()
        .filter(|(name, _)| !name.starts_with("kinds/"))
        .collect();
    assert!(pages.len() > 10, "the pages were not found");
    for (name, text) in pages {
        let printed = match name.split('/').next() {
            Some("aws") => parse_service(&name, &text).map(|service| print_service(&service)),
            Some("ack") => parse_surfaces(&name, &text).map(|surfaces| print_surfaces(&surfaces)),
            _ => parse_partitions(&name, &text).map(|partitions| print_partitions(&partitions)),
        };
        assert_eq!(printed.expect("a page"), text, "{name}");
    }
}

/// Names as awkward as the format allows them.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z][A-Za-z0-9]{0,6}",
        1 => "[ -+\\--~\u{e9}\u{2028}\n\t]{0,6}",
        1 => Just(String::new()),
    ]
}

/// Elements of comma-separated lists.
fn token() -> impl Strategy<Value = String> {
    "[A-Za-z .\\[\\]|=\"-]{1,6}"
}

fn timestamp() -> impl Strategy<Value = TimestampFormat> {
    prop_oneof![Just(TimestampFormat::DateTime), Just(TimestampFormat::EpochSeconds), Just(TimestampFormat::HttpDate)]
}

fn member(name: impl Strategy<Value = String>, shapes: u32) -> impl Strategy<Value = Member> {
    let location = prop_oneof![
        Just(Location::Body),
        Just(Location::Header),
        Just(Location::Headers),
        Just(Location::Query),
        Just(Location::Uri),
        Just(Location::StatusCode),
    ];
    let texts = (maybe(word()), maybe(word()), maybe((maybe(word()), word())), maybe(timestamp()));
    (name, 0..shapes, location, any::<[bool; 6]>(), texts).prop_map(|(name, shape, location, flags, texts)| Member {
        name,
        shape: ShapeId(shape),
        wire_name: texts.0,
        query_name: texts.1,
        location,
        required: flags[0],
        idempotency_token: flags[1],
        host_label: flags[2],
        xml_attribute: flags[3],
        flattened: flags[4],
        xml_namespace: texts.2,
        timestamp_format: texts.3,
        json_value: flags[5],
    })
}

fn shape_kind(shapes: u32) -> impl Strategy<Value = ShapeKind> {
    let error = (maybe(word()), maybe(any::<u16>()), any::<[bool; 3]>()).prop_map(|(code, http_status, flags)| {
        ErrorFacts { code, http_status, sender_fault: flags[0], retryable: flags[1], throttling: flags[2] }
    });
    // `=` starts the value of a string, so no member can be called that.
    let name = word().prop_filter("a member's name", |name| name != "=");
    prop_oneof![
        Just(ShapeKind::Boolean),
        Just(ShapeKind::Long),
        Just(ShapeKind::Document),
        vec(word(), 0..4).prop_map(|values| ShapeKind::String { values }),
        any::<bool>().prop_map(|streaming| ShapeKind::Blob { streaming }),
        maybe(timestamp()).prop_map(|format| ShapeKind::Timestamp { format }),
        (member(Just("member".to_owned()), shapes), any::<bool>())
            .prop_map(|(member, flattened)| ShapeKind::List { member: Box::new(member), flattened }),
        (member(Just("key".to_owned()), shapes), member(Just("value".to_owned()), shapes), any::<bool>()).prop_map(
            |(key, value, flattened)| ShapeKind::Map { key: Box::new(key), value: Box::new(value), flattened }
        ),
        (vec(member(name, shapes), 0..4), any::<bool>(), maybe(error), maybe(word()))
            .prop_map(|(members, union, error, payload)| ShapeKind::Structure { members, union, error, payload }),
    ]
}

fn operation(shapes: u32) -> impl Strategy<Value = Operation> {
    let id = move || (0..shapes).prop_map(ShapeId);
    let paginator = (vec(token(), 0..3), vec(token(), 0..3), vec(token(), 0..3), maybe(word()), maybe(word()))
        .prop_map(|(input_tokens, output_tokens, result_keys, more_results, limit_key)| Paginator {
            input_tokens,
            output_tokens,
            result_keys,
            more_results,
            limit_key,
        });
    let texts = (word(), word(), maybe(word()), maybe(word()), maybe(word()), maybe(word()), maybe(word()));
    let refs = (maybe(id()), maybe(id()), vec(id(), 0..3));
    (texts, refs, maybe(paginator), any::<[bool; 3]>()).prop_map(|(texts, refs, paginator, flags)| Operation {
        name: String::new(),
        method: texts.0,
        uri: texts.1,
        host_prefix: texts.2,
        unsigned: flags[0],
        checksum_required: flags[1],
        checksum_algorithm: texts.6,
        event_stream: flags[2],
        input: refs.0,
        output: refs.1,
        xml_root: texts.3,
        xml_namespace: texts.4,
        result_wrapper: texts.5,
        errors: refs.2,
        paginator,
    })
}

fn service() -> impl Strategy<Value = Service> {
    let endpoint = (word(), maybe(word()), maybe(word()))
        .prop_map(|(host, signing_region, signing_name)| Endpoint { host, signing_region, signing_name })
        .boxed();
    let endpoints = (btree_map(word(), endpoint.clone(), 0..3), btree_map(word(), endpoint, 0..3))
        .prop_map(|(partitions, regions)| Endpoints { partitions, regions });
    let parts = (1_usize..6).prop_flat_map(|count| {
        let shapes = u32::try_from(count).expect("small");
        (
            vec((shape_kind(shapes), any::<bool>()), count),
            btree_map(word(), operation(shapes), 0..4),
            // Names are distinct and sorted.
            proptest::collection::btree_set(word(), count),
        )
    });
    let protocol = prop_oneof![Just(Protocol::AwsJson1_0), Just(Protocol::RestXml), Just(Protocol::Ec2Query)];
    let texts = ("[a-z]{1,5}", "[0-9-]{1,5}", word(), word(), word(), maybe(word()), maybe(word()));
    (texts, protocol, any::<bool>(), parts, endpoints).prop_map(
        |(texts, protocol, query_compatible, parts, endpoints)| {
            let (kinds, operations, names) = parts;
            Service {
                name: texts.0,
                api_version: texts.1,
                service_id: texts.2,
                protocol,
                query_compatible,
                endpoint_prefix: texts.3,
                signing_name: texts.4,
                target_prefix: texts.5,
                xml_namespace: texts.6,
                operations: operations.into_iter().map(|(name, operation)| Operation { name, ..operation }).collect(),
                shapes: names
                    .into_iter()
                    .zip(kinds)
                    .map(|(name, (kind, sensitive))| Shape { name, kind, sensitive })
                    .collect(),
                endpoints,
            }
        },
    )
}

fn schema() -> impl Strategy<Value = Schema> {
    let name = || word().prop_filter("a property's name", |name| !["=", "*", "[]"].contains(&name.as_str()));
    let schema_type = || {
        prop_oneof![
            Just(SchemaType::Object),
            Just(SchemaType::Array),
            Just(SchemaType::String),
            Just(SchemaType::Integer),
            Just(SchemaType::Number),
            Just(SchemaType::Boolean),
        ]
    };
    let leaf = (schema_type(), maybe(word()), vec(word(), 0..3), any::<[bool; 3]>()).prop_map(
        |(schema_type, format, values, flags)| Schema {
            schema_type,
            format,
            values,
            immutable: flags[0],
            atomic: flags[1],
            preserve_unknown: flags[2],
            ..Schema::default()
        },
    );
    let leaf = leaf.boxed();
    leaf.clone().prop_recursive(3, 12, 3, move |inner| {
        let nested = (btree_map(name(), (inner.clone(), any::<bool>()), 0..3), maybe(inner.clone()), maybe(inner));
        (leaf.clone(), nested).prop_map(|(leaf, (properties, items, additional))| Schema {
            required: properties.iter().filter(|(_, (_, required))| *required).map(|(name, _)| name.clone()).collect(),
            properties: properties.into_iter().map(|(name, (schema, _))| (name, schema)).collect(),
            items: items.map(Box::new),
            additional: additional.map(Box::new),
            ..leaf
        })
    })
}

fn surface() -> impl Strategy<Value = Surface> {
    let reference = (word(), word(), word(), word()).prop_map(|(field, service, kind, path)| Reference {
        field,
        service,
        kind,
        path,
    });
    let facts = (any::<[bool; 8]>(), maybe(reference)).prop_map(|(flags, reference)| FieldFacts {
        late_initialize: flags[0],
        immutable: flags[1],
        read_only: flags[2],
        primary_key: flags[3],
        iam_policy: flags[4],
        document: flags[5],
        secret: flags[6],
        attribute: flags[7],
        reference,
    });
    let column = (word(), word(), word(), any::<u32>()).prop_map(|(name, json_path, column_type, priority)| Column {
        name,
        json_path,
        column_type,
        priority,
    });
    let names = (word(), word(), word(), word(), word(), word(), vec(token(), 0..3));
    let rest = (vec(column, 0..3), btree_map(word(), facts, 0..3), vec(word(), 0..3), maybe(word()));
    (names, any::<bool>(), rest, schema(), schema()).prop_map(|(names, namespaced, rest, spec, status)| Surface {
        group: names.0,
        version: names.1,
        kind: names.2,
        list_kind: names.3,
        plural: names.4,
        singular: names.5,
        short_names: names.6,
        namespaced,
        columns: rest.0,
        spec,
        status,
        fields: rest.1,
        terminal_codes: rest.2,
        not_found_code: rest.3,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn services_survive(service in service()) {
        prop_assert_eq!(parse_service("page", &print_service(&service)), Ok(service));
    }

    #[test]
    fn surfaces_survive(surfaces in vec(surface(), 0..3)) {
        prop_assert_eq!(parse_surfaces("page", &print_surfaces(&surfaces)), Ok(surfaces));
    }

    #[test]
    fn partitions_survive(parts in vec((word(), word(), word(), vec(word(), 0..3), vec(word(), 0..3)), 0..3)) {
        let partitions: Vec<_> = parts
            .into_iter()
            .map(|(name, dns_suffix, global_region, prefixes, regions)| {
                Partition { name, dns_suffix, global_region, prefixes, regions }
            })
            .collect();
        prop_assert_eq!(parse_partitions("page", &print_partitions(&partitions)), Ok(partitions));
    }

    /// Whatever a page says, reading it ends with a value or an error.
    #[test]
    fn nonsense_is_refused_politely(text in "(service|shape|surface|spec|  [a-z=*]+|[ a-zA-Z=\"\n]{0,4}|\n){0,40}") {
        let _ = (parse_service("page", &text), parse_surfaces("page", &text), parse_partitions("page", &text));
    }
}

#[test]
fn errors_name_file_and_line() {
    let head = "service x\napi-version 1\nprotocol query\n";
    let cases = [
        ("operation A POST / input=Nothing\n", "p.txt:4: there is no shape `Nothing`"),
        ("shape A list\n", "p.txt:0: shape `A` lacks `member`, or `key` and `value`"),
        ("shape A string\nshape A string\n", "p.txt:5: this shape occurs twice"),
        ("shape B string\nshape A string\n", "p.txt:5: shapes must be sorted by name"),
        ("shape A structure\n  x A purple\n", "p.txt:5: unknown attribute `purple`"),
        ("shape A structure\n    x A\n", "p.txt:5: nothing may be nested this deep"),
        ("  errors\n", "p.txt:4: nothing above takes indented lines"),
        ("shape A number\n", "p.txt:4: unknown type `number`"),
        ("colour blue\n", "p.txt:4: unknown keyword `colour`"),
    ];
    for (text, message) in cases {
        let error = parse_service("p.txt", &format!("{head}{text}")).expect_err(text);
        assert_eq!(error.to_string(), message);
    }
    let error = parse_service("p.txt", "service x\n").expect_err("no protocol");
    assert_eq!(error.to_string(), "p.txt:0: the page has no `api-version`");
    let mut deep = String::from("surface g v1 K\n  spec object\n");
    for depth in 2..80 {
        deep.push_str(&"  ".repeat(depth));
        deep.push_str("x object\n");
    }
    let error = parse_surfaces("p.txt", &deep).expect_err("too deep");
    assert_eq!(error.to_string(), "p.txt:66: nested too deep");
}

#[test]
fn empty_collections_read_as_such() {
    let surfaces = parse_surfaces("page", "surface g v1 K\n").expect("a surface");
    assert_eq!(surfaces[0].fields, BTreeMap::new());
    assert_eq!(surfaces[0].spec.required, BTreeSet::new());
    assert!(surfaces[0].namespaced);
}
