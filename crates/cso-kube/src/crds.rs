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
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Installed {
    Created,
    Changed,
    /// It was as it should be.
    Unchanged,
}

/// Makes the server serve a definition, and waits until it does, for so long. What others have added to one that exists,
/// such as labels and further versions, stays, and so do its objects.
pub async fn install(cluster: &Cluster, definition: &Value, patience: Duration) -> Result<Installed, KubeError> {
    let name = definition.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let api: Api<CustomResourceDefinition> = Api::all(cluster.calls());
    let failed = |doing: &str, error: &kube::Error| unable(&format!("{doing} {name}"), error);
    let (before, after) = loop {
        let before = api.get_opt(name).await.map_err(|error| failed("read", &error))?;
        let wanted = over(before.as_ref(), definition.clone()).map_err(|why| refused(name, why))?;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch(name, &params, &Patch::Apply(&wanted)).await {
            Ok(after) => break (before, after),
            // Somebody else wrote meanwhile, perhaps a version of his own: look again.
            Err(error) if before.is_some() && crate::error::status(&error) == Some(409) => {}
            Err(error) => return Err(failed("install", &error)),
        }
    };
    let established = async {
        let mut seen = after.clone();
        while !is_established(&seen) {
            tokio::time::sleep(LOOK).await;
            seen = api.get(name).await.map_err(|error| failed("read", &error))?;
        }
        Ok(())
    };
    if let Ok(done) = tokio::time::timeout(patience, established).await {
        done?;
    } else {
        // What it says by now, not what it said at first.
        let seen = api.get(name).await.map_err(|error| failed("read", &error))?;
        let waited = patience.as_secs();
        return Err(refused(name, format!("the server does not serve it after {waited} s: {}", refusal(&seen))));
    }
    Ok(match before {
        None => Installed::Created,
        Some(before) if before.metadata.generation == after.metadata.generation => Installed::Unchanged,
        Some(_) => Installed::Changed,
    })
}

/// The rights for this are nobody's that `cso crds rbac` knows.
fn unable(doing: &str, error: &kube::Error) -> KubeError {
    match crate::error::status(error) {
        Some(403) => KubeError::Uninstallable { doing: doing.to_owned(), why: crate::error::why(error) },
        _ => KubeError::request(doing, error),
    }
}

fn refused(name: &str, why: String) -> KubeError {
    KubeError::Request { doing: format!("install {name}"), status: None, why }
}

/// What to apply over a definition that is there. The list of versions is one value to the server: those of others go along
/// as they are, or they would be lost. Says why not, if objects would be harmed.
fn over(before: Option<&CustomResourceDefinition>, mut wanted: Value) -> Result<Value, String> {
    let Some(before) = before else { return Ok(wanted) };
    let ours: Vec<Value> = wanted.pointer("/spec/versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |version: &Value| version.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let known: Vec<String> = ours.iter().map(name).collect();
    let theirs: Vec<_> = before.spec.versions.iter().filter(|version| !known.contains(&version.name)).collect();
    if let Some(storing) = theirs.iter().find(|version| version.storage) {
        return Err(format!(
            "its objects are stored as {}, and this build knows {}: a newer cso, or whoever installed {0}, is to keep it",
            storing.name,
            known.join(", ")
        ));
    }
    let stored = before.status.iter().flat_map(|status| status.stored_versions.iter().flatten());
    if let Some(lost) =
        stored.filter(|stored| !known.contains(stored)).find(|stored| !theirs.iter().any(|it| it.name == **stored))
    {
        return Err(format!(
            "objects may still be stored as {lost}, a version that it has no more: migrate them first"
        ));
    }
    let theirs = theirs.into_iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    let theirs = theirs.map_err(|error| format!("a version of it cannot be kept: {error}"))?;
    wanted["spec"]["versions"] = ours.into_iter().chain(theirs).collect();
    // Only over what was looked at.
    wanted["metadata"]["resourceVersion"] = before.metadata.resource_version.clone().into();
    Ok(wanted)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(name: &str, storage: bool) -> Value {
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}})
    }

    fn definition(versions: &[Value]) -> Value {
        json!({
            "metadata": {"name": "queues.sqs.services.k8s.aws"},
            "spec": {
                "group": "sqs.services.k8s.aws", "scope": "Namespaced", "names": {"kind": "Queue", "plural": "queues"},
                "versions": versions,
            },
        })
    }

    fn there(versions: &[Value], stored: &[&str]) -> CustomResourceDefinition {
        let mut there = definition(versions);
        there["metadata"]["resourceVersion"] = "7".into();
        there["status"] = json!({"storedVersions": stored});
        serde_json::from_value(there).expect("a definition")
    }

    #[test]
    fn who_may_not_install_is_told_what_he_lacks() {
        let status = |code| {
            let status = kube::core::Status::failure("forbidden: no", "").with_code(code);
            unable("install queues.sqs.services.k8s.aws", &kube::Error::Api(status.boxed())).to_string()
        };
        assert!(status(403).contains("needs get, create and patch of customresourcedefinitions"), "{}", status(403));
        assert!(
            !status(403).contains("rbac") && status(500) == "cannot install queues.sqs.services.k8s.aws: forbidden: no"
        );
    }

    #[test]
    fn versions_of_others_are_kept_as_they_are() {
        let ours = definition(&[version("v1alpha1", true)]);
        assert_eq!(over(None, ours.clone()), Ok(ours.clone()));
        let before = there(&[version("v1alpha1", true), version("v1beta1", false)], &["v1alpha1", "v1beta1"]);
        let wanted = over(Some(&before), ours).expect("nothing is lost");
        assert_eq!(wanted["spec"]["versions"], json!([version("v1alpha1", true), version("v1beta1", false)]));
        assert_eq!(wanted["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn objects_that_are_stored_in_a_version_that_is_not_ours_are_left_alone() {
        let ours = definition(&[version("v1alpha1", true)]);
        let newer = there(&[version("v1alpha1", false), version("v1beta1", true)], &["v1beta1"]);
        let refused = over(Some(&newer), ours.clone()).expect_err("stored as v1beta1");
        assert!(refused.starts_with("its objects are stored as v1beta1, and this build knows v1alpha1"), "{refused}");
        let lost = there(&[version("v1alpha1", true)], &["v1alpha0", "v1alpha1"]);
        let refused = over(Some(&lost), ours).expect_err("stored as v1alpha0");
        assert!(refused.contains("still be stored as v1alpha0"), "{refused}");
    }
}
