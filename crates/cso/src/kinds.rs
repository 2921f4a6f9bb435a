//! Kinds by what people call them.

use anyhow::{Result, anyhow, bail};
use cso_engine::world::Kinds;
use cso_facts::Catalog;
use cso_schema::kind::Kind;
use cso_schema::names::nearest;

/// The kinds of this build.
pub(crate) fn builtin() -> Result<Kinds> {
    match cso_schema::catalog::kinds(Catalog::builtin()) {
        Ok(kinds) => Ok(kinds.into_iter().collect()),
        Err(wrong) => {
            let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            bail!("a descriptor of this build is wrong, which is a bug of cso:\n{}", lines.join("\n"))
        }
    }
}

/// The one kind that a word means: `Queue`, `queues`, `queue.sqs`, `queues.sqs.services.k8s.aws`, `sqs/Queue`, or a
/// short name; letters of any case.
pub(crate) fn find<'a>(kinds: &'a Kinds, word: &str) -> Result<&'a Kind> {
    let (name, place) = match word.split_once('/') {
        Some((service, name)) => (name, Some(service)),
        None => match word.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (word, None),
        },
    };
    let meant: Vec<&Kind> = kinds
        .iter()
        .map(AsRef::as_ref)
        .filter(|kind| place.is_none_or(|place| is_in(kind, place)) && is_called(kind, name))
        .collect();
    match meant.as_slice() {
        [kind] => Ok(kind),
        [] => Err(unknown(kinds, word)),
        several => {
            let names: Vec<String> = several.iter().map(|kind| full_name(kind)).collect();
            bail!("`{word}` may be {}: say which", names.join(" or "))
        }
    }
}

/// `sqs/Queue`.
pub(crate) fn full_name(kind: &Kind) -> String {
    format!("{}/{}", kind.service, kind.name())
}

fn is_called(kind: &Kind, name: &str) -> bool {
    let surface = &kind.surface;
    [&surface.kind, &surface.plural, &surface.singular]
        .into_iter()
        .chain(&surface.short_names)
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn is_in(kind: &Kind, place: &str) -> bool {
    kind.service.eq_ignore_ascii_case(place) || kind.group().eq_ignore_ascii_case(place)
}

fn unknown(kinds: &Kinds, word: &str) -> anyhow::Error {
    let names: Vec<String> =
        kinds.iter().flat_map(|kind| [kind.name().to_owned(), kind.surface.plural.clone(), full_name(kind)]).collect();
    match nearest(word, names.iter().map(String::as_str)) {
        Some(near) => anyhow!("there is no kind `{word}`; did you mean `{near}`? `cso kinds` lists all"),
        None => anyhow!("there is no kind `{word}`; `cso kinds` lists all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_answers_to_all_its_names() {
        let kinds = builtin().expect("kinds");
        for word in ["Queue", "queue", "queues", "queue.sqs", "queues.sqs.services.k8s.aws", "sqs/Queue", "SQS/queues"]
        {
            assert_eq!(find(&kinds, word).map(full_name).expect(word), "sqs/Queue");
        }
    }

    #[test]
    fn a_wrong_name_leads_to_the_right_one() {
        let kinds = builtin().expect("kinds");
        let message = |word| find(&kinds, word).map(full_name).expect_err(word).to_string();
        assert_eq!(message("qeue"), "there is no kind `qeue`; did you mean `Queue`? `cso kinds` lists all");
        assert_eq!(message("pod"), "there is no kind `pod`; `cso kinds` lists all");
        assert!(message("queue.sns").starts_with("there is no kind `queue.sns`"));
    }
}
