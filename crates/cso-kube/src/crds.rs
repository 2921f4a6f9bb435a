//! Custom resource definitions: installed, and upgraded in place.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::Value;

use crate::connect::Cluster;
use crate::error::KubeError;
use crate::store::FIELD_MANAGER;

/// How often it is looked whether a definition is served.
const LOOK: Duration = Duration::from_millis(100);

/// What became of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    Created,
    Changed,
    /// It was as it should be.
    Unchanged,
}

/// Makes the server serve a definition, and waits until it does, for so long. What others have added to one that exists,
/// such as labels and further versions, stays.
pub async fn install(cluster: &Cluster, definition: &Value, patience: Duration) -> Result<Installed, KubeError> {
    let name = definition.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let api: Api<CustomResourceDefinition> = Api::all(cluster.calls());
    let failed = |doing: &str, error: &kube::Error| KubeError::request(format!("{doing} {name}"), error);
    let before = api.get_opt(name).await.map_err(|error| failed("read", &error))?;
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let after = api.patch(name, &params, &Patch::Apply(definition)).await.map_err(|error| failed("install", &error))?;
    let established = async {
        let mut seen = after.clone();
        while !is_established(&seen) {
            tokio::time::sleep(LOOK).await;
            seen = api.get(name).await.map_err(|error| failed("read", &error))?;
        }
        Ok(())
    };
    match tokio::time::timeout(patience, established).await {
        Ok(done) => done?,
        Err(_) => {
            return Err(KubeError::Request {
                doing: format!("install {name}"),
                status: None,
                why: format!("the server does not serve it after {} s: {}", patience.as_secs(), refusal(&after)),
            });
        }
    }
    Ok(match before {
        None => Installed::Created,
        Some(before) if before.metadata.generation == after.metadata.generation => Installed::Unchanged,
        Some(_) => Installed::Changed,
    })
}

fn conditions(crd: &CustomResourceDefinition) -> impl Iterator<Item = (&str, &str, &str)> {
    let all = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    all.map(|it| (it.type_.as_str(), it.status.as_str(), it.message.as_deref().unwrap_or_default()))
}

fn is_established(crd: &CustomResourceDefinition) -> bool {
    conditions(crd).any(|(kind, status, _)| kind == "Established" && status == "True")
}

fn refusal(crd: &CustomResourceDefinition) -> String {
    let wrong = conditions(crd).find(|(kind, status, _)| *kind == "NamesAccepted" && *status == "False");
    wrong.map_or_else(|| "it says nothing about why".to_owned(), |(_, _, message)| message.to_owned())
}
