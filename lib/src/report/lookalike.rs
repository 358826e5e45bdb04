//! What a JSON document is, if it is not a Trivy report.
//!
//! Recognised by the names of its top-level members only; the shapes are those listed in the docs
//! of the tools, and every one of them is in the corpus that the tests run over. Of an array the first element is
//! looked at, and nothing is kept of the others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Error;
use super::finding::{Text, not_a_text};

const SEND_TRIVY: &str = "send the output of `trivy image --format json <image>`";
const SCAN_SBOM: &str = "scan it with `trivy sbom --format json <file>` and send what that prints";
const SCAN_IMAGES: &str = "scan each image with `trivy image --format json <image>` and send those reports";
const SEND_EACH: &str = "send each by itself";

/// Members that give a format away, its name, and what to send instead. The first match wins.
const OBJECTS: [(&[&str], &str, &str); 36] = [
    (&["bomFormat"], "a CycloneDX SBOM", SCAN_SBOM),
    (&["spdxVersion"], "an SPDX SBOM", SCAN_SBOM),
    (&["SPDXID"], "an SPDX SBOM", SCAN_SBOM),
    (&["@context", "@graph"], "an SPDX 3 SBOM", SCAN_SBOM),
    (&["artifacts", "artifactRelationships"], "a Syft SBOM", SCAN_SBOM),
    (&["runs"], "SARIF", SEND_TRIVY),
    (&["ClusterName"], "the output of `trivy k8s`", SCAN_IMAGES),
    (&["apiVersion", "kind"], "a Kubernetes object, such as a trivy-operator VulnerabilityReport", SCAN_IMAGES),
    (
        &["ID", "Title", "Results"],
        "a compliance report of Trivy (--compliance … --report all)",
        "leave --compliance out: send the output of `trivy image --format json <image>`",
    ),
    (
        &["SummaryControls"],
        "a compliance report of Trivy (--compliance … --report summary)",
        "leave --compliance out: send the output of `trivy image --format json <image>`",
    ),
    (
        &["invocation", "scanner"],
        "a cosign vulnerability record (trivy --format cosign-vuln)",
        "send the report that is inside it, under scanner.result, or the output of `trivy image --format json <image>`",
    ),
    (&["matches"], "a Grype report", SEND_TRIVY),
    (&["payloadType", "payload"], "a signed DSSE envelope (in-toto)", "send the Trivy report that is inside it"),
    (&["predicateType"], "an in-toto statement", "send the Trivy report that is inside it"),
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

/// A prefix of a member's name that gives Harbor away:
/// <https://github.com/goharbor/pluggable-scanner-spec>.
const HARBOR: &str = "application/vnd.security.vulnerability.report";

const UNKNOWN: &str = "JSON of no known kind";

/// The canonical text that is looked at has no object of more members than are read of one.
#[derive(Deserialize)]
struct Members<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Members<'a> {
    fn of(json: &'a str) -> Option<Self> {
        json.starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
    }

    fn known(&self) -> Option<Error> {
        let has_all = |names: &[&str]| names.iter().all(|name| self.0.contains_key(*name));
        if let Some(&(_, looks_like, advice)) = OBJECTS.iter().find(|(names, ..)| has_all(names)) {
            return Some(Error::NotTrivy { looks_like, advice });
        }
        let is_harbor = self.0.keys().any(|name| name.starts_with(HARBOR));
        is_harbor.then_some(Error::NotTrivy { looks_like: "a Harbor scan result", advice: SEND_TRIVY })
    }
}

/// Names the format of an object, if another tool or another command of Trivy's writes it.
pub(super) fn known(json: &str) -> Option<Error> {
    Members::of(json)?.known()
}

/// Names the format of an object that is not a report.
pub(super) fn of_object(json: &str) -> Error {
    let not_trivy = |looks_like, advice| Error::NotTrivy { looks_like, advice };
    let Some(members) = Members::of(json) else { return not_trivy(UNKNOWN, SEND_TRIVY) };
    if let Some(known) = members.known() {
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

/// An object of trivy-operator's, or a list that begins with one: scripts around
/// `kubectl get … -o json` make dictionaries of both.
fn is_kubernetes(json: &str) -> bool {
    let object = if json.starts_with('[') { first_of(json) } else { Some(json) };
    object
        .and_then(Members::of)
        .is_some_and(|Members(inner)| inner.contains_key("apiVersion") || inner.contains_key("report"))
}

/// Names the format of an array that is not an old report.
pub(super) fn of_array(json: &str) -> Error {
    let not_trivy = |looks_like, advice| Error::NotTrivy { looks_like, advice };
    let Some(first) = first_of(json) else {
        return not_trivy(
            "an empty array, which says nothing about any image",
            "scan with Trivy 0.20 or newer, whose reports name the image even if there is nothing to report",
        );
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
    match of_object(first) {
        Error::NotTrivy { looks_like, advice } if looks_like != UNKNOWN => not_trivy(looks_like, advice),
        _ => not_trivy("an array of objects without a Target", SEND_TRIVY),
    }
}

/// The refusal of an array in which there is more than one report.
pub(super) const fn several_reports() -> Error {
    Error::NotTrivy { looks_like: "an array of Trivy reports, each of which is of another image", advice: SEND_EACH }
}

/// Whether an array is a report of Trivy up to v0.19: objects that each have a Target.
pub(super) fn is_old_report(json: &str) -> bool {
    json.starts_with('[') && serde_json::from_str::<OldReport>(json).is_ok_and(|OldReport { is_empty }| !is_empty)
}

struct OldReport {
    is_empty: bool,
}

impl<'de> Deserialize<'de> for OldReport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OldReportVisitor;

        impl<'de> Visitor<'de> for OldReportVisitor {
            type Value = OldReport;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of results")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OldReport, A::Error> {
                let mut is_empty = true;
                while items.next_element::<Targeted>()?.is_some() {
                    is_empty = false;
                }
                Ok(OldReport { is_empty })
            }
        }

        deserializer.deserialize_seq(OldReportVisitor)
    }
}

/// An object that has a Target.
struct Targeted;

impl<'de> Deserialize<'de> for Targeted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TargetedVisitor;

        impl<'de> Visitor<'de> for TargetedVisitor {
            type Value = Targeted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a Target")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Targeted, E> {
                Err(not_a_text(text, &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Targeted, A::Error> {
                let mut has_target = false;
                while let Some((Text(name), IgnoredAny)) = members.next_entry::<Text<'de>, _>()? {
                    has_target |= name == "Target";
                }
                if has_target { Ok(Targeted) } else { Err(A::Error::missing_field("Target")) }
            }
        }

        deserializer.deserialize_any(TargetedVisitor)
    }
}

/// The first element of an array; nothing is kept of the others.
fn first_of(json: &str) -> Option<&str> {
    struct First<'a>(Option<&'a RawValue>);

    impl<'de> Deserialize<'de> for First<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct FirstVisitor;

            impl<'de> Visitor<'de> for FirstVisitor {
                type Value = First<'de>;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an array")
                }

                fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<First<'de>, A::Error> {
                    let first = items.next_element()?;
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    Ok(First(first))
                }
            }

            deserializer.deserialize_seq(FirstVisitor)
        }
    }

    serde_json::from_str::<First<'_>>(json).ok()?.0.map(RawValue::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> String {
        if json.starts_with('[') { of_array(json).to_string() } else { of_object(json).to_string() }
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
