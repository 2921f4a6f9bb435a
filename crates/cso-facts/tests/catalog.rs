//! The catalogue: what is in it, that it is read lazily, and that damage is an error.

use std::sync::Arc;

use cso_facts::api::{Endpoint, Location, Protocol};
use cso_facts::partition::of_region;
use cso_facts::{Catalog, CatalogError, PackError, pack};

#[test]
fn the_builtin_catalogue_knows_the_services() {
    let catalog = Catalog::builtin();
    let sqs = catalog.service("sqs").expect("sqs");
    assert_eq!((sqs.protocol, sqs.query_compatible, sqs.service_id.as_str()), (Protocol::AwsJson1_0, true, "SQS"));
    let create = sqs.operation("CreateQueue").expect("CreateQueue");
    let input = sqs.shape(create.input.expect("an input"));
    assert!(input.member("QueueName").is_some_and(|member| member.required));
    assert!(Arc::ptr_eq(&sqs, &catalog.service("sqs").expect("sqs")), "decoded once");

    let s3 = catalog.service("s3").expect("s3");
    let bucket = s3.shape_named("CreateBucketRequest").and_then(|shape| shape.member("Bucket")).expect("Bucket");
    assert_eq!(bucket.location, Location::Uri);
    for name in catalog.services() {
        let service = catalog.service(name).expect(name);
        assert_eq!(service.name, name);
        assert!(!service.operations.is_empty() && !service.endpoints.partitions.is_empty(), "{name}");
    }
    let sts = catalog.service("sts").expect("sts");
    let unsigned = |name| sts.operation(name).is_some_and(|operation| operation.unsigned);
    assert!(unsigned("AssumeRoleWithWebIdentity") && !unsigned("AssumeRole"));
    assert_eq!(
        catalog.service("no-such").map(|_| ()),
        Err(CatalogError::Unknown { what: "AWS service", name: "no-such".into() })
    );
}

#[test]
fn endpoints_resolve_in_every_partition() {
    let catalog = Catalog::builtin();
    let partitions = catalog.partitions().expect("partitions");
    let resolve = |service: &str, region: &str| {
        let partition = of_region(partitions, region).expect(region);
        let service = catalog.service(service).expect(service);
        service.endpoints.resolve(&partition.name, region).expect(region)
    };
    let plain = |host: &str| Endpoint { host: host.into(), ..Endpoint::default() };
    let signed = |host: &str, region: &str| Endpoint { signing_region: Some(region.into()), ..plain(host) };
    for (service, region, endpoint) in [
        ("sqs", "eu-west-1", plain("sqs.eu-west-1.amazonaws.com")),
        ("sqs", "cn-north-1", plain("sqs.cn-north-1.amazonaws.com.cn")),
        ("ecr", "us-west-2", plain("api.ecr.us-west-2.amazonaws.com")),
        ("s3", "us-east-1", plain("s3.us-east-1.amazonaws.com")),
        ("s3", "aws-global", signed("s3.amazonaws.com", "us-east-1")),
        ("sts", "us-gov-west-1", plain("sts.us-gov-west-1.amazonaws.com")),
        ("sts", "aws-global", signed("sts.amazonaws.com", "us-east-1")),
        ("iam", "eu-west-1", signed("iam.amazonaws.com", "us-east-1")),
        ("iam", "us-gov-east-1", signed("iam.us-gov.amazonaws.com", "us-gov-west-1")),
        ("sqs", "eu-nowhere-7", plain("sqs.eu-nowhere-7.amazonaws.com")),
    ] {
        assert_eq!(resolve(service, region), endpoint, "{service} in {region}");
    }
}

#[test]
fn the_builtin_catalogue_knows_the_surfaces() {
    let catalog = Catalog::builtin();
    let queue = catalog.surface("sqs.services.k8s.aws", "Queue").expect("Queue");
    assert!(queue.spec.required.contains("queueName") && queue.spec.properties["queueName"].immutable);
    assert_eq!(queue.not_found_code.as_deref(), Some("AWS.SimpleQueueService.NonExistentQueue"));
    let reference = queue.fields["kmsMasterKeyID"].reference.as_ref().expect("a reference");
    assert_eq!((reference.field.as_str(), reference.path.as_str()), ("kmsMasterKeyRef", "status.keyID"));
    assert!(catalog.surface("sqs.services.k8s.aws", "Bucket").is_err());

    let kinds: Vec<_> =
        catalog.surfaces().expect("surfaces").iter().map(|it| (it.group.clone(), it.kind.clone())).collect();
    assert!(kinds.is_sorted() && kinds.len() >= 12, "{kinds:?}");
    for surface in catalog.surfaces().expect("surfaces") {
        for (path, facts) in &surface.fields {
            let place = ["spec", "status"].map(|top| surface.schema_at([top].into_iter().chain(path.split('.'))));
            assert!(place.iter().any(Option::is_some), "{} has no {path}", surface.kind);
            if let Some(reference) = &facts.reference {
                let parent = path.rsplit_once('.').map(|(parent, _)| parent.split('.')).into_iter().flatten();
                let sibling = ["spec"].into_iter().chain(parent).chain([reference.field.as_str()]);
                assert!(surface.schema_at(sibling).is_some(), "{} has no {}", surface.kind, reference.field);
            }
        }
    }
}

/// A page that does not parse harms nothing until it is asked for.
#[test]
fn sections_are_decoded_when_asked_for() {
    let section = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let file = pack::write(&[
        section("aws/broken", "nonsense\n"),
        section("aws/good", "service good\napi-version 1\nprotocol query\n"),
        section("kinds/good", "kind: text\n"),
    ]);
    let catalog = Catalog::open(file).expect("a catalogue");
    assert_eq!(catalog.services().collect::<Vec<_>>(), ["broken", "good"]);
    assert!(catalog.service("good").is_ok());
    assert_eq!(catalog.descriptor("good"), Ok("kind: text\n"));
    assert_eq!(catalog.descriptors().collect::<Vec<_>>(), ["good"]);
    let error = catalog.service("broken").expect_err("nonsense");
    assert_eq!(error.to_string(), "the catalogue does not parse: facts/aws/broken.txt:1: unknown keyword `nonsense`");
}

#[test]
fn the_file_depends_on_the_content_only() {
    let a = ("aws/a".to_owned(), "one".to_owned());
    let b = ("aws/b".to_owned(), "two".to_owned());
    let file = pack::write(&[a.clone(), b.clone()]);
    assert_eq!(file, pack::write(&[b, a.clone()]));
    let digest = |file| *Catalog::open(file).expect("a catalogue").digest();
    assert_ne!(digest(file), digest(pack::write(&[a])));
}

#[test]
fn damage_is_an_error_never_a_panic() {
    let file = pack::write(&[("aws/a".to_owned(), "service a\napi-version 1\nprotocol query\n".repeat(9))]);
    assert_eq!(Catalog::open(&b"GIF89a"[..]).map(|_| ()), Err(PackError::Magic));
    let mut newer = file.clone();
    newer[4] = 9;
    assert_eq!(Catalog::open(newer).map(|_| ()), Err(PackError::Version { found: 9 }));
    for end in 0..file.len() {
        let cut = file[..end].to_vec();
        assert!(Catalog::open(cut).is_err(), "cut at {end}");
    }
    for at in 0..file.len() {
        for bit in [0x01, 0x80] {
            let mut damaged = file.clone();
            damaged[at] ^= bit;
            // Damage in the digest or in padding may go unnoticed here; it must only not panic.
            let _ = Catalog::open(damaged).map(|catalog| catalog.service("a").map(|_| ()));
        }
    }
}
