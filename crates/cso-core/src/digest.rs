//! Keyed digests: what we remember of a value instead of the value.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

/// Twelve bytes of HMAC-SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(String);

/// The secret of one store. Without it a digest cannot be tested against guesses.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl Digest {
    /// The first four characters, for people to tell two apart.
    pub fn short(&self) -> &str {
        self.0.get(..4).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl DigestKey {
    /// A key from random bytes that the store made once and keeps.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Digest of a value at a place. The place is part of it, so equal values in two fields have different digests.
    pub fn digest(&self, place: &str, value: &Value) -> Digest {
        Digest(hex(&self.mac(&[place.as_bytes(), value.to_string().as_bytes()])[..12]))
    }

    /// An idempotency token, as a version-4-shaped UUID, that is the same whenever the same attempt is repeated.
    pub fn token(&self, parts: &[&str]) -> String {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let mut bytes = self.mac(&parts);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let text = hex(&bytes[..16]);
        format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..32])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of any length: the error cannot occur for an array.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A key is a secret: it has no readable form.
impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_depends_on_key_place_and_value() {
        let key = DigestKey::from_bytes([1; 32]);
        let base = key.digest("spec.a", &json!("x"));
        assert_eq!(base, key.digest("spec.a", &json!("x")));
        assert_ne!(base, key.digest("spec.b", &json!("x")));
        assert_ne!(base, key.digest("spec.a", &json!("y")));
        assert_ne!(base, DigestKey::from_bytes([2; 32]).digest("spec.a", &json!("x")));
    }

    /// State files hold digests: what they are made of cannot change without a new format.
    #[test]
    fn a_digest_is_what_it_always_was() {
        let key = DigestKey::from_bytes([1; 32]);
        assert_eq!(key.digest("spec.a", &json!("x")).to_string(), "fb22e726dcc7bfe98485b7c8");
    }

    #[test]
    fn a_token_is_a_uuid_and_parts_do_not_run_together() {
        let key = DigestKey::from_bytes([1; 32]);
        assert_eq!(key.token(&["a", "b"]).len(), 36);
        assert_ne!(key.token(&["ab", "c"]), key.token(&["a", "bc"]));
    }
}
