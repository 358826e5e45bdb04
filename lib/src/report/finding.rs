//! One vulnerability of a report, read from its canonical text.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::reader::Reader;
use super::reason;
use crate::domain::remediation::has_fix;
use crate::domain::severity::Severity;

/// A vulnerability object of a report.
#[derive(Debug)]
pub struct Finding<'c> {
    /// The index of its place in the report's [`Scanned`](super::Scanned).
    pub scanned: usize,
    /// Trivy's severity.
    pub severity: Severity,
    /// `CVE-…`, `GHSA-…`, …
    pub vulnerability_id: Option<Cow<'c, str>>,
    /// The package name.
    pub pkg_name: Option<Cow<'c, str>>,
    /// The installed version.
    pub installed_version: Option<Cow<'c, str>>,
    /// The package's file.
    pub pkg_path: Option<Cow<'c, str>>,
    /// Whether the report has a fixed version.
    pub fixable: bool,
    /// The other members as canonical JSON: those before, between and after `PkgName` and `VulnerabilityID`.
    rest: [&'c str; 3],
}

impl Finding<'_> {
    /// Writes the object's members but for `VulnerabilityID` and `PkgName`, as a canonical JSON object.
    pub fn write_rest(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, members) in self.rest().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(members.as_bytes());
        }
        out.push(b'}');
    }

    fn rest(&self) -> impl Iterator<Item = &str> {
        self.rest.into_iter().filter(|members| !members.is_empty())
    }

    fn cmp_rest(&self, other: &Finding<'_>) -> Ordering {
        if self.rest == other.rest {
            return Ordering::Equal;
        }
        fn bytes<'f>(finding: &'f Finding<'_>) -> impl Iterator<Item = u8> + use<'f> {
            finding.rest().flat_map(|members| members.bytes().chain([b',']))
        }
        bytes(self).cmp(bytes(other))
    }

    /// Tells whether two findings of a scan have the same content.
    pub(super) fn is_repeat_of(&self, other: &Finding<'_>) -> bool {
        self.vulnerability_id == other.vulnerability_id
            && self.pkg_name == other.pkg_name
            && self.scanned == other.scanned
            && self.cmp_rest(other) == Ordering::Equal
    }

    /// Compares by the ordinal (severity, vulnerability id, package), then by all other content, so that equal reports
    /// give equal ordinals.
    pub(super) fn cmp_ordinal(&self, other: &Finding<'_>) -> Ordering {
        Reverse(self.severity)
            .cmp(&Reverse(other.severity))
            .then_with(|| self.vulnerability_id.cmp(&other.vulnerability_id))
            .then_with(|| self.pkg_name.cmp(&other.pkg_name))
            .then_with(|| self.scanned.cmp(&other.scanned))
            .then_with(|| self.installed_version.cmp(&other.installed_version))
            .then_with(|| self.pkg_path.cmp(&other.pkg_path))
            .then_with(|| self.cmp_rest(other))
    }
}

/// The largest vulnerability object, in bytes of canonical JSON: the largest known has 25,669, and a DynamoDB item must
/// stay below 400 KB even if the bytes do not compress.
const MAX_FINDING_BYTES: usize = 256 << 10;

/// The longest `VulnerabilityID` or `PkgName`, in bytes; the longest known have 24 and 50.
const MAX_NAME_BYTES: usize = 2 << 10;

/// Reads a vulnerability, which is part of this canonical text.
pub(super) struct FindingIn<'c>(pub(super) &'c str);

impl<'c> Reader<'c> for FindingIn<'c> {
    type Value = Finding<'c>;

    const EXPECTED: &'static str = "a vulnerability object";

    fn object<A: MapAccess<'c>>(self, mut members: A) -> Result<Finding<'c>, A::Error> {
        let Self(text) = self;
        let mut finding = Finding {
            scanned: 0,
            severity: Severity::Unknown,
            vulnerability_id: None,
            pkg_name: None,
            installed_version: None,
            pkg_path: None,
            fixable: false,
            rest: [""; 3],
        };
        // Members follow each other, with a comma between them.
        let (mut run, mut start) = (0, None);
        while let Some(Text(name)) = members.next_key()? {
            let RawText { raw, text: value } = match &*name {
                "VulnerabilityID" | "PkgName" | "InstalledVersion" | "PkgPath" | "Severity" | "FixedVersion" => {
                    members.next_value::<RawText<'c>>()?
                }
                _ => RawText { raw: members.next_value()?, text: None },
            };
            let place = raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
            let end = place + raw.get().len();
            let from = start.unwrap_or_else(|| place.saturating_sub(written_len(&name) + 1));
            // The member after a run that has ended begins a new one.
            let mut is_in_a_run = true;
            match &*name {
                "VulnerabilityID" => (finding.vulnerability_id, is_in_a_run) = (value, false),
                "PkgName" => (finding.pkg_name, is_in_a_run) = (value, false),
                "InstalledVersion" => finding.installed_version = value,
                "PkgPath" => finding.pkg_path = value,
                "Severity" => finding.severity = value.and_then(|t| t.parse().ok()).unwrap_or(Severity::Unknown),
                "FixedVersion" => finding.fixable = value.is_some_and(|text| has_fix(&text)),
                _ => {}
            }
            if is_in_a_run {
                if let Some(members) = finding.rest.get_mut(run) {
                    *members = text.get(from..end).unwrap_or_default();
                }
                start = Some(from);
            } else {
                // The run before it is complete.
                run += usize::from(start.is_some());
                start = None;
            }
        }
        let names = [finding.vulnerability_id.as_deref(), finding.pkg_name.as_deref()].map(Option::unwrap_or_default);
        let bytes = finding.rest.into_iter().chain(names).map(str::len).sum::<usize>();
        if names.iter().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(A::Error::custom(format_args!(
                "a VulnerabilityID or PkgName of more than {MAX_NAME_BYTES} bytes"
            )));
        }
        if bytes > MAX_FINDING_BYTES {
            return Err(A::Error::custom(format_args!(
                "a vulnerability of {bytes} bytes; at most {MAX_FINDING_BYTES} are accepted"
            )));
        }
        Ok(finding)
    }
}

/// Counts the bytes of a text as canonical JSON.
fn written_len(text: &str) -> usize {
    let has_escapes = text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\');
    let escaped = || serde_json::to_vec(text).map_or(0, |json| json.len());
    if has_escapes { escaped() } else { text.len() + 2 }
}

/// A text that is borrowed if it has no escapes, unlike an `Option<Cow<str>>`.
#[derive(Debug, Default)]
pub(super) struct Text<'c>(pub(super) Cow<'c, str>);

impl<'de: 'c, 'c> Deserialize<'de> for Text<'c> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'c> Visitor<'c> for TextVisitor {
            type Value = Text<'c>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'c str) -> Result<Text<'c>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'c>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A string or `null`, as JSON and decoded.
struct RawText<'c> {
    raw: &'c RawValue,
    text: Option<Cow<'c, str>>,
}

impl<'c> Deserialize<'c> for RawText<'c> {
    fn deserialize<D: Deserializer<'c>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'c RawValue>::deserialize(deserializer)?;
        match serde_json::from_str::<Option<Text<'c>>>(raw.get()) {
            Ok(text) => Ok(Self { raw, text: text.map(|t| t.0) }),
            Err(error) => Err(D::Error::custom(reason::reword(&error))),
        }
    }
}
