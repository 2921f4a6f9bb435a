//! Secrets from a map.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cso_core::SecretValue;
use cso_core::port::{SecretError, Secrets};

/// Values by namespace, name and key. Clones share one map.
#[derive(Clone, Debug, Default)]
pub struct MapSecrets(Arc<Mutex<Values>>);

/// Values by namespace, name and key.
type Values = BTreeMap<(String, String, String), SecretValue>;

impl MapSecrets {
    /// Puts a value in, or another in its place.
    pub fn set(&self, namespace: &str, name: &str, key: &str, value: &str) {
        let place = (namespace.to_owned(), name.to_owned(), key.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, SecretValue::new(value));
    }
}

impl Secrets for MapSecrets {
    async fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<SecretValue, SecretError> {
        let place = (namespace.to_owned(), name.to_owned(), key.to_owned());
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&place)
            .cloned()
            .ok_or_else(|| SecretError::Missing { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}
