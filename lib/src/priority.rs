//! What to fix first: a published rule over facts, with its reasons. No model decides here, none is asked.
//!
//! 1. **Suppressed** if the CVE record is rejected, if VEX says `not_affected` or `fixed`, or if the vendor says
//!    `not_affected` in the report (Trivy's status): band `none`, score 0.
//! 2. **Row** of CISA's BOD 26-04 over four questions: in KEV, publicly exposed, automatable, technical impact
//!    total ([`table`]). P0 is 3 days and forensic triage, P1 3 days, P2 14 days, P3 60 days, P4 next upgrade.
//! 3. **Early-warning lift**, for KEV lags. Not in KEV, and exploitation is active or the EPSS percentile at least
//!    0.99: the row as if in KEV, without the forensic triage. Percentile at least 0.95, or a proof of concept of
//!    something automatable: one band up, at most P2. Percentiles, because EPSS v5 moved the probabilities.
//! 4. **Distribution floor.** The vendor calls it negligible, or will not fix it, and it has no network reach, is
//!    not in KEV and below percentile 0.90: one band down, never below P4. What counts as if in KEV because
//!    attacks are seen is not lowered either.
//! 5. **Score** inside the band, 0 to 100: `100 × p × severity × KEV factor`. p is 1 in KEV, else the EPSS
//!    probability; severity the mean of the label (critical 9, high 7.5, medium 5, low 3, negligible 0.5,
//!    unknown 5) and the mean CVSS score, over 10; the factor 1.1 in KEV with ransomware, 1.05 in KEV.
//! 6. **What is missing is never zero**, and the reasons say `data_gap`:
//!    * EPSS: p is the median of the loaded snapshot, or 0.01. No lift comes of it, and no floor.
//!    * CVSS: the label alone.
//!    * KEV: as not listed; but the floor is not applied.
//!    * automatable: from a CVSS vector ([`ssvc::derive_ssvc`]); without one, yes.
//!    * technical impact: from a CVSS vector; without one, total unless Trivy's severity is `LOW`.
//!    * exposure: what the configuration says as default, public if nothing ([`exposure`]).
//!
//! **Due**: the band's days after the day on which the clock starts, in UTC. Without KEV that is the day on which a
//! scan first saw the finding (not known: today; never after today). In KEV it is that day or `dateAdded`,
//! whichever is later, for nobody could have known both before; but never later than it would be due without KEV.
//! P4 and `none` have no date.
//!
//! A worse answer to any question, and a higher EPSS, never give a less urgent band, a smaller score or a later day.
//!
//! Evidence for the steps: BOD 26-04 (2026-06-10) and CERT/CC's SSVC repository for the table, arXiv 2506.01220
//! for KEV and EPSS before CVSS, arXiv 2603.12450 for using both likelihood and impact.

mod band;
pub mod brief;
mod decide;
pub mod exposure;
mod facts;
mod score;
pub mod ssvc;
pub mod table;
mod why;

#[cfg(test)]
mod tests;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

pub use band::Band;
pub use facts::{Epss, Facts, FixStatus, Kev, Record, RecordStatus, VectorReading, Vex, VexStatus};

use crate::domain::severity::Severity;
use decide::{Case, Listing, decide};
use ssvc::TechnicalImpact;
use why::{dated, decimal};

/// Where the rule's steps begin. Percentiles and probabilities are 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// From this EPSS percentile on it counts as if in KEV.
    pub as_listed_from: f64,
    /// From this EPSS percentile on it is one band up.
    pub one_band_from: f64,
    /// Below this EPSS percentile the distribution's word may lower it.
    pub floor_below: f64,
    /// The probability if there is neither EPSS nor a snapshot's median.
    pub epss_fallback: f64,
    /// Feeds older than this many days are called old in the reasons.
    pub stale_after_days: i64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { as_listed_from: 0.99, one_band_from: 0.95, floor_below: 0.90, epss_fallback: 0.01, stale_after_days: 7 }
    }
}

/// The thresholds contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdsError {
    /// A percentile is not 0 to 1, or they are not in ascending order.
    #[error("percentiles are not 0 <= floor_below <= one_band_from <= as_listed_from <= 1")]
    Percentiles,
    /// The fall-back probability is not above 0 and at most 1.
    #[error("epss_fallback is not above 0 and at most 1")]
    Fallback,
    /// The age is negative.
    #[error("stale_after_days is negative")]
    Age,
}

impl Thresholds {
    /// The same thresholds, if the rule keeps its promises with them.
    ///
    /// # Errors
    /// If they are out of range or out of order.
    pub fn checked(self) -> Result<Self, ThresholdsError> {
        let ascending = [0.0, self.floor_below, self.one_band_from, self.as_listed_from, 1.0];
        if !ascending.is_sorted() {
            return Err(ThresholdsError::Percentiles);
        }
        if !is_probability(self.epss_fallback) || self.epss_fallback == 0.0 {
            return Err(ThresholdsError::Fallback);
        }
        if self.stale_after_days < 0 {
            return Err(ThresholdsError::Age);
        }
        Ok(self)
    }
}

/// How soon, in what order, by when and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Priority {
    /// How soon.
    pub band: Band,
    /// The order inside the band: 0.0001 to 100, four decimals; 0 only for [`Band::Suppressed`].
    pub score: f64,
    /// The last day to fix it; none for [`Band::P4`] and [`Band::Suppressed`].
    pub due: Option<Date>,
    /// What decided, one input or step each: ASCII, at most 12 of at most 160 characters.
    pub why: Vec<String>,
}

/// The place of a finding in the list of what to fix first in its scan: smaller is sooner. Total and stable.
///
/// Band, score, fix available, findings cleared by the same upgrade, severity, highest CVSS score, newest
/// publication, and the ordinal, which is that of vulnerability id and package among findings of one severity. What is
/// not known comes after what is. It is packed into a number, from which the next page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(u128);

impl SortKey {
    /// The key of a finding that Trivy has suppressed: after all open ones, by ordinal.
    #[must_use]
    pub fn suppressed(ordinal: u32) -> Self {
        let unused = [20, 1, 20, 3, 7, 24].map(|bits| (bits, 0));
        let [a, b, c, d, e, f] = unused;
        Self(packed([(3, 7), a, b, c, d, e, f, (20, u64::from(ordinal))]))
    }

    /// The key as a number; the order is the same.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

/// Packs numbers of some bits, the first one the most significant; what is too large is the largest there is.
fn packed(parts: [(u32, u64); 8]) -> u128 {
    parts.into_iter().fold(0, |packed, (bits, value)| packed << bits | u128::from(value.min((1 << bits) - 1)))
}

impl Priority {
    /// The key to sort by. `facts` are those that it was made of; `clears` is the number of findings that the
    /// same upgrade clears, 0 if nobody counted.
    #[must_use]
    pub fn sort_key(&self, facts: &Facts, clears: u32, ordinal: u32) -> SortKey {
        /// Larger is sooner.
        const fn reverse(bits: u32, value: u64) -> (u32, u64) {
            let most = (1 << bits) - 1;
            (bits, most - if value < most { value } else { most })
        }
        // Four decimals of at most 100, one of at most 10; to the nearest, as they have no more.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of numbers from 0 to a million")]
        let tenth_of = |number: f64, parts: f64| (number.max(0.0) * parts).round() as u64;
        let band = Band::ALL.iter().take_while(|band| **band < self.band).count() as u64;
        let cvss = score::usable(&facts.cvss_scores).last().map_or(0, |score| 1 + tenth_of(*score, 10.0));
        let day = |date: Date| (date - Date::ZERO).get_days();
        let published = facts.published.map_or(0, |date| u64::try_from(day(date)).unwrap_or_default() + 1);
        SortKey(packed([
            (3, band),
            reverse(20, tenth_of(self.score, 10_000.0)),
            reverse(1, u64::from(facts.fixed_version)),
            reverse(20, u64::from(clears)),
            reverse(3, facts.severity as u64),
            reverse(7, cvss),
            reverse(24, published),
            (20, u64::from(ordinal)),
        ]))
    }
}

/// Applies the rule. `as_of` is now: it starts a clock that nothing else starts, and tells old feeds.
#[must_use]
pub fn assess(facts: &Facts, thresholds: &Thresholds, as_of: Timestamp) -> Priority {
    let today = as_of.to_zoned(TimeZone::UTC).date();
    if let Some(reason) = suppression(facts) {
        let listed = matches!(facts.kev, Kev::Listed { .. }).then(|| why::kev(facts, thresholds, today));
        let why = std::iter::once(reason).chain(listed).collect();
        return Priority { band: Band::Suppressed, score: 0.0, due: None, why };
    }

    let (automatable, why_automatable) = automatable(facts);
    let (impact, why_impact) = technical_impact(facts);
    let epss = UsableEpss::of(facts, thresholds);
    let case = case(facts, automatable, impact, &epss);
    let decision = decide(&case, thresholds);
    let (score, why_score) = score_of(facts, &epss);
    let due = due(facts, &case, decision.band, thresholds, today);

    let mut why = vec![
        why::kev(facts, thresholds, today),
        why::exposed(facts),
        why_automatable,
        why_impact,
        why::exploitation(facts),
        why::epss(facts, &epss, thresholds, today),
    ];
    why.extend(why::record(facts));
    why.extend(why::decision(facts, &decision, &epss));
    why.push(why_score);
    let due = due.map(|(day, reason)| {
        why.push(reason);
        day
    });
    Priority { band: decision.band, score, due, why }
}

/// The questions of the rule, answered.
fn case(facts: &Facts, automatable: bool, impact: TechnicalImpact, epss: &UsableEpss) -> Case {
    Case {
        listing: match facts.kev {
            Kev::Listed { .. } => Listing::Listed,
            Kev::NotListed { .. } => Listing::NotListed,
            Kev::Unknown => Listing::Unknown,
        },
        exposed: facts.exposure.is_public(),
        automatable,
        total: impact == TechnicalImpact::Total,
        exploitation: facts.ssvc.as_ref().and_then(|ssvc| ssvc.exploitation),
        percentile: epss.percentile,
        distribution_shrugs: shrug(facts).is_some(),
        network_reach: facts.network_reach,
    }
}

/// Step 1. Only these three suppress. VEX is about this product, so it goes before the vendor's word on the package.
fn suppression(facts: &Facts) -> Option<String> {
    if let Some(record) = facts.record.as_ref().filter(|record| record.status == RecordStatus::Rejected) {
        return Some(format!("suppressed: CVE record rejected, {}", dated(&record.source, record.as_of)));
    }
    let Some(vex) = facts.vex.as_ref() else {
        let is_denied = facts.status == FixStatus::NotAffected;
        return is_denied.then(|| "suppressed: Trivy status not_affected".to_owned());
    };
    let statement = match vex.status {
        VexStatus::NotAffected => "not_affected",
        VexStatus::Fixed => "fixed",
        VexStatus::Affected | VexStatus::UnderInvestigation => return None,
    };
    Some(format!("suppressed: VEX {statement}, {}", dated(&vex.source, vex.as_of)))
}

fn automatable(facts: &Facts) -> (bool, String) {
    let yes_no = |yes| if yes { "yes" } else { "no" };
    if let Some((ssvc, answer)) = facts.ssvc.as_ref().and_then(|ssvc| Some((ssvc, ssvc.automatable?))) {
        return (answer, format!("automatable: {}, {}", yes_no(answer), dated(&ssvc.source, ssvc.assessed_at)));
    }
    match &facts.vector {
        Some(vector) => {
            let answer = vector.derived.automatable;
            (answer, format!("automatable: {}, {}", yes_no(answer), why::derived_from(vector)))
        }
        None => (true, "data_gap: automatable unknown (no SSVC, no CVSS v3/v4 vector), decided as yes".to_owned()),
    }
}

fn technical_impact(facts: &Facts) -> (TechnicalImpact, String) {
    if let Some((ssvc, impact)) = facts.ssvc.as_ref().and_then(|ssvc| Some((ssvc, ssvc.technical_impact?))) {
        let source = dated(&ssvc.source, ssvc.assessed_at);
        return (impact, format!("technical impact: {}, {source}", impact.as_str()));
    }
    if let Some(vector) = &facts.vector {
        let impact = vector.derived.technical_impact;
        return (impact, format!("technical impact: {}, {}", impact.as_str(), why::derived_from(vector)));
    }
    let impact = if facts.severity == Severity::Low { TechnicalImpact::Partial } else { TechnicalImpact::Total };
    let (word, severity) = (impact.as_str(), facts.severity);
    let gap = "data_gap: technical impact unknown (no SSVC, no CVSS v3/v4 vector)";
    (impact, format!("{gap}, decided as {word} (Trivy {severity})"))
}

/// The word by which the distribution gives it little weight.
fn shrug(facts: &Facts) -> Option<&'static str> {
    match facts.status {
        _ if facts.vendor_negligible => Some("vendor severity negligible"),
        FixStatus::WillNotFix => Some("Trivy status will_not_fix"),
        FixStatus::EndOfLife => Some("Trivy status end_of_life"),
        _ => None,
    }
}

const fn is_probability(number: f64) -> bool {
    number >= 0.0 && number <= 1.0
}

/// EPSS, or what stands for it.
struct UsableEpss {
    /// Above 0 unless EPSS itself says 0.
    probability: f64,
    /// Where the probability is from: `EPSS`, `snapshot median`, `fallback`.
    origin: &'static str,
    percentile: Option<f64>,
}

impl UsableEpss {
    fn of(facts: &Facts, thresholds: &Thresholds) -> Self {
        if let Some(epss) = facts.epss.as_ref().filter(|epss| is_probability(epss.score)) {
            let percentile = epss.percentile.filter(|&percentile| is_probability(percentile));
            return Self { probability: epss.score, origin: "EPSS", percentile };
        }
        let above_zero = |number: &f64| is_probability(*number) && *number > 0.0;
        match facts.epss_median.filter(above_zero) {
            Some(median) => Self { probability: median, origin: "snapshot median", percentile: None },
            None => {
                let fallback = Some(thresholds.epss_fallback).filter(above_zero);
                let probability = fallback.unwrap_or_else(|| Thresholds::default().epss_fallback);
                Self { probability, origin: "fallback", percentile: None }
            }
        }
    }
}

/// Step 5.
fn score_of(facts: &Facts, epss: &UsableEpss) -> (f64, String) {
    let (probability, origin) =
        if matches!(facts.kev, Kev::Listed { .. }) { (1.0, "KEV") } else { (epss.probability, epss.origin) };
    let usable = score::usable(&facts.cvss_scores);
    let mean = score::mean(&usable);
    let severity = score::severity_factor(facts.severity, facts.vendor_negligible, mean);
    let factor = score::kev_factor(&facts.kev);
    let score = score::score(probability, severity, factor);

    let negligible = if facts.vendor_negligible { ", negligible" } else { "" };
    let cvss = match mean {
        Some(mean) => format!("CVSS mean {} of {}", decimal(mean, 2), usable.len()),
        None => "data_gap: no CVSS v2/v3 score".to_owned(),
    };
    let ignored = match facts.cvss_scores.len() - usable.len() {
        0 => String::new(),
        number => format!(", data_gap: {number} outside 0-10"),
    };
    let (p, s) = (decimal(probability, 9), decimal(severity, 4));
    let inputs = format!("Trivy {}{negligible}; {cvss}{ignored}", facts.severity);
    let why = format!("score {} = 100 x {p} ({origin}) x {s} ({inputs}) x {factor}", decimal(score, 4));
    (score, why)
}

/// The last day, and from which day it is counted.
fn due(facts: &Facts, case: &Case, band: Band, thresholds: &Thresholds, today: Date) -> Option<(Date, String)> {
    let (seen, seen_name) = match facts.first_seen {
        Some(day) => (day.min(today), "first seen"),
        None => (today, "today (data_gap: first seen unknown)"),
    };
    let from = |band: Band, start: Date, name: &str| {
        let days = band.days()?;
        let day = start.saturating_add(Span::new().try_days(days).ok()?);
        Some((day, format!("due {day}: {days} days from {name} {start}")))
    };
    let Kev::Listed { date_added, .. } = facts.kev else { return from(band, seen, seen_name) };
    let added = date_added.min(today);
    let listed = if added > seen { from(band, added, "KEV dateAdded") } else { from(band, seen, seen_name) };
    // Being added to KEV must not buy time that the finding no longer had.
    let before = decide(&Case { listing: Listing::Unknown, ..*case }, thresholds).band;
    let unlisted = from(before, seen, seen_name);
    [listed, unlisted].into_iter().flatten().min_by_key(|(day, _)| *day)
}
