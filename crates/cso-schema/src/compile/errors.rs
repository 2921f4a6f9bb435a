//! What error codes mean.

use std::sync::Arc;

use cso_core::ErrorClass;
use cso_facts::api::{Service, ShapeKind};
use cso_facts::surface::Surface;

use super::Compiler;
use super::parts::part_get;
use crate::descriptor::{CallSpec, Errors, File, KindSpec};
use crate::kind::ErrorTable;

/// Codes that any service may answer, less `Exception`.
const COMMON: [&str; 11] = [
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InternalFailure",
    "InvalidClientTokenId",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "ServiceUnavailable",
    "Throttling",
    "Validation",
];

impl Compiler<'_> {
    /// Codes that mean "not set" are errors of the service, or listed as what it answers all the same.
    pub(super) fn check_none(&mut self, at: &[&str], call: &CallSpec) {
        for code in &call.none {
            let known = is_known(code, &self.api, std::slice::from_ref(&self.surface));
            if !known && !self.file.errors.unlisted.contains(code) {
                let message = format!("{} has no error {code}; {}", self.api.name, SAY_UNLISTED);
                self.fail(at, message);
            }
        }
    }

    pub(super) fn errors(&mut self, spec: &Errors) -> ErrorTable {
        let classes = [
            (&spec.invalid, ErrorClass::Invalid),
            (&spec.conflict, ErrorClass::Conflict),
            (&spec.denied, ErrorClass::Denied),
            (&spec.foreign, ErrorClass::NotOurs),
        ];
        ErrorTable {
            absent: spec.absent.clone(),
            classes: classes
                .iter()
                .flat_map(|(codes, class)| codes.iter().map(|code| (code.clone(), *class)))
                .collect(),
            later: spec
                .later
                .iter()
                .filter_map(|(code, after)| Some((code.clone(), self.duration(&[], Some(after))?)))
                .collect(),
        }
    }
}

/// Codes that no facts know, with the list that has them; `unlisted` names those that are right all the same.
pub(super) fn unknown(file: &File, api: &Service, surfaces: &[Arc<Surface>]) -> Vec<(&'static str, String)> {
    let Errors { absent, invalid, conflict, denied, foreign, later, unlisted } = &file.errors;
    let not_set: Vec<&String> = file.kinds.values().flat_map(not_set).collect();
    let later: Vec<String> = later.keys().cloned().collect();
    let lists =
        [("absent", absent), ("invalid", invalid), ("conflict", conflict), ("denied", denied), ("foreign", foreign)];
    let used: Vec<(&'static str, &String)> = lists
        .into_iter()
        .chain([("later", &later)])
        .flat_map(|(list, codes)| codes.iter().map(move |code| (list, code)))
        .collect();
    let unknown = used.iter().filter(|(_, code)| !is_known(code, api, surfaces) && !unlisted.contains(code));
    let unused = unlisted.iter().filter(|code| !used.iter().any(|(_, used)| used == code) && !not_set.contains(code));
    unknown
        .map(|(list, code)| (*list, format!("{} has no error {code}; {SAY_UNLISTED}", api.name)))
        .chain(unused.map(|code| ("unlisted", format!("{code} is in no other list"))))
        .collect()
}

const SAY_UNLISTED: &str = "if it answers it all the same, say so in `unlisted`";

/// The codes by which a kind's reads say "not set".
fn not_set(kind: &KindSpec) -> impl Iterator<Item = &String> {
    let of_parts = kind.parts.values().filter_map(part_get);
    let of_tags = kind.tags.iter().filter_map(|tags| tags.read.as_ref());
    of_parts.chain(of_tags).flat_map(|call| &call.none)
}

/// Services spell a code with and without `Exception`, and older protocols put a name space in front.
fn is_known(code: &str, api: &Service, surfaces: &[Arc<Surface>]) -> bool {
    let bare = |code: &str| {
        let code = code.rsplit('.').next().unwrap_or(code);
        code.strip_suffix("Exception").unwrap_or(code).to_owned()
    };
    let wanted = bare(code);
    let modelled = api.shapes.iter().filter_map(|shape| match &shape.kind {
        ShapeKind::Structure { error: Some(error), .. } => Some((&shape.name, error.code.as_ref())),
        _ => None,
    });
    COMMON.contains(&wanted.as_str())
        || modelled.flat_map(|(name, code)| [Some(name), code]).flatten().any(|known| bare(known) == wanted)
        || surfaces
            .iter()
            .flat_map(|surface| surface.terminal_codes.iter().chain(&surface.not_found_code))
            .any(|known| bare(known) == wanted)
}
