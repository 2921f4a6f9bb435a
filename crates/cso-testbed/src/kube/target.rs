//! What a request to the API server is about.

use std::fmt;

use serde::Deserialize;

/// The object, or the collection of objects, that a request is about. All empty for what is no resource, as `/readyz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Empty for the core group.
    #[serde(rename = "apiGroup")]
    pub group: String,
    #[serde(rename = "apiVersion")]
    pub version: String,
    /// Plural and in lower case, as in paths: `configmaps`.
    pub resource: String,
    /// `status`, for example. Empty for the object itself.
    pub subresource: String,
    /// Empty for what has none, and for all of them.
    pub namespace: String,
    /// Empty for a collection, and for an object that is about to be created.
    pub name: String,
}

impl Target {
    /// Reads a path without its query.
    pub(super) fn of(path: &str) -> Self {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let of_named_group = match parts.first() {
            Some(&"api") => false,
            Some(&"apis") => true,
            _ => return Self::default(),
        };
        parts.remove(0);
        let mut parts = parts.into_iter().map(ToOwned::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let group = if of_named_group { next() } else { String::new() };
        let version = next();
        let (mut namespace, mut resource, mut name, mut subresource) = (String::new(), next(), next(), next());
        // `namespaces/N/status` is about the namespace, `namespaces/N/configmaps` is within it.
        if resource == "namespaces" && !matches!(subresource.as_str(), "" | "status" | "finalize") {
            (namespace, resource, name, subresource) = (name, subresource, next(), next());
        }
        if resource.is_empty() {
            // Discovery.
            return Self::default();
        }
        Self { group, version, resource, subresource, namespace, name }
    }

    /// What the API server and its access rules call a request.
    pub(super) fn verb(&self, method: &str, query: &str) -> String {
        let is_watch = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"));
        let verb = match method {
            _ if self.resource.is_empty() => return method.to_ascii_lowercase(),
            "GET" | "HEAD" if is_watch => "watch",
            "GET" | "HEAD" if self.name.is_empty() => "list",
            "GET" | "HEAD" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if self.name.is_empty() => "deletecollection",
            "DELETE" => "delete",
            _ => return method.to_ascii_lowercase(),
        };
        verb.to_owned()
    }
}

/// Whether a verb changes something. An unknown one counts, so that it makes a test fail rather than pass.
pub(super) fn is_write(verb: &str) -> bool {
    !matches!(verb, "get" | "list" | "watch" | "head" | "options")
}

/// `apps/deployments/status default/web`
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = |parts: [&str; 3]| -> String {
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.join("/")
        };
        let kind = written([&self.group, &self.resource, &self.subresource]);
        let object = written([&self.namespace, &self.name, ""]);
        f.write_str(format!("{kind} {object}").trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        let cases = [
            ("GET", "/api/v1/namespaces/n/configmaps/c", "", "get configmaps n/c"),
            ("GET", "/api/v1/configmaps", "limit=5", "list configmaps"),
            ("GET", "/api/v1/namespaces/n/configmaps", "limit=5&watch=true", "watch configmaps n"),
            ("GET", "/api/v1/namespaces/n", "", "get namespaces n"),
            ("PUT", "/api/v1/namespaces/n/finalize", "", "update namespaces/finalize n"),
            ("PATCH", "/apis/apps/v1/namespaces/n/deployments/d/status", "", "patch apps/deployments/status n/d"),
            ("POST", "/apis/example.com/v1/namespaces/n/things", "", "create example.com/things n"),
            ("DELETE", "/apis/example.com/v1/things", "", "deletecollection example.com/things"),
            ("DELETE", "/apis/example.com/v1/things/t", "", "delete example.com/things t"),
            ("GET", "/apis/example.com/v1", "", "get "),
            ("GET", "/api", "", "get "),
            ("POST", "/readyz", "", "post "),
        ];
        for (method, path, query, expected) in cases {
            let target = Target::of(path);
            assert_eq!(format!("{} {target}", target.verb(method, query)), expected, "{method} {path}");
        }
    }

    #[test]
    fn only_known_reads_are_not_writes() {
        assert!(["get", "list", "watch"].iter().all(|verb| !is_write(verb)));
        assert!(
            ["create", "update", "patch", "delete", "deletecollection", "post", "approve"].into_iter().all(is_write)
        );
    }
}
