//! Collects the open and suppressed vulnerabilities of a report, orders them and collapses exact repeats.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, Expected, IgnoredAny, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde_json::value::RawValue;

use super::reason;
use super::suppressed::{ModifiedEntry, Suppressed};
use crate::domain::remediation::has_fix;
use crate::domain::scan::OtherFindings;
use crate::domain::severity::Severity;

/// A distribution, file or application that was scanned: an entry of the report's `Results`.
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
    /// The index of its place in the report's [`Scanned`].
    pub scanned: usize,
    /// Trivy's severity.
    pub severity: Severity,
    /// `CVE-…`, `GHSA-…`, …
    pub vulnerability_id: Option<Cow<'c, str>>,
    /// The name of the package.
    pub pkg_name: Option<Cow<'c, str>>,
    /// The installed version.
    pub installed_version: Option<Cow<'c, str>>,
    /// The file of the package, if it has one.
    pub pkg_path: Option<Cow<'c, str>>,
    /// Whether the report names a fixed version.
    pub fixable: bool,
    /// All other members as canonical JSON: those before, between and after `PkgName` and `VulnerabilityID`, without
    /// the commas between the three parts.
    rest: [&'c str; 3],
}

impl Finding<'_> {
    /// Writes all members except `VulnerabilityID` and `PkgName` as a canonical JSON object.
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

    fn is_repeat_of(&self, other: &Finding<'_>) -> bool {
        self.vulnerability_id == other.vulnerability_id
            && self.pkg_name == other.pkg_name
            && self.scanned == other.scanned
            && self.cmp_rest(other) == Ordering::Equal
    }

    /// Compares in the order of ordinals (severity, vulnerability id, package), then by all other members, so that
    /// equal reports give equal ordinals.
    fn cmp_ordinal(&self, other: &Finding<'_>) -> Ordering {
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

/// The largest vulnerability object, in bytes of canonical JSON. The largest known one has 25,669; a DynamoDB item must
/// stay below 400 KB even if its bytes do not compress.
const MAX_FINDING_BYTES: usize = 256 << 10;

/// The longest `VulnerabilityID` or `PkgName`, in bytes; the longest known ones have 24 and 50.
const MAX_NAME_BYTES: usize = 2 << 10;

/// The longest Target, Class or Type, in bytes; the longest known one has 97.
const MAX_PLACE_BYTES: usize = 8 << 10;

/// Gathers the findings of a report while it is read.
#[derive(Debug, Default)]
pub(super) struct Collector<'c> {
    /// The canonical text of the report.
    pub(super) text: &'c str,
    pub(super) scanned: Vec<Scanned<'c>>,
    pub(super) findings: Vec<Finding<'c>>,
    pub(super) suppressed: Vec<Suppressed<'c>>,
    pub(super) other: OtherFindings,
    /// Whether a result shows that vulnerabilities were looked for.
    pub(super) looked_for_vulnerabilities: bool,
    /// The first target.
    pub(super) first_target: Option<Cow<'c, str>>,
    /// The first target of the form `name (os version)`, which names an old report.
    pub(super) os_target: Option<Cow<'c, str>>,
    /// Whether there are results of two operating systems, which no image has.
    pub(super) has_several_systems: bool,
    pub(super) over_limit: bool,
    pub(super) limit: usize,
}

impl<'c> Collector<'c> {
    pub(super) fn new(text: &'c str, limit: usize) -> Self {
        Self { text, limit, ..Self::default() }
    }

    fn make_room<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.findings.len() + self.suppressed.len() == self.limit {
            self.over_limit = true;
            return Err(E::custom("too many findings"));
        }
        Ok(())
    }

    /// Orders the findings and collapses exact repeats. Returns the number of open ones before that.
    pub(super) fn finish(&mut self) -> usize {
        let reported = self.findings.len();
        // The same target, class and type can occur twice. One entry each makes places comparable as numbers.
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
        let suppressed = self.suppressed.iter_mut().map(|suppressed| &mut suppressed.finding);
        for finding in self.findings.iter_mut().chain(suppressed) {
            finding.scanned = rank.get(finding.scanned).copied().unwrap_or_default();
        }
        self.scanned = distinct.iter().filter_map(|&place| self.scanned.get(place).cloned()).collect();

        self.findings.sort_by(|a, b| a.cmp_ordinal(b));
        self.findings.dedup_by(|a, b| a.is_repeat_of(b));
        self.suppressed.sort_by(|a, b| a.finding.cmp_ordinal(&b.finding).then_with(|| a.reasons().cmp(&b.reasons())));
        self.suppressed.dedup_by(|a, b| a.finding.is_repeat_of(&b.finding) && a.reasons() == b.reasons());
        reported
    }
}

/// Takes the elements of an array one by one.
pub(super) trait Elements<'c> {
    /// What an error message calls the array.
    const EXPECTED: &'static str;

    /// Takes the next element; returns whether there was one.
    fn take_next<A: SeqAccess<'c>>(&mut self, items: &mut A) -> Result<bool, A::Error>;
}

/// Reads an array or `null`.
pub(super) struct Array<E>(pub(super) E);

impl<'c, E: Elements<'c>> DeserializeSeed<'c> for Array<E> {
    type Value = ();

    fn deserialize<D: Deserializer<'c>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'c, E: Elements<'c>> Visitor<'c> for Array<E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(E::EXPECTED)
    }

    fn visit_unit<R>(self) -> Result<(), R> {
        Ok(())
    }

    fn visit_str<R: serde::de::Error>(self, text: &str) -> Result<(), R> {
        Err(not_a_text(text, &self))
    }

    fn visit_seq<A: SeqAccess<'c>>(mut self, mut items: A) -> Result<(), A::Error> {
        while self.0.take_next(&mut items)? {}
        Ok(())
    }
}

/// Collects from `Results`, or from the array of an old report.
pub(super) struct Results<'a, 'c>(pub(super) &'a mut Collector<'c>);

impl<'c> Elements<'c> for Results<'_, 'c> {
    const EXPECTED: &'static str = "an array of results";

    fn take_next<A: SeqAccess<'c>>(&mut self, items: &mut A) -> Result<bool, A::Error> {
        Ok(items.next_element_seed(ResultEntry(self.0))?.is_some())
    }
}

struct ResultEntry<'a, 'c>(&'a mut Collector<'c>);

impl<'c> DeserializeSeed<'c> for ResultEntry<'_, 'c> {
    type Value = ();

    fn deserialize<D: Deserializer<'c>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'c> Visitor<'c> for ResultEntry<'_, 'c> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a Target")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        Err(not_a_text(text, &self))
    }

    fn visit_map<A: MapAccess<'c>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(collector) = self;
        let (mut target, mut class, mut kind) = (None, None, None);
        let before = (collector.findings.len(), collector.suppressed.len(), collector.other);
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "Target" => target = members.next_value::<Option<Text<'c>>>()?,
                "Class" => class = members.next_value::<Option<Text<'c>>>()?,
                "Type" => kind = members.next_value::<Option<Text<'c>>>()?,
                "Vulnerabilities" => members.next_value_seed(Array(Vulnerabilities(collector)))?,
                "ExperimentalModifiedFindings" => members.next_value_seed(Array(Modified(collector)))?,
                "Secrets" => {
                    members.next_value_seed(Array(Count::<IgnoredAny>(&mut collector.other.secrets, |_| true)))?
                }
                "Licenses" => {
                    members.next_value_seed(Array(Count::<IgnoredAny>(&mut collector.other.licenses, |_| true)))?
                }
                "Misconfigurations" => members
                    .next_value_seed(Array(Count::<Check>(&mut collector.other.misconfigurations, |check| {
                        check.failed
                    })))?,
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
        if is_os_target(class.as_ref(), &target) {
            match &collector.os_target {
                None => collector.os_target = Some(target.clone()),
                Some(first) if *first == target => {}
                Some(first) => collector.has_several_systems |= names_a_system(first) && names_a_system(&target),
            }
        }
        let has_findings = collector.findings.len() > before.0;
        // Results of Trivy before v0.20 have no class; they are of vulnerabilities unless they have other findings.
        let is_of_vulnerabilities = match class.as_ref().map(|class| &*class.0) {
            Some("os-pkgs" | "lang-pkgs") => true,
            None | Some("") => has_findings || collector.other == before.2,
            Some(_) => has_findings,
        };
        collector.looked_for_vulnerabilities |= is_of_vulnerabilities;
        if has_findings || collector.suppressed.len() > before.1 {
            collector.scanned.push(Scanned { class: class.map(|t| t.0), kind: kind.map(|t| t.0), target });
        }
        Ok(())
    }
}

/// Recognises `alpine:3.10 (alpine 3.10.2)`, of class `os-pkgs` where there are classes.
fn is_os_target(class: Option<&Text<'_>>, target: &str) -> bool {
    class.is_none_or(|class| class.0 == "os-pkgs") && target.ends_with(')') && target.contains(" (")
}

/// Tells whether the text in brackets is a Linux distribution with its version.
fn names_a_system(target: &str) -> bool {
    const FAMILIES: [&str; 16] = [
        "alpine",
        "debian",
        "ubuntu",
        "redhat",
        "centos",
        "rocky",
        "alma",
        "fedora",
        "amazon",
        "oracle",
        "photon",
        "opensuse",
        "suse",
        "cbl-mariner",
        "wolfi",
        "chainguard",
    ];
    let system = target.rsplit_once(" (").map_or("", |(_, system)| system.trim_end_matches(')'));
    let family = system.split_once(' ').map_or(system, |(family, _)| family);
    FAMILIES.iter().any(|known| family == *known || known.starts_with("opensuse") && family.starts_with("opensuse."))
}

struct Vulnerabilities<'a, 'c>(&'a mut Collector<'c>);

impl<'c> Elements<'c> for Vulnerabilities<'_, 'c> {
    const EXPECTED: &'static str = "an array of vulnerabilities";

    fn take_next<A: SeqAccess<'c>>(&mut self, items: &mut A) -> Result<bool, A::Error> {
        let Some(mut finding) = items.next_element_seed(FindingIn(self.0.text))? else { return Ok(false) };
        self.0.make_room()?;
        finding.scanned = self.0.scanned.len();
        self.0.findings.push(finding);
        Ok(true)
    }
}

struct Modified<'a, 'c>(&'a mut Collector<'c>);

impl<'c> Elements<'c> for Modified<'_, 'c> {
    const EXPECTED: &'static str = "an array of modified findings";

    fn take_next<A: SeqAccess<'c>>(&mut self, items: &mut A) -> Result<bool, A::Error> {
        let Some(ModifiedEntry(suppressed)) = items.next_element()? else { return Ok(false) };
        if let Some(mut suppressed) = suppressed {
            self.0.make_room()?;
            suppressed.finding.scanned = self.0.scanned.len();
            self.0.suppressed.push(suppressed);
        }
        Ok(true)
    }
}

/// Counts the elements of a kind.
struct Count<'a, T>(&'a mut u32, fn(&T) -> bool);

impl<'c, T: Deserialize<'c>> Elements<'c> for Count<'_, T> {
    const EXPECTED: &'static str = "an array";

    fn take_next<A: SeqAccess<'c>>(&mut self, items: &mut A) -> Result<bool, A::Error> {
        let Some(item) = items.next_element()? else { return Ok(false) };
        *self.0 = self.0.saturating_add(u32::from((self.1)(&item)));
        Ok(true)
    }
}

/// Refuses a text of the wrong place without quoting all of it, which would take as much memory again.
pub(super) fn not_a_text<E: serde::de::Error>(text: &str, expected: &dyn Expected) -> E {
    const MAX_QUOTED: usize = 100;
    E::invalid_type(Unexpected::Str(crate::domain::text::cut(text, MAX_QUOTED)), expected)
}

/// A check for a misconfiguration: failed, passed or excepted.
struct Check {
    failed: bool,
}

impl<'c> Deserialize<'c> for Check {
    fn deserialize<D: Deserializer<'c>>(deserializer: D) -> Result<Self, D::Error> {
        struct CheckVisitor;

        impl<'c> Visitor<'c> for CheckVisitor {
            type Value = Check;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a misconfiguration")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Check, E> {
                Err(not_a_text(text, &self))
            }

            fn visit_map<A: MapAccess<'c>>(self, mut members: A) -> Result<Check, A::Error> {
                let mut status = None;
                while let Some(Text(name)) = members.next_key()? {
                    match &*name {
                        "Status" => status = members.next_value::<Option<Text<'c>>>()?,
                        _ => drop(members.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Check { failed: status.is_none_or(|Text(status)| status == "FAIL") })
            }
        }

        deserializer.deserialize_any(CheckVisitor)
    }
}

/// Reads a vulnerability that is a part of this canonical text.
pub(super) struct FindingIn<'c>(pub(super) &'c str);

impl<'c> DeserializeSeed<'c> for FindingIn<'c> {
    type Value = Finding<'c>;

    fn deserialize<D: Deserializer<'c>>(self, deserializer: D) -> Result<Finding<'c>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'c> Visitor<'c> for FindingIn<'c> {
    type Value = Finding<'c>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vulnerability object")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Finding<'c>, E> {
        Err(not_a_text(text, &self))
    }

    fn visit_map<A: MapAccess<'c>>(self, mut members: A) -> Result<Finding<'c>, A::Error> {
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
        // `rest` borrows runs of adjacent members from the text.
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
            let from = match start {
                Some(from) => from,
                None => place.saturating_sub(written_len(&name) + 1),
            };
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
                run += usize::from(start.is_some());
                start = None;
            }
        }
        let named = [&finding.vulnerability_id, &finding.pkg_name].into_iter().flatten().map(|text| text.len());
        let bytes = finding.rest.iter().map(|members| members.len()).chain(named).sum::<usize>();
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
        Ok(finding)
    }
}

/// Measures a text as canonical JSON, in bytes.
fn written_len(text: &str) -> usize {
    let has_escapes = text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\');
    let escaped = || serde_json::to_vec(text).map_or(0, |json| json.len());
    if has_escapes { escaped() } else { text.len() + 2 }
}

/// A text that is borrowed if it has no escapes. (`Option<Cow<str>>` never borrows.)
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

/// A string or `null`, as JSON and as text.
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
