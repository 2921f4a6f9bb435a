//! Where a service answers: what the administrator set, else what the facts say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use cso_core::ErrorClass;
use cso_facts::api::{Endpoint as Fact, Service};
use http::Uri;

use super::failure::Failure;

/// One endpoint and the scope of signatures for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Scheme, authority and perhaps a path, without a slash at the end.
    pub(super) base: String,
    /// Authority, for the `Host` header and for messages.
    pub(super) host: String,
    pub(super) signing_region: String,
    pub(super) signing_name: String,
}

/// Endpoints of all services.
pub(super) struct Endpoints {
    overrides: Overrides,
    /// Resolved ones by service and region: the same few are asked for all the time.
    known: Mutex<HashMap<(String, String), Arc<Endpoint>>>,
}

/// URLs that replace the facts.
enum Overrides {
    Fixed(String),
    Sdk(Box<SdkConfig>),
}

/// DNS suffixes by partition, and the region prefixes that tell the partition. The first is for all other regions.
const PARTITIONS: [(&str, &str, &str); 8] = [
    ("aws", "", "amazonaws.com"),
    ("aws-cn", "cn-", "amazonaws.com.cn"),
    ("aws-us-gov", "us-gov-", "amazonaws.com"),
    ("aws-iso", "us-iso-", "c2s.ic.gov"),
    ("aws-iso-b", "us-isob-", "sc2s.sgov.gov"),
    ("aws-iso-e", "eu-isoe-", "cloud.adc-e.uk"),
    ("aws-iso-f", "us-isof-", "csp.hci.ic.gov"),
    ("aws-eusc", "eusc-", "amazonaws.eu"),
];

impl Endpoints {
    /// Sends everything to one URL.
    pub(super) fn fixed(url: &str) -> Self {
        Self { overrides: Overrides::Fixed(url.to_owned()), known: Mutex::default() }
    }

    /// By `AWS_ENDPOINT_URL` and its kin, else by the facts.
    pub(super) fn from_sdk(sdk: &SdkConfig) -> Self {
        Self { overrides: Overrides::Sdk(Box::new(sdk.clone())), known: Mutex::default() }
    }

    /// The endpoint of a service in a region.
    pub(super) fn resolve(&self, service: &Service, region: &str) -> Result<Arc<Endpoint>, Failure> {
        let key = (service.name.clone(), region.to_owned());
        if let Some(endpoint) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = Arc::new(derive(service, region, self.url_for(service))?);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    fn url_for(&self, service: &Service) -> Option<String> {
        let sdk = match &self.overrides {
            Overrides::Fixed(url) => return Some(url.clone()),
            Overrides::Sdk(sdk) => sdk,
        };
        let key = ServiceConfigKey::builder()
            .service_id(&service.service_id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok();
        let own = sdk.service_config().and_then(|settings| settings.load_config(key?));
        own.or_else(|| sdk.endpoint_url().map(str::to_owned))
    }
}

/// The endpoint by facts, with another URL in place of the host if one is set.
fn derive(service: &Service, region: &str, url: Option<String>) -> Result<Endpoint, Failure> {
    let is_region = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_region {
        let message = format!("`{region}` is not the name of a region: set one, for example by AWS_REGION");
        return Err(Failure::local("no-region", ErrorClass::Invalid, message));
    }
    let (partition, _, suffix) =
        *PARTITIONS[1..].iter().find(|(_, prefix, _)| region.starts_with(prefix)).unwrap_or(&PARTITIONS[0]);
    let facts = &service.endpoints;
    let fact = facts.regions.get(region).or_else(|| facts.partitions.get(partition));
    let fact = fact.cloned().unwrap_or_else(|| Fact {
        host: format!("{}.{{region}}.{{dnsSuffix}}", service.endpoint_prefix),
        ..Fact::default()
    });
    let host = fact.host.replace("{region}", region).replace("{dnsSuffix}", suffix);
    let base = url.unwrap_or_else(|| format!("https://{host}")).trim_end_matches('/').to_owned();
    let parsed = base.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let Some(host) = parsed.as_ref().and_then(|uri| uri.authority()) else {
        let message =
            format!("`{base}` is not an http or https URL: correct the endpoint of service `{}`", service.name);
        return Err(Failure::local("bad-endpoint", ErrorClass::Invalid, message));
    };
    Ok(Endpoint {
        host: host.to_string(),
        base,
        signing_region: fact.signing_region.unwrap_or_else(|| region.to_owned()),
        signing_name: fact.signing_name.unwrap_or_else(|| service.signing_name.clone()),
    })
}
