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

    /// What a value says: of a setting that is off, only that.
    #[must_use]
    pub fn meant(&self, value: &Tree) -> Tree {
        match &self.off {
            Some(member) if value.member(member) == Some(&Tree::Bool(false)) => {
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
