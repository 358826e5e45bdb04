//! All routes of the API, as template.yaml deploys them.

use Scope::{Analyze, Delete, Read, Write};

/// A route: who answers what, and who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path with its parameters in braces; a greedy one, `{name+}`, takes slashes too.
    pub path: &'static str,
    /// The function that answers.
    pub function: &'static str,
    /// What its caller needs.
    pub scope: Scope,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read scans and findings.
    Read,
    /// Send and change.
    Write,
    /// Delete.
    Delete,
    /// Have the model work.
    Analyze,
}

const fn route(method: &'static str, path: &'static str, function: &'static str, scope: Scope) -> Route {
    Route { method, path, function, scope }
}

/// Every route but the one of `no-route`, which takes what none of these does.
pub const ROUTES: [Route; 17] = [
    route("DELETE", "/api/container/scans/{scan_id}", "delete-scan", Delete),
    route("GET", "/api/container/cves/{cve_id}", "get-cve", Read),
    route("GET", "/api/container/findings/{finding_id}", "get-finding", Read),
    route("GET", "/api/container/priorities", "list-priorities", Read),
    route("GET", "/api/container/scans", "list-scans", Read),
    route("GET", "/api/container/scans/{artifactname+}", "get-scan", Read),
    route("GET", "/api/container/scans/{identifier}/findings", "list-findings", Read),
    route("GET", "/api/container/scans/{identifier}/report", "get-report", Read),
    route("GET", "/api/container/uploads/{upload_id+}", "get-upload", Read),
    route("GET", "/api/health", "get-health", Read),
    route("GET", "/api/llm/analyze/container/{finding_id}", "analyze-finding", Analyze),
    route("POST", "/api/container/images/retire", "retire-image", Write),
    route("POST", "/api/container/images/unretire", "retire-image", Write),
    route("POST", "/api/container/scans", "ingest-scan", Write),
    route("POST", "/api/container/scans/{scan_id}/confirm", "confirm-scan", Write),
    route("POST", "/api/container/uploads", "create-upload", Write),
    route("POST", "/api/llm/analyze/container/scans/{scan_id}", "analyze-scan", Analyze),
];

impl Route {
    /// Whether this route has such a path. A stage or a base path may precede it.
    #[must_use]
    pub fn has(&self, raw_path: &str) -> bool {
        let starts = raw_path.match_indices("/api/").map(|(at, _)| raw_path.get(at..).unwrap_or_default());
        starts.into_iter().any(|path| is_like(path, self.path))
    }
}

/// Whether a path is one of a template.
fn is_like(path: &str, template: &str) -> bool {
    let mut segments = path.split('/');
    for part in template.split('/') {
        let Some(segment) = segments.next() else { return false };
        let parameter = part.strip_prefix('{');
        let fits = if parameter.is_some() { !segment.is_empty() } else { segment == part };
        if parameter.is_some_and(|name| name.ends_with("+}")) {
            return fits;
        }
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
}

/// The methods that a path has, each once, in alphabetical order; none if there is no such path.
#[must_use]
pub fn methods(raw_path: &str) -> Vec<&'static str> {
    let mut methods: Vec<_> = ROUTES.iter().filter(|route| route.has(raw_path)).map(|route| route.method).collect();
    methods.sort_unstable();
    methods.dedup();
    methods
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_the_methods_of_all_its_routes() {
        for (path, expected) in [
            ("/api/container/scans", &["GET", "POST"][..]),
            ("/prod/api/container/scans", &["GET", "POST"]),
            ("/api/container/scans/7", &["DELETE", "GET"]),
            ("/api/container/scans/ghcr.io/org/app:1.0", &["GET"]),
            ("/api/container/scans/7/confirm", &["GET", "POST"]),
            ("/api/container/scans/7/findings", &["GET"]),
            ("/api/container/images/retire", &["POST"]),
            ("/api/container/uploads", &["POST"]),
            ("/api/container/uploads/a/b", &["GET"]),
            ("/api/health", &["GET"]),
            ("/api/llm/analyze/container/7", &["GET"]),
            ("/api/llm/analyze/container/scans/7", &["POST"]),
        ] {
            assert_eq!(methods(path), expected, "{path}");
        }
    }

    #[test]
    fn what_only_begins_like_a_route_is_none() {
        for path in [
            "",
            "/",
            "/api",
            "/api/",
            "/api/container",
            "/api/container/scans/",
            "/api/container/uploads/",
            "/api/container/findings/1/x",
            "/api/container/priorities/1",
            "/api/Container/scans",
            "/container/scans",
        ] {
            assert_eq!(methods(path), [""; 0], "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC*|(/api/container/scans/?){0,3}[a-z/{}+]*") {
            let _ = methods(&path);
        }
    }
}
