//! The occurrences of vulnerabilities in the fleet: asset, package and times.
//!
//! Occurrences lie in [`Bucket`]s by vulnerability, one item per asset and bucket, so that one query finds all assets
//! with a vulnerability. Each occurrence lists the scans that have it, so the order in which scans are added or removed
//! does not matter.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::finding::{Finding, FindingId, Ordinal, Rating};
use super::image_name::ImageName;
use super::platform::Platform;
use super::scan::ScanId;
use super::severity::Severity;
use super::text::cut;
use super::vulnerability::id::VulnerabilityId;

/// One of [`Bucket::COUNT`] parts of the fleet's occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u8);

impl Bucket {
    /// The number of buckets. It must not change: stored items lie under their number.
    pub const COUNT: u8 = 64;

    /// Accepts a number below [`Bucket::COUNT`].
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Returns the bucket of a vulnerability.
    #[must_use]
    pub fn of(id: &VulnerabilityId) -> Self {
        let [first, ..] = <[u8; 32]>::from(Sha256::digest(id.as_str()));
        Self(first % Self::COUNT)
    }

    /// Lists all buckets.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The number of buckets that are processed between two looks at the remaining time.
    pub const STEP: u8 = 16;

    /// Lists the buckets from a number on, [`Bucket::STEP`] at a time, each step with the first number of the next.
    pub fn steps(from: u8) -> impl Iterator<Item = (Vec<Self>, u8)> {
        let begins = (from..Self::COUNT).step_by(usize::from(Self::STEP));
        begins.map(|first| {
            let next = first.saturating_add(Self::STEP).min(Self::COUNT);
            ((first..next).map(Self).collect(), next)
        })
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A vulnerability of a package in any version, which the clock of a due date runs for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// The vulnerability.
    #[serde(rename = "v")]
    pub vulnerability_id: VulnerabilityId,
    /// The package.
    #[serde(rename = "p")]
    pub pkg_name: String,
    /// `debian`, `npm`, …
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// The longest text of a report that lists of the fleet show, in bytes; longer ones are cut.
pub const MAX_SHOWN_BYTES: usize = 300;

impl Problem {
    /// Returns the problem of a finding, the same over scans and tags; none without a valid id.
    #[must_use]
    pub fn of(finding: &Finding) -> Option<Self> {
        let short = |text: &String| cut(text, MAX_SHOWN_BYTES).to_owned();
        Some(Self {
            vulnerability_id: finding.vulnerability_id.as_deref()?.parse().ok()?,
            pkg_name: finding.pkg_name.as_ref().map(short).unwrap_or_default(),
            kind: finding.kind.as_ref().map(short),
        })
    }
}

/// The times at which problems of a repository on a platform were first seen, over all its tags.
pub type FirstSeen = BTreeMap<Problem, Timestamp>;

/// Adds times, and keeps the earliest of each problem.
pub fn keep_earliest(known: &mut FirstSeen, found: impl IntoIterator<Item = (Problem, Timestamp)>) {
    for (problem, at) in found {
        let first = known.entry(problem).or_insert(at);
        *first = (*first).min(at);
    }
}

/// One vulnerability of one package of one version, as reports state it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Details {
    /// The vulnerability and its package.
    #[serde(flatten)]
    pub problem: Problem,
    /// `os-pkgs`, `lang-pkgs`, …
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The installed version; empty if the report lacks it.
    #[serde(rename = "i", default)]
    pub installed_version: String,
    /// The version with the fix.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub fixed_version: Option<String>,
    /// Trivy's severity.
    #[serde(rename = "s")]
    pub severity: Severity,
    /// Trivy's status.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The rating in the report.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    /// The number of findings.
    #[serde(rename = "n")]
    pub findings: u32,
}

/// Details, with the scans that have exactly these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The details in the reports.
    #[serde(flatten)]
    pub details: Details,
    /// The first finding of each scan that has it, in the order of their numbers.
    #[serde(rename = "o")]
    pub findings: Vec<FindingId>,
}

impl Occurrence {
    /// Lists the scans that have it, in the order of their numbers.
    #[must_use]
    pub fn scans(&self) -> impl DoubleEndedIterator<Item = ScanId> {
        self.findings.iter().filter_map(|finding| Some(finding.split()?.0))
    }

    /// Returns its first finding in a scan.
    #[must_use]
    pub fn finding_of(&self, scan: ScanId) -> Option<FindingId> {
        let found = self.findings.binary_search_by_key(&Some(scan), |finding| finding.split().map(|(of, _)| of));
        found.ok().and_then(|at| self.findings.get(at).copied())
    }

    /// Tells whether a scan has it.
    #[must_use]
    pub fn has(&self, scan: ScanId) -> bool {
        self.finding_of(scan).is_some()
    }
}

/// The times between which the content of a scan was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first time.
    #[serde(rename = "a", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub from: Timestamp,
    /// The last known time. The item of the current scan may have a later one.
    #[serde(rename = "l", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub to: Timestamp,
}

/// The present and past occurrences of one bucket in an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetOccurrences {
    /// The image.
    pub image: ImageName,
    /// The platform of the image.
    pub platform: Option<Platform>,
    /// The current scan.
    pub current: Option<ScanId>,
    /// The version of the asset that `current` belongs to: an older version never overwrites a newer one.
    pub as_of: u64,
    /// The scans that have any of the occurrences.
    pub scans: BTreeMap<ScanId, Span>,
    /// The occurrences in the order of their details.
    pub occurrences: Vec<Occurrence>,
    /// The number of present occurrences that had no room.
    pub omitted: u32,
}

/// One package with a vulnerability, as the newest of the scans that have it states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The details in that scan.
    pub details: &'a Details,
    /// That scan's first finding of it.
    pub finding_id: FindingId,
    /// The current scan has it.
    pub present: bool,
    /// From the first to the last time of any scan that has it.
    pub span: Span,
}

impl AssetOccurrences {
    /// Returns an asset without occurrences.
    #[must_use]
    pub const fn none(image: ImageName, platform: Option<Platform>) -> Self {
        Self { image, platform, current: None, as_of: 0, scans: BTreeMap::new(), occurrences: Vec::new(), omitted: 0 }
    }

    /// Tells whether the current scan has an occurrence.
    #[must_use]
    pub fn is_present(&self, occurrence: &Occurrence) -> bool {
        self.current.is_some_and(|current| occurrence.has(current))
    }

    /// Adds a scan with all its occurrences of this bucket, each with the first finding, or replaces them.
    #[must_use]
    pub fn with(mut self, scan: ScanId, span: Span, found: &[(Details, Ordinal)]) -> Self {
        let mut by_details = self.take_without(&BTreeSet::from([scan]));
        for (details, first) in found {
            by_details.entry(details.clone()).or_default().insert(FindingId::new(scan, *first));
        }
        if !found.is_empty() {
            self.scans.insert(scan, span);
        }
        self.put(by_details);
        self
    }

    /// Removes scans, and the occurrences that only they have.
    #[must_use]
    pub fn without(mut self, gone: &BTreeSet<ScanId>) -> Self {
        if !gone.is_empty() {
            let by_details = self.take_without(gone);
            self.put(by_details);
        }
        self
    }

    /// Sets the current scan of a version of the asset, unless a newer version is known.
    #[must_use]
    pub fn at(mut self, current: Option<ScanId>, as_of: u64) -> Self {
        if as_of >= self.as_of {
            (self.current, self.as_of) = (current, as_of);
        }
        self
    }

    /// Sets the times of its scans.
    #[must_use]
    pub fn seen(mut self, spans: &BTreeMap<ScanId, Span>) -> Self {
        for (scan, span) in &mut self.scans {
            if let Some(newer) = spans.get(scan) {
                *span = *newer;
            }
        }
        self
    }

    fn take_without(&mut self, gone: &BTreeSet<ScanId>) -> BTreeMap<Details, BTreeSet<FindingId>> {
        self.scans.retain(|scan, _| !gone.contains(scan));
        let is_left = |finding: &FindingId| finding.split().is_some_and(|(scan, _)| !gone.contains(&scan));
        let mut by_details = BTreeMap::new();
        for Occurrence { details, findings } in std::mem::take(&mut self.occurrences) {
            let findings: BTreeSet<FindingId> = findings.into_iter().filter(is_left).collect();
            if !findings.is_empty() {
                by_details.insert(details, findings);
            }
        }
        by_details
    }

    fn put(&mut self, by_details: BTreeMap<Details, BTreeSet<FindingId>>) {
        self.occurrences = by_details
            .into_iter()
            .map(|(details, findings)| Occurrence { details, findings: findings.into_iter().collect() })
            .collect();
    }

    /// Lists present and past occurrences, one entry for each vulnerability, package and installed version.
    #[must_use]
    pub fn seen_all(&self) -> Vec<Seen<'_>> {
        let mut found: BTreeMap<(&Problem, &str), Seen<'_>> = BTreeMap::new();
        for occurrence in &self.occurrences {
            let Some(seen) = self.seen_one(occurrence) else { continue };
            let key = (&occurrence.details.problem, occurrence.details.installed_version.as_str());
            match found.get_mut(&key) {
                None => drop(found.insert(key, seen)),
                Some(known) => {
                    let span = Span { from: known.span.from.min(seen.span.from), to: known.span.to.max(seen.span.to) };
                    let place = |seen: &Seen<'_>| (seen.present, seen.span.to, seen.finding_id);
                    if place(&seen) > place(known) {
                        *known = seen;
                    }
                    known.span = span;
                }
            }
        }
        found.into_values().collect()
    }

    fn seen_one<'a>(&'a self, occurrence: &'a Occurrence) -> Option<Seen<'a>> {
        let spans = occurrence.findings.iter().filter_map(|finding| Some((self.span_of(*finding)?, *finding)));
        let (newest, finding_id) = spans.clone().max_by_key(|(span, finding)| (span.to, *finding))?;
        let from = spans.map(|(span, _)| span.from).min()?;
        let current = self.current.and_then(|current| occurrence.finding_of(current));
        Some(Seen {
            details: &occurrence.details,
            finding_id: current.unwrap_or(finding_id),
            present: current.is_some(),
            span: Span { from, to: newest.to },
        })
    }

    fn span_of(&self, finding: FindingId) -> Option<&Span> {
        self.scans.get(&finding.split()?.0)
    }

    /// Lists the problems with the times at which the remaining scans first saw them.
    pub fn first_seen(&self) -> impl Iterator<Item = (Problem, Timestamp)> {
        self.occurrences.iter().filter_map(|occurrence| {
            let spans = occurrence.findings.iter().filter_map(|finding| self.span_of(*finding));
            let from = spans.map(|span| span.from).min()?;
            Some((occurrence.details.problem.clone(), from))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn none() -> AssetOccurrences {
        AssetOccurrences::none("shop/checkout:1".parse().unwrap(), None)
    }

    fn id(number: u64) -> ScanId {
        ScanId::new(number).unwrap()
    }

    fn span(from: i64, to: i64) -> Span {
        Span { from: Timestamp::from_second(from).unwrap(), to: Timestamp::from_second(to).unwrap() }
    }

    pub(crate) fn details(id: &str, version: &str) -> Details {
        Details {
            problem: Problem {
                vulnerability_id: id.parse().unwrap(),
                pkg_name: "openssl".to_owned(),
                kind: Some("debian".to_owned()),
            },
            class: Some("os-pkgs".to_owned()),
            installed_version: version.to_owned(),
            fixed_version: None,
            severity: Severity::High,
            status: Some("affected".to_owned()),
            rating: None,
            findings: 1,
        }
    }

    /// Adds the ordinals of findings.
    pub(crate) fn found(details: impl IntoIterator<Item = Details>) -> Vec<(Details, Ordinal)> {
        (0..).filter_map(Ordinal::new).zip(details).map(|(ordinal, details)| (details, ordinal)).collect()
    }

    #[test]
    fn a_vulnerability_stays_in_its_bucket_for_ever() {
        let number = |id: &str| Bucket::of(&id.parse().unwrap()).get();
        assert_eq!([number("CVE-2021-44228"), number("GHSA-jfh8-c2jp-5v3q")], [34, 47]);
        assert_eq!((Bucket::all().count(), Bucket::new(64)), (64, None));
        assert_eq!(Bucket::steps(0).flat_map(|(step, _)| step).collect::<Vec<_>>(), Bucket::all().collect::<Vec<_>>());
        let rest: Vec<_> = Bucket::steps(50).map(|(step, next)| (step.len(), next)).collect();
        assert_eq!((rest, Bucket::steps(64).count()), (vec![(14, 64)], 0));
    }

    #[test]
    fn what_the_current_scan_lacks_is_gone_and_keeps_its_times() {
        let (a, b) = (details("CVE-2026-0001", "1"), details("CVE-2026-0002", "1"));
        let asset = none()
            .with(id(1), span(1, 5), &found([a, b]))
            .with(id(2), span(7, 9), &found([details("CVE-2026-0001", "2")]))
            .at(Some(id(2)), 2);
        let seen = asset.seen_all();
        let shown: Vec<_> = seen
            .iter()
            .map(|seen| {
                let details = seen.details;
                let id = details.problem.vulnerability_id.as_str();
                (id, details.installed_version.as_str(), seen.present, seen.span)
            })
            .collect();
        let expected = [
            ("CVE-2026-0001", "1", false, span(1, 5)),
            ("CVE-2026-0001", "2", true, span(7, 9)),
            ("CVE-2026-0002", "1", false, span(1, 5)),
        ];
        assert_eq!(shown, expected);
        let first: FirstSeen = asset.first_seen().fold(FirstSeen::new(), |mut known, found| {
            keep_earliest(&mut known, [found]);
            known
        });
        assert_eq!(first.values().copied().collect::<Vec<_>>(), [span(1, 1).from, span(1, 1).from]);
    }

    #[test]
    fn what_a_newer_scan_states_of_the_same_version_is_shown() {
        let low = Details { severity: Severity::Low, ..details("CVE-2026-0001", "1") };
        let asset = none()
            .with(id(2), span(1, 5), &found([details("CVE-2026-0001", "1")]))
            .with(id(1), span(7, 9), &found([low]))
            .at(Some(id(1)), 1);
        let seen = asset.seen_all();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            (seen[0].details.severity, seen[0].span, seen[0].finding_id.get()),
            (Severity::Low, span(1, 9), 1_000_000)
        );
        let without = asset.without(&BTreeSet::from([id(1)])).at(Some(id(2)), 2);
        assert_eq!(without.seen_all()[0].details.severity, Severity::High);
    }

    #[test]
    fn an_older_version_of_the_asset_does_not_overwrite_a_newer_one() {
        assert_eq!(none().at(Some(id(2)), 7).at(Some(id(1)), 6).current, Some(id(2)));
    }

    #[test]
    fn a_scan_that_is_removed_leaves_nothing() {
        let asset = none().with(id(1), span(1, 5), &found([details("CVE-2026-0001", "1")]));
        let asset = asset.without(&BTreeSet::from([id(1)]));
        assert_eq!(asset, none());
    }

    fn any_scans() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
        prop::collection::btree_map(1u64..6, prop::collection::vec(0u8..5, 0..5), 0..5)
            .prop_map(|scans| scans.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_is_known_follows_from_the_scans_in_whatever_order_they_come_and_go(
            scans in any_scans(), gone in prop::collection::vec((1u64..6, 0u8..5), 0..4), seed: u64
        ) {
            let found = |numbers: &[u8]| found(numbers.iter().map(|n| details(&format!("CVE-2026-000{n}"), "1")));
            let add = |asset: AssetOccurrences, (scan, numbers): &(u64, Vec<u8>)| {
                asset.with(id(*scan), span(i64::try_from(*scan).unwrap(), 50), &found(numbers))
            };
            let expected = scans.iter().fold(none(), add);
            // Scans that are added and removed again, and repeats, in another order.
            let mut asset = none();
            for (scan, number) in &gone {
                asset = asset.with(id(*scan), span(0, 99), &found(&[*number]));
            }
            let mut shuffled = scans.clone();
            shuffled.extend(scans.clone());
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            asset = shuffled.iter().fold(asset, add);
            for (scan, _) in gone.iter().filter(|(scan, _)| scans.iter().all(|(kept, _)| kept != scan)) {
                asset = asset.without(&BTreeSet::from([id(*scan)]));
            }
            prop_assert_eq!(asset, expected);
        }
    }
}
