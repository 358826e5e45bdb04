//! Answers of the public sources, written to the table without enrichment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sirius::domain::asset::Asset;
use sirius::domain::feed::{Feed, FeedName};
use sirius::domain::finding::{Ordinal, Rating};
use sirius::domain::occurrence::{Bucket, Details, Problem, Span};
use sirius::domain::report_hash::ReportHash;
use sirius::domain::scan::{Scan, ScanId};
use sirius::domain::severity::{Severity, SeverityCounts};
use sirius::domain::vulnerability::cvss;
use sirius::domain::vulnerability::id::VulnerabilityId;
use sirius::domain::vulnerability::{
    Epss, Exploitation, Kev, Reference, Source, SourceRecord, SourceRecords, Ssvc, Status, TechnicalImpact,
    VulnerabilitySummary,
};
use sirius::enrichment::freshness::Lifetimes;
use sirius::enrichment::merge::{self, Answer, Said};
use sirius::enrichment::trivy;
use sirius::store::Store;
use sirius::store::claims::{Claim, Claimed};
use sirius::store::lease::Owner;
use sirius::store::occurrences::{Added, Following};

/// A vector that is automatable and gives everything.
pub const RCE: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
/// A vector that is not automatable, gives little, and has no network reach.
pub const LOCAL: &str = "CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N";

/// The answers of the sources about one vulnerability.
#[derive(Debug)]
pub struct Told {
    id: VulnerabilityId,
    answers: Vec<Answer>,
    at: Timestamp,
}

impl Told {
    /// Starts without facts, from a source that was asked an hour ago.
    pub fn of(id: &str) -> Self {
        let at = Timestamp::now().checked_sub(SignedDuration::from_hours(1)).unwrap();
        Self { id: id.parse().unwrap(), answers: Vec::new(), at }
    }

    fn says(mut self, source: Source, set: impl FnOnce(&mut SourceRecord)) -> Self {
        let mut facts = SourceRecord::none(self.at);
        set(&mut facts);
        self.answers.push(Answer { source, at: self.at, said: Said::Record(Box::new(facts)) });
        self
    }

    /// Adds a publication of NVD, with a rating and an alias.
    pub fn published(self, vector: &str, aliases: &[&str]) -> Self {
        let rating =
            cvss::rating(vector, None, sirius::domain::vulnerability::CvssKind::Primary, "nvd@nist.gov".into());
        let at = self.at;
        self.says(Source::Nvd, |facts| {
            facts.status = Some(Status::Published);
            facts.description = Some("An input is copied without a check of its length.".to_owned());
            facts.cvss = vec![rating.unwrap()];
            facts.aliases = aliases.iter().map(|id| id.parse().unwrap()).collect();
            facts.references = vec![Reference { url: "https://example.org/a".into(), tags: vec!["Patch".into()] }];
            facts.published = Some(at);
        })
    }

    /// Adds an entry of KEV.
    pub fn exploited(self, date_added: &str) -> Self {
        let date_added = date_added.parse().unwrap();
        self.says(Source::Kev, |facts| {
            facts.kev = Some(Kev {
                date_added,
                due_date: None,
                ransomware: Some(true),
                required_action: None,
                forensic_triage: None,
                name: None,
            });
        })
    }

    /// Adds its absence from KEV.
    pub fn unlisted(mut self) -> Self {
        self.answers.push(Answer { source: Source::Kev, at: self.at, said: Said::Absent });
        self
    }

    /// Adds an EPSS score.
    pub fn predicted(self, score: f64, percentile: f64) -> Self {
        let date = self.at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let epss = Epss { score, percentile: Some(percentile), date, model_version: Some("v2026.06.15".to_owned()) };
        self.says(Source::Epss, |facts| facts.epss = Some(epss))
    }

    /// Adds an assessment of CISA.
    pub fn assessed(self, exploitation: Exploitation, automatable: bool, technical_impact: TechnicalImpact) -> Self {
        let ssvc = Ssvc {
            exploitation: Some(exploitation),
            automatable: Some(automatable),
            technical_impact: Some(technical_impact),
            assigner: "CISA-ADP".to_owned(),
            assessed_at: Some(self.at),
        };
        self.says(Source::CveServices, |facts| {
            facts.status = Some(Status::Published);
            facts.ssvc = Some(ssvc);
        })
    }

    /// Adds the facts of the report only.
    pub fn seeded(mut self, report: &serde_json::Value) -> Self {
        let facts = trivy::parse_vulnerability(report.to_string().as_bytes(), self.at).unwrap();
        self.answers.push(Answer { source: Source::Trivy, at: self.at, said: Said::Record(Box::new(facts)) });
        self
    }

    /// Stores the record as enrichment does.
    pub async fn store(self, store: &Store) {
        let (now, ids) = (Timestamp::now(), [self.id.clone()]);
        let owner = Owner::random().unwrap();
        let leases = store.lease_records(&ids, &owner, now, Duration::from_secs(60)).await.unwrap();
        let lease = leases.first().unwrap();
        let records = lease.records.clone().unwrap_or_else(|| SourceRecords::new(self.id, self.at));
        let records = merge::absorb(records, self.answers, &Lifetimes::default());
        let summary = VulnerabilitySummary::of(&merge::record(&records), merge::kept_digest(&records), now);
        assert!(store.put_source_records(lease, &records, &summary).await.unwrap());
    }
}

/// Stores a feed of a day.
pub async fn load_feed(store: &Store, name: FeedName, date: Timestamp, median: Option<f64>) {
    let feed =
        Feed { object: "feeds/x".to_owned(), date, fetched_at: date, entries: 1000, model_version: None, median };
    store.put_feed(name, &feed).await.unwrap();
}

/// Builds a finding of a Debian package of an image.
pub fn occurrence(id: &str, package: &str, installed: &str, fixed: Option<&str>) -> Details {
    Details {
        problem: Problem {
            vulnerability_id: id.parse().unwrap(),
            pkg_name: package.to_owned(),
            kind: Some("debian".to_owned()),
        },
        class: Some("os-pkgs".to_owned()),
        installed_version: installed.to_owned(),
        fixed_version: fixed.map(str::to_owned),
        severity: Severity::High,
        status: Some("affected".to_owned()),
        rating: Some(Rating { assigner: "nvd".to_owned(), vector: RCE.to_owned() }),
        findings: 1,
    }
}

/// Publishes a scan of an image without stored findings, and its occurrences as enrichment does; scans are an hour
/// apart.
pub async fn occur(store: &Store, image: &str, hour: u64, found: &[Details]) {
    let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    let at = start + SignedDuration::from_hours(i64::try_from(hour).unwrap());
    let hash: ReportHash = <[u8; 32]>::from(Sha256::digest(format!("{image} {hour}"))).into();
    let owner = Owner::random().unwrap();
    let claimed = store.claim(hash, &owner, at, Duration::from_secs(60)).await.unwrap();
    let Claimed::Ours(claim) = claimed else { panic!("{claimed:?}") };
    let scan_id = store.number(&claim).await.unwrap();
    let claim = Claim { scan_id: Some(scan_id), ..claim };
    let scan: Scan = serde_json::from_value(json!({
        "scan_id": scan_id, "report_hash": hash, "image_name": image, "scan_timestamp": at, "last_seen_at": at,
        "ingested_at": at, "reported_findings": 0, "severity_counts": SeverityCounts::default(),
        "fixable_counts": SeverityCounts::default(), "is_vulnerability_scan": true
    }))
    .unwrap();
    store.publish(&claim, &scan, None).await.unwrap();
    follow(store, &Asset::of(scan_id, &scan.artifact), scan_id, Span { from: at, to: at }, found).await;
}

/// Writes the occurrences and first times of a scan, which may not exist.
pub async fn follow(store: &Store, asset: &Asset, scan_id: ScanId, span: Span, found: &[Details]) {
    let buckets: Vec<Bucket> = Bucket::all().collect();
    let mut known = store.known_occurrences(asset, Bucket::all()).await.unwrap();
    let current = store.current(asset).await.unwrap();
    let mut by_bucket: BTreeMap<Bucket, Vec<(Details, Ordinal)>> = BTreeMap::new();
    for (ordinal, details) in (0..).filter_map(Ordinal::new).zip(found) {
        by_bucket.entry(Bucket::of(&details.problem.vulnerability_id)).or_default().push((details.clone(), ordinal));
    }
    let added = [Added { scan_id, span, found: &by_bucket }];
    let (gone, spans) = (BTreeSet::new(), [(scan_id, span)].into());
    let following = Following { current, added: &added, gone: &gone, spans: &spans };
    store.follow(asset, &mut known, &buckets, following).await.unwrap();
    let times = found.iter().map(|details| (details.problem.clone(), span.from)).collect();
    store.add_first_seen(asset.key().lineage(), times).await.unwrap();
}
