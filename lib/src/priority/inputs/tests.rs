use jiff::civil::date;
use serde_json::{Value, json};

use jiff::Timestamp;

use super::*;
use crate::domain::feed::Feed;
use crate::domain::finding::{Finding, Ordinal};
use crate::domain::scan::ScanId;
use crate::domain::vulnerability::{Exploitation, KevListing, Source};
use crate::priority::exposure::Reach;
use crate::priority::{Band, Thresholds, assess};

const RCE: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const LOCAL: &str = "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:N/A:N";
const ASSUMED: Exposure = Exposure::Assumed(Reach::Public);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn scanned() -> Timestamp {
    time("2026-11-20T08:00:00Z")
}

fn finding(vulnerability: Value) -> Finding {
    Finding {
        scan_id: ScanId::new(1).unwrap(),
        ordinal: Ordinal::new(0).unwrap(),
        vulnerability_id: Some("CVE-2026-0001".to_owned()),
        pkg_name: Some("openssl".to_owned()),
        target: "app (debian 12)".to_owned(),
        class: Some("os-pkgs".to_owned()),
        suppressed: None,
        kind: Some("debian".to_owned()),
        vulnerability: serde_json::from_value(vulnerability).unwrap(),
    }
}

fn reported() -> Reported {
    let vulnerability = json!({
        "Severity": "HIGH", "SeveritySource": "redhat", "Status": "will_not_fix", "FixedVersion": " ",
        "PublishedDate": "2026-02-03T04:05:06.7Z",
        "CVSS": {
            "aaa": {"V3Vector": "nonsense", "V40Vector": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},
            "nvd": {"V2Vector": "AV:N/AC:M/Au:N/C:C/I:C/A:C", "V3Vector": RCE, "V3Score": 1.0},
            "redhat": {"V3Vector": LOCAL}
        }
    });
    Reported::finding(&finding(vulnerability), scanned(), scanned())
}

fn summary() -> VulnerabilitySummary {
    let as_of = time("2026-11-18T00:00:00Z");
    VulnerabilitySummary {
        id: "CVE-2026-0001".parse().unwrap(),
        aliases: vec![],
        status: Status::Published,
        status_source: Source::Nvd,
        status_as_of: as_of,
        cvss: vec![Sourced {
            fact: Rating {
                version: CvssVersion::V31,
                vector: RCE.to_owned(),
                score: 9.8,
                assigner: "nvd@nist.gov".to_owned(),
            },
            source: Source::Nvd,
            as_of,
        }],
        ssvc: Some(Sourced {
            fact: Ssvc {
                exploitation: Some(Exploitation::Active),
                automatable: Some(true),
                technical_impact: None,
                assigner: "CISA-ADP".to_owned(),
                assessed_at: None,
            },
            source: Source::CveServices,
            as_of,
        }),
        kev: Some(Sourced {
            fact: KevListing { date_added: date(2026, 11, 17), ransomware: None },
            source: Source::Kev,
            as_of,
        }),
        kev_checked: Some(as_of),
        epss: Some(Sourced {
            fact: Epss { score: 0.5, percentile: Some(0.99), date: date(2026, 11, 19), model_version: None },
            source: Source::Epss,
            as_of,
        }),
        published: Some(time("2026-02-01T00:00:00Z")),
        exploit_refs: 0,
        reported: None,
        next_fetch: as_of,
        as_of,
    }
}

fn feed(day: &str) -> Feed {
    Feed {
        object: "feeds/x".to_owned(),
        date: time(day),
        fetched_at: time(day),
        entries: 1,
        model_version: None,
        median: Some(0.002),
    }
}

#[test]
fn without_any_source_the_report_alone_is_looked_at_and_the_rest_is_unknown() {
    let facts = Inputs::of(&reported(), None, &Vulnerabilities::default(), ASSUMED);
    assert_eq!((facts.severity, facts.status, facts.fixed_version), (Severity::High, FixStatus::WillNotFix, false));
    // Recomputed from the vector of the source that the severity is from, whatever score is stated.
    assert_eq!(facts.cvss_scores, [3.3]);
    let vector = facts.vector.clone().unwrap();
    assert_eq!(
        (vector.source.as_str(), vector.as_of, facts.network_reach),
        ("trivy:redhat", Some(date(2026, 11, 20)), Some(false))
    );
    assert_eq!((&facts.kev, &facts.epss, &facts.ssvc, &facts.record), (&KevStatus::Unknown, &None, &None, &None));
    assert_eq!((facts.first_seen, facts.published), (Some(date(2026, 11, 20)), Some(date(2026, 2, 3))));
    let priority = assess(&facts, &Thresholds::default(), scanned());
    for unknown in ["KEV unknown", "epss: unknown, fallback 0.01", "exploitation unknown"] {
        assert!(priority.why.iter().any(|why| why.contains("data_gap") && why.contains(unknown)), "{unknown}");
    }
}

#[test]
fn what_sources_say_goes_before_the_report_and_is_named_with_its_day() {
    let feeds = Vulnerabilities {
        kev: Some(feed("2026-11-19T00:00:00Z")),
        epss: Some(feed("2026-11-19T00:00:00Z")),
        ..Vulnerabilities::default()
    };
    let facts = Inputs::of(&reported(), Some(&summary()), &feeds, ASSUMED);
    assert_eq!(
        (facts.cvss_scores.as_slice(), facts.network_reach, facts.epss_median),
        (&[9.8][..], Some(true), Some(0.002))
    );
    let priority = assess(&facts, &Thresholds::default(), scanned());
    assert_eq!((priority.band, priority.due), (Band::P0, Some(date(2026, 11, 23))));
    for reason in [
        "KEV since 2026-11-17 (CISA)",
        "automatable: yes, CISA-ADP 2026-11-18",
        "technical impact: total, derived from CVSS v3.1 of nvd@nist.gov 2026-11-18",
        "exploitation: active, CISA-ADP 2026-11-18",
        "EPSS 0.5 (p99) 2026-11-19",
    ] {
        assert!(priority.why.contains(&reason.to_owned()), "{reason}: {:?}", priority.why);
    }
}

#[test]
fn not_in_kev_is_a_fact_of_the_newest_catalogue_and_unknown_where_nobody_has_looked() {
    let kev = |checked: Option<&str>, loaded: Option<&str>| {
        let summary = VulnerabilitySummary { kev: None, kev_checked: checked.map(time), ..summary() };
        Inputs::of(
            &reported(),
            Some(&summary),
            &Vulnerabilities { kev: loaded.map(feed), ..Vulnerabilities::default() },
            ASSUMED,
        )
        .kev
    };
    let (old, new) = (Some("2026-11-01T00:00:00Z"), Some("2026-11-20T00:00:00Z"));
    assert_eq!(kev(old, new), KevStatus::NotListed { catalogue: date(2026, 11, 20) });
    assert_eq!(kev(new, old), KevStatus::NotListed { catalogue: date(2026, 11, 20) });
    assert_eq!(kev(old, None), KevStatus::NotListed { catalogue: date(2026, 11, 1) });
    assert_eq!(kev(None, new), KevStatus::Unknown);
}

#[test]
fn a_rejected_record_suppresses_and_a_missing_one_does_not() {
    for (status, band) in [(Status::Rejected, Band::Suppressed), (Status::NotFound, Band::P0)] {
        let facts = Inputs::of(
            &reported(),
            Some(&VulnerabilitySummary { status, ..summary() }),
            &Vulnerabilities::default(),
            ASSUMED,
        );
        assert_eq!(assess(&facts, &Thresholds::default(), scanned()).band, band, "{status:?}");
    }
}

#[test]
fn a_report_that_says_odd_things_says_nothing() {
    for vulnerability in [
        json!({}),
        json!({"Severity": 7, "Status": [], "FixedVersion": null, "CVSS": "x", "PublishedDate": "soon"}),
        json!({"CVSS": {"nvd": null, "redhat": {"V3Vector": 3, "V2Vector": "A".repeat(400)}}}),
    ] {
        let reported = Reported::finding(&finding(vulnerability), scanned(), scanned());
        assert_eq!((reported.severity, &reported.rating, reported.published), (Severity::Unknown, &None, None));
        let facts = Inputs::of(&reported, None, &Vulnerabilities::default(), ASSUMED);
        // Nothing known is public, automatable and total, not harmless.
        assert_eq!(assess(&facts, &Thresholds::default(), scanned()).band, Band::P1);
    }
}
