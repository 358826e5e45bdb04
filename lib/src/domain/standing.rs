//! Decides which scan of an asset is current, and which scans are suspect.
//!
//! Both follow from the scans and the times at which each was first and last seen, so the order in which reports arrive,
//! are repeated or deleted does not matter.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::scan::{ClassCounts, Scan, ScanId};
use super::severity::Severity;

/// The current scan and the suspect scans of an asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The scan that shows what the asset has now.
    pub current: Option<ScanId>,
    /// Scans that lack findings of the scan before them of the same image.
    pub suspects: BTreeSet<ScanId>,
}

/// Returns the order of a scan in time: by when it was last seen, then by number.
#[must_use]
pub fn time_order(scan: &Scan) -> (Timestamp, ScanId) {
    (scan.last_seen_at, scan.scan_id)
}

/// Decides the standing of an asset from its scans, in any order.
///
/// Only scans that looked for vulnerabilities count. The times at which scans were first seen, last seen or confirmed are
/// taken from the oldest on. At each, the scan becomes current, unless it is suspect beside the current one. Its last
/// time decides whether it stays suspect.
pub fn standing<'s>(scans: impl IntoIterator<Item = &'s Scan>) -> Standing {
    let looked = scans.into_iter().filter(|scan| scan.is_vulnerability_scan);
    // A confirmation holds for the times up to it.
    let times = |scan: &Scan| {
        let confirmed = scan.confirmed_until.map(|until| until.min(scan.last_seen_at));
        [Some(scan.scan_timestamp), confirmed, Some(scan.last_seen_at)].into_iter().flatten()
    };
    let mut sightings: Vec<(Timestamp, &Scan)> =
        looked.flat_map(|scan| times(scan).map(move |at| (at, scan))).collect();
    sightings.sort_unstable_by_key(|(at, scan)| (*at, scan.scan_id));
    let mut suspects = BTreeSet::new();
    let mut current: Option<&Scan> = None;
    for (at, scan) in sightings {
        if !scan.is_confirmed_at(at) && current.is_some_and(|before| is_suspect(before, scan)) {
            suspects.insert(scan.scan_id);
        } else {
            suspects.remove(&scan.scan_id);
            current = Some(scan);
        }
    }
    Standing { current: current.map(|scan| scan.scan_id), suspects }
}

/// Tells whether a scan seems not to have looked for something that the scan before it found in the same image.
///
/// Trivy 0.76 lists packages even if it does not look for vulnerabilities, so such a report equals that of a clean image.
#[must_use]
pub fn is_suspect(before: &Scan, after: &Scan) -> bool {
    is_same_content(before, after) && (has_lost_a_class(before, after) || did_not_look_for_severity(before, after))
}

/// Tells whether both are of one image, or of one commit of a repository.
fn is_same_content(before: &Scan, after: &Scan) -> bool {
    let (before, after) = (&before.artifact, &after.artifact);
    match (&before.image_id, &after.image_id) {
        (Some(before), Some(after)) => before == after,
        (None, None) => before.artifact_id.is_some() && before.artifact_id == after.artifact_id,
        _ => false,
    }
}

/// Tells whether all findings of a class are gone. A suppressed one would show that the class was scanned.
fn has_lost_a_class(before: &Scan, after: &Scan) -> bool {
    let by_class = |counts: &ClassCounts| [counts.os_pkgs, counts.lang_pkgs, counts.other];
    let before = by_class(&before.class_counts);
    let open = by_class(&after.class_counts);
    let suppressed = by_class(&after.suppressed_class_counts);
    before.iter().zip(open).zip(suppressed).any(|((before, open), suppressed)| *before > 0 && open + suppressed == 0)
}

/// Tells whether the scan before has findings of a severity that the sender excludes now.
fn did_not_look_for_severity(before: &Scan, after: &Scan) -> bool {
    let Some(looked_for) = &after.scanned_severities else { return false };
    Severity::DESCENDING
        .into_iter()
        .any(|severity| !looked_for.contains(severity) && before.severity_counts.of(severity) > 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::scan::{Artifact, OtherFindings};
    use crate::domain::severity::SeverityCounts;

    /// A scan of `app` at a second, with `os` and `lang` findings of severity HIGH, of an image.
    pub(crate) fn scan(id: u64, second: i64, image: &str, os: u32, lang: u32) -> Scan {
        let at = Timestamp::from_second(second).unwrap();
        Scan {
            scan_id: ScanId::new(id).unwrap(),
            report_hash: [u8::try_from(id).unwrap(); 32].into(),
            artifact: Artifact {
                image_name: "app".parse().unwrap(),
                nameless: false,
                platform: None,
                image_ref: None,
                repo_tags: Vec::new(),
                image_digest: None,
                image_id: Some(image.to_owned()),
                artifact_id: None,
                image_created_at: None,
                artifact_type: None,
                os_family: None,
                os_name: None,
                os_end_of_life: false,
                trivy_version: None,
            },
            scan_timestamp: at,
            last_seen_at: at,
            undated: false,
            ingested_at: at,
            reported_findings: os + lang,
            severity_counts: SeverityCounts { high: os + lang, ..SeverityCounts::default() },
            fixable_counts: SeverityCounts::default(),
            class_counts: ClassCounts { os_pkgs: os, lang_pkgs: lang, other: 0 },
            suppressed_counts: SeverityCounts::default(),
            suppressed_class_counts: ClassCounts::default(),
            other_findings: OtherFindings::default(),
            is_vulnerability_scan: true,
            scanners: None,
            scanned_severities: None,
            confirmed_until: None,
            suspect: false,
            current: false,
            retired: false,
            asset_since: None,
        }
    }

    /// The same, seen again later.
    fn until(second: i64, scan: Scan) -> Scan {
        Scan { last_seen_at: Timestamp::from_second(second).unwrap(), ..scan }
    }

    fn of(scans: &[Scan]) -> (Option<u64>, Vec<u64>) {
        let standing = standing(scans);
        (standing.current.map(ScanId::get), standing.suspects.into_iter().map(ScanId::get).collect())
    }

    #[test]
    fn the_scan_that_was_seen_last_is_current_whatever_its_number() {
        assert_eq!(of(&[]), (None, vec![]));
        assert_eq!(of(&[scan(1, 20, "a", 3, 0), scan(2, 5, "b", 1, 0)]), (Some(1), vec![]));
        assert_eq!(of(&[scan(1, 20, "a", 3, 0), scan(2, 20, "b", 1, 0)]), (Some(2), vec![]));
    }

    #[test]
    fn a_scan_that_did_not_look_for_vulnerabilities_is_never_current() {
        let secrets = Scan { is_vulnerability_scan: false, ..scan(2, 30, "a", 0, 0) };
        assert_eq!(of(&[scan(1, 20, "a", 3, 0), secrets.clone()]), (Some(1), vec![]));
        assert_eq!(of(&[secrets]), (None, vec![]));
    }

    #[test]
    fn a_class_that_is_gone_from_the_same_image_makes_a_scan_suspect_until_it_is_confirmed() {
        let (before, after) = (scan(1, 20, "a", 3, 2), scan(2, 30, "a", 3, 0));
        assert_eq!(of(&[before.clone(), after.clone()]), (Some(1), vec![2]));
        let again = scan(3, 40, "a", 2, 0);
        assert_eq!(of(&[before.clone(), after.clone(), again.clone()]), (Some(1), vec![2, 3]));
        let confirmed = Scan { confirmed_until: Some(after.last_seen_at), ..after.clone() };
        assert_eq!(of(&[before.clone(), confirmed, again]), (Some(3), vec![]));
        // Another image, or the same class suppressed, or fewer of a class: nothing to doubt.
        assert_eq!(
            of(&[before.clone(), Scan { artifact: scan(2, 30, "b", 0, 0).artifact, ..after.clone() }]).0,
            Some(2)
        );
        let suppressed = ClassCounts { lang_pkgs: 1, ..ClassCounts::default() };
        assert_eq!(of(&[before.clone(), Scan { suppressed_class_counts: suppressed, ..after }]), (Some(2), vec![]));
        assert_eq!(of(&[before, scan(2, 30, "a", 1, 1)]), (Some(2), vec![]));
    }

    #[test]
    fn what_two_scanners_find_in_turn_leaves_the_first_current() {
        let (os, lang) = (scan(1, 20, "a", 3, 0), scan(2, 30, "a", 0, 2));
        assert_eq!(of(&[os.clone(), lang.clone()]), (Some(1), vec![2]));
        assert_eq!(of(&[until(40, os.clone()), lang.clone()]), (Some(1), vec![2]));
        assert_eq!(of(&[until(40, os), until(50, lang)]), (Some(1), vec![2]));
        // Empty between two deliveries of the same.
        assert_eq!(of(&[until(40, scan(1, 20, "a", 3, 0)), scan(2, 30, "a", 0, 0)]), (Some(1), vec![2]));
    }

    #[test]
    fn a_confirmation_holds_for_what_was_seen_until_then() {
        let (before, after) = (scan(1, 20, "a", 3, 2), scan(2, 30, "a", 3, 0));
        let confirmed = Scan { confirmed_until: Some(after.last_seen_at), ..after };
        assert_eq!(of(&[before.clone(), until(60, confirmed.clone())]), (Some(2), vec![]));
        assert_eq!(of(&[until(50, before.clone()), confirmed.clone()]), (Some(1), vec![]));
        assert_eq!(of(&[until(50, before), until(60, confirmed)]), (Some(1), vec![2]));
    }

    #[test]
    fn severities_that_were_not_looked_for_are_not_gone() {
        let before = scan(1, 20, "a", 3, 0);
        let mut after = Scan { scanned_severities: Some("CRITICAL".parse().unwrap()), ..scan(2, 30, "a", 1, 0) };
        after.severity_counts = SeverityCounts { critical: 1, ..SeverityCounts::default() };
        assert_eq!(of(&[before.clone(), after.clone()]), (Some(1), vec![2]));
        after.scanned_severities = Some("CRITICAL,HIGH".parse().unwrap());
        assert_eq!(of(&[before, after]), (Some(2), vec![]));
    }

    fn any_scan() -> impl Strategy<Value = Scan> {
        (1u64..9, 1i64..6, 0i64..4, "[ab]", 0u32..3, 0u32..3, any::<bool>(), prop::option::of(1i64..9)).prop_map(
            |(id, second, seconds, image, os, lang, looked, confirmed)| Scan {
                is_vulnerability_scan: looked,
                confirmed_until: confirmed.map(|second| Timestamp::from_second(second).unwrap()),
                ..until(second + seconds, scan(id, second, &image, os, lang))
            },
        )
    }

    fn distinct(scans: Vec<Scan>) -> Vec<Scan> {
        let by_id: std::collections::BTreeMap<ScanId, Scan> =
            scans.into_iter().map(|scan| (scan.scan_id, scan)).collect();
        by_id.into_values().collect()
    }

    proptest! {
        #[test]
        fn the_order_in_which_scans_come_does_not_matter(scans in prop::collection::vec(any_scan(), 0..7), seed: u64) {
            let scans = distinct(scans);
            let mut shuffled = scans.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(standing(&scans), standing(&shuffled));
        }

        #[test]
        fn what_is_appended_is_judged_by_the_current_scan_alone(scans in prop::collection::vec(any_scan(), 0..7), os in 0u32..3) {
            let scans = distinct(scans);
            let before = standing(&scans);
            let last = scan(9, 100, "a", os, 0);
            let current = scans.iter().filter(|scan| Some(scan.scan_id) == before.current);
            let short = standing(current.chain([&last]));
            let whole = standing(scans.iter().chain([&last]));
            prop_assert_eq!(short.current, whole.current);
            prop_assert_eq!(short.suspects.contains(&last.scan_id), whole.suspects.contains(&last.scan_id));
        }

        #[test]
        fn a_current_scan_that_was_seen_last_changes_nothing_by_being_seen_later(
            scans in prop::collection::vec(any_scan(), 0..7)
        ) {
            let scans = distinct(scans);
            let before = standing(&scans);
            let latest = |scan: &&Scan| Some(scan.scan_id) != before.current;
            let latest = scans.iter().filter(latest).map(|scan| scan.last_seen_at).max();
            let seen = |scan: &Scan| match Some(scan.scan_id) == before.current && Some(scan.last_seen_at) > latest {
                true => until(100, scan.clone()),
                false => scan.clone(),
            };
            let later: Vec<Scan> = scans.iter().map(seen).collect();
            prop_assert_eq!(standing(&later), before);
        }
    }
}
