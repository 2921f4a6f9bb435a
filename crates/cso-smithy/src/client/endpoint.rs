//! Where a service answers: what the administrator set, else what the facts say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use cso_core::ErrorClass;
use cso_facts::api::Service;
use cso_facts::partition::{self, Partition};
use http::Uri;

use super::bucket;
use super::failure::Failure;
use crate::protocol::WireRequest;

/// One endpoint and the scope of signatures for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Scheme, authority and perhaps a path, without a slash at the end.
    pub(super) base: String,
    /// Authority, for messages and as the name of what shares a retry quota.
    pub(super) host: String,
    /// The URL is the administrator's. It means exactly this host: no operation's prefix goes before it.
    pub(super) is_override: bool,
    /// Buckets are labels of the host name, where their names allow it. At an administrator's URL they stay in the path,
    /// as in the official SDKs: such a host seldom answers for names below its own.
    pub(super) has_buckets: bool,
    pub(super) signing_region: String,
    pub(super) signing_name: String,
}

/// Endpoints of all services.
pub(super) struct Endpoints {
    overrides: Overrides,
    partitions: Vec<Partition>,
    /// Resolved ones by service and region: the same few are asked for all the time.
    known: Mutex<HashMap<(String, String), Arc<Endpoint>>>,
}

/// URLs that replace the facts.
enum Overrides {
    Fixed(String),
    Sdk(Box<SdkConfig>),
}

impl Endpoint {
    /// URL of a request.
    pub(super) fn url(&self, request: &WireRequest) -> String {
        match &request.host_prefix {
            Some(prefix) if !self.is_override => format!("https://{prefix}{}{}", self.host, request.uri),
            None if self.has_buckets => match bucket::split(&request.uri) {
                Some((bucket, rest)) => format!("https://{bucket}.{}{rest}", self.host),
                None => format!("{}{}", self.base, request.uri),
            },
            _ => format!("{}{}", self.base, request.uri),
        }
    }
}

impl Endpoints {
    /// Sends everything to one URL.
    pub(super) fn fixed(url: &str) -> Self {
        Self::behind(url, Vec::new())
    }

    /// Sends everything to one URL, signed as the facts of these partitions say.
    pub(super) fn behind(url: &str, partitions: Vec<Partition>) -> Self {
        Self { overrides: Overrides::Fixed(url.to_owned()), partitions, known: Mutex::default() }
    }

    /// By `AWS_ENDPOINT_URL` and its kin, else by the facts.
    pub(super) fn from_sdk(sdk: &SdkConfig, partitions: Vec<Partition>) -> Self {
        Self { overrides: Overrides::Sdk(Box::new(sdk.clone())), partitions, known: Mutex::default() }
    }

    /// The endpoint of a service in a region.
    pub(super) fn resolve(&self, service: &Service, region: &str) -> Result<Arc<Endpoint>, Failure> {
        let key = (service.name.clone(), region.to_owned());
        if let Some(endpoint) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = Arc::new(derive(service, region, &self.partitions, self.url_for(service))?);
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
fn derive(service: &Service, region: &str, partitions: &[Partition], url: Option<String>) -> Result<Endpoint, Failure> {
    let is_region = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_region {
        let message = format!("`{region}` is not the name of a region: set one, for example by AWS_REGION");
        return Err(Failure::local("no-region", ErrorClass::Invalid, message));
    }
    // A region that no partition covers is newer than the facts, and more likely in the large partition than anywhere.
    let partition = partition::of_region(partitions, region).map_or("aws", |partition| partition.name.as_str());
    let fact = service.endpoints.resolve(partition, region);
    let is_override = url.is_some();
    let base = match (url, &fact) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(fact)) => format!("https://{}", fact.host),
        (None, None) => {
            let message =
                format!("partition {partition}, where region {region} is, does not offer service `{}`", service.name);
            return Err(Failure::local("no-endpoint", ErrorClass::Unsupported, message));
        }
    };
    let parsed = base.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let Some(host) = parsed.as_ref().and_then(Uri::authority) else {
        let message =
            format!("`{base}` is not an http or https URL: correct the endpoint of service `{}`", service.name);
        return Err(Failure::local("bad-endpoint", ErrorClass::Invalid, message));
    };
    let (signing_region, signing_name) = fact.map_or((None, None), |fact| (fact.signing_region, fact.signing_name));
    Ok(Endpoint {
        host: host.to_string(),
        base,
        is_override,
        has_buckets: service.name == "s3" && !is_override,
        signing_region: signing_region.unwrap_or_else(|| region.to_owned()),
        signing_name: signing_name.unwrap_or_else(|| service.signing_name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use cso_facts::Catalog;

    use super::*;

    fn host(service: &str, region: &str) -> Result<String, String> {
        let catalog = Catalog::builtin();
        let service = catalog.service(service).unwrap();
        let found = derive(&service, region, catalog.partitions().unwrap(), None);
        found.map(|it| format!("{} {}", it.host, it.signing_region)).map_err(|failure| failure.code)
    }

    #[test]
    fn facts_give_host_and_scope_in_every_partition() {
        assert_eq!(host("sqs", "eu-west-1").as_deref(), Ok("sqs.eu-west-1.amazonaws.com eu-west-1"));
        assert_eq!(host("sqs", "cn-north-1").as_deref(), Ok("sqs.cn-north-1.amazonaws.com.cn cn-north-1"));
        assert_eq!(host("iam", "eu-west-1").as_deref(), Ok("iam.amazonaws.com us-east-1"));
        assert_eq!(host("sqs", "eu west").as_deref(), Err(&"no-region".to_owned()));
    }

    #[test]
    fn a_bucket_is_in_the_host_name_unless_the_name_or_an_override_forbids() {
        let catalog = Catalog::builtin();
        let s3 = catalog.service("s3").unwrap();
        let url = |endpoint: Option<&str>, uri: &str| {
            let endpoint =
                derive(&s3, "eu-west-1", catalog.partitions().unwrap(), endpoint.map(str::to_owned)).unwrap();
            let (method, headers, body) = ("GET".into(), Vec::new(), Vec::new());
            endpoint.url(&WireRequest { method, uri: uri.into(), host_prefix: None, headers, body })
        };
        assert_eq!(url(None, "/photos?tagging"), "https://photos.s3.eu-west-1.amazonaws.com/?tagging");
        assert_eq!(url(None, "/photos/a%20b"), "https://photos.s3.eu-west-1.amazonaws.com/a%20b");
        assert_eq!(url(None, "/my.photos?tagging"), "https://s3.eu-west-1.amazonaws.com/my.photos?tagging");
        assert_eq!(url(None, "/"), "https://s3.eu-west-1.amazonaws.com/");
        assert_eq!(url(Some("http://127.0.0.1:4566"), "/photos?tagging"), "http://127.0.0.1:4566/photos?tagging");
    }

    #[test]
    fn an_override_keeps_the_scope_of_the_facts_and_takes_no_prefix() {
        let iam = Catalog::builtin().service("iam").unwrap();
        let url = |text: &str| derive(&iam, "eu-west-1", &[], Some(text.to_owned()));
        let endpoint = url("http://127.0.0.1:4566/aws/").unwrap();
        assert_eq!((&*endpoint.host, &*endpoint.signing_region), ("127.0.0.1:4566", "us-east-1"));
        let mut request = WireRequest {
            method: "POST".into(),
            uri: "/".into(),
            host_prefix: Some("data.".into()),
            headers: Vec::new(),
            body: Vec::new(),
        };
        assert_eq!(endpoint.url(&request), "http://127.0.0.1:4566/aws/");
        request.host_prefix = None;
        assert_eq!(url("ftp://host").unwrap_err().code, "bad-endpoint");
        assert_eq!(url("host:80").unwrap_err().code, "bad-endpoint");
        let own = derive(&iam, "eu-west-1", &[], None).unwrap();
        request.host_prefix = Some("data.".into());
        assert_eq!(own.url(&request), "https://data.iam.amazonaws.com/");
    }
}
