//! Decides what to fix first by a published rule over facts, with reasons and without a model.
//!
//! 1. **Suppressed** if the CVE record is rejected, or if Trivy's status is `not_affected`: band `none`, score 0.
//! 2. **Row** of CISA's BOD 26-04 over four questions: in KEV, publicly exposed, automatable, technical impact
//!    total ([`table`]). P0 is 3 days and forensic triage, P1 3 days, P2 14 days, P3 60 days, P4 next upgrade.
//! 3. **Escalation**, because KEV lags behind attacks. Not in KEV, and exploitation is active or the EPSS percentile at
//!    least 0.99: the row as if in KEV, without the forensic triage. Percentile at least 0.95, or a proof of concept
//!    and automatable: one band up, at most P2. Percentiles, because EPSS v5 moved the probabilities.
//! 4. **Vendor deprioritised.** The vendor will not fix it, and it has no network reach, is not in KEV and below
//!    percentile 0.90: one band down, never below P4. Active exploitation counts as KEV here too.
//! 5. **Score** inside the band, 0 to 100: `100 × p × severity × KEV factor`. p is 1 in KEV, else the EPSS
//!    probability; severity the mean of the label (critical 9, high 7.5, medium 5, low 3, unknown 5) and the mean CVSS
//!    score, over 10; the factor 1.1 in KEV with ransomware, 1.05 in KEV.
//! 6. **A missing fact is never zero**, and the reasons say `data_gap`:
//!    * EPSS: p is the median of the loaded snapshot, or 0.01. Steps 3 and 4 do not use it.
//!    * CVSS: the label alone.
//!    * KEV: as not listed; but step 4 is not applied.
//!    * automatable: from a CVSS vector ([`crate::domain::vulnerability::DerivedSsvc`]); without one, yes.
//!    * technical impact: from a CVSS vector; without one, total unless Trivy's severity is `LOW`.
//!    * exposure: the configured default, public if there is none ([`exposure`]).
//!
//! **Due**: the band's days after the day on which the clock starts, in UTC. Without KEV that is the day on which a
//! scan first saw the finding (not known: today; never after today). In KEV it is the later of that day and
//! `dateAdded`, because both facts must be known; but never later than it would be due without KEV. P4 and `none` have
//! no date.
//!
//! A worse answer to any question, and a higher EPSS, never give a less urgent band, a smaller score or a later day.
//!
//! Evidence for the steps: BOD 26-04 (2026-06-10) and CERT/CC's SSVC repository for the table, arXiv 2506.01220
//! for KEV and EPSS before CVSS, arXiv 2603.12450 for the use of both likelihood and impact.

mod band;
pub mod brief;
mod decide;
pub mod exposure;
mod inputs;
mod probability;
mod reported;
mod score;
mod sort_key;
pub mod table;
mod thresholds;
mod why;

#[cfg(test)]
mod tests;

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

pub use band::Band;
pub use inputs::{Inputs, VectorReading};
pub use reported::Reported;
pub use sort_key::SortKey;
pub use thresholds::Thresholds;

use crate::domain::fix_status::FixStatus;
use crate::domain::instant::day;
use crate::domain::vulnerability::{KevStatus, Status};
use decide::{Case, decide};
use probability::Probability;

/// The priority of a finding, with the reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Priority {
    /// The urgency.
    pub band: Band,
    /// The order inside the band: 0.0001 to 100, four decimals; 0 only for [`Band::Suppressed`].
    pub score: f64,
    /// The last day to fix it; none for [`Band::P4`] and [`Band::Suppressed`].
    pub due: Option<Date>,
    /// The reasons, one input or step each: ASCII, at most 12 of at most 160 characters.
    pub why: Vec<String>,
}

/// Applies the rule. `as_of` is now: the start of a clock without any other start, and the time to age feeds by.
#[must_use]
pub fn assess(inputs: &Inputs, thresholds: &Thresholds, as_of: Timestamp) -> Priority {
    let today = day(as_of);
    if let Some(reason) = suppression(inputs) {
        let listed = matches!(inputs.kev, KevStatus::Listed(_)).then(|| why::kev(inputs, thresholds, today));
        let why = std::iter::once(reason).chain(listed).collect();
        return Priority { band: Band::Suppressed, score: 0.0, due: None, why };
    }

    let probability = Probability::of(inputs, thresholds);
    let case = Case::of(inputs, &probability);
    let decision = decide(&case, thresholds);
    let (score, why_score) = score::score_with_reason(inputs, &probability);

    let mut why = vec![
        why::kev(inputs, thresholds, today),
        why::exposed(inputs),
        why::automatable(inputs),
        why::technical_impact(inputs),
        why::exploitation(inputs),
        why::epss(inputs, &probability, thresholds, today),
    ];
    why.extend(why::record(inputs));
    why.extend(why::decision(inputs, &decision, &probability));
    why.push(why_score);
    let due = due(inputs, &case, decision.band, thresholds, today).map(|(day, reason)| {
        why.push(reason);
        day
    });
    Priority { band: decision.band, score, due, why }
}

/// Applies step 1.
fn suppression(inputs: &Inputs) -> Option<String> {
    if let Some(record) = inputs.record.as_ref().filter(|record| record.fact.value == Status::Rejected) {
        let source = why::dated(record.source.as_str(), Some(day(record.as_of)));
        return Some(format!("suppressed: CVE record rejected, {source}"));
    }
    let is_denied = inputs.status == FixStatus::NotAffected;
    is_denied.then(|| "suppressed: Trivy status not_affected".to_owned())
}

/// Computes the last day, with its reason.
fn due(inputs: &Inputs, case: &Case, band: Band, thresholds: &Thresholds, today: Date) -> Option<(Date, String)> {
    let (seen, seen_name) = match inputs.first_seen {
        Some(day) => (day.min(today), "first seen"),
        None => (today, "today (data_gap: first seen unknown)"),
    };
    let from = |band: Band, start: Date, name: &str| {
        let days = band.days()?;
        let day = start.saturating_add(Span::new().try_days(days).ok()?);
        Some((day, format!("due {day}: {days} days from {name} {start}")))
    };
    let KevStatus::Listed(listing) = inputs.kev else { return from(band, seen, seen_name) };
    let added = listing.date_added.min(today);
    let listed = if added > seen { from(band, added, "KEV dateAdded") } else { from(band, seen, seen_name) };
    // An addition to KEV must not give a finding more time than it had.
    let before = decide(&case.before_kev(), thresholds).band;
    let unlisted = from(before, seen, seen_name);
    [listed, unlisted].into_iter().flatten().min_by_key(|(day, _)| *day)
}
