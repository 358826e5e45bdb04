//! Recognises JSON of other tools and of Trivy's other formats, by the names of its top-level members.
//!
//! The names are from the tools' documentation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Error;

const SEND_TRIVY: &str = "send the output of `trivy image --format json <image>`";
const SCAN_SBOM: &str = "scan it with `trivy sbom --format json <file>` and send what that prints";
const SCAN_IMAGES: &str = "scan each image with `trivy image --format json <image>` and send those reports";
const SEND_EACH: &str = "send each by itself";
const SEND_INNER: &str = "send the Trivy report that is inside it";
const SEND_RESULT: &str =
    "send the report that is inside it, under scanner.result, or the output of `trivy image --format json <image>`";
const NEWER: &str = "scan with Trivy 0.20 or newer, whose reports name the image even if there is nothing to report";
const NO_COMPLIANCE: &str = "leave --compliance out: send the output of `trivy image --format json <image>`";

/// The members, name and advice of each format. The first match wins.
const OBJECTS: [(&[&str], &str, &str); 36] = [
    (&["bomFormat"], "a CycloneDX SBOM", SCAN_SBOM),
    (&["spdxVersion"], "an SPDX SBOM", SCAN_SBOM),
    (&["SPDXID"], "an SPDX SBOM", SCAN_SBOM),
    (&["@context", "@graph"], "an SPDX 3 SBOM", SCAN_SBOM),
    (&["artifacts", "artifactRelationships"], "a Syft SBOM", SCAN_SBOM),
    (&["runs"], "SARIF", SEND_TRIVY),
    (&["ClusterName"], "the output of `trivy k8s`", SCAN_IMAGES),
    (&["apiVersion", "kind"], "a Kubernetes object, such as a trivy-operator VulnerabilityReport", SCAN_IMAGES),
    (&["ID", "Title", "Results"], "a compliance report of Trivy (--compliance … --report all)", NO_COMPLIANCE),
    (&["SummaryControls"], "a compliance report of Trivy (--compliance … --report summary)", NO_COMPLIANCE),
    (&["invocation", "scanner"], "a cosign vulnerability record (trivy --format cosign-vuln)", SEND_RESULT),
    (&["matches"], "a Grype report", SEND_TRIVY),
    (&["payloadType", "payload"], "a signed DSSE envelope (in-toto)", SEND_INNER),
    (&["predicateType"], "an in-toto statement", SEND_INNER),
    (&["detector", "manifests"], "a GitHub dependency snapshot", SEND_TRIVY),
    (&["Findings"], "AWS Security Hub findings (ASFF)", SEND_TRIVY),
    (&["imageScanFindings"], "findings of an Amazon ECR scan", SEND_TRIVY),
    (&["scan", "vulnerabilities"], "a GitLab security report", SEND_TRIVY),
    (&["findings", "meta"], "a Dependency-Track finding export", SEND_TRIVY),
    (&["results", "experimental_config"], "an OSV-Scanner report", SEND_TRIVY),
    (&["scan_started"], "an Aqua scan result", SEND_TRIVY),
    (&["image_assurance_results"], "an Aqua scan result", SEND_TRIVY),
    (&["consoleURL"], "a Prisma Cloud (Twistlock) result", SEND_TRIVY),
    (&["manifest_hash"], "a Clair report", SEND_TRIVY),
    (&["LayerCount"], "a Clair report", SEND_TRIVY),
    (&["@context", "statements"], "an OpenVEX document", SEND_TRIVY),
    (&["document", "product_tree"], "a CSAF advisory", SEND_TRIVY),
    (&["auditReportVersion"], "the output of `npm audit`", SEND_TRIVY),
    (&["vulnerabilities", "dependencyCount"], "a Snyk report", SEND_TRIVY),
    (&["Version", "VulnerabilityDB"], "the output of `trivy version --format json`", SEND_TRIVY),
    (&["schemaVersion", "mediaType"], "an image manifest or index", SCAN_IMAGES),
    (&["schemaVersion", "manifests"], "an image index", SCAN_IMAGES),
    (&["schemaVersion", "layers"], "an image manifest", SCAN_IMAGES),
    (&["RepoTags", "RootFS"], "what `docker inspect` prints", SCAN_IMAGES),
    (&["results"], "another scanner's report (OSV-Scanner, Twistlock …)", SEND_TRIVY),
    (&["vulnerabilities"], "another scanner's report", SEND_TRIVY),
];

/// The beginning of a member's name in Harbor's results:
/// <https://github.com/goharbor/pluggable-scanner-spec>.
const HARBOR: &str = "application/vnd.security.vulnerability.report";

const UNKNOWN: &str = "JSON of no known kind";

/// The members of an object of canonical text, which limits their number.
#[derive(Deserialize)]
struct Members<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Members<'a> {
    fn of(json: &'a str) -> Option<Self> {
        json.starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
    }

    fn format(&self) -> Option<Error> {
        let has_all = |names: &[&str]| names.iter().all(|name| self.0.contains_key(*name));
        if let Some(&(_, looks_like, advice)) = OBJECTS.iter().find(|(names, ..)| has_all(names)) {
            return Some(not_trivy(looks_like, advice));
        }
        let is_harbor = self.0.keys().any(|name| name.starts_with(HARBOR));
        is_harbor.then_some(not_trivy("a Harbor scan result", SEND_TRIVY))
    }
}

const fn not_trivy(looks_like: &'static str, advice: &'static str) -> Error {
    Error::NotTrivy { looks_like, advice }
}

/// Returns the error for an object of a known format of another tool.
pub(super) fn known_format(json: &str) -> Option<Error> {
    Members::of(json)?.format()
}

/// Returns the error for an object that is not a report.
pub(super) fn reject_object(json: &str) -> Error {
    let Some(members) = Members::of(json) else { return not_trivy(UNKNOWN, SEND_TRIVY) };
    if let Some(known) = members.format() {
        return known;
    }
    if let Some(version) = members.0.get("SchemaVersion") {
        return Error::SchemaVersion { found: version.get().chars().take(40).collect() };
    }
    if members.0.values().any(|value| is_kubernetes(value.get())) {
        return not_trivy("a collection of Kubernetes objects, such as trivy-operator reports", SCAN_IMAGES);
    }
    if ["Target", "Vulnerabilities"].iter().all(|name| members.0.contains_key(*name)) {
        return not_trivy("one result out of a report", SEND_TRIVY);
    }
    not_trivy(UNKNOWN, SEND_TRIVY)
}

/// Recognises an object of trivy-operator, or a list that begins with one.
fn is_kubernetes(json: &str) -> bool {
    let object = if json.starts_with('[') { first_element(json) } else { Some(json) };
    object
        .and_then(Members::of)
        .is_some_and(|Members(inner)| inner.contains_key("apiVersion") || inner.contains_key("report"))
}

/// Returns the error for an array that is not an old report.
pub(super) fn reject_array(json: &str) -> Error {
    let Some(first) = first_element(json) else {
        return not_trivy("an empty array, which says nothing about any image", NEWER);
    };
    if is_old_report(first) {
        return several_reports();
    }
    let Some(members) = Members::of(first) else {
        return not_trivy("an array of other values than results", SEND_TRIVY);
    };
    let has = |name| members.0.contains_key(name);
    if has("check_name") {
        return not_trivy("a GitLab code quality report", SEND_TRIVY);
    }
    if has("SchemaVersion") && (has("ArtifactName") || has("ArtifactType") || has("Results")) {
        return several_reports();
    }
    if has("Target") {
        return not_trivy("an array of results of which some are no objects with a Target", SEND_TRIVY);
    }
    match reject_object(first) {
        Error::NotTrivy { looks_like, advice } if looks_like != UNKNOWN => not_trivy(looks_like, advice),
        _ => not_trivy("an array of objects without a Target", SEND_TRIVY),
    }
}

/// Returns the error for an array of several reports.
pub(super) const fn several_reports() -> Error {
    not_trivy("an array of Trivy reports, each of which is of another image", SEND_EACH)
}

/// Recognises a report of Trivy up to v0.19: an array of objects with a Target.
pub(super) fn is_old_report(json: &str) -> bool {
    let (mut count, mut all_have_target) = (0, true);
    let is_array = json.starts_with('[')
        && for_each_element(json, |element| {
            count += 1;
            all_have_target &= Members::of(element).is_some_and(|members| members.0.contains_key("Target"));
        });
    is_array && count > 0 && all_have_target
}

fn first_element(json: &str) -> Option<&str> {
    let mut first = None;
    for_each_element(json, |element| first = first.or(Some(element))).then_some(first)?
}

/// Calls `look` with each element of an array; returns false for any other text.
fn for_each_element<'a>(json: &'a str, look: impl FnMut(&'a str)) -> bool {
    struct Elements<F>(F);

    impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(element) = items.next_element::<&RawValue>()? {
                (self.0)(element.get());
            }
            Ok(())
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_seq(Elements(look)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> String {
        if json.starts_with('[') { reject_array(json).to_string() } else { reject_object(json).to_string() }
    }

    #[test]
    fn each_format_is_named_with_what_to_send_instead() {
        for (json, name, instead) in [
            (r#"{"ID":"docker-cis-1.6.0","Title":"CIS","Results":[]}"#, "compliance", "leave --compliance out"),
            (r#"{"ID":"x","Title":"CIS","SummaryControls":[]}"#, "compliance", "leave --compliance out"),
            (r#"{"invocation":{},"metadata":{},"scanner":{"result":{}}}"#, "cosign", "scanner.result"),
            (r#"{"$schema":"x","runs":[],"version":"2.1.0"}"#, "SARIF", "trivy image"),
            (r#"{"bomFormat":"CycloneDX"}"#, "CycloneDX", "trivy sbom"),
            (r#"{"SPDXID":"SPDXRef-DOCUMENT"}"#, "SPDX", "trivy sbom"),
            (r#"{"matches":[],"source":{}}"#, "Grype", "trivy image"),
            (r#"{"Target":"a","Vulnerabilities":[]}"#, "one result", "trivy image"),
            (r#"{"a":[{"apiVersion":"v1"}]}"#, "Kubernetes", "each image"),
            (r#"[{"SchemaVersion":2,"ArtifactName":"a"},{"SchemaVersion":2}]"#, "array of Trivy reports", "by itself"),
            (r#"[[{"Target":"a"}],[{"Target":"b"}]]"#, "array of Trivy reports", "by itself"),
            (r#"[{"Target":"a"},7]"#, "some are no objects", "trivy image"),
            (r#"[{"Id":"sha256:1","RepoTags":[],"RootFS":{}}]"#, "docker inspect", "each image"),
            (r#"[0,0]"#, "other values", "trivy image"),
            (r#"[]"#, "empty array", "0.20"),
            (r#"{"a":1}"#, "no known kind", "trivy image"),
        ] {
            let said = said(json);
            assert!(said.contains(name) && said.contains(instead), "{json}: {said}");
        }
        assert!(said(r#"{"SchemaVersion":3}"#).contains("SchemaVersion 3 is not known"));
    }
}
