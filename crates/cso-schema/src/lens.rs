//! Lenses: one mapping between the user's spelling of a value and the provider's, used in both directions.

use cso_core::Tree;

/// How a value is spelt in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lens {
    #[default]
    Same,
    /// The API's value starts with this; the user may leave it out.
    Prefix(String),
}

impl Lens {
    /// The provider's spelling of a wish.
    pub fn put(&self, value: &Tree) -> Tree {
        match (self, value) {
            (Self::Prefix(prefix), Tree::Text(text)) if !text.starts_with(prefix.as_str()) => {
                Tree::Text(format!("{prefix}{text}"))
            }
            _ => value.clone(),
        }
    }

    /// The user's spelling of what was seen, given how he spells his wish: with the prefix or without.
    pub fn get(&self, seen: &Tree, wished: Option<&Tree>) -> Tree {
        match (self, seen, wished) {
            (Self::Prefix(prefix), Tree::Text(text), Some(Tree::Text(wished)))
                if !wished.starts_with(prefix.as_str()) =>
            {
                Tree::text(text.strip_prefix(prefix.as_str()).unwrap_or(text))
            }
            _ => seen.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_added_once_and_taken_off_as_the_user_spells_it() {
        let lens = Lens::Prefix("alias/".into());
        for wish in ["a", "alias/a"] {
            let wish = Tree::text(wish);
            assert_eq!(lens.put(&wish), Tree::text("alias/a"));
            assert_eq!(lens.get(&lens.put(&wish), Some(&wish)), wish);
        }
    }
}
