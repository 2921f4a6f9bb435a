//! Secrets, read by name when a call needs one. Nothing is cached and nothing is listed.

use cso_core::SecretValue;
use cso_core::port::{SecretError, Secrets};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::connect::Cluster;
use crate::error::why;

/// The secrets port over an API server.
pub struct KubeSecrets(Client);

impl KubeSecrets {
    /// The Secrets of a cluster.
    pub fn new(cluster: &Cluster) -> Self {
        Self(cluster.calls())
    }
}

impl Secrets for KubeSecrets {
    async fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<SecretValue, SecretError> {
        let (own_namespace, own_name) = (namespace.to_owned(), name.to_owned());
        let secrets: Api<Secret> = Api::namespaced(self.0.clone(), namespace);
        let secret = match secrets.get_opt(name).await {
            Ok(Some(secret)) => secret,
            Ok(None) => return Err(SecretError::Missing { namespace: own_namespace, name: own_name }),
            Err(error) => {
                return Err(SecretError::Unreadable { namespace: own_namespace, name: own_name, why: why(&error) });
            }
        };
        if let Some(found) = secret.type_.filter(|kind| kind != "Opaque") {
            return Err(SecretError::WrongType { namespace: own_namespace, name: own_name, found });
        }
        let Some(value) = secret.data.and_then(|mut data| data.remove(key)) else {
            return Err(SecretError::NoKey { namespace: own_namespace, name: own_name, key: key.to_owned() });
        };
        String::from_utf8(value.0).map(SecretValue::new).map_err(|_| SecretError::Unreadable {
            namespace: own_namespace,
            name: own_name,
            why: format!("key `{key}` is not UTF-8 text"),
        })
    }
}
