//! Options: typed inputs from annotations.

use std::collections::BTreeMap;

use super::Compiler;
use crate::descriptor::OptionSpec;
use crate::kind::{OptionKind, OptionRule};

impl Compiler<'_> {
    pub(super) fn options(&mut self) -> BTreeMap<String, OptionRule> {
        let specs: Vec<(&String, &OptionSpec)> = self.spec.options.iter().collect();
        specs
            .into_iter()
            .filter_map(|(name, spec)| {
                let kind = match (spec.kind.as_str(), spec.min, spec.max) {
                    ("integer", Some(min), Some(max)) => OptionKind::Integer { min, max },
                    ("boolean", None, None) => OptionKind::Boolean,
                    _ => {
                        self.fail(&["options", name], "an option is an `integer` with min and max, or a `boolean`");
                        return None;
                    }
                };
                Some((
                    name.clone(),
                    OptionRule { annotation: spec.annotation.clone(), kind, default: spec.default.clone() },
                ))
            })
            .collect()
    }
}
