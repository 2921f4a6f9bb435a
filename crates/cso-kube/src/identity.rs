//! Who we are in a cluster: the identity that owner marks name, and the key of digests and seals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cso_core::DigestKey;
use cso_core::port::StoreMeta;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::connect::Cluster;
use crate::error::KubeError;

/// The Secret that holds it, in the controller's namespace. Whoever can read it can forge records.
pub const NAME: &str = "cso-identity";

const ID: &str = "id";
const DIGEST_KEY: &str = "digest-key";

/// What reading and sealing records takes.
#[derive(Clone, Debug)]
pub struct Keys {
    pub digest: DigestKey,
}

/// Reads the identity of the cluster's state, and makes it if there is none and `make` says so.
pub async fn identity(cluster: &Cluster, namespace: &str, make: bool) -> Result<StoreMeta, KubeError> {
    let secrets: Api<Secret> = Api::namespaced(cluster.calls(), namespace);
    let read = format!("read Secret {namespace}/{NAME}");
    let found = secrets.get_opt(NAME).await.map_err(|error| KubeError::request(&read, &error))?;
    if let Some(secret) = found {
        return meta(&secret, namespace);
    }
    if !make {
        return Err(KubeError::Damaged {
            what: format!("namespace {namespace}"),
            field: "identity",
            remedy: "no controller has run there yet; name its namespace with --system-namespace",
        });
    }
    let made = fresh(namespace)?;
    match secrets.create(&PostParams::default(), &made).await {
        Ok(made) => meta(&made, namespace),
        // Another replica was faster: its identity is everybody's.
        Err(error) if crate::error::status(&error) == Some(409) => {
            let secret = secrets.get(NAME).await.map_err(|error| KubeError::request(&read, &error))?;
            meta(&secret, namespace)
        }
        Err(error) => Err(KubeError::request(format!("create Secret {namespace}/{NAME}"), &error)),
    }
}

fn fresh(namespace: &str) -> Result<Secret, KubeError> {
    let mut random = [0; 40];
    getrandom::fill(&mut random)
        .map_err(|error| KubeError::Connect { why: format!("the system gives no random bytes: {error}") })?;
    let (id, key) = random.split_at(8);
    let id = id.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let data = [(ID, id.into_bytes()), (DIGEST_KEY, STANDARD.encode(key).into_bytes())];
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(data.into_iter().map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).collect()),
        ..Secret::default()
    })
}

fn meta(secret: &Secret, namespace: &str) -> Result<StoreMeta, KubeError> {
    let damaged = |field| KubeError::Damaged {
        what: format!("Secret {namespace}/{NAME}"),
        field,
        remedy: "restore it; without it the resources that this cluster made are not known to be its own",
    };
    let text = |name: &'static str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()).ok_or_else(|| damaged(name))
    };
    let key = STANDARD.decode(text(DIGEST_KEY)?).map_err(|_| damaged(DIGEST_KEY))?;
    let key: [u8; 32] = key.try_into().map_err(|_| damaged(DIGEST_KEY))?;
    Ok(StoreMeta { id: text(ID)?, digest_key: DigestKey::from_bytes(key) })
}
