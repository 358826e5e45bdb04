//! Plans which sources to ask about a vulnerability, and when.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::vulnerability::id::{Kind, Resolver, VulnerabilityId};
use crate::domain::vulnerability::{Outcome, Source, SourceRecords};

/// The due time of a vulnerability that no source resolves.
pub const NEVER: Timestamp = Timestamp::MAX;

/// CISA has assessed CVEs since 2024, some of late 2023 among them:
/// <https://github.com/cisagov/vulnrichment#readme>. NVD and CVE Services have no assessment of older ones either.
const FIRST_YEAR_OF_SSVC: u16 = 2023;

/// Returns the source to ask first, if its last answer has expired.
#[must_use]
pub fn first_source(records: &SourceRecords, now: Timestamp) -> Option<Source> {
    let source = match records.id.resolver() {
        Resolver::Nvd => Source::Nvd,
        Resolver::Osv => Source::Osv,
        Resolver::NoSource => return None,
    };
    (is_due(records, source, now) && askable_from(&records.id) <= now).then_some(source)
}

/// Returns the time from which sources are asked: the start of the id's year, as no source has it earlier.
#[must_use]
pub fn askable_from(id: &VulnerabilityId) -> Timestamp {
    let year = id.year().and_then(|year| i16::try_from(year).ok());
    let begins = year.and_then(|year| Date::new(year, 1, 1).ok()?.to_zoned(TimeZone::UTC).ok());
    begins.map_or(Timestamp::MIN, |begins| begins.timestamp())
}

/// Tells whether CVE Services is to be asked: about a CVE that NVD lacks, does not answer for, or has without an
/// assessment that may exist.
#[must_use]
pub fn wants_cve_services(records: &SourceRecords, now: Timestamp) -> bool {
    needs_cve_services(records) && is_due(records, Source::CveServices, now)
}

fn needs_cve_services(records: &SourceRecords) -> bool {
    if records.id.kind() != Kind::Cve {
        return false;
    }
    let Some(nvd) = records.sources.get(&Source::Nvd) else { return false };
    match &nvd.facts {
        None => true,
        Some(_) if nvd.freshness.outcome == Outcome::Absent => true,
        Some(facts) => {
            let is_recent = records.id.cve_number().is_some_and(|(year, _)| year >= FIRST_YEAR_OF_SSVC);
            facts.ssvc.is_none() && is_recent
        }
    }
}

fn is_due(records: &SourceRecords, source: Source, now: Timestamp) -> bool {
    records.sources.get(&source).is_none_or(|state| state.freshness.expires_at <= now)
}

/// Returns the time from which a source is to be asked again; the time of opening, if none was asked.
#[must_use]
pub fn next_fetch(records: &SourceRecords) -> Timestamp {
    let expires = |source: Source| records.sources.get(&source).map(|state| state.freshness.expires_at);
    let next = match records.id.resolver() {
        Resolver::NoSource => NEVER,
        Resolver::Osv => expires(Source::Osv).unwrap_or(records.opened_at),
        Resolver::Nvd => {
            let nvd = expires(Source::Nvd).unwrap_or(records.opened_at);
            let also = expires(Source::CveServices).filter(|_| needs_cve_services(records));
            also.map_or(nvd, |also| also.min(nvd))
        }
    };
    next.max(askable_from(&records.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vulnerability::{
        Cvss, CvssKind, CvssSeverity, CvssVersion, Freshness, SourceRecord, SourceState, Ssvc, Status,
        VulnerabilitySummary,
    };
    use crate::enrichment::freshness::Lifetimes;
    use crate::enrichment::merge::{self, Answer, Said, absorb};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn answered(id: &str, answers: &[(Source, Said)]) -> SourceRecords {
        let answers = answers.iter().map(|(source, said)| Answer { source: *source, at: at(0), said: said.clone() });
        absorb(SourceRecords::new(id.parse().unwrap(), at(0)), answers, &Lifetimes::default())
    }

    fn facts(assessed: bool) -> Said {
        let assigner = "CISA-ADP".to_owned();
        let ssvc =
            Ssvc { exploitation: None, automatable: Some(true), technical_impact: None, assigner, assessed_at: None };
        Said::Record(Box::new(SourceRecord { ssvc: assessed.then_some(ssvc), ..SourceRecord::none(at(0)) }))
    }

    #[test]
    fn cve_services_is_asked_only_where_nvd_falls_short() {
        for (id, nvd, expected) in [
            ("CVE-2026-0001", facts(true), false),
            ("CVE-2026-0001", facts(false), true),
            ("CVE-2019-0001", facts(false), false),
            ("CVE-2019-0001", Said::Absent, true),
            ("CVE-2019-0001", Said::Error, true),
        ] {
            let records = answered(id, &[(Source::Nvd, nvd)]);
            assert_eq!(wants_cve_services(&records, at(1)), expected, "{id} {records:?}");
            assert_eq!(first_source(&records, at(1)), None);
        }
        let records = answered("CVE-2019-0001", &[(Source::Nvd, Said::Absent), (Source::CveServices, Said::Absent)]);
        assert!(!wants_cve_services(&records, at(1)));
        assert!(next_fetch(&records) > at(5 * 3600));
    }

    #[test]
    fn a_vulnerability_that_nobody_was_asked_about_is_due_at_once_and_one_that_nobody_knows_never() {
        for (id, source) in [
            ("CVE-1970-0001", Some(Source::Nvd)),
            ("GHSA-2222-3333-4444", Some(Source::Osv)),
            ("TEMP-0517018-A83CE6", None),
        ] {
            let records = answered(id, &[(Source::Trivy, facts(false)), (Source::Kev, Said::Absent)]);
            assert_eq!(first_source(&records, at(1)), source);
            assert_eq!(next_fetch(&records), if source.is_some() { at(0) } else { NEVER });
        }
    }

    #[test]
    fn nobody_is_asked_about_a_vulnerability_of_a_future_year() {
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        for (id, expected) in [("CVE-2026-0001", true), ("CVE-2027-0001", false), ("RUSTSEC-9999-0001", false)] {
            let records = SourceRecords::new(id.parse().unwrap(), at(0));
            assert_eq!(
                (first_source(&records, now).is_some(), next_fetch(&records) <= now),
                (expected, expected),
                "{id}"
            );
        }
        let records = SourceRecords::new("CVE-2028-0001".parse().unwrap(), at(0));
        assert_eq!(next_fetch(&records), "2028-01-01T00:00:00Z".parse().unwrap());
    }

    fn cvss(version: CvssVersion, assigner: &str) -> Cvss {
        Cvss {
            version,
            vector: format!("{version:?}/{}", "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/".repeat(6)),
            score: 9.8,
            severity: CvssSeverity::Critical,
            stated_score: None,
            kind: CvssKind::Primary,
            assigner: assigner.to_owned(),
        }
    }

    fn records(facts: SourceRecord) -> SourceRecords {
        let freshness = Freshness {
            attempted_at: at(50),
            fetched_at: Some(at(50)),
            expires_at: at(90),
            outcome: Outcome::Ok,
            fail_count: 0,
        };
        let mut records = SourceRecords::new("GHSA-2222-3333-4444".parse().unwrap(), at(1));
        let state = SourceState { facts: Some(facts), facts_at: Some(at(50)), freshness };
        records.sources.insert(Source::Osv, state);
        records
    }

    #[test]
    fn the_best_ratings_are_kept_and_the_whole_stays_small() {
        let mut facts = SourceRecord::none(at(40));
        facts.status = Some(Status::Published);
        facts.aliases = ["CVE-2026-0001", "GO-2026-1"].map(|id| id.parse().unwrap()).to_vec();
        facts.cvss = vec![
            cvss(CvssVersion::V2, "a"),
            cvss(CvssVersion::V31, &"é".repeat(40)),
            cvss(CvssVersion::V31, "b"),
            cvss(CvssVersion::V31, "b"),
            cvss(CvssVersion::V4, "b"),
            cvss(CvssVersion::V30, "c"),
        ];
        let summary = VulnerabilitySummary::of(&merge::record(&records(facts)), None, at(90));
        assert_eq!(summary.aliases, ["CVE-2026-0001".parse().unwrap()]);
        assert_eq!(summary.cvss.len(), 4);
        assert!(summary.cvss.iter().all(|it| it.fact.version != CvssVersion::V2 && it.fact.assigner.len() <= 48));
        assert_eq!((summary.as_of, summary.status_as_of, summary.is_due(at(89))), (at(50), at(40), false));
        let json = serde_json::to_string(&summary).unwrap();
        assert!(json.len() < 2048, "{}", json.len());
        assert_eq!(serde_json::from_str::<VulnerabilitySummary>(&json).unwrap(), summary);
    }
}
