//! What of a value counts when it is compared: of a setting that is off, nothing more; of a list that others write to as
//! well, what both sides know.

use std::collections::{BTreeMap, BTreeSet};

use cso_core::Tree;

use crate::convert::shape_at;
use crate::kind::{CallTemplate, Field, Kind, Owner, Place, Source};
use crate::names::same_name;

impl Field {
    /// Whether what is seen fulfils a wish.
    pub fn fits(&self, wanted: &Tree, seen: &Tree) -> bool {
        let (wanted, seen) = self.comparable(wanted, seen);
        self.compare.equal_with(&wanted, &seen, &self.nested)
    }

    /// Whether a value says that the setting is on.
    pub fn is_on(&self, value: &Tree) -> bool {
        self.off.as_ref().is_some_and(|member| value.member(member) == Some(&Tree::Bool(true)))
    }

    /// What a value says: of a setting that is off, or does not say that it is on, only that.
    #[must_use]
    pub fn meant(&self, value: &Tree) -> Tree {
        match &self.off {
            Some(member) if value.as_object().is_some() && !self.is_on(value) => {
                Tree::Object(BTreeMap::from([(member.clone(), Tree::Bool(false))]))
            }
            _ => value.clone(),
        }
    }

    fn comparable(&self, wanted: &Tree, seen: &Tree) -> (Tree, Tree) {
        let (wanted, seen) = (self.meant(wanted), self.meant(seen));
        match (&self.shared, wanted, seen) {
            (Some(key), Tree::List(wanted), Tree::List(seen)) => {
                let known = |list: &[Tree]| -> BTreeSet<String> { list.iter().map(|one| name(one, key)).collect() };
                let both: BTreeSet<String> = known(&wanted).intersection(&known(&seen)).cloned().collect();
                let shared = |list: Vec<Tree>| {
                    let mut list: Vec<Tree> = list.into_iter().filter(|one| both.contains(&name(one, key))).collect();
                    list.sort_by_key(|one| name(one, key));
                    Tree::List(list)
                };
                (shared(wanted), shared(seen))
            }
            (_, wanted, seen) => (wanted, seen),
        }
    }
}

impl Kind {
    /// Whether a call that carries a field cannot be made without a member of it.
    pub fn requires_inside(&self, call: &CallTemplate, field: &str, member: &str) -> bool {
        let carried = call.carries.iter().find(|carried| carried.field == field).map(|carried| &carried.place);
        let Some(Place::Path(path)) = carried else { return false };
        let input = self.api.operation(&call.operation).and_then(|operation| operation.input);
        let members =
            input.and_then(|input| shape_at(&self.api, input, path)).map(|shape| self.api.shape(shape).members());
        members.unwrap_or_default().iter().any(|one| one.required && same_name(&one.name, member))
    }

    /// Whether a field has a meaning for an object with these values.
    pub fn applies(&self, field: &Field, value: impl Fn(&Source) -> Option<Tree>) -> bool {
        let of_part = match field.owner {
            Owner::Part(position) => self.parts.get(position).is_none_or(|part| part.when.holds(&value)),
            Owner::Body => true,
        };
        of_part && field.when.holds(value)
    }
}

fn name(element: &Tree, key: &str) -> String {
    element.member(key).map(|key| key.shown().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use cso_facts::Catalog;
    use serde_json::json;

    use super::*;

    fn table() -> Kind {
        let kinds = crate::catalog::kinds(Catalog::builtin()).expect("the built-in descriptors compile");
        kinds.into_iter().find(|kind| kind.name() == "Table").expect("a built-in kind")
    }

    fn fits(field: &str, wanted: serde_json::Value, seen: serde_json::Value) -> bool {
        table().fields[field].fits(&Tree::from(wanted), &Tree::from(seen))
    }

    #[test]
    fn what_is_off_says_nothing_more() {
        let off = json!({"enabled": false, "attributeName": "a"});
        assert!(fits("timeToLive", off.clone(), json!({"enabled": false})));
        assert!(!fits("timeToLive", off.clone(), json!({"enabled": true, "attributeName": "a"})));
        assert!(!fits("timeToLive", json!({"enabled": true, "attributeName": "a"}), off));
    }

    #[test]
    fn what_is_shared_is_compared_where_both_sides_know_it() {
        let id = |kind: &str| json!({"attributeName": "id", "attributeType": kind});
        let more = json!({"attributeName": "more", "attributeType": "S"});
        assert!(fits("attributeDefinitions", json!([more, id("S")]), json!([id("S")])));
        assert!(fits("attributeDefinitions", json!([id("S")]), json!([id("S"), more])));
        assert!(!fits("attributeDefinitions", json!([id("N")]), json!([id("S"), more])));
    }

    #[test]
    fn a_field_applies_where_its_condition_holds() {
        let kind = table();
        let applies = |field: &str, spec: serde_json::Value| {
            let spec = Tree::from(spec);
            kind.applies(&kind.fields[field], |source| source.in_spec(&spec).cloned())
        };
        assert!(applies("provisionedThroughput", json!({})));
        assert!(!applies("provisionedThroughput", json!({"billingMode": "PAY_PER_REQUEST"})));
        assert!(applies("onDemandThroughput", json!({"billingMode": "PAY_PER_REQUEST"})));
    }
}
