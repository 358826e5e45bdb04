//! Reads the scan, image or id that a path names. Image names may have slashes, colons, and any other character.

use std::fmt::Display;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::ApiError;
use super::routes::{self, Route};
use crate::domain::image_name::ImageName;
use crate::domain::upload::UploadId;
use crate::queries::scan_lookup::{ScanIdentifier, with_familiar_forms};

/// The resource that a path below that of [`routes::GET_SCAN`] names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A scan.
    Scan(ScanIdentifier),
    /// The findings of a scan.
    Findings(ScanIdentifier),
    /// The report of a scan.
    Report(ScanIdentifier),
}

/// Reads a path below that of [`routes::GET_SCAN`].
///
/// Its greedy route also takes the paths of findings and reports. So an image whose name ends in `/findings` or `/report`
/// can only be found by a scan id, or with `?image_name=` in the list of scans.
pub(super) fn scans(raw_path: &str) -> Result<Wanted, ApiError> {
    let rest = routes::GET_SCAN.value_in(raw_path);
    // An API gateway may decode an escaped slash, so it ends the name too.
    let name_before = |route: &Route| {
        let name = rest.strip_suffix(route.last_segment())?;
        ["/", "%2f", "%2F"].into_iter().find_map(|slash| name.strip_suffix(slash)).filter(|name| !name.is_empty())
    };
    match (name_before(&routes::LIST_FINDINGS), name_before(&routes::GET_REPORT)) {
        (Some(name), _) => Ok(Wanted::Findings(identifier(name)?)),
        (None, Some(name)) => Ok(Wanted::Report(identifier(name)?)),
        (None, None) => Ok(Wanted::Scan(identifier(rest)?)),
    }
}

/// Reads the parameter of a route's path.
pub(super) fn parsed<T: FromStr<Err: Display>>(route: &Route, raw_path: &str) -> Result<T, ApiError> {
    let name = route.path_parameter();
    decode(name, route.value_in(raw_path))?.parse().map_err(|error| ApiError::parameter(name, error))
}

/// Reads the ids that a path of [`routes::GET_UPLOAD`] may mean, in the order in which they are tried. There are two if it
/// has an escape: see [`identifier`].
pub(super) fn upload_ids(raw_path: &str) -> Result<Vec<UploadId>, ApiError> {
    let (name, raw) = (routes::GET_UPLOAD.path_parameter(), routes::GET_UPLOAD.value_in(raw_path));
    let decoded = decode(name, raw)?;
    // A path without an id.
    if decoded.starts_with('/') && decoded.trim_matches('/').is_empty() {
        return Err(ApiError::parameter(name, "is nothing but slashes"));
    }
    let mut ids = vec![decoded.parse::<UploadId>().map_err(|error| ApiError::parameter(name, error))?];
    if decoded != raw {
        ids.extend(raw.parse::<UploadId>().ok());
    }
    // Clients of S3 resolve these segments, and would read another object.
    ids.retain(|id| !id.as_str().split('/').any(|segment| matches!(segment, "." | "..")));
    Ok(ids)
}

/// Reads a scan id or the names that an image may have.
fn identifier(raw: &str) -> Result<ScanIdentifier, ApiError> {
    let name = routes::GET_SCAN.path_parameter();
    let decoded = decode(name, raw)?;
    if let Ok(scan) = decoded.parse() {
        return Ok(ScanIdentifier::Scan(scan));
    }
    let mut names = vec![decoded.parse::<ImageName>().map_err(|error| ApiError::parameter(name, error))?];
    // `cargo lambda watch` does not decode paths, API Gateway decodes them once. So an escape in a name is an encoding of
    // the first, and a part of the name for the second.
    if decoded != raw {
        names.extend(raw.parse::<ImageName>().ok());
    }
    Ok(ScanIdentifier::Image(with_familiar_forms(names)))
}

/// Decodes the text in the place of a path parameter.
fn decode(name: &str, raw: &str) -> Result<String, ApiError> {
    let not_utf8 = || ApiError::parameter(name, "its percent-encoded bytes are not UTF-8");
    let decoded = percent_decode_str(raw).decode_utf8().map_err(|_| not_utf8())?;
    // A gateway that decodes replaces such bytes with this character.
    if decoded.contains(char::REPLACEMENT_CHARACTER) { Err(not_utf8()) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::finding::FindingId;
    use crate::domain::scan::ScanId;

    fn image(names: &[&str]) -> ScanIdentifier {
        ScanIdentifier::Image(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn a_name_with_slashes_is_separate_from_its_findings() {
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
            let _ = parsed::<FindingId>(&routes::GET_FINDING, &path);
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
