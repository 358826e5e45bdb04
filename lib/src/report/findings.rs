//! Collects the open and suppressed vulnerabilities of a report, orders them and collapses exact repeats.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::finding::{Finding, FindingIn, Text, not_a_text};
use super::suppressed::{ModifiedEntry, Suppressed};
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

/// The longest Target, Class or Type that is taken, in bytes; the longest known has 97.
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

impl<'c, T: Deserialize<'c>> Visitor<'c> for Count<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        Err(not_a_text(text, &self))
    }

    fn visit_seq<A: SeqAccess<'c>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(total, counts) = self;
        while let Some(item) = items.next_element()? {
            *total = total.saturating_add(u32::from(counts(&item)));
        }
        Ok(())
    }
}

/// A misconfiguration that was looked for: failed, passed, or made an exception of.
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
