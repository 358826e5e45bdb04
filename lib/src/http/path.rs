//! What a path asks for: image names hold slashes, colons, and anything else.

use percent_encoding::percent_decode_str;

use super::ApiError;
use crate::domain::image_name::ImageName;
use crate::domain::upload::UploadId;
use crate::queries::scan_lookup::{ScanIdentifier, with_familiar_forms};

/// What is asked for under `/api/container/scans/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `…/scans/{artifactname}`
    Scan(ScanIdentifier),
    /// `…/scans/{identifier}/findings`
    Findings(ScanIdentifier),
    /// `…/scans/{identifier}/report`
    Report(ScanIdentifier),
}

const SCANS: &str = "/api/container/scans/";
const FINDINGS: &str = "/api/container/findings/";
const CVES: &str = "/api/container/cves/";
const ANALYZED_FINDING: &str = "/api/llm/analyze/container/";
const ANALYZED_SCAN: &str = "/api/llm/analyze/container/scans/";
const UPLOADS: &str = "/api/container/uploads/";

/// Reads the path below `/api/container/scans/`.
///
/// A greedy route brings all forms here, so a name that ends in `/findings` or `/report` can only be
/// asked for by its scan id or with `?image_name=` on the list of scans.
pub(super) fn scans(raw_path: &str) -> Result<Wanted, ApiError> {
    let rest = below(raw_path, SCANS);
    // An escaped slash ends the name in the same way once an API gateway has decoded it.
    let name_before = |last: &str| {
        let name = rest.strip_suffix(last)?;
        ["/", "%2f", "%2F"].into_iter().find_map(|slash| name.strip_suffix(slash)).filter(|name| !name.is_empty())
    };
    match (name_before("findings"), name_before("report")) {
        (Some(name), _) => Ok(Wanted::Findings(identifier(name)?)),
        (None, Some(name)) => Ok(Wanted::Report(identifier(name)?)),
        (None, None) => Ok(Wanted::Scan(identifier(rest)?)),
    }
}

/// The number in the place of `{scan_id}` before `/confirm`.
pub(super) fn confirmed_scan_id(raw_path: &str) -> Result<String, ApiError> {
    let rest = below(raw_path, SCANS);
    decode("scan_id", rest.strip_suffix("/confirm").unwrap_or(rest))
}

/// What may be meant in the place of `{upload_id}`: the same doubt as with image names.
pub(super) fn upload_ids(raw_path: &str) -> Result<Vec<UploadId>, ApiError> {
    const NAME: &str = "upload_id";
    let raw = below(raw_path, UPLOADS);
    let decoded = decode(NAME, raw)?;
    // Nobody uploads under such a name: it is what is left of a path without one.
    if decoded.starts_with('/') && decoded.trim_matches('/').is_empty() {
        return Err(ApiError::parameter(NAME, "is nothing but slashes"));
    }
    let mut ids = vec![decoded.parse::<UploadId>().map_err(|error| ApiError::parameter(NAME, error))?];
    if decoded != raw {
        ids.extend(raw.parse::<UploadId>().ok());
    }
    // Clients of S3 take these for steps along the path, and would ask for another object.
    ids.retain(|id| !id.as_str().split('/').any(|segment| matches!(segment, "." | "..")));
    Ok(ids)
}

/// The text in the place of `{finding_id}`.
pub(super) fn finding_id(raw_path: &str) -> Result<String, ApiError> {
    decode("finding_id", below(raw_path, FINDINGS))
}

/// The text in the place of `{cve_id}`.
pub(super) fn cve_id(raw_path: &str) -> Result<String, ApiError> {
    decode("cve_id", below(raw_path, CVES))
}

/// The text in the place of `{finding_id}`, where a finding is analysed.
pub(super) fn analyzed_finding_id(raw_path: &str) -> Result<String, ApiError> {
    decode("finding_id", below(raw_path, ANALYZED_FINDING))
}

/// The text in the place of `{scan_id}`, where a scan is analysed.
pub(super) fn analyzed_scan_id(raw_path: &str) -> Result<String, ApiError> {
    decode("scan_id", below(raw_path, ANALYZED_SCAN))
}

/// The rest of the path after `prefix`, which a stage or a base path may precede.
fn below<'p>(raw_path: &'p str, prefix: &str) -> &'p str {
    raw_path.split_once(prefix).map_or("", |(_, rest)| rest)
}

fn identifier(raw: &str) -> Result<ScanIdentifier, ApiError> {
    const NAME: &str = "artifactname";
    let decoded = decode(NAME, raw)?;
    if let Ok(scan) = decoded.parse() {
        return Ok(ScanIdentifier::Scan(scan));
    }
    let mut names = vec![decoded.parse::<ImageName>().map_err(|error| ApiError::parameter(NAME, error))?];
    // `cargo lambda watch` decodes nothing and API Gateway everything, so a name that still has an
    // escape in it may be either: once decoded it is right under the first, as it is under the second.
    if decoded != raw {
        names.extend(raw.parse::<ImageName>().ok());
    }
    Ok(ScanIdentifier::Image(with_familiar_forms(names)))
}

fn decode(name: &str, raw: &str) -> Result<String, ApiError> {
    let not_utf8 = || ApiError::parameter(name, "its percent-encoded bytes are not UTF-8");
    let decoded = percent_decode_str(raw).decode_utf8().map_err(|_| not_utf8())?;
    // What a gateway that decodes puts in the place of such bytes.
    if decoded.contains(char::REPLACEMENT_CHARACTER) { Err(not_utf8()) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::scan::ScanId;

    fn image(names: &[&str]) -> ScanIdentifier {
        ScanIdentifier::Image(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn a_name_with_slashes_is_told_from_its_findings() {
        let name = "ghcr.io/org/app:1.0@sha256:00";
        for prefix in ["", "/prod", "/_aws/execute-api/abc/$default"] {
            let path = format!("{prefix}/api/container/scans/{name}");
            assert_eq!(scans(&path).unwrap(), Wanted::Scan(image(&[name])));
            assert_eq!(scans(&format!("{path}/findings")).unwrap(), Wanted::Findings(image(&[name])));
            assert_eq!(scans(&format!("{path}/report")).unwrap(), Wanted::Report(image(&[name])));
        }
    }

    #[test]
    fn encoded_and_raw_slashes_mean_the_same() {
        let encoded = "ghcr.io%2Forg%2Fapp%3A1.0";
        let expected = image(&["ghcr.io/org/app:1.0", encoded]);
        let path = format!("/api/container/scans/{encoded}");
        assert_eq!(scans(&path).unwrap(), Wanted::Scan(expected.clone()));
        assert_eq!(scans(&format!("{path}/findings")).unwrap(), Wanted::Findings(expected.clone()));
        assert_eq!(scans(&format!("{path}%2Ffindings")).unwrap(), Wanted::Findings(expected));
    }

    #[test]
    fn an_upload_is_named_by_its_key_encoded_or_not() {
        let ids = |path: &str| upload_ids(path).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ids("/prod/api/container/uploads/ci/7/a.json"), ["ci/7/a.json"]);
        assert_eq!(ids("/api/container/uploads/ci%2Fa%20b.json"), ["ci/a b.json", "ci%2Fa%20b.json"]);
        for wrong in ["", "%00", "%FF", "\u{fffd}", "/", "%2F", "%2F/"] {
            assert!(upload_ids(&format!("/api/container/uploads/{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_a_scan_id() {
        let scan = ScanId::new(7).unwrap();
        assert_eq!(scans("/api/container/scans/7").unwrap(), Wanted::Scan(ScanIdentifier::Scan(scan)));
        assert_eq!(scans("/api/container/scans/7/findings").unwrap(), Wanted::Findings(ScanIdentifier::Scan(scan)));
        assert_eq!(scans("/api/container/scans/07").unwrap(), Wanted::Scan(image(&["07"])));
    }

    #[test]
    fn odd_names_are_decoded_exactly_once() {
        for (raw, names) in [
            ("100%", &["100%"][..]),
            ("100%25", &["100%", "100%25"]),
            ("50%2525", &["50%25", "50%2525"]),
            ("a?b", &["a?b"]),
            ("a%3Fb", &["a?b", "a%3Fb"]),
            ("my app.tar", &["my app.tar"]),
            ("a+b", &["a+b"]),
            ("../../admin", &["../../admin"]),
            ("findings", &["findings"]),
            ("report", &["report"]),
            ("org/myreport", &["org/myreport"]),
            ("%C3%BC", &["ü", "%C3%BC"]),
        ] {
            assert_eq!(scans(&format!("/api/container/scans/{raw}")).unwrap(), Wanted::Scan(image(names)), "{raw}");
        }
    }

    #[test]
    fn an_empty_unprintable_or_broken_name_is_refused() {
        for raw in ["", "%20", "%0A", "a%00b", "%FF", "a\u{fffd}", "%EF%BF%BD", &"x".repeat(1025)] {
            assert!(scans(&format!("/api/container/scans/{raw}")).is_err(), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC*|/api/container/(scans|findings)/\\PC*") {
            let _ = scans(&path);
            let _ = finding_id(&path);
        }

        #[test]
        fn any_name_is_found_again_once_encoded(name in "\\PC{1,40}") {
            prop_assume!(!name.contains(char::REPLACEMENT_CHARACTER) && name.parse::<ImageName>().is_ok() && name.parse::<ScanId>().is_err());
            let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assume!(!name.ends_with("/findings") && !name.ends_with("/report"));
            let Wanted::Scan(ScanIdentifier::Image(names)) = scans(&format!("/api/container/scans/{encoded}")).unwrap() else { panic!() };
            prop_assert_eq!(names[0].as_str(), name);
        }
    }
}
