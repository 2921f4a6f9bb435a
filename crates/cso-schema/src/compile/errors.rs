//! What error codes mean.

use cso_core::ErrorClass;

use super::Compiler;
use crate::descriptor::Errors;
use crate::kind::ErrorTable;

impl Compiler<'_> {
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
