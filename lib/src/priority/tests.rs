//! The rule as a whole: the published table, the steps around it, and what must never happen.

use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;

use super::exposure::{Exposure, Reach};
use super::table::table_row;
use super::*;
use crate::domain::severity::Severity;
use crate::domain::tests::shared;
use crate::domain::vulnerability::{
    CvssVersion, DerivedSsvc, Epss, Exploitation, KevListing, Source, Sourced, Ssvc, TechnicalImpact, Value,
};

/// In KEV, exposed, automatable, total: the rows of BOD 26-04 by number, typed from its table.
const BOD_26_04: [(bool, bool, bool, bool, Band); 16] = [
    (false, false, false, false, Band::P4),
    (true, false, false, false, Band::P2),
    (false, true, false, false, Band::P3),
    (false, false, true, false, Band::P3),
    (false, false, false, true, Band::P4),
    (true, true, false, false, Band::P2),
    (true, false, true, false, Band::P2),
    (false, true, true, false, Band::P2),
    (true, false, false, true, Band::P2),
    (false, true, false, true, Band::P2),
    (false, false, true, true, Band::P3),
    (true, true, true, false, Band::P1),
    (true, true, false, true, Band::P0),
    (true, false, true, true, Band::P0),
    (false, true, true, true, Band::P1),
    (true, true, true, true, Band::P0),
];

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn assessed(facts: &Inputs) -> Priority {
    assess(facts, &Thresholds::default(), now())
}

fn says(priority: &Priority, text: &str) -> bool {
    priority.why.iter().any(|reason| reason.contains(text))
}

const LISTED: KevStatus = listed(date(2026, 11, 1), false);
const NOT_LISTED: KevStatus = KevStatus::NotListed { catalogue: date(2026, 11, 20) };

const fn listed(date_added: Date, ransomware: bool) -> KevStatus {
    KevStatus::Listed(KevListing { date_added, ransomware: Some(ransomware) })
}

/// A time on that day; of the first and last days there is, the nearest one that has times.
fn on(day: Date) -> Timestamp {
    let bound = if day < date(0, 1, 1) { Timestamp::MIN } else { Timestamp::MAX };
    day.to_zoned(jiff::tz::TimeZone::UTC).map_or(bound, |zoned| zoned.timestamp())
}

fn from_nvd<T>(fact: T, as_of: Date) -> Sourced<T> {
    Sourced { fact, source: Source::Nvd, as_of: on(as_of) }
}

/// A finding of which only the severity and the exposure are known.
fn known_by_severity(severity: Severity, exposure: Exposure) -> Inputs {
    Inputs {
        severity,
        status: FixStatus::Unknown,
        fixed_version: false,
        cvss_scores: Vec::new(),
        network_reach: None,
        kev: KevStatus::Unknown,
        epss: None,
        epss_median: None,
        ssvc: None,
        vector: None,
        exposure,
        record: None,
        first_seen: None,
        published: None,
    }
}

/// A finding about which everything is known and nothing raises or lowers the row.
fn plain(kev: bool, exposed: bool, automatable: bool, total: bool) -> Inputs {
    let pattern = "*/shop:*".to_owned();
    let exposure = if exposed { Exposure::Public { pattern } } else { Exposure::Internal { pattern } };
    Inputs {
        status: FixStatus::Affected,
        cvss_scores: vec![8.8, 6.8, 8.8],
        network_reach: Some(true),
        kev: if kev { LISTED } else { NOT_LISTED },
        epss: Some(epss(0.0719, 0.5)),
        ssvc: Some(from_nvd(
            Ssvc {
                exploitation: Some(Exploitation::None),
                automatable: Some(automatable),
                technical_impact: Some(if total { TechnicalImpact::Total } else { TechnicalImpact::Partial }),
                assigner: "cisa-adp".to_owned(),
                assessed_at: Some(on(date(2025, 2, 4))),
            },
            date(2026, 6, 17),
        )),
        first_seen: Some(date(2026, 11, 10)),
        ..known_by_severity(Severity::High, exposure)
    }
}

fn epss(score: f64, percentile: f64) -> Epss {
    let model_version = Some("v2026.06.15".to_owned());
    Epss { score, percentile: Some(percentile), date: date(2026, 11, 21), model_version }
}

fn with_exploitation(mut facts: Inputs, exploitation: Exploitation) -> Inputs {
    facts.ssvc.as_mut().unwrap().fact.exploitation = Some(exploitation);
    facts
}

#[test]
fn the_table_is_that_of_bod_26_04() {
    for (number, (kev, exposed, automatable, total, band)) in (0..).zip(BOD_26_04) {
        assert_eq!(table_row(kev, exposed, automatable, total), table::Row { number, band }, "row {number}");
    }
}

#[test]
fn the_table_is_the_one_that_cert_cc_publishes() {
    let Some(path) = shared("enrichment-data/ssvc/cisa_bod_26_04_1_0_0.csv") else { return };
    let csv = std::fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for line in csv.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [number, kev, exposed, automatable, impact, outcome] = cells[..] else { panic!("{line}") };
        let yes = |cell| match cell {
            "yes" | "total" => true,
            "no" | "partial" => false,
            _ => panic!("{line}"),
        };
        let band = match outcome {
            "3 days & forensic investigation" => Band::P0,
            "3 days" => Band::P1,
            "14 days" => Band::P2,
            "60 days" => Band::P3,
            "fix on system upgrade" => Band::P4,
            _ => panic!("{line}"),
        };
        let expected = table::Row { number: number.parse().unwrap(), band };
        assert_eq!(table_row(yes(kev), yes(exposed), yes(automatable), yes(impact)), expected, "{line}");
        rows += 1;
    }
    assert_eq!(rows, 16);
}

#[test]
fn vectors_imply_what_cisa_assessed_about_as_often_as_the_evidence_says() {
    let Some(folder) = shared("enrichment-data/vulnrichment") else { return };
    let (mut records, mut automatable, mut impact) = (0, 0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        let containers = &record["containers"];
        let adp = containers["adp"].as_array().into_iter().flatten();
        let metrics = adp.chain([&containers["cna"]]).filter_map(|container| container["metrics"].as_array()).flatten();
        let (mut vectors, mut assessed) = (Vec::new(), None);
        for metric in metrics {
            let fields = ["cvssV3_1", "cvssV3_0", "cvssV4_0"];
            vectors.extend(fields.into_iter().filter_map(|field| metric[field]["vectorString"].as_str()));
            if metric["other"]["type"] == "ssvc" {
                let options = metric["other"]["content"]["options"].as_array().unwrap().iter();
                let answer =
                    |key: &str| options.clone().find_map(|option| option[key].as_str()).unwrap().to_lowercase();
                assessed = Some((answer("Automatable") == "yes", answer("Technical Impact")));
            }
        }
        // Every vector is read; the first one is compared.
        let derived: Vec<DerivedSsvc> =
            vectors.into_iter().map(|vector| DerivedSsvc::from_vector(vector).expect(vector)).collect();
        let (Some(derived), Some(assessed)) = (derived.first(), assessed) else { continue };
        records += 1;
        automatable += usize::from(derived.automatable == assessed.0);
        impact += usize::from(derived.technical_impact.as_str() == assessed.1);
    }
    eprintln!("of {records} records: automatable equal in {automatable}, technical impact in {impact}");
    assert!(records > 100 && automatable * 10 > records * 9 && impact * 10 > records * 9);
}

#[test]
fn without_escalation_and_deprioritisation_the_band_is_the_row() {
    for (number, (kev, exposed, automatable, total, band)) in BOD_26_04.into_iter().enumerate() {
        let priority = assessed(&plain(kev, exposed, automatable, total));
        assert_eq!(priority.band, band, "row {number}");
        assert!(says(&priority, &format!("row {number} of BOD 26-04 -> {}", band.label())), "{:?}", priority.why);
        assert!(!says(&priority, "lift") && !says(&priority, "floor"), "{:?}", priority.why);
    }
}

#[test]
fn every_reason_names_its_source_and_day() {
    let mut facts = plain(true, true, true, true);
    facts.kev = listed(date(2021, 12, 10), true);
    facts.exposure = Exposure::Assumed(Reach::Public);
    facts.epss = Some(epss(0.99999, 1.0));
    let priority = assessed(&facts);
    let expected = [
        "KEV since 2021-12-10 (ransomware) (CISA)",
        "exposed: assumed yes (no pattern matches, default public)",
        "automatable: yes, cisa-adp 2025-02-04",
        "technical impact: total, cisa-adp 2025-02-04",
        "exploitation: none, cisa-adp 2025-02-04",
        "EPSS 0.99999 (p100) 2026-11-21 v2026.06.15",
        "row 15 of BOD 26-04 -> 3 days + forensic triage",
        "score 85.9833 = 100 x 1 (KEV) x 0.7817 (Trivy HIGH; CVSS mean 8.13 of 3) x 1.1",
        "due 2026-11-13: 3 days from first seen 2026-11-10",
    ];
    assert_eq!(priority.why, expected);
}

#[test]
fn a_priority_in_json_is_band_score_due_and_why() {
    let priority = assessed(&plain(false, true, true, true));
    let json = serde_json::to_value(&priority).unwrap();
    assert_eq!(json["band"], "P1");
    assert_eq!(json["score"], 5.6202);
    assert_eq!(json["due"], "2026-11-13");
    assert_eq!(json["why"][0], "KEV: not listed, catalogue 2026-11-20 (CISA)");
    assert_eq!(serde_json::from_value::<Priority>(json).unwrap(), priority);

    let none = Priority { band: Band::Suppressed, score: 0.0, due: None, why: Vec::new() };
    assert_eq!(serde_json::to_string(&none).unwrap(), r#"{"band":"none","score":0.0,"due":null,"why":[]}"#);
    for band in Band::ALL {
        assert_eq!(serde_json::to_value(band).unwrap(), band.as_str());
    }
}

#[test]
fn only_a_rejected_record_and_the_vendors_denial_suppress() {
    let facts = plain(true, true, true, true);
    let record = |value| Some(from_nvd(Value { value }, date(2026, 1, 2)));

    let rejected = assessed(&Inputs { record: record(Status::Rejected), ..facts.clone() });
    assert_eq!((rejected.band, rejected.score, rejected.due), (Band::Suppressed, 0.0, None));
    let expected = ["suppressed: CVE record rejected, nvd 2026-01-02", "KEV since 2026-11-01 (CISA)"];
    assert_eq!(rejected.why, expected);

    let disputed = assessed(&Inputs { record: record(Status::Disputed), ..facts.clone() });
    assert_eq!(disputed.band, Band::P0);
    assert!(says(&disputed, "CVE record disputed, nvd 2026-01-02: not suppressed"));
    let priority = assessed(&Inputs { status: FixStatus::NotAffected, ..facts });
    assert_eq!((priority.band, priority.score, priority.due), (Band::Suppressed, 0.0, None));
    assert_eq!(priority.why[0], "suppressed: Trivy status not_affected");
}

#[test]
fn percentile_99_or_seen_attacks_count_as_kev_without_forensics() {
    for (number, (kev, exposed, automatable, total, band)) in BOD_26_04.into_iter().enumerate() {
        let facts = plain(kev, exposed, automatable, total);
        let as_listed = table_row(true, exposed, automatable, total).band;
        let expected = if kev { band } else { as_listed.max(Band::P1) };
        let high = assessed(&Inputs { epss: Some(epss(0.6, 0.99)), ..facts.clone() });
        assert_eq!(high.band, expected, "row {number}");
        let active = assessed(&with_exploitation(facts, Exploitation::Active));
        assert_eq!(active.band, expected, "row {number}");
    }
    let escalated = assessed(&Inputs { epss: Some(epss(0.6, 0.992)), ..plain(false, false, true, true) });
    assert!(says(&escalated, "row 10 of BOD 26-04 -> 60 days"), "{:?}", escalated.why);
    assert!(says(&escalated, "lift: EPSS p99.2: row 13 as if in KEV -> 3 days"), "{:?}", escalated.why);
}

#[test]
fn percentile_95_or_an_automatable_proof_of_concept_is_one_band_up_and_at_most_p2() {
    for (number, (kev, exposed, automatable, total, band)) in BOD_26_04.into_iter().enumerate() {
        let facts = plain(kev, exposed, automatable, total);
        let up = match band {
            Band::P4 => Band::P3,
            Band::P3 => Band::P2,
            other => other,
        };
        for percentile in [0.95, 0.989_999] {
            let high = assessed(&Inputs { epss: Some(epss(0.2, percentile)), ..facts.clone() });
            assert_eq!(high.band, up, "row {number}");
        }
        let below = assessed(&Inputs { epss: Some(epss(0.2, 0.949_999)), ..facts.clone() });
        assert_eq!(below.band, band, "row {number}");
        let poc = assessed(&with_exploitation(facts, Exploitation::Poc));
        assert_eq!(poc.band, if automatable { up } else { band }, "row {number}");
    }
}

#[test]
fn a_low_priority_of_the_vendor_is_one_band_down_where_nothing_speaks_against_it() {
    let deprioritised =
        Inputs { network_reach: Some(false), status: FixStatus::WillNotFix, ..plain(false, true, true, false) };
    let priority = assessed(&deprioritised);
    assert_eq!(priority.band, Band::P3);
    let floor = "floor: Trivy status will_not_fix, no network reach, low EPSS -> 60 days";
    assert!(says(&priority, floor), "{:?}", priority.why);
    for status in [FixStatus::WillNotFix, FixStatus::EndOfLife] {
        assert_eq!(assessed(&Inputs { status, ..deprioritised.clone() }).band, Band::P3);
    }
    for status in [FixStatus::Unknown, FixStatus::Affected, FixStatus::Fixed, FixStatus::FixDeferred] {
        assert_eq!(assessed(&Inputs { status, ..deprioritised.clone() }).band, Band::P2);
    }
    let lowest =
        Inputs { network_reach: Some(false), status: FixStatus::WillNotFix, ..plain(false, false, false, true) };
    assert_eq!(assessed(&lowest).band, Band::P4);

    for (not_applied, reason) in [
        (Inputs { network_reach: Some(true), ..deprioritised.clone() }, "network reach"),
        (Inputs { network_reach: None, ..deprioritised.clone() }, "network reach unknown"),
        (Inputs { epss: Some(epss(0.05, 0.90)), ..deprioritised.clone() }, "EPSS too high"),
        (Inputs { epss: None, ..deprioritised.clone() }, "EPSS percentile unknown"),
        (Inputs { kev: LISTED, ..deprioritised.clone() }, "in KEV"),
        (Inputs { kev: KevStatus::Unknown, ..deprioritised.clone() }, "KEV unknown"),
        (with_exploitation(deprioritised.clone(), Exploitation::Active), "exploitation active"),
    ] {
        let undisputed = assessed(&Inputs { status: FixStatus::Affected, ..not_applied.clone() });
        let priority = assessed(&not_applied);
        assert_eq!(priority.band, undisputed.band, "{reason}");
        assert!(priority.why.iter().any(|why| why.ends_with(&format!("not applied: {reason}"))), "{:?}", priority.why);
    }
}

#[test]
fn the_escalation_comes_before_the_low_priority_of_the_vendor() {
    let facts =
        Inputs { network_reach: Some(false), status: FixStatus::WillNotFix, ..plain(false, false, true, false) };
    let priority = assessed(&with_exploitation(facts, Exploitation::Poc));
    assert_eq!(priority.band, Band::P3);
    assert!(says(&priority, "one band up -> 14 days") && says(&priority, "low EPSS -> 60 days"), "{:?}", priority.why);
}

#[test]
fn nothing_known_is_decided_on_the_safe_side_and_said() {
    let unknown = assessed(&known_by_severity(Severity::Unknown, Exposure::Assumed(Reach::Public)));
    assert_eq!(unknown.band, Band::P1);
    assert_eq!(unknown.score, 0.5);
    assert_eq!(unknown.due, Some(date(2026, 11, 25)));
    let expected = [
        "data_gap: KEV unknown (no catalogue), decided as not listed",
        "exposed: assumed yes (no pattern matches, default public)",
        "data_gap: automatable unknown (no SSVC, no CVSS v3/v4 vector), decided as yes",
        "data_gap: technical impact unknown (no SSVC, no CVSS v3/v4 vector), decided as total (Trivy UNKNOWN)",
        "data_gap: exploitation unknown (no SSVC), no lift from it",
        "data_gap: epss: unknown, fallback 0.01 used",
        "row 14 of BOD 26-04 -> 3 days",
        "score 0.5 = 100 x 0.01 (fallback) x 0.5 (Trivy UNKNOWN; data_gap: no CVSS v2/v3 score) x 1",
        "due 2026-11-25: 3 days from today (data_gap: first seen unknown) 2026-11-22",
    ];
    assert_eq!(unknown.why, expected);
    let low = assessed(&known_by_severity(Severity::Low, Exposure::Assumed(Reach::Internal)));
    assert_eq!(low.band, Band::P3);
    assert!(says(&low, "decided as partial (Trivy LOW)") && says(&low, "exposed: assumed no"), "{:?}", low.why);
}

#[test]
fn without_epss_the_snapshots_median_stands_in() {
    let facts = Inputs { epss: None, epss_median: Some(0.002), ..plain(false, true, true, true) };
    let priority = assessed(&facts);
    assert_eq!(priority.score, 0.1563);
    assert!(says(&priority, "data_gap: epss: unknown, snapshot median 0.002 used"), "{:?}", priority.why);
    for nonsense in [f64::NAN, 0.0, -1.0, 1.1] {
        let priority = assessed(&Inputs { epss_median: Some(nonsense), ..facts.clone() });
        assert!(says(&priority, "fallback 0.01 used"), "{nonsense}");
    }
    let invalid = assessed(&Inputs { epss: Some(epss(f64::NAN, 0.999)), ..facts.clone() });
    assert_eq!((invalid.band, invalid.score), (priority.band, priority.score));
    assert!(says(&invalid, "data_gap: epss: invalid"), "{:?}", invalid.why);
    let old_file = assessed(&Inputs { epss: Some(Epss { percentile: None, ..epss(0.5, 0.0) }), ..facts });
    assert!(says(&old_file, "EPSS 0.5 (data_gap: percentile unknown) 2026-11-21"), "{:?}", old_file.why);
}

#[test]
fn an_assessment_goes_before_a_vector_and_a_vector_before_nothing() {
    let derived = DerivedSsvc::from_vector("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H").unwrap();
    let vector = Some(VectorReading { derived, source: "nvd".to_owned(), as_of: Some(date(2026, 6, 17)) });
    let mut facts = Inputs { vector, ..plain(false, true, false, false) };
    assert_eq!(assessed(&facts).band, Band::P3);
    facts.ssvc.as_mut().unwrap().fact.automatable = None;
    let half = assessed(&facts);
    assert_eq!(half.band, Band::P2);
    assert!(says(&half, "automatable: yes, derived from CVSS v3.1 of nvd 2026-06-17"), "{:?}", half.why);
    assert!(says(&half, "technical impact: partial, cisa-adp 2025-02-04"), "{:?}", half.why);
    facts.ssvc = None;
    assert_eq!(assessed(&facts).band, Band::P1);
}

#[test]
fn old_feeds_are_called_old() {
    let mut facts = plain(false, true, true, true);
    facts.kev = KevStatus::NotListed { catalogue: date(2026, 11, 14) };
    facts.epss = Some(Epss { date: date(2026, 11, 15), ..epss(0.1, 0.5) });
    let priority = assessed(&facts);
    assert!(says(&priority, "catalogue 2026-11-14 (CISA); data_gap: 8 days old"), "{:?}", priority.why);
    assert_eq!(priority.why.iter().filter(|why| why.contains("days old")).count(), 1);
}

#[test]
fn the_clock_starts_when_both_scan_and_kev_can_be_known_but_kev_buys_no_time() {
    let due = |facts: &Inputs| assessed(facts).due.unwrap();
    let unlisted = plain(false, true, true, false);
    assert_eq!(due(&unlisted), date(2026, 11, 24));
    let kev_since = |date_added| Inputs { kev: listed(date_added, false), ..unlisted.clone() };
    // Listed long before the image was first scanned: 3 days from the scan.
    assert_eq!(due(&kev_since(date(2021, 12, 10))), date(2026, 11, 13));
    // Listed after the scan: 3 days from the listing, yet not after the 14 days that it had.
    assert_eq!(due(&kev_since(date(2026, 11, 18))), date(2026, 11, 21));
    let late = assessed(&kev_since(date(2026, 11, 22)));
    assert_eq!(late.due, Some(date(2026, 11, 24)));
    assert!(says(&late, "due 2026-11-24: 14 days from first seen 2026-11-10"), "{:?}", late.why);

    // No day of the future starts a clock.
    let kev = listed(Date::MAX, false);
    assert_eq!(due(&Inputs { kev, ..plain(true, false, false, false) }), date(2026, 12, 6));
    let future = Inputs { first_seen: Some(Date::MAX), ..unlisted.clone() };
    assert_eq!(due(&future), date(2026, 12, 6));
    assert_eq!(due(&Inputs { first_seen: Some(Date::MIN), ..unlisted }), Date::MIN + 14.days());
    assert_eq!(assessed(&plain(false, false, false, true)).due, None);
}

#[test]
fn lists_are_sorted_by_band_then_score_then_the_tie_breaks() {
    let base = plain(false, true, true, false);
    let key = |facts: &Inputs, clears, ordinal| assessed(facts).sort_key(facts, clears, ordinal);
    let older = Inputs { published: Some(date(2020, 1, 1)), ..base.clone() };
    let newer = Inputs { published: Some(date(2026, 1, 1)), ..base.clone() };
    // The same mean from different scores: the same score, and the highest decides.
    let spread = Inputs { cvss_scores: vec![7.9, 6.8, 9.7], ..base.clone() };
    assert_eq!(assessed(&spread).score, assessed(&base).score);
    let fixable = Inputs { fixed_version: true, ..base.clone() };
    let likelier = Inputs { epss: Some(epss(0.0720, 0.5)), ..base.clone() };
    let sooner = plain(false, true, true, true);
    let first_to_last = [
        key(&sooner, 0, 9),
        key(&likelier, 0, 9),
        key(&fixable, 0, 9),
        key(&base, 7, 9),
        key(&spread, 0, 9),
        key(&newer, 0, 9),
        key(&older, 0, 9),
        key(&base, 0, 1),
        key(&base, 0, 2),
        key(&base, 0, 999_999),
    ];
    assert!(first_to_last.is_sorted_by(|a, b| a < b));

    // Severity decides only among equal scores: LOW with a higher EPSS makes up for the label.
    let high = Inputs { severity: Severity::High, cvss_scores: Vec::new(), epss: Some(epss(0.2, 0.5)), ..base };
    let low = Inputs { severity: Severity::Low, epss: Some(epss(0.5, 0.5)), ..high.clone() };
    assert_eq!(assessed(&high).score, assessed(&low).score);
    assert!(key(&high, 0, 9) < key(&low, 0, 1));
}

fn any_day() -> impl Strategy<Value = Date> {
    prop_oneof![
        8 => (0i32..2000).prop_map(|days| date(2022, 1, 1) + days.days()),
        1 => Just(Date::MIN),
        1 => Just(Date::MAX),
    ]
}

/// Mostly a share, with the thresholds themselves, and sometimes nonsense.
fn any_share() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..=1.0f64,
        3 => prop::sample::select(vec![0.0, 0.90, 0.95, 0.99, 1.0, 0.97]),
        1 => any::<f64>(),
    ]
}

fn any_severity() -> impl Strategy<Value = Severity> {
    prop::sample::select(Severity::DESCENDING.to_vec())
}

fn any_kev() -> impl Strategy<Value = KevStatus> {
    prop_oneof![
        (any_day(), any::<bool>()).prop_map(|(date_added, ransomware)| listed(date_added, ransomware)),
        any_day().prop_map(|catalogue| KevStatus::NotListed { catalogue }),
        Just(KevStatus::Unknown),
    ]
}

fn any_epss() -> impl Strategy<Value = Epss> {
    let model_version = prop::option::of(".{0,40}");
    (any_share(), prop::option::of(any_share()), any_day(), model_version)
        .prop_map(|(score, percentile, date, model_version)| Epss { score, percentile, date, model_version })
}

fn any_impact() -> impl Strategy<Value = TechnicalImpact> {
    prop::sample::select(vec![TechnicalImpact::Partial, TechnicalImpact::Total])
}

fn any_ssvc() -> impl Strategy<Value = Sourced<Ssvc>> {
    let exploitation = prop::sample::select(vec![Exploitation::None, Exploitation::Poc, Exploitation::Active]);
    let (automatable, impact) = (prop::option::of(any::<bool>()), prop::option::of(any_impact()));
    let assessment = (prop::option::of(exploitation), automatable, impact, ".{0,40}", prop::option::of(any_day()));
    (assessment, any_day()).prop_map(|((exploitation, automatable, technical_impact, assigner, assessed), as_of)| {
        let assessed_at = assessed.map(on);
        from_nvd(Ssvc { exploitation, automatable, technical_impact, assigner, assessed_at }, as_of)
    })
}

fn any_vector() -> impl Strategy<Value = VectorReading> {
    (any::<bool>(), any_impact(), any::<bool>(), ".{0,40}", prop::option::of(any_day())).prop_map(
        |(automatable, technical_impact, network_reach, source, as_of)| VectorReading {
            derived: DerivedSsvc { automatable, technical_impact, network_reach, version: CvssVersion::V31 },
            source,
            as_of,
        },
    )
}

fn any_exposure() -> impl Strategy<Value = Exposure> {
    prop_oneof![
        ".{0,120}".prop_map(|pattern| Exposure::Public { pattern }),
        ".{0,120}".prop_map(|pattern| Exposure::Internal { pattern }),
        Just(Exposure::Assumed(Reach::Public)),
        Just(Exposure::Assumed(Reach::Internal)),
    ]
}

fn any_record() -> impl Strategy<Value = Sourced<Value<Status>>> {
    let status = prop_oneof![
        4 => Just(Status::Published),
        4 => Just(Status::Disputed),
        1 => Just(Status::Rejected),
    ];
    (status, any_day()).prop_map(|(value, as_of)| from_nvd(Value { value }, as_of))
}

fn any_status() -> impl Strategy<Value = FixStatus> {
    prop::sample::select(vec![
        FixStatus::Affected,
        FixStatus::Fixed,
        FixStatus::WillNotFix,
        FixStatus::EndOfLife,
        FixStatus::NotAffected,
        FixStatus::Unknown,
    ])
}

prop_compose! {
    fn any_facts()(
        (severity, status, fixed_version) in (any_severity(), any_status(), any::<bool>()),
        cvss_scores in prop::collection::vec(prop_oneof![9 => 0.0..=10.0f64, 1 => any::<f64>()], 0..5),
        network_reach in prop::option::of(any::<bool>()),
        (kev, epss, epss_median) in (any_kev(), prop::option::of(any_epss()), prop::option::of(any_share())),
        (ssvc, vector) in (prop::option::of(any_ssvc()), prop::option::of(any_vector())),
        exposure in any_exposure(),
        record in prop::option::of(any_record()),
        (first_seen, published) in (prop::option::of(any_day()), prop::option::of(any_day())),
    ) -> Inputs {
        Inputs {
            severity, status, fixed_version, cvss_scores, network_reach, kev, epss, epss_median,
            ssvc, vector, exposure, record, first_seen, published,
        }
    }
}

/// Nothing about `worse` is later, lower or less urgent than about `better`.
fn never_less_urgent(better: &Inputs, worse: &Inputs) -> Result<(), TestCaseError> {
    let (better, worse) = (assessed(better), assessed(worse));
    prop_assert!(worse.band <= better.band, "band: {better:#?} {worse:#?}");
    prop_assert!(worse.score >= better.score, "score: {better:#?} {worse:#?}");
    let day = |priority: &Priority| priority.due.unwrap_or(Date::MAX);
    prop_assert!(day(&worse) <= day(&better), "due: {better:#?} {worse:#?}");
    Ok(())
}

fn with_ssvc(facts: &Inputs, change: impl Fn(&mut Ssvc)) -> Inputs {
    let mut facts = facts.clone();
    let blank = || {
        let assigner = String::new();
        let nothing =
            Ssvc { exploitation: None, automatable: None, technical_impact: None, assigner, assessed_at: None };
        from_nvd(nothing, date(2026, 6, 17))
    };
    change(&mut facts.ssvc.get_or_insert_with(blank).fact);
    facts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn being_in_kev_never_makes_it_less_urgent(
        facts in any_facts(), date_added in any_day(), ransomware in any::<bool>()
    ) {
        let unlisted = Inputs { kev: NOT_LISTED, ..facts.clone() };
        let unknown = Inputs { kev: KevStatus::Unknown, ..facts.clone() };
        let in_kev = Inputs { kev: listed(date_added, ransomware), ..facts.clone() };
        let ransomware = Inputs { kev: listed(date_added, true), ..facts };
        never_less_urgent(&unlisted, &unknown)?;
        never_less_urgent(&unknown, &in_kev)?;
        never_less_urgent(&in_kev, &ransomware)?;
    }

    #[test]
    fn being_exposed_never_makes_it_less_urgent(facts in any_facts()) {
        let internal = Inputs { exposure: Exposure::Assumed(Reach::Internal), ..facts.clone() };
        let public = Inputs { exposure: Exposure::Assumed(Reach::Public), ..facts };
        never_less_urgent(&internal, &public)?;
    }

    #[test]
    fn being_automatable_never_makes_it_less_urgent_nor_does_not_knowing(facts in any_facts()) {
        let no = with_ssvc(&facts, |ssvc| ssvc.automatable = Some(false));
        let unknown = Inputs { vector: None, ..with_ssvc(&facts, |ssvc| ssvc.automatable = None) };
        let yes = with_ssvc(&facts, |ssvc| ssvc.automatable = Some(true));
        never_less_urgent(&no, &yes)?;
        // Without the vector the technical impact may be another: hold it.
        let held = |facts: Inputs| with_ssvc(&facts, |ssvc| ssvc.technical_impact = Some(TechnicalImpact::Partial));
        never_less_urgent(&held(no), &held(unknown.clone()))?;
        never_less_urgent(&held(unknown), &held(yes))?;
    }

    #[test]
    fn total_impact_never_makes_it_less_urgent(facts in any_facts()) {
        let partial = with_ssvc(&facts, |ssvc| ssvc.technical_impact = Some(TechnicalImpact::Partial));
        let total = with_ssvc(&facts, |ssvc| ssvc.technical_impact = Some(TechnicalImpact::Total));
        never_less_urgent(&partial, &total)?;
    }

    #[test]
    fn more_exploitation_never_makes_it_less_urgent(facts in any_facts()) {
        let with = |exploitation| with_ssvc(&facts, |ssvc| ssvc.exploitation = exploitation);
        never_less_urgent(&with(None), &with(Some(Exploitation::None)))?;
        never_less_urgent(&with(Some(Exploitation::None)), &with(Some(Exploitation::Poc)))?;
        never_less_urgent(&with(Some(Exploitation::Poc)), &with(Some(Exploitation::Active)))?;
    }

    #[test]
    fn a_higher_epss_never_makes_it_less_urgent(
        facts in any_facts(), scores in [0.0..=1.0f64, 0.0..=1.0f64], shares in [0.85..=1.0f64, 0.85..=1.0f64]
    ) {
        let with = |score, percentile| Inputs { epss: Some(epss(score, percentile)), ..facts.clone() };
        let lower = with(scores[0].min(scores[1]), shares[0].min(shares[1]));
        let higher = with(scores[0].max(scores[1]), shares[0].max(shares[1]));
        never_less_urgent(&lower, &higher)?;
    }

    #[test]
    fn a_higher_cvss_score_or_label_never_lowers_the_score(
        facts in any_facts(), index in any::<prop::sample::Index>(), by in 0.0..5.0f64
    ) {
        let mut higher = facts.clone();
        if !facts.cvss_scores.is_empty() {
            let score = &mut higher.cvss_scores[index.index(facts.cvss_scores.len())];
            if (0.0..=10.0).contains(score) {
                *score = (*score + by).min(10.0);
            }
        }
        prop_assert!(assessed(&higher).score >= assessed(&facts).score);
        let label = |severity| assessed(&Inputs { severity, ..facts.clone() }).score;
        prop_assert!(label(Severity::Low) <= label(Severity::Medium));
        prop_assert!(label(Severity::Medium) <= label(Severity::High));
        prop_assert!(label(Severity::High) <= label(Severity::Critical));
    }

    #[test]
    fn any_facts_give_a_priority_that_keeps_its_shape(facts in any_facts(), second in 0i64..4_000_000_000) {
        let priority = assess(&facts, &Thresholds::default(), Timestamp::from_second(second).unwrap());
        let rejected = facts.record.as_ref().is_some_and(|record| record.fact.value == Status::Rejected);
        let excused = facts.status == FixStatus::NotAffected;
        prop_assert_eq!(priority.band == Band::Suppressed, rejected || excused);
        prop_assert_eq!(priority.due.is_none(), matches!(priority.band, Band::P4 | Band::Suppressed));
        prop_assert!(priority.score == 0.0 || (score::SMALLEST..=100.0).contains(&priority.score));
        prop_assert_eq!(priority.score == 0.0, priority.band == Band::Suppressed);
        prop_assert_eq!((priority.score * 10_000.0).round() / 10_000.0, priority.score);

        prop_assert!((1..=12).contains(&priority.why.len()), "{:#?}", priority.why);
        for reason in &priority.why {
            prop_assert!((1..=160).contains(&reason.len()), "{} {reason}", reason.len());
            prop_assert!(reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{reason}");
        }
        let json = serde_json::to_string(&priority).unwrap();
        prop_assert_eq!(serde_json::from_str::<Priority>(&json).unwrap(), priority);
    }

    #[test]
    fn a_brief_has_the_same_band_and_nothing_that_moves_by_itself(facts in any_facts(), days in 0i64..400) {
        let told = brief::brief(&facts, &Thresholds::default());
        prop_assert_eq!(told.band, assessed(&facts).band);
        prop_assert!((1..=10).contains(&told.reasons.len()), "{:#?}", told.reasons);
        prop_assert!(told.reasons.iter().all(|reason| (1..=120).contains(&reason.len()) && reason.is_ascii()));
        // Feeds of another day, and a score that moved within its band of percentiles.
        let later = |date: Date| date.saturating_add(days.days());
        let mut moved = facts.clone();
        moved.first_seen = moved.first_seen.map(later);
        moved.epss_median = Some(0.5);
        if let Some(epss) = &mut moved.epss {
            epss.date = later(epss.date);
            epss.model_version = None;
        }
        if let KevStatus::NotListed { catalogue } = &mut moved.kev {
            *catalogue = later(*catalogue);
        }
        if let Some(ssvc) = &mut moved.ssvc {
            ssvc.fact.assessed_at = ssvc.fact.assessed_at.map(|at| on(later(day(at))));
        }
        prop_assert_eq!(brief::brief(&moved, &Thresholds::default()), told);
    }

    #[test]
    fn every_input_that_was_used_is_in_the_reasons(facts in any_facts()) {
        let status = if facts.status == FixStatus::NotAffected { FixStatus::Affected } else { facts.status };
        let facts = Inputs { record: None, status, ..facts };
        let priority = assessed(&facts);
        for input in ["KEV", "exposed: ", "automatable", "technical impact", "exploitation", "BOD 26-04", "Trivy"] {
            prop_assert!(says(&priority, input), "{input} {:#?}", priority.why);
        }
        let gaps = priority.why.iter().filter(|why| why.contains("data_gap")).count();
        let missing = facts.epss.is_none() || facts.kev == KevStatus::Unknown || facts.first_seen.is_none();
        prop_assert!(gaps > 0 || !missing || facts.first_seen.is_none() && priority.due.is_none());
        prop_assert_eq!(facts.epss.is_none(), says(&priority, "epss: unknown"));
        if let Some(Sourced { fact: ssvc, .. }) = &facts.ssvc
            && let (Some(at), Some(_)) = (ssvc.assessed_at, ssvc.automatable)
        {
            prop_assert!(says(&priority, &day(at).to_string()));
        }
        if let Some(epss) = facts.epss {
            prop_assert!(says(&priority, &epss.date.to_string()));
        }
    }

    #[test]
    fn sorting_is_total_and_does_not_hang_on_the_order_it_starts_from(
        facts in prop::collection::vec(any_facts(), 2..6)
    ) {
        let mut keys: Vec<SortKey> =
            (0..).zip(&facts).map(|(ordinal, facts)| assessed(facts).sort_key(facts, 0, ordinal)).collect();
        let mut backward: Vec<SortKey> = keys.iter().rev().copied().collect();
        keys.sort();
        backward.sort();
        prop_assert!(keys.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(keys, backward);
    }
}
