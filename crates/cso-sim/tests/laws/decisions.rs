//! `decide` as a table: who may do what to a resource, by mark, record and policy. No cloud, no store, no time.

use std::collections::BTreeMap;
use std::time::Duration;

use cso_core::owner::OWNER_TAG;
use cso_core::{DigestKey, ErrorClass, Intent, ObjectKey, OwnerMark, Ownership, Record, Tree, Verb};
use cso_engine::decide::{Decision, Input, call_digest, decide};
use cso_engine::dialect::{Adoption, Deletion, Policies};
use cso_schema::fill::Surroundings;
use cso_schema::kind::Kind;
use cso_schema::observe::{Observation, Seen};
use jiff::Timestamp;
use serde_json::json;

use crate::bench::kind;

const STATE: &str = "0123456789abcdef";
const ELSEWHERE: &str = "ffffffffffffffff";

/// What stands at the resource's place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum There {
    Nothing,
    Unmarked,
    Ours,
    /// Marked for this object by another state.
    OfLostState,
    /// Marked for another object.
    OfOther,
    /// It exists; its tags may not be read.
    Unreadable,
    Deleted,
}

/// What is decided, in a word.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Create,
    Update,
    Delete,
    Settle,
    Wait,
    Adopt,
    TakeBack,
    Own,
    Refuse(ErrorClass),
    Release,
    Gone,
}

#[derive(Clone, Default)]
struct Known {
    ownership: Ownership,
    /// Seconds since a create of unknown outcome.
    open: Option<i64>,
    policies: Policies,
    deleting: bool,
}

fn seen(there: There, key: &ObjectKey) -> Observation {
    let other = ObjectKey::new(&key.group, &key.kind, "elsewhere", "other");
    let mark = |state: &str, key: &ObjectKey| Tree::text(OwnerMark::new(state, key).to_string());
    let tags = match there {
        There::Ours => BTreeMap::from([(OWNER_TAG.to_owned(), mark(STATE, key))]),
        There::OfLostState => BTreeMap::from([(OWNER_TAG.to_owned(), mark(ELSEWHERE, key))]),
        There::OfOther => BTreeMap::from([(OWNER_TAG.to_owned(), mark(STATE, &other))]),
        _ => BTreeMap::new(),
    };
    let mut body = Tree::from(json!({"ARN": "arn:aws:secretsmanager:r:1:secret:thing", "Name": "thing"}));
    if there == There::Deleted {
        body.set(&"DeletedDate".parse().expect("a path"), Tree::text("2026-01-01T00:00:00Z"));
    }
    match there {
        There::Nothing => Observation::absent(),
        There::Unreadable => {
            Observation { body: Seen::Value(body), tags: Seen::Unknown("denied".to_owned()), ..Observation::nothing() }
        }
        _ => Observation { body: Seen::Value(body), tags: Seen::Value(Tree::Object(tags)), ..Observation::nothing() },
    }
}

fn decided(kind: &Kind, there: There, known: &Known) -> Then {
    let key = ObjectKey::new(kind.group(), kind.name(), "default", "subject");
    let digest_key = DigestKey::from_bytes([3; 32]);
    let now = Timestamp::from_second(1_000_000).expect("a time");
    let spec = Tree::from(json!({"name": "thing"}));
    let mut record = Record::new(key.clone(), "uid".to_owned(), digest_key.digest("spec", &spec.shown()));
    record.ownership = known.ownership.clone();
    record.intent = known.open.map(|ago| Intent {
        verb: Verb::Create,
        part: "body".to_owned(),
        operation: kind.create.operation.clone(),
        digest: digest_key.digest("call", &json!(null)),
        token: None,
        opened: now - Duration::from_secs(ago.unsigned_abs()),
        generation: 1,
        applies: BTreeMap::new(),
    });
    let decision = decide(&Input {
        kind,
        key: &key,
        spec: &spec,
        deleting: known.deleting,
        policies: &known.policies,
        options: &BTreeMap::new(),
        surroundings: &Surroundings::default(),
        observation: &seen(there, &key),
        record: &record,
        mark: &OwnerMark::new(STATE, &key),
        default_tags: &BTreeMap::new(),
        digest_key: &digest_key,
        consistency: None,
        now,
    });
    match decision {
        Decision::Act(plan) => {
            let first = &plan.steps[0];
            assert_eq!(call_digest(&digest_key, first), call_digest(&digest_key, &first.clone()));
            match first.verb {
                Verb::Create => Then::Create,
                Verb::Update => Then::Update,
                Verb::Delete => Then::Delete,
            }
        }
        Decision::Settle(_) => Then::Settle,
        Decision::Wait { .. } => Then::Wait,
        Decision::Own { how: Ownership::Adopted, .. } => Then::Adopt,
        Decision::Own { how: Ownership::TakenBack { .. }, .. } => Then::TakeBack,
        Decision::Own { .. } => Then::Own,
        Decision::Blocked { class, .. } => Then::Refuse(class),
        Decision::Release { .. } => Then::Release,
        Decision::Gone => Then::Gone,
    }
}

/// Everything that can stand there, in the order of the tables' columns.
const COLUMNS: [There; 7] = [
    There::Nothing,
    There::Unmarked,
    There::Ours,
    There::OfLostState,
    There::OfOther,
    There::Unreadable,
    There::Deleted,
];

#[test]
fn who_may_do_what() {
    use Then::{Adopt, Create, Delete, Gone, Own, Release, Settle, TakeBack, Update, Wait};
    const FOREIGN: Then = Then::Refuse(ErrorClass::NotOurs);
    const MISSING: Then = Then::Refuse(ErrorClass::Waiting);
    const TAKEN: Then = Then::Refuse(ErrorClass::Conflict);
    let ours = || Known { ownership: Ownership::Created, ..Known::default() };
    let policy = |policies: Policies| Known { policies, ..Known::default() };
    let adopt = |adoption| policy(Policies { adoption: Some(adoption), ..Policies::default() });
    let read_only = || Policies { read_only: true, ..Policies::default() };
    let retain = || Policies { deletion: Deletion::Retain, ..Policies::default() };
    let gone = |known: Known| Known { deleting: true, ..known };
    let open = |ago| Known { open: Some(ago), ..Known::default() };
    let table = [
        //                            nothing  unmarked ours     lost      other    unread   deleted
        ("new", Known::default(), [Create, FOREIGN, TakeBack, FOREIGN, FOREIGN, FOREIGN, TAKEN]),
        ("ours", ours(), [Create, Update, Settle, FOREIGN, FOREIGN, Settle, TAKEN]),
        ("open create", open(3), [Wait, Wait, Own, FOREIGN, FOREIGN, Wait, TAKEN]),
        ("old open create", open(3600), [Create, FOREIGN, Own, FOREIGN, FOREIGN, FOREIGN, TAKEN]),
        ("adopt", adopt(Adoption::Adopt), [MISSING, Adopt, TakeBack, Adopt, Adopt, Adopt, TAKEN]),
        ("adopt or create", adopt(Adoption::AdoptOrCreate), [Create, Adopt, TakeBack, Adopt, Adopt, Adopt, TAKEN]),
        (
            "take back",
            policy(Policies { take_back: true, ..Policies::default() }),
            [Create, FOREIGN, TakeBack, TakeBack, FOREIGN, FOREIGN, TAKEN],
        ),
        ("read-only", policy(read_only()), [MISSING, Settle, TakeBack, Settle, Settle, Settle, TAKEN]),
        ("delete, never ours", gone(Known::default()), [Release; 7]),
        ("delete", gone(ours()), [Gone, Delete, Delete, Release, Release, Delete, Gone]),
        ("delete, open create", gone(open(3)), [Wait, Wait, Own, Release, Release, Wait, Wait]),
        ("delete, old open create", gone(open(3600)), [Gone, Release, Own, Release, Release, Release, Gone]),
        ("delete, retain", gone(Known { policies: retain(), ..ours() }), [Release; 7]),
        ("delete, read-only", gone(Known { policies: read_only(), ..ours() }), [Release; 7]),
    ];
    let mut wrong = Vec::new();
    for (name, known, row) in table {
        for (there, expected) in COLUMNS.into_iter().zip(row) {
            let found = decided(kind("Secret"), there, &known);
            if found != expected {
                wrong.push(format!("{name}, {there:?}: {found:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is decided where nobody says more than the spec.
fn plainly(kind: &Kind, spec: &Tree, deleting: bool, observation: &Observation, record: &Record) -> Decision {
    decide(&Input {
        kind,
        key: &record.key,
        spec,
        deleting,
        policies: &Policies::default(),
        options: &BTreeMap::new(),
        surroundings: &Surroundings::default(),
        observation,
        record,
        mark: &OwnerMark::new(STATE, &record.key),
        default_tags: &BTreeMap::new(),
        digest_key: &DigestKey::from_bytes([3; 32]),
        consistency: None,
        now: Timestamp::UNIX_EPOCH,
    })
}

/// The provider's choice is shown of what we made. Of what another controller has made it was shown, or taken out since.
#[test]
fn what_is_open_when_taken_over_stays_open() {
    let kind = kind("Repository");
    let key = ObjectKey::new(kind.group(), kind.name(), "default", "subject");
    let digest_key = DigestKey::from_bytes([3; 32]);
    let spec = Tree::from(json!({"name": "thing"}));
    let tags = BTreeMap::from([(OWNER_TAG.to_owned(), Tree::text(OwnerMark::new(STATE, &key).to_string()))]);
    let body = Tree::from(json!({"repositoryName": "thing", "imageTagMutability": "MUTABLE"}));
    let observation =
        Observation { body: Seen::Value(body), tags: Seen::Value(Tree::Object(tags)), ..Observation::nothing() };
    let shown = |ownership: Ownership| {
        let mut record = Record::new(key.clone(), "uid".to_owned(), digest_key.digest("spec", &spec.shown()));
        record.ownership = ownership;
        let decision = plainly(kind, &spec, false, &observation, &record);
        match decision {
            Decision::Settle(settled) => settled.late.into_keys().collect(),
            other => vec![format!("{other:?}")],
        }
    };
    assert_eq!(shown(Ownership::Created), ["imageTagMutability"]);
    assert!(shown(Ownership::TakenOver).is_empty());
}

/// Two resources that carry our mark: a person must choose, whatever is asked for.
#[test]
fn rivals_are_left_to_people() {
    let kind = kind("Key");
    let key = ObjectKey::new(kind.group(), kind.name(), "default", "subject");
    let digest_key = DigestKey::from_bytes([3; 32]);
    let record = Record::new(key.clone(), "uid".to_owned(), digest_key.digest("spec", &json!({})));
    let observation = Observation { rivals: vec!["a".to_owned(), "b".to_owned()], ..Observation::absent() };
    for deleting in [false, true] {
        let decision = plainly(kind, &Tree::object(), deleting, &observation, &record);
        assert!(matches!(decision, Decision::Blocked { class: ErrorClass::NotOurs, .. }), "{decision:?}");
    }
}
