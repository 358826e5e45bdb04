//! Measures one vulnerability in very many packages of an image: adding it to the occurrences, and deleting the scan.

use std::collections::BTreeMap;
use std::time::Duration;

use cpu_time::ThreadTime;
use jiff::Timestamp;
use serde_json::{Value, json};
use sirius::domain::finding::Ordinal;
use sirius::domain::occurrence::{AssetOccurrences, Details, Problem, Span};
use sirius::domain::scan::ScanId;
use sirius::domain::severity::Severity;
use sirius::domain::vulnerability::id::VulnerabilityId;
use sirius::pipeline::catalogue::catalogue_scan;
use sirius::pipeline::delete_scan::{self, Deleted, Reason, delete_scan};
use sirius::sources::Budget;
use sirius::store::lease::Owner;
use support::app::App;
use support::report;
use support::world::World;

use crate::figure::Figure;

/// Packages with the vulnerability, for the measurement of merging alone.
const MERGED: usize = 20_000;
/// Packages of the report that is ingested and deleted.
const REPORTED: usize = 18_000;
/// The number of measurements of each way.
const ROUNDS: usize = 3;

const ID: &str = "CVE-2026-10007";

pub(crate) async fn figures() -> Vec<Figure> {
    eprintln!("measuring the merging of {MERGED} packages with one vulnerability");
    let found: Vec<Details> = (0..MERGED).map(details).collect();
    let ratios: Vec<f64> = (0..ROUNDS).map(|_| of_sorted(&found) / quadratic::time(&found)).collect();
    let (merge, delete) = of_report().await;
    let seconds = |seconds: f64| format!("{seconds:.2} s");
    vec![
        Figure::timed(format!("CPU, {MERGED} occurrences of one id: merged / merged by nested scans"), &ratios, 0.01),
        Figure::timed(format!("CPU seconds to catalogue one id in {REPORTED} packages"), &[merge], 2.0),
        Figure::timed(format!("CPU seconds to delete that scan ({} to catalogue)", seconds(merge)), &[delete], 2.0),
    ]
}

fn details(number: usize) -> Details {
    Details {
        problem: Problem {
            vulnerability_id: ID.parse().unwrap(),
            pkg_name: format!("linux-modules-{number}"),
            kind: Some("debian".to_owned()),
        },
        class: Some("os-pkgs".to_owned()),
        installed_version: format!("6.1.{number}-1"),
        fixed_version: Some(format!("6.1.{number}-2")),
        severity: Severity::High,
        status: Some("fixed".to_owned()),
        rating: None,
        findings: 1,
    }
}

/// Measures the CPU seconds to add two scans with all of these.
fn of_sorted(found: &[Details]) -> f64 {
    let span = Span { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
    let (first, second) = (ScanId::new(1).unwrap(), ScanId::new(2).unwrap());
    let numbered: Vec<_> = (0..).filter_map(Ordinal::new).zip(found).map(|(at, found)| (found.clone(), at)).collect();
    let start = ThreadTime::now();
    let asset = AssetOccurrences::none("app".parse().unwrap(), None);
    let asset = asset.with(first, span, &numbered).with(second, span, &numbered).at(Some(second), 2);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(asset.seen_all().len(), found.len());
    seconds
}

/// Measures the CPU seconds of this process, with the proxy, to catalogue such a scan and to delete it.
async fn of_report() -> (f64, f64) {
    let (app, world) = (App::with_enrichment().await, World::start().await);
    let vulnerability = |number: usize| -> Value {
        let mut vulnerability = report::vulnerability(number);
        vulnerability["VulnerabilityID"] = ID.into();
        vulnerability["PkgName"] = json!(format!("linux-modules-{number}"));
        vulnerability
    };
    let report = report::report_of("app", (0..REPORTED).map(vulnerability).collect());
    let scan_id = app.deliver(&report, 0).await.unwrap().scan.scan_id;
    let deps = app.enrichment(world.mode()).await;
    let owner = Owner::random().unwrap();
    let start = ThreadTime::now();
    let budget = Budget::new(Timestamp::now(), Duration::from_secs(120));
    let catalogued = catalogue_scan(&deps, scan_id, None, &owner, &budget).await.unwrap();
    let merge = start.elapsed().as_secs_f64();
    assert_eq!((catalogued.ids, catalogued.goes_on), (1, false));
    let start = ThreadTime::now();
    let time = Duration::from_secs(120);
    let now = Timestamp::now();
    let deleted = delete_scan(
        &deps.store,
        Some(&deps.objects),
        delete_scan::Order { scan_id, reason: Reason::Requested },
        now,
        time,
    )
    .await
    .unwrap();
    assert_eq!(deleted, Deleted::Gone);
    let left = deps.store.occurrences_of(&ID.parse::<VulnerabilityId>().unwrap()).await.unwrap();
    assert!(left.is_empty());
    (merge, start.elapsed().as_secs_f64())
}

/// Merges as it was done before occurrences were kept in sorted maps: for each new one, all known ones are
/// compared.
mod quadratic {
    use super::{BTreeMap, Details, ThreadTime, Timestamp};

    #[derive(Clone)]
    struct Sighting {
        id: String,
        package: String,
        version: String,
        first_seen: Timestamp,
        last_scan: u64,
    }

    impl Sighting {
        fn key(&self) -> (String, String, String) {
            (self.id.clone(), self.package.clone(), self.version.clone())
        }

        fn is_same_problem(&self, other: &Self) -> bool {
            self.id == other.id && self.package == other.package
        }
    }

    fn merged(known: Vec<Sighting>, scan: u64, at: Timestamp, found: &[Sighting]) -> Vec<Sighting> {
        let mut old = BTreeMap::new();
        for sighting in known {
            if sighting.last_scan != scan || found.iter().any(|new| new.is_same_problem(&sighting)) {
                old.insert(sighting.key(), sighting);
            }
        }
        let since: Vec<(Sighting, Timestamp)> = found
            .iter()
            .map(|new| {
                let known = old.values().filter(|old: &&Sighting| old.is_same_problem(new)).map(|old| old.first_seen);
                (new.clone(), known.chain([at]).min().unwrap_or(at))
            })
            .collect();
        old.retain(|_, sighting| sighting.last_scan != scan);
        for (new, first_seen) in since {
            for sighting in old.values_mut().filter(|old| old.is_same_problem(&new)) {
                sighting.first_seen = sighting.first_seen.min(first_seen);
            }
            if old.get(&new.key()).is_none_or(|known| known.last_scan <= scan) {
                old.insert(new.key(), Sighting { first_seen, last_scan: scan, ..new });
            }
        }
        old.into_values().collect()
    }

    /// Measures the CPU seconds to add two scans with all of these.
    pub(super) fn time(found: &[Details]) -> f64 {
        let sighting = |details: &Details| Sighting {
            id: details.problem.vulnerability_id.to_string(),
            package: details.problem.pkg_name.clone(),
            version: details.installed_version.clone(),
            first_seen: Timestamp::UNIX_EPOCH,
            last_scan: 0,
        };
        let found: Vec<Sighting> = found.iter().map(sighting).collect();
        let start = ThreadTime::now();
        let known = merged(Vec::new(), 1, Timestamp::UNIX_EPOCH, &found);
        let known = merged(known, 2, Timestamp::UNIX_EPOCH, &found);
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(known.len(), found.len());
        seconds
    }
}
