//! What a path asks for: image names hold slashes, colons, and anything else.

use percent_encoding::percent_decode_str;

use super::ApiError;
use crate::domain::image_name::ImageName;
use crate::domain::scan::ScanId;

/// Names a scan, or an image with scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identifier {
    /// The scan with this number.
    Scan(ScanId),
    /// The newest scan of the image: of the first of these names that has one.
    Image(Vec<ImageName>),
}

/// What is asked for under `/api/container/scans/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `…/scans/{artifactname}`
    Scan(Identifier),
    /// `…/scans/{identifier}/findings`
    Findings(Identifier),
}

const SCANS: &str = "/api/container/scans/";
const FINDINGS: &str = "/api/container/findings/";
const ANALYZED_FINDING: &str = "/api/llm/analyze/container/";
const ANALYZED_SCAN: &str = "/api/llm/analyze/container/scans/";
const FINDINGS_OF: &str = "/findings";

/// Reads the path below `/api/container/scans/`.
///
/// A greedy route brings both forms here, so a name that ends in `/findings` can only be asked for
/// by its scan id or with `?image_name=` on the list of scans.
pub(super) fn scans(raw_path: &str) -> Result<Wanted, ApiError> {
    let rest = below(raw_path, SCANS);
    // `%2Ffindings` ends in the same way once an API gateway has decoded it.
    let encoded_suffix = ["%2ffindings", "%2Ffindings"].into_iter().find_map(|suffix| rest.strip_suffix(suffix));
    match rest.strip_suffix(FINDINGS_OF).or(encoded_suffix) {
        Some(name) if !name.is_empty() => Ok(Wanted::Findings(identifier(name)?)),
        _ => Ok(Wanted::Scan(identifier(rest)?)),
    }
}

/// The text in the place of `{finding_id}`.
pub(super) fn finding_id(raw_path: &str) -> Result<String, ApiError> {
    decode("finding_id", below(raw_path, FINDINGS))
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

fn identifier(raw: &str) -> Result<Identifier, ApiError> {
    const NAME: &str = "artifactname";
    let decoded = decode(NAME, raw)?;
    if let Ok(scan) = decoded.parse() {
        return Ok(Identifier::Scan(scan));
    }
    let mut names = vec![decoded.parse::<ImageName>().map_err(|error| ApiError::parameter(NAME, error))?];
    // `cargo lambda watch` decodes nothing and API Gateway everything, so a name that still has an
    // escape in it may be either: once decoded it is right under the first, as it is under the second.
    if decoded != raw {
        names.extend(raw.parse::<ImageName>().ok());
    }
    Ok(Identifier::Image(names))
}

fn decode(name: &str, raw: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(raw).decode_utf8();
    decoded.map(Into::into).map_err(|_| ApiError::parameter(name, "its percent-encoded bytes are not UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(names: &[&str]) -> Identifier {
        Identifier::Image(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn a_name_with_slashes_is_told_from_its_findings() {
        let name = "ghcr.io/org/app:1.0@sha256:00";
        for prefix in ["", "/prod", "/_aws/execute-api/abc/$default"] {
            let path = format!("{prefix}/api/container/scans/{name}");
            assert_eq!(scans(&path).unwrap(), Wanted::Scan(image(&[name])));
            assert_eq!(scans(&format!("{path}/findings")).unwrap(), Wanted::Findings(image(&[name])));
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
    fn a_number_is_a_scan_id() {
        let scan = ScanId::new(7).unwrap();
        assert_eq!(scans("/api/container/scans/7").unwrap(), Wanted::Scan(Identifier::Scan(scan)));
        assert_eq!(scans("/api/container/scans/7/findings").unwrap(), Wanted::Findings(Identifier::Scan(scan)));
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
            ("%C3%BC", &["ü", "%C3%BC"]),
        ] {
            assert_eq!(scans(&format!("/api/container/scans/{raw}")).unwrap(), Wanted::Scan(image(names)), "{raw}");
        }
    }

    #[test]
    fn an_empty_unprintable_or_broken_name_is_refused() {
        for raw in ["", "%20", "%0A", "a%00b", "%FF", &"x".repeat(1025)] {
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
            prop_assume!(name.parse::<ImageName>().is_ok() && name.parse::<ScanId>().is_err());
            let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assume!(!encoded.to_lowercase().ends_with("%2ffindings"));
            let Wanted::Scan(Identifier::Image(names)) = scans(&format!("/api/container/scans/{encoded}")).unwrap() else { panic!() };
            prop_assert_eq!(names[0].as_str(), name);
        }
    }
}
