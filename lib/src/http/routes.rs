//! Holds all routes of the API. `template.yaml`, the router of `cargo lambda watch`, `events/` and the documents are
//! checked against this table.

use std::fmt::Display;

use Scope::{Analyze, Delete, Read, Write};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::parameter::{
    ALL, CURRENT, CURSOR, FIXABLE, FORMAT, HISTORY, IMAGE_NAME, IMAGE_PREFIX, LIMIT, LIMIT_OF_IMAGES,
    LIMIT_OF_PRIORITIES, PACKAGE, PLATFORM, Parameter, REFRESH, SCANNERS, SEEN_BEFORE, SEVERITIES, SEVERITY, SORT,
    SUPPRESSED, VULNERABILITY_ID, WAIT,
};

/// A route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path. Its parameter stands in braces; a greedy one, `{name+}`, takes slashes too.
    pub path: &'static str,
    /// The name under which descriptions of the API list the route.
    pub operation_id: &'static str,
    /// The function that answers.
    pub function: &'static str,
    /// The permission that a caller needs.
    pub scope: Scope,
    /// The query parameters, in the order in which a refusal lists them.
    pub parameters: &'static [Parameter],
}

/// A permission of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Reads scans and findings.
    Read,
    /// Sends and changes.
    Write,
    /// Deletes.
    Delete,
    /// Asks the model.
    Analyze,
}

/// A route without query parameters.
const fn route(
    method: &'static str,
    path: &'static str,
    operation_id: &'static str,
    function: &'static str,
    scope: Scope,
) -> Route {
    Route { method, path, operation_id, function, scope, parameters: &[] }
}

/// Removes a scan.
pub const DELETE_SCAN: Route = route("DELETE", "/api/container/scans/{scan_id}", "deleteScan", "delete-scan", Delete);
/// Reads a vulnerability and where it is.
pub const GET_CVE: Route =
    route("GET", "/api/container/cves/{cve_id}", "getCve", "get-cve", Read).takes(&[ALL, LIMIT_OF_IMAGES, CURSOR]);
/// Reads a finding.
pub const GET_FINDING: Route = route("GET", "/api/container/findings/{finding_id}", "getFinding", "get-finding", Read);
/// Lists what to upgrade first.
pub const LIST_PRIORITIES: Route = route("GET", "/api/container/priorities", "listPriorities", "list-priorities", Read)
    .takes(&[LIMIT_OF_PRIORITIES, FIXABLE, IMAGE_PREFIX]);
/// Lists scans.
pub const LIST_SCANS: Route = route("GET", "/api/container/scans", "listScans", "list-scans", Read).takes(&[
    IMAGE_NAME,
    CURRENT,
    SEEN_BEFORE,
    LIMIT,
    CURSOR,
]);
/// Reads a scan, or the current one of an image.
pub const GET_SCAN: Route = route("GET", "/api/container/scans/{artifactname+}", "getScan", "get-scan", Read)
    .takes(&[HISTORY, PLATFORM, LIMIT, CURSOR]);
/// Lists the findings of a scan.
pub const LIST_FINDINGS: Route =
    route("GET", "/api/container/scans/{identifier}/findings", "listFindings", "list-findings", Read).takes(&[
        SEVERITY,
        PACKAGE,
        VULNERABILITY_ID,
        FIXABLE,
        SUPPRESSED,
        SORT,
        PLATFORM,
        FORMAT,
        LIMIT,
        CURSOR,
    ]);
/// Reads the report of a scan.
pub const GET_REPORT: Route =
    route("GET", "/api/container/scans/{identifier}/report", "getReport", "get-report", Read).takes(&[PLATFORM]);
/// Reads the state of an upload.
pub const GET_UPLOAD: Route = route("GET", "/api/container/uploads/{upload_id+}", "getUpload", "get-upload", Read);
/// Reads the state of the deployment.
pub const GET_HEALTH: Route = route("GET", "/api/health", "getHealth", "get-health", Read);
/// Asks the model about a finding.
pub const ANALYZE_FINDING: Route =
    route("GET", "/api/llm/analyze/container/{finding_id}", "analyzeFinding", "analyze-finding", Analyze)
        .takes(&[WAIT, REFRESH]);
/// Takes an image out of the fleet.
pub const RETIRE_IMAGE: Route = route("POST", "/api/container/images/retire", "retireImage", "retire-image", Write);
/// Brings an image back into the fleet.
pub const UNRETIRE_IMAGE: Route =
    route("POST", "/api/container/images/unretire", "unretireImage", "retire-image", Write);
/// Takes a report in.
pub const INGEST_SCAN: Route = route("POST", "/api/container/scans", "ingestScan", "ingest-scan", Write)
    .takes(&[IMAGE_NAME, SCANNERS, SEVERITIES]);
/// Confirms a suspect scan.
pub const CONFIRM_SCAN: Route =
    route("POST", "/api/container/scans/{scan_id}/confirm", "confirmScan", "confirm-scan", Write);
/// Opens an upload.
pub const CREATE_UPLOAD: Route = route("POST", "/api/container/uploads", "createUpload", "create-upload", Write);
/// Asks the model about the findings of a scan.
pub const ANALYZE_SCAN: Route =
    route("POST", "/api/llm/analyze/container/scans/{scan_id}", "analyzeScan", "analyze-scan", Analyze)
        .takes(&[SEVERITY, LIMIT]);

/// Every route except that of `no-route`, which takes all other requests.
pub const ROUTES: [Route; 17] = [
    DELETE_SCAN,
    GET_CVE,
    GET_FINDING,
    LIST_PRIORITIES,
    LIST_SCANS,
    GET_SCAN,
    LIST_FINDINGS,
    GET_REPORT,
    GET_UPLOAD,
    GET_HEALTH,
    ANALYZE_FINDING,
    RETIRE_IMAGE,
    UNRETIRE_IMAGE,
    INGEST_SCAN,
    CONFIRM_SCAN,
    CREATE_UPLOAD,
    ANALYZE_SCAN,
];

/// All characters except RFC 3986's unreserved ones and the slash.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl Route {
    /// Adds the query parameters.
    const fn takes(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    /// Returns whether the route serves a path. A stage or a base path may precede it.
    #[must_use]
    pub fn has(&self, raw_path: &str) -> bool {
        let starts = raw_path.match_indices("/api/").map(|(at, _)| raw_path.get(at..).unwrap_or_default());
        starts.into_iter().any(|path| is_like(path, self.path))
    }

    /// Fills the path with the value of its parameter, if it has one.
    #[must_use]
    pub fn with(&self, value: impl Display) -> String {
        let (before, name, after) = self.parts();
        if name.is_empty() {
            return before.to_owned();
        }
        format!("{before}{}{after}", utf8_percent_encode(&value.to_string(), ESCAPED))
    }

    /// Returns the name of the parameter in the path; empty if it has none.
    #[must_use]
    pub fn path_parameter(&self) -> &'static str {
        self.parts().1
    }

    /// Returns the text in the place of the path's parameter, as it was sent; empty if the path is of another route.
    #[must_use]
    pub fn value_in<'p>(&self, raw_path: &'p str) -> &'p str {
        let (before, _, after) = self.parts();
        let rest = raw_path.split_once(before).map_or("", |(_, rest)| rest);
        rest.strip_suffix(after).unwrap_or(rest)
    }

    /// Returns the stage or base path that precedes the route in a path.
    #[must_use]
    pub fn base_of<'p>(&self, raw_path: &'p str) -> &'p str {
        raw_path.split_once(self.parts().0).map_or("", |(base, _)| base)
    }

    /// Returns the last segment of the path.
    pub(super) fn last_segment(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the path before its parameter, the parameter's name, and the path after it.
    fn parts(&self) -> (&'static str, &'static str, &'static str) {
        let (before, rest) = self.path.split_once('{').unwrap_or((self.path, ""));
        let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
        (before, name.trim_end_matches('+'), after)
    }
}

/// Returns whether a path fits a template.
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

/// Returns the methods of a path, each once, in alphabetical order.
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
    fn a_path_that_only_begins_like_a_route_has_no_methods() {
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

    #[test]
    fn each_operation_has_a_name_of_its_own() {
        for (at, route) in ROUTES.iter().enumerate() {
            assert!(ROUTES[..at].iter().all(|other| other.operation_id != route.operation_id), "{route:?}");
        }
    }

    #[test]
    fn a_path_is_filled_and_read_back() {
        assert_eq!(GET_SCAN.with(7), "/api/container/scans/7");
        assert_eq!(CONFIRM_SCAN.with(7), "/api/container/scans/7/confirm");
        assert_eq!(GET_UPLOAD.with("ci/a b%.json"), "/api/container/uploads/ci/a%20b%25.json");
        assert_eq!(LIST_SCANS.with(7), LIST_SCANS.path, "it has no parameter");
        for route in ROUTES.iter().filter(|route| !route.path_parameter().is_empty()) {
            let path = format!("/prod{}", route.with(7));
            assert!(route.has(&path), "{path}");
            assert_eq!((route.base_of(&path), route.value_in(&path)), ("/prod", "7"), "{path}");
        }
    }

    #[test]
    fn a_path_of_another_route_has_no_value() {
        assert_eq!((GET_FINDING.value_in("/api/health"), INGEST_SCAN.base_of("/api/health")), ("", ""));
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC*|(/api/container/scans/?){0,3}[a-z/{}+]*") {
            let _ = methods(&path);
        }
    }
}
