//! What a JSON document is, if it is not a Trivy report.
//!
//! Recognised by the names of its top-level members only; the shapes are those listed in the docs
//! of the tools, and every one of them is in the corpus that the tests run over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;

const SEND_TRIVY: &str = "send the output of `trivy image --format json <image>`";
const SCAN_SBOM: &str = "scan it with `trivy sbom --format json <file>` and send what that prints";
const SCAN_IMAGES: &str = "scan each image with `trivy image --format json <image>` and send those reports";

/// Members that give a format away, its name, and what to send instead. The first match wins.
const OBJECTS: [(&[&str], &str, &str); 22] = [
    (&["bomFormat"], "a CycloneDX SBOM", SCAN_SBOM),
    (&["spdxVersion"], "an SPDX SBOM", SCAN_SBOM),
    (&["SPDXID"], "an SPDX SBOM", SCAN_SBOM),
    (&["@context", "@graph"], "an SPDX 3 SBOM", SCAN_SBOM),
    (&["runs"], "SARIF", SEND_TRIVY),
    (&["ClusterName"], "the output of `trivy k8s`", SCAN_IMAGES),
    (&["apiVersion", "kind"], "a Kubernetes object, such as a trivy-operator VulnerabilityReport", SCAN_IMAGES),
    (&["matches"], "a Grype report", SEND_TRIVY),
    (&["payloadType", "payload"], "a signed DSSE envelope (in-toto)", "send the Trivy report that is inside it"),
    (&["predicateType"], "an in-toto statement", "send the Trivy report that is inside it"),
    (&["detector", "manifests"], "a GitHub dependency snapshot", SEND_TRIVY),
    (&["Findings"], "AWS Security Hub findings (ASFF)", SEND_TRIVY),
    (&["scan", "vulnerabilities"], "a GitLab security report", SEND_TRIVY),
    (&["findings", "meta"], "a Dependency-Track finding export", SEND_TRIVY),
    (&["results", "experimental_config"], "an OSV-Scanner report", SEND_TRIVY),
    (&["scan_started"], "an Aqua scan result", SEND_TRIVY),
    (&["image_assurance_results"], "an Aqua scan result", SEND_TRIVY),
    (&["consoleURL"], "a Prisma Cloud (Twistlock) result", SEND_TRIVY),
    (&["manifest_hash"], "a Clair report", SEND_TRIVY),
    (&["LayerCount"], "a Clair report", SEND_TRIVY),
    (&["results"], "another scanner's report (OSV-Scanner, Twistlock …)", SEND_TRIVY),
    (&["vulnerabilities"], "another scanner's report", SEND_TRIVY),
];

/// A prefix of a member's name that gives Harbor away:
/// <https://github.com/goharbor/pluggable-scanner-spec>.
const HARBOR: &str = "application/vnd.security.vulnerability.report";

#[derive(Deserialize)]
struct Members<'a>(#[serde(borrow)] BTreeMap<std::borrow::Cow<'a, str>, &'a RawValue>);

/// Names the format of an object that is not a report.
pub(super) fn of_object(json: &str) -> Error {
    let not_trivy = |looks_like, advice| Error::NotTrivy { looks_like, advice };
    let Ok(Members(members)) = serde_json::from_str(json) else {
        return not_trivy("JSON of no known kind", SEND_TRIVY);
    };
    let found = OBJECTS.iter().find(|(names, ..)| names.iter().all(|name| members.contains_key(*name)));
    if let Some(&(_, looks_like, advice)) = found {
        return not_trivy(looks_like, advice);
    }
    if members.keys().any(|name| name.starts_with(HARBOR)) {
        return not_trivy("a Harbor scan result", SEND_TRIVY);
    }
    if let Some(version) = members.get("SchemaVersion") {
        return Error::SchemaVersion { found: version.get().chars().take(40).collect() };
    }
    if members.values().any(|value| is_kubernetes(value.get())) {
        return not_trivy("a collection of Kubernetes objects, such as trivy-operator reports", SCAN_IMAGES);
    }
    not_trivy("JSON of no known kind", SEND_TRIVY)
}

/// An object of trivy-operator's, or a list that begins with one: scripts around
/// `kubectl get … -o json` make dictionaries of both.
fn is_kubernetes(json: &str) -> bool {
    let first_of_list = || serde_json::from_str::<Vec<&RawValue>>(json).ok()?.first().map(|first| first.get());
    serde_json::from_str::<Members<'_>>(first_of_list().unwrap_or(json))
        .is_ok_and(|Members(inner)| inner.contains_key("apiVersion") || inner.contains_key("report"))
}

/// Names the format of an array that is not an old report.
pub(super) fn of_array(json: &str) -> Error {
    let not_trivy = |looks_like, advice| Error::NotTrivy { looks_like, advice };
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else {
        return not_trivy("JSON of no known kind", SEND_TRIVY);
    };
    let Some(first) = items.first() else {
        return not_trivy(
            "an empty array, which says nothing about any image",
            "scan with Trivy 0.20 or newer, whose reports name the image even if there is nothing to report",
        );
    };
    match serde_json::from_str::<Members<'_>>(first.get()) {
        Ok(Members(inner)) if inner.contains_key("check_name") => not_trivy("a GitLab code quality report", SEND_TRIVY),
        Ok(Members(inner)) if inner.contains_key("SchemaVersion") && inner.contains_key("ArtifactName") => {
            not_trivy("several Trivy reports in one array", "send them one by one")
        }
        Ok(_) => match of_object(first.get()) {
            Error::NotTrivy { looks_like, advice } if looks_like != "JSON of no known kind" => {
                not_trivy(looks_like, advice)
            }
            _ => not_trivy("an array of objects without a Target", SEND_TRIVY),
        },
        Err(_) => not_trivy("an array of other values than results", SEND_TRIVY),
    }
}
