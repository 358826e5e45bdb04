//! Collects the open and suppressed vulnerabilities of a report, orders them and collapses exact repeats.

use std::borrow::Cow;

use serde::de::{Deserialize, DeserializeSeed as _, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess};

use super::finding::{Finding, FindingIn, Text};
use super::reader::{Read, Reader};
use super::suppressed::{ModifiedFinding, Suppressed};
use crate::domain::scan::OtherFindings;

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

/// The longest Target, Class or Type, in bytes; the longest known has 97.
const MAX_PLACE_BYTES: usize = 8 << 10;

/// The findings of a report.
#[derive(Debug, Default)]
pub(super) struct Collector<'c> {
    /// The canonical text of the report.
    pub(super) text: &'c str,
    pub(super) scanned: Vec<Scanned<'c>>,
    pub(super) findings: Vec<Finding<'c>>,
    pub(super) suppressed: Vec<Suppressed<'c>>,
    pub(super) other: OtherFindings,
    /// Whether a result shows that Trivy looked for vulnerabilities.
    pub(super) looked_for_vulnerabilities: bool,
    pub(super) first_target: Option<Cow<'c, str>>,
    /// The first target of the form `name (os version)`, which names an old report.
    pub(super) os_target: Option<Cow<'c, str>>,
    /// Whether the results are of several operating systems, and so of several images.
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
        // The same target, class and type can occur twice. Without repeats, places are comparable as numbers.
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

/// Reads `Results`, or the array of an old report.
pub(super) struct Results<'a, 'c>(pub(super) &'a mut Collector<'c>);

impl<'c> Reader<'c> for Results<'_, 'c> {
    type Value = ();

    const EXPECTED: &'static str = "an array of results";

    fn null(self) -> Option<()> {
        Some(())
    }

    fn array<A: SeqAccess<'c>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Read(ResultEntry(self.0)))?.is_some() {}
        Ok(())
    }
}

struct ResultEntry<'a, 'c>(&'a mut Collector<'c>);

impl<'c> Reader<'c> for ResultEntry<'_, 'c> {
    type Value = ();

    const EXPECTED: &'static str = "an object with a Target";

    fn object<A: MapAccess<'c>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(collector) = self;
        let (mut target, mut class, mut kind) = (None, None, None);
        let before = (collector.findings.len(), collector.suppressed.len(), collector.other);
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "Target" => target = members.next_value::<Option<Text<'c>>>()?,
                "Class" => class = members.next_value::<Option<Text<'c>>>()?,
                "Type" => kind = members.next_value::<Option<Text<'c>>>()?,
                "Vulnerabilities" => members.next_value_seed(Read(Vulnerabilities(collector)))?,
                "ExperimentalModifiedFindings" => members.next_value_seed(Read(Modified(collector)))?,
                "Secrets" => members.next_value_seed(Read(count_all(&mut collector.other.secrets)))?,
                "Licenses" => members.next_value_seed(Read(count_all(&mut collector.other.licenses)))?,
                "Misconfigurations" => {
                    let failed = Count(&mut collector.other.misconfigurations, |check: &Check| check.failed);
                    members.next_value_seed(Read(failed))?;
                }
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

/// Recognises `alpine:3.10 (alpine 3.10.2)`, of class `os-pkgs` or without a class.
fn is_os_target(class: Option<&Text<'_>>, target: &str) -> bool {
    class.is_none_or(|class| class.0 == "os-pkgs") && target.ends_with(')') && target.contains(" (")
}

/// Tells whether the text in brackets is a Linux distribution with its version.
fn names_a_system(target: &str) -> bool {
    const FAMILIES: &str = "alpine debian ubuntu redhat centos rocky alma fedora amazon oracle photon opensuse suse \
        cbl-mariner wolfi chainguard";
    let system = target.rsplit_once(" (").map_or("", |(_, system)| system.trim_end_matches(')'));
    let family = system.split_once(' ').map_or(system, |(family, _)| family);
    FAMILIES.split(' ').any(|known| family == known) || family.starts_with("opensuse.")
}

struct Vulnerabilities<'a, 'c>(&'a mut Collector<'c>);

impl<'c> Reader<'c> for Vulnerabilities<'_, 'c> {
    type Value = ();

    const EXPECTED: &'static str = "an array of vulnerabilities";

    fn null(self) -> Option<()> {
        Some(())
    }

    fn array<A: SeqAccess<'c>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(collector) = self;
        while let Some(mut finding) = items.next_element_seed(Read(FindingIn(collector.text)))? {
            collector.make_room()?;
            finding.scanned = collector.scanned.len();
            collector.findings.push(finding);
        }
        Ok(())
    }
}

struct Modified<'a, 'c>(&'a mut Collector<'c>);

impl<'c> Reader<'c> for Modified<'_, 'c> {
    type Value = ();

    const EXPECTED: &'static str = "an array of modified findings";

    fn null(self) -> Option<()> {
        Some(())
    }

    fn array<A: SeqAccess<'c>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(collector) = self;
        while let Some(suppressed) = items.next_element_seed(Read(ModifiedFinding))? {
            if let Some(mut suppressed) = suppressed {
                collector.make_room()?;
                suppressed.finding.scanned = collector.scanned.len();
                collector.suppressed.push(suppressed);
            }
        }
        Ok(())
    }
}

/// Counts the elements that a test selects.
struct Count<'a, T>(&'a mut u32, fn(&T) -> bool);

const fn count_all(total: &mut u32) -> Count<'_, IgnoredAny> {
    Count(total, |_| true)
}

impl<'c, T: Deserialize<'c>> Reader<'c> for Count<'_, T> {
    type Value = ();

    const EXPECTED: &'static str = "an array";

    fn null(self) -> Option<()> {
        Some(())
    }

    fn array<A: SeqAccess<'c>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(total, is_counted) = self;
        while let Some(item) = items.next_element()? {
            *total = total.saturating_add(u32::from(is_counted(&item)));
        }
        Ok(())
    }
}

/// A check for a misconfiguration.
struct Check {
    failed: bool,
}

impl<'c> Deserialize<'c> for Check {
    fn deserialize<D: Deserializer<'c>>(deserializer: D) -> Result<Self, D::Error> {
        struct CheckReader;

        impl<'c> Reader<'c> for CheckReader {
            type Value = Check;

            const EXPECTED: &'static str = "a misconfiguration";

            fn object<A: MapAccess<'c>>(self, mut members: A) -> Result<Check, A::Error> {
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

        Read(CheckReader).deserialize(deserializer)
    }
}
