//! The lifetime of an answer, and the time of the next request.

use jiff::{SignedDuration, Timestamp};

use crate::domain::vulnerability::id::{Kind, VulnerabilityId};
use crate::domain::vulnerability::{NvdStatus, Outcome, Source, SourceRecord, Status};

/// How long the answers of each source hold: short for new or unfinished records, long for old or closed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// KEV: the whole catalogue, read as a feed.
    pub kev: SignedDuration,
    /// EPSS: all scores, read as a feed.
    pub epss: SignedDuration,
    /// OSV.
    pub osv: SignedDuration,
    /// A CVE younger than 30 days, or one that NVD has not finished or has deferred.
    pub cve_unfinished: SignedDuration,
    /// A CVE that NVD has analysed.
    pub cve_analyzed: SignedDuration,
    /// A CVE older than two years, or a rejected one.
    pub cve_settled: SignedDuration,
    /// After the first, second, third and every further "absent" in a row.
    pub absent: [SignedDuration; 4],
    /// After an "absent" for Debian's `TEMP-` ids, which no source resolves.
    pub absent_temp: SignedDuration,
    /// After the first error; doubled by each further one up to [`Lifetimes::error_max`].
    pub error: SignedDuration,
    /// The longest time after an error.
    pub error_max: SignedDuration,
}

/// A request to a source.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Its result.
    pub outcome: Outcome,
    /// The number of requests in a row with this result.
    pub fail_count: u32,
    /// Its time.
    pub at: Timestamp,
}

const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

impl Default for Lifetimes {
    fn default() -> Self {
        let hours = SignedDuration::from_hours;
        Self {
            kev: hours(6),
            epss: days(1),
            osv: days(7),
            cve_unfinished: days(1),
            cve_analyzed: days(7),
            cve_settled: days(30),
            absent: [hours(6), days(1), days(3), days(7)],
            absent_temp: days(30),
            error: SignedDuration::from_mins(10),
            error_max: hours(6),
        }
    }
}

/// The age below which a CVE counts as young.
const YOUNG: SignedDuration = days(30);
/// The age above which a CVE counts as old.
const OLD: SignedDuration = days(730);
/// The time until facts expire that come with a report and are not fetched.
const UNFETCHED: SignedDuration = days(90);

impl Lifetimes {
    /// Returns the time from which to ask `source` about `id` again; `facts` are its newest ones.
    ///
    /// It varies by a tenth with id and source, so that records of the same time are not fetched together.
    #[must_use]
    pub fn next_fetch(
        &self,
        id: &VulnerabilityId,
        source: Source,
        facts: Option<&SourceRecord>,
        attempt: Attempt,
    ) -> Timestamp {
        let Attempt { outcome, fail_count, at: now } = attempt;
        let lifetime = match outcome {
            Outcome::Ok => self.lifetime_of_facts(source, facts, now),
            // An absence in a feed holds until the next feed.
            Outcome::Absent if source.takes_back() => self.lifetime_of_facts(source, None, now),
            Outcome::Absent if id.kind() == Kind::Temp => self.absent_temp,
            Outcome::Absent => {
                let [first, second, third, further] = self.absent;
                match fail_count {
                    0 | 1 => first,
                    2 => second,
                    3 => third,
                    _ => further,
                }
            }
            Outcome::Error => {
                let doublings = fail_count.saturating_sub(1).min(16);
                self.error.saturating_mul(1 << doublings).min(self.error_max)
            }
        };
        now.checked_add(jittered(lifetime, id, source)).unwrap_or(Timestamp::MAX)
    }

    fn lifetime_of_facts(&self, source: Source, facts: Option<&SourceRecord>, now: Timestamp) -> SignedDuration {
        match source {
            Source::Kev => self.kev,
            Source::Epss => self.epss,
            Source::Osv => self.osv,
            Source::Nvd | Source::CveServices => {
                facts.map_or(self.cve_unfinished, |facts| self.lifetime_of_cve(facts, now))
            }
            Source::Trivy | Source::Sirius => UNFETCHED,
        }
    }

    fn lifetime_of_cve(&self, facts: &SourceRecord, now: Timestamp) -> SignedDuration {
        use NvdStatus::{AwaitingAnalysis, Deferred, Received, UndergoingAnalysis};
        let age = facts.published.map_or(SignedDuration::ZERO, |published| now.duration_since(published));
        let unfinished = matches!(facts.nvd_status, Some(Received | AwaitingAnalysis | UndergoingAnalysis | Deferred));
        if facts.status == Some(Status::Rejected) {
            self.cve_settled
        } else if age < YOUNG || unfinished {
            self.cve_unfinished
        } else if age > OLD {
            self.cve_settled
        } else {
            self.cve_analyzed
        }
    }
}

/// Multiplies a duration by 0.9 to 1.1, always the same for one id and source.
fn jittered(duration: SignedDuration, id: &VulnerabilityId, source: Source) -> SignedDuration {
    let name = id.as_str().bytes().chain([0]).chain(source.as_str().bytes());
    // FNV-1a, then mixed: ids differ in their last digits only. http://www.isthe.com/chongo/tech/comp/fnv/
    let hash =
        name.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let thousandths = 900 + i64::try_from((hash ^ (hash >> 32)) % 201).unwrap_or_default();
    SignedDuration::from_secs(duration.as_secs().saturating_mul(thousandths) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T00:00:00Z".parse().unwrap()
    }

    /// Hours until the next fetch, at most a tenth off.
    fn assert_hours(expected: f64, source: Source, outcome: Outcome, facts: Option<&SourceRecord>, fail_count: u32) {
        let id = "CVE-2026-0001".parse().unwrap();
        let next = Lifetimes::default().next_fetch(&id, source, facts, Attempt { outcome, fail_count, at: now() });
        let hours = next.duration_since(now()).as_secs_f64() / 3600.0;
        assert!((0.9 * expected..=1.1 * expected).contains(&hours), "{source:?} {outcome:?} {fail_count}: {hours}");
    }

    fn cve(published: &str, nvd_status: NvdStatus) -> SourceRecord {
        let published = Some(published.parse().unwrap());
        let status = if nvd_status == NvdStatus::Rejected { Status::Rejected } else { Status::Published };
        SourceRecord { published, nvd_status: Some(nvd_status), status: Some(status), ..SourceRecord::none(now()) }
    }

    #[test]
    fn a_record_is_asked_for_the_less_often_the_more_settled_it_is() {
        for (published, status, hours) in [
            ("2026-11-01T00:00:00Z", NvdStatus::Analyzed, 24.0),
            ("2020-01-01T00:00:00Z", NvdStatus::Deferred, 24.0),
            ("2026-01-01T00:00:00Z", NvdStatus::AwaitingAnalysis, 24.0),
            ("2026-01-01T00:00:00Z", NvdStatus::Analyzed, 168.0),
            ("2026-01-01T00:00:00Z", NvdStatus::Modified, 168.0),
            ("2020-01-01T00:00:00Z", NvdStatus::Modified, 720.0),
            ("2026-11-01T00:00:00Z", NvdStatus::Rejected, 720.0),
        ] {
            assert_hours(hours, Source::Nvd, Outcome::Ok, Some(&cve(published, status)), 0);
        }
        assert_hours(168.0, Source::Osv, Outcome::Ok, None, 0);
        assert_hours(6.0, Source::Kev, Outcome::Ok, None, 0);
        assert_hours(24.0, Source::Epss, Outcome::Ok, None, 0);
    }

    #[test]
    fn an_absent_record_is_asked_for_less_and_less_often() {
        for (fail_count, hours) in [(1, 6.0), (2, 24.0), (3, 72.0), (4, 168.0), (400, 168.0)] {
            assert_hours(hours, Source::Nvd, Outcome::Absent, None, fail_count);
        }
        assert_hours(6.0, Source::Kev, Outcome::Absent, None, 9);
        let temp = "TEMP-0517018-A83CE6".parse().unwrap();
        let absent = Attempt { outcome: Outcome::Absent, fail_count: 1, at: now() };
        let next = Lifetimes::default().next_fetch(&temp, Source::Osv, None, absent);
        assert!(next.duration_since(now()) >= days(27));
    }

    #[test]
    fn an_error_is_never_waited_for_as_long_as_an_absence() {
        for (fail_count, hours) in [(1, 1.0 / 6.0), (2, 1.0 / 3.0), (6, 16.0 / 3.0), (7, 6.0), (u32::MAX, 6.0)] {
            assert_hours(hours, Source::Nvd, Outcome::Error, None, fail_count);
        }
    }

    #[test]
    fn what_came_in_together_is_not_fetched_together() {
        let next = |n: u32| {
            let id = format!("CVE-2026-{n:04}").parse().unwrap();
            let answered = Attempt { outcome: Outcome::Ok, fail_count: 0, at: now() };
            Lifetimes::default().next_fetch(&id, Source::Osv, None, answered)
        };
        let times: std::collections::BTreeSet<_> = (0..1000).map(next).collect();
        assert!(times.len() > 150, "{}", times.len());
        assert_eq!(next(7), next(7));
    }
}
