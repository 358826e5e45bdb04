//! The vulnerabilities of a report: collected, put in order, exact repeats collapsed.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::severity::Severity;

/// One entry of the report's `Results`: what was looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scanned<'c> {
    /// `os-pkgs`, `lang-pkgs`, …; old reports may lack it.
    pub class: Option<Cow<'c, str>>,
    /// `debian`, `npm`, …
    pub kind: Option<Cow<'c, str>>,
    /// `name (os version)`, a file, or a word such as `Java`.
    pub target: Cow<'c, str>,
}

/// One vulnerability object of a report.
#[derive(Debug)]
pub struct Finding<'c> {
    /// Where it was found: an index into the report's [`Scanned`].
    pub scanned: usize,
    /// How bad Trivy says it is.
    pub severity: Severity,
    /// `CVE-…`, `GHSA-…`, …
    pub vulnerability_id: Option<Cow<'c, str>>,
    /// The package.
    pub pkg_name: Option<Cow<'c, str>>,
    /// The version found.
    pub installed_version: Option<Cow<'c, str>>,
    /// The package's own file, if it has one.
    pub pkg_path: Option<Cow<'c, str>>,
    /// The report names a version in which it is fixed.
    pub fixable: bool,
    /// Every other member of the object in the order of their names, as canonical JSON.
    members: Vec<(Cow<'c, str>, &'c RawValue)>,
}

impl Finding<'_> {
    /// The object's members but for `VulnerabilityID` and `PkgName`, as a canonical JSON object.
    ///
    /// # Errors
    /// None in practice: writing to memory does not fail.
    pub fn write_rest(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.push(b'{');
        for (at, (name, value)) in self.members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            serde_json::to_writer(&mut *out, name)?;
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.push(b'}');
        Ok(())
    }

    /// Two findings of one scan with equal content are one finding.
    fn is_repeat_of(&self, other: &Self) -> bool {
        self.vulnerability_id == other.vulnerability_id
            && self.pkg_name == other.pkg_name
            && self.scanned == other.scanned
            && self.members.iter().map(content).eq(other.members.iter().map(content))
    }
}

fn content<'m>((name, value): &'m (Cow<'_, str>, &RawValue)) -> (&'m str, &'m str) {
    (name, value.get())
}

/// The largest vulnerability object that is taken, in bytes of canonical JSON. The largest known has
/// 25,669; a DynamoDB item, even of bytes that do not compress, must stay below 400 KB.
const MAX_FINDING_BYTES: usize = 256 << 10;

/// The longest `VulnerabilityID` or `PkgName` that is taken, in bytes; the longest known have 24 and 50.
const MAX_NAME_BYTES: usize = 2 << 10;

/// The longest Target, Class or Type that is taken, in bytes; the longest known has 97.
const MAX_PLACE_BYTES: usize = 8 << 10;

/// What the findings of a report are gathered in while it is read.
#[derive(Debug, Default)]
pub(super) struct Collector<'c> {
    pub(super) scanned: Vec<Scanned<'c>>,
    pub(super) findings: Vec<Finding<'c>>,
    /// The first target, and the first that is `name (os version)`: what may name an old report.
    pub(super) first_target: Option<Cow<'c, str>>,
    pub(super) os_target: Option<Cow<'c, str>>,
    pub(super) over_limit: bool,
    pub(super) limit: usize,
}

impl Collector<'_> {
    /// Orders the findings and collapses exact repeats. Answers how many there were before.
    ///
    /// The order is that of the ordinals (severity, vulnerability id, package), then that of the
    /// finding key, then of all the rest, so that equal reports give equal ordinals.
    pub(super) fn finish(&mut self) -> usize {
        let reported = self.findings.len();
        // One entry for each distinct place, so that comparing two findings' places is comparing
        // numbers: the same target, class and type can occur twice in a report.
        let mut places: Vec<usize> = (0..self.scanned.len()).collect();
        places.sort_by(|&a, &b| self.scanned.get(a).cmp(&self.scanned.get(b)).then(a.cmp(&b)));
        let mut rank = vec![0; places.len()];
        let mut distinct = Vec::<usize>::new();
        for &place in &places {
            let is_new = distinct.last().is_none_or(|&last| self.scanned.get(last) != self.scanned.get(place));
            if is_new {
                distinct.push(place);
            }
            if let Some(rank) = rank.get_mut(place) {
                *rank = distinct.len() - 1;
            }
        }
        for finding in &mut self.findings {
            finding.scanned = rank.get(finding.scanned).copied().unwrap_or_default();
        }
        self.scanned = distinct.iter().filter_map(|&place| self.scanned.get(place).cloned()).collect();

        self.findings.sort_by(|a, b| {
            Reverse(a.severity)
                .cmp(&Reverse(b.severity))
                .then_with(|| a.vulnerability_id.cmp(&b.vulnerability_id))
                .then_with(|| a.pkg_name.cmp(&b.pkg_name))
                .then_with(|| a.scanned.cmp(&b.scanned))
                .then_with(|| a.installed_version.cmp(&b.installed_version))
                .then_with(|| a.pkg_path.cmp(&b.pkg_path))
                .then_with(|| a.members.iter().map(content).cmp(b.members.iter().map(content)))
        });
        self.findings.dedup_by(|a, b| a.is_repeat_of(b));
        reported
    }
}

/// Reads `Results`, or an old report's array, into the collector.
pub(super) struct Results<'a, 'c>(pub(super) &'a mut Collector<'c>);

impl<'c> DeserializeSeed<'c> for Results<'_, 'c> {
    type Value = ();

    fn deserialize<D: Deserializer<'c>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'c> Visitor<'c> for Results<'_, 'c> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of results")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'c>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(ResultEntry(self.0))?.is_some() {}
        Ok(())
    }
}

struct ResultEntry<'a, 'c>(&'a mut Collector<'c>);

impl<'c> DeserializeSeed<'c> for ResultEntry<'_, 'c> {
    type Value = ();

    fn deserialize<D: Deserializer<'c>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'c> Visitor<'c> for ResultEntry<'_, 'c> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a Target")
    }

    fn visit_map<A: MapAccess<'c>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(collector) = self;
        let (mut target, mut class, mut kind) = (None, None, None);
        let before = collector.findings.len();
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "Target" => target = members.next_value::<Option<Text<'c>>>()?,
                "Class" => class = members.next_value::<Option<Text<'c>>>()?,
                "Type" => kind = members.next_value::<Option<Text<'c>>>()?,
                "Vulnerabilities" => members.next_value_seed(Vulnerabilities(collector))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        let Some(Text(target)) = target else { return Err(A::Error::missing_field("Target")) };
        for text in [Some(&target), class.as_ref().map(|t| &t.0), kind.as_ref().map(|t| &t.0)].into_iter().flatten() {
            if text.len() > MAX_PLACE_BYTES {
                return Err(A::Error::custom(format_args!(
                    "a Target, Class or Type of more than {MAX_PLACE_BYTES} bytes"
                )));
            }
        }
        if collector.first_target.is_none() && !target.trim().is_empty() {
            collector.first_target = Some(target.clone());
        }
        if collector.os_target.is_none() && is_os_target(class.as_ref(), &target) {
            collector.os_target = Some(target.clone());
        }
        if collector.findings.len() > before {
            collector.scanned.push(Scanned { class: class.map(|t| t.0), kind: kind.map(|t| t.0), target });
        }
        Ok(())
    }
}

/// `alpine:3.10 (alpine 3.10.2)`, of class `os-pkgs` where there are classes.
fn is_os_target(class: Option<&Text<'_>>, target: &str) -> bool {
    class.is_none_or(|class| class.0 == "os-pkgs") && target.ends_with(')') && target.contains(" (")
}

struct Vulnerabilities<'a, 'c>(&'a mut Collector<'c>);

impl<'c> DeserializeSeed<'c> for Vulnerabilities<'_, 'c> {
    type Value = ();

    fn deserialize<D: Deserializer<'c>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'c> Visitor<'c> for Vulnerabilities<'_, 'c> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of vulnerabilities")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'c>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(collector) = self;
        let scanned = collector.scanned.len();
        while let Some(mut finding) = items.next_element::<Finding<'c>>()? {
            if collector.findings.len() == collector.limit {
                collector.over_limit = true;
                return Err(A::Error::custom("too many findings"));
            }
            finding.scanned = scanned;
            collector.findings.push(finding);
        }
        Ok(())
    }
}

impl<'c> Deserialize<'c> for Finding<'c> {
    fn deserialize<D: Deserializer<'c>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FindingVisitor)
    }
}

struct FindingVisitor;

impl<'c> Visitor<'c> for FindingVisitor {
    type Value = Finding<'c>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vulnerability object")
    }

    fn visit_map<A: MapAccess<'c>>(self, mut members: A) -> Result<Finding<'c>, A::Error> {
        let mut finding = Finding {
            scanned: 0,
            severity: Severity::Unknown,
            vulnerability_id: None,
            pkg_name: None,
            installed_version: None,
            pkg_path: None,
            fixable: false,
            members: Vec::with_capacity(20),
        };
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "VulnerabilityID" => finding.vulnerability_id = members.next_value::<Option<Text<'c>>>()?.map(|t| t.0),
                "PkgName" => finding.pkg_name = members.next_value::<Option<Text<'c>>>()?.map(|t| t.0),
                "InstalledVersion" | "PkgPath" | "Severity" | "FixedVersion" => {
                    let (raw, text) = members.next_value::<RawText<'c>>()?.0;
                    match &*name {
                        "InstalledVersion" => finding.installed_version = text,
                        "PkgPath" => finding.pkg_path = text,
                        "Severity" => {
                            finding.severity = text.and_then(|t| t.parse().ok()).unwrap_or(Severity::Unknown);
                        }
                        _ => finding.fixable = text.is_some_and(|t| !t.trim().is_empty()),
                    }
                    finding.members.push((name, raw));
                }
                _ => {
                    let value = members.next_value::<&'c RawValue>()?;
                    finding.members.push((name, value));
                }
            }
        }
        let named = [&finding.vulnerability_id, &finding.pkg_name].into_iter().flatten().map(|text| text.len());
        let bytes =
            finding.members.iter().map(|(name, value)| name.len() + value.get().len()).chain(named).sum::<usize>();
        if [&finding.vulnerability_id, &finding.pkg_name].into_iter().flatten().any(|name| name.len() > MAX_NAME_BYTES)
        {
            return Err(A::Error::custom(format_args!(
                "a VulnerabilityID or PkgName of more than {MAX_NAME_BYTES} bytes"
            )));
        }
        if bytes > MAX_FINDING_BYTES {
            return Err(A::Error::custom(format_args!(
                "a vulnerability of {bytes} bytes; at most {MAX_FINDING_BYTES} are taken"
            )));
        }
        finding.members.shrink_to_fit();
        Ok(finding)
    }
}

/// Text that is borrowed where it has no escapes. (`Option<Cow<str>>` never borrows.)
#[derive(Debug)]
pub(super) struct Text<'c>(pub(super) Cow<'c, str>);

impl<'c> Deserialize<'c> for Text<'c> {
    fn deserialize<D: Deserializer<'c>>(deserializer: D) -> Result<Self, D::Error> {
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

/// A string or `null`, both as it is written and as it reads.
struct RawText<'c>((&'c RawValue, Option<Cow<'c, str>>));

impl<'c> Deserialize<'c> for RawText<'c> {
    fn deserialize<D: Deserializer<'c>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'c RawValue>::deserialize(deserializer)?;
        match serde_json::from_str::<Option<Text<'c>>>(raw.get()) {
            Ok(text) => Ok(Self((raw, text.map(|t| t.0)))),
            Err(_) => Err(D::Error::custom("expected a string")),
        }
    }
}
