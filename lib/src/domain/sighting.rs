//! Where in the fleet a vulnerability is: which images have it, in which package, since when.
//!
//! Sightings lie in [`Bucket`]s by vulnerability, one item per image and bucket, so that one query
//! finds all images with a vulnerability. An image's item is merged from scans in whatever order they
//! come: the newest scan says what is there, older ones only since when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::image_name::ImageName;
use super::scan::ScanId;
use super::severity::Severity;
use super::vulnerability_id::VulnerabilityId;

/// Which of [`Bucket::COUNT`] parts of the fleet's sightings a vulnerability belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u8);

impl Bucket {
    /// How many there are. Never to be changed: stored items lie under their number.
    pub const COUNT: u8 = 64;

    /// A bucket by number, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The bucket of a vulnerability.
    #[must_use]
    pub fn of(id: &VulnerabilityId) -> Self {
        let [first, ..] = <[u8; 32]>::from(Sha256::digest(id.as_str()));
        Self(first % Self::COUNT)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// One vulnerability of one package in one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The vulnerability.
    #[serde(rename = "v")]
    pub vulnerability_id: VulnerabilityId,
    /// The package.
    #[serde(rename = "p")]
    pub pkg_name: String,
    /// `os-pkgs`, `lang-pkgs`, …
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `debian`, `npm`, …
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The version that is there; empty if the report does not say.
    #[serde(rename = "i", default)]
    pub installed_version: String,
    /// The version with the fix.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub fixed_version: Option<String>,
    /// Trivy's severity.
    #[serde(rename = "s")]
    pub severity: Severity,
    /// Trivy's status, in its words.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The CVSS v3 or v4 vector in the report.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
    /// How many findings this is.
    #[serde(rename = "n")]
    pub findings: u32,
    /// The time of the oldest known scan of the image that has the vulnerability in this package, of
    /// whatever version.
    #[serde(rename = "a", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub first_seen: Timestamp,
    /// The time of the newest scan that has it.
    #[serde(rename = "l", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub last_seen: Timestamp,
    /// The newest scan that has it; none if that one was deleted.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<ScanId>,
}

impl Sighting {
    /// What no two sightings of an image share.
    #[must_use]
    pub fn key(&self) -> (VulnerabilityId, String, String) {
        (self.vulnerability_id.clone(), self.pkg_name.clone(), self.installed_version.clone())
    }

    fn is_same_problem(&self, other: &Self) -> bool {
        self.vulnerability_id == other.vulnerability_id && self.pkg_name == other.pkg_name
    }
}

/// What an image has of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSightings {
    /// The image.
    pub image: ImageName,
    /// The newest scan merged in; none if that one was deleted and no other was merged since.
    pub scan_id: Option<ScanId>,
    /// Its sightings, those that are gone too, by vulnerability, package and version.
    pub sightings: Vec<Sighting>,
    /// How many had no room.
    pub omitted: u32,
}

/// A scan as far as sightings need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The scan.
    pub scan_id: ScanId,
    /// Its time.
    pub at: Timestamp,
}

impl ImageSightings {
    /// An image of which nothing is known.
    #[must_use]
    pub const fn none(image: ImageName) -> Self {
        Self { image, scan_id: None, sightings: Vec::new(), omitted: 0 }
    }

    /// Whether the newest scan still has it.
    #[must_use]
    pub fn is_there(&self, sighting: &Sighting) -> bool {
        self.scan_id.is_some() && sighting.last_scan == self.scan_id
    }

    /// Merges a scan's sightings of this bucket, in whatever order scans come and however often.
    ///
    /// What the newest scan does not have stays, as gone. What an older merge of the same scan had and
    /// this one has not was never there.
    #[must_use]
    pub fn merged(mut self, scan: Seen, found: &[Sighting]) -> Self {
        let mut old: BTreeMap<_, Sighting> = BTreeMap::new();
        for sighting in std::mem::take(&mut self.sightings) {
            if sighting.last_scan != Some(scan.scan_id) || found.iter().any(|new| new.is_same_problem(&sighting)) {
                old.insert(sighting.key(), sighting);
            }
        }
        let since: Vec<(Sighting, Timestamp)> = found
            .iter()
            .map(|new| {
                let known = old.values().filter(|old| old.is_same_problem(new)).map(|old| old.first_seen);
                (new.clone(), known.chain([scan.at]).min().unwrap_or(scan.at))
            })
            .collect();
        // The scan's own former entries have told since when; what it has now is in `found`.
        old.retain(|_, sighting| sighting.last_scan != Some(scan.scan_id));
        for (new, first_seen) in since {
            for sighting in old.values_mut().filter(|old| old.is_same_problem(&new)) {
                sighting.first_seen = sighting.first_seen.min(first_seen);
            }
            let known = old.get(&new.key());
            if known.is_none_or(|known| known.last_scan <= Some(scan.scan_id)) {
                let last_seen = scan.at;
                let last_scan = Some(scan.scan_id);
                old.insert(new.key(), Sighting { first_seen, last_seen, last_scan, ..new });
            }
        }
        self.sightings = old.into_values().collect();
        self.scan_id = self.scan_id.max(Some(scan.scan_id));
        self
    }

    /// Takes a deleted scan back: what only it had goes, what was there before it is known by its first
    /// day only, until the newest remaining scan is merged again.
    #[must_use]
    pub fn without(mut self, deleted: Seen) -> Self {
        let only_there =
            |sighting: &Sighting| sighting.last_scan == Some(deleted.scan_id) && sighting.first_seen >= deleted.at;
        self.sightings.retain(|sighting| !only_there(sighting));
        for sighting in &mut self.sightings {
            if sighting.last_scan == Some(deleted.scan_id) {
                (sighting.last_scan, sighting.last_seen) = (None, sighting.first_seen);
            }
        }
        if self.scan_id == Some(deleted.scan_id) {
            self.scan_id = None;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image() -> ImageSightings {
        ImageSightings::none("shop/checkout:1".parse().unwrap())
    }

    fn scan(number: u64) -> Seen {
        let at = Timestamp::from_second(1000 * i64::try_from(number).unwrap()).unwrap();
        Seen { scan_id: ScanId::new(number).unwrap(), at }
    }

    fn sighting(id: &str, version: &str) -> Sighting {
        Sighting {
            vulnerability_id: id.parse().unwrap(),
            pkg_name: "openssl".to_owned(),
            class: Some("os-pkgs".to_owned()),
            kind: Some("debian".to_owned()),
            installed_version: version.to_owned(),
            fixed_version: None,
            severity: Severity::High,
            status: Some("affected".to_owned()),
            vector: None,
            findings: 1,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
            last_scan: None,
        }
    }

    #[test]
    fn a_vulnerability_stays_in_its_bucket_for_ever() {
        let number = |id: &str| Bucket::of(&id.parse().unwrap()).get();
        assert_eq!([number("CVE-2021-44228"), number("GHSA-jfh8-c2jp-5v3q")], [34, 47]);
        assert_eq!((Bucket::all().count(), Bucket::new(64)), (64, None));
    }

    #[test]
    fn what_the_newest_scan_lacks_is_gone_and_an_upgrade_that_does_not_help_is_not_new() {
        let (a, b) = (sighting("CVE-2026-0001", "1"), sighting("CVE-2026-0002", "1"));
        let merged = image().merged(scan(1), &[a, b]).merged(scan(2), &[sighting("CVE-2026-0001", "2")]);
        let seen: Vec<_> = merged
            .sightings
            .iter()
            .map(|s| (s.vulnerability_id.as_str(), s.installed_version.as_str(), merged.is_there(s), s.first_seen))
            .collect();
        let first = scan(1).at;
        let expected = [
            ("CVE-2026-0001", "1", false, first),
            ("CVE-2026-0001", "2", true, first),
            ("CVE-2026-0002", "1", false, first),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_deleted_scan_leaves_nothing_that_only_it_had() {
        let (a, b) = (sighting("CVE-2026-0001", "1"), sighting("CVE-2026-0002", "1"));
        let both = image().merged(scan(1), std::slice::from_ref(&a)).merged(scan(2), &[a.clone(), b]);
        let left = both.without(scan(2));
        assert_eq!(left.sightings.len(), 1);
        assert!(!left.is_there(&left.sightings[0]));
        assert_eq!(left.merged(scan(1), std::slice::from_ref(&a)), image().merged(scan(1), &[a]));
    }

    #[test]
    fn a_scan_that_is_read_anew_replaces_what_it_said() {
        let (a, b) = (sighting("CVE-2026-0001", "1"), sighting("CVE-2026-0002", "1"));
        let merged = image().merged(scan(1), &[a, b.clone()]).merged(scan(1), std::slice::from_ref(&b));
        assert_eq!(merged, image().merged(scan(1), &[b]));
    }

    proptest! {
        #[test]
        fn the_order_of_scans_does_not_matter(
            scans in proptest::collection::vec(proptest::collection::btree_set((0u8..4, 0u8..3), 0..6), 1..5),
            order in any::<proptest::sample::Index>(),
        ) {
            let found = |content: &std::collections::BTreeSet<(u8, u8)>| -> Vec<Sighting> {
                content.iter().map(|(id, v)| sighting(&format!("CVE-2026-000{id}"), &v.to_string())).collect()
            };
            let numbered: Vec<_> = scans.iter().enumerate().map(|(at, c)| (scan(at as u64 + 1), found(c))).collect();
            let merge = |scans: &[(Seen, Vec<Sighting>)]| {
                scans.iter().fold(image(), |image, (scan, found)| image.merged(*scan, found))
            };
            let mut rotated = numbered.clone();
            rotated.rotate_left(order.index(numbered.len()));
            let in_order = merge(&numbered);
            prop_assert_eq!(merge(&rotated), in_order.clone());
            rotated.reverse();
            prop_assert_eq!(merge(&rotated), in_order.clone());
            let (newest, content) = numbered.last().unwrap();
            let there = in_order.sightings.iter().filter(|s| in_order.is_there(s)).count();
            prop_assert_eq!(there, content.len());
            prop_assert_eq!(in_order.clone().merged(*newest, content), in_order);
        }
    }
}
