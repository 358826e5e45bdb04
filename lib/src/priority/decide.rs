//! Applies steps 2 to 4 of the rule: row, escalation, vendor deprioritised. No text, no dates.

use super::band::Band;
use super::probability::Probability;
use super::table::{Row, table_row};
use super::{Inputs, Thresholds};
use crate::domain::vulnerability::{Exploitation, KevStatus, TechnicalImpact};

/// The answers to the table's questions, and the conditions of escalation and deprioritisation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    kev: KevStatus,
    exposed: bool,
    automatable: bool,
    total: bool,
    exploitation: Option<Exploitation>,
    /// EPSS, 0 to 1.
    percentile: Option<f64>,
    vendor_deprioritised: bool,
    network_reach: Option<bool>,
}

impl Case {
    pub(super) fn of(inputs: &Inputs, probability: &Probability) -> Self {
        Self {
            kev: inputs.kev,
            exposed: inputs.exposure.is_public(),
            automatable: inputs.automatable().0,
            total: inputs.technical_impact().0 == TechnicalImpact::Total,
            exploitation: inputs.ssvc.as_ref().and_then(|ssvc| ssvc.fact.exploitation),
            percentile: probability.percentile,
            vendor_deprioritised: inputs.vendor_deprioritised().is_some(),
            network_reach: inputs.network_reach,
        }
    }

    /// Returns the same case as before any entry in KEV.
    pub(super) const fn before_kev(self) -> Self {
        Self { kev: KevStatus::Unknown, ..self }
    }
}

/// The result of steps 2 to 4.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decision {
    pub(super) row: Row,
    pub(super) escalation: Option<Escalation>,
    pub(super) deprioritisation: Option<Deprioritisation>,
    pub(super) band: Band,
}

/// A signal of attacks that makes a finding more urgent than its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escalation {
    pub(super) by: Signal,
    /// The row that it counts as; none if it is just one band up.
    pub(super) as_row: Option<Row>,
    pub(super) band: Band,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Percentile,
    Exploitation(Exploitation),
}

/// The effect of the vendor's low priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deprioritisation {
    /// One band down, or already at the lowest.
    Applied,
    /// Not applied, for this reason.
    NotApplied(&'static str),
}

pub(super) fn decide(case: &Case, thresholds: &Thresholds) -> Decision {
    let is_listed = matches!(case.kev, KevStatus::Listed(_));
    let row = table_row(is_listed, case.exposed, case.automatable, case.total);
    let escalation = if is_listed { None } else { escalation(case, thresholds, row) };
    let band = escalation.map_or(row.band, |escalation| escalation.band);
    let deprioritisation = case.vendor_deprioritised.then(|| deprioritisation(case, thresholds));
    let is_applied = deprioritisation == Some(Deprioritisation::Applied);
    Decision { row, escalation, deprioritisation, band: if is_applied { band.one_down_to_p4() } else { band } }
}

/// Finds the strongest signal that makes a finding more urgent.
fn escalation(case: &Case, thresholds: &Thresholds, from: Row) -> Option<Escalation> {
    let reaches = |threshold: f64| case.percentile.is_some_and(|percentile| percentile >= threshold);
    let as_listed = |by| {
        let as_row = table_row(true, case.exposed, case.automatable, case.total);
        Escalation { by, as_row: Some(as_row), band: as_row.band.without_forensics() }
    };
    let one_up = |by| Escalation { by, as_row: None, band: from.band.one_up_to_p2() };
    let escalation = if case.exploitation == Some(Exploitation::Active) {
        as_listed(Signal::Exploitation(Exploitation::Active))
    } else if reaches(thresholds.as_listed_from) {
        as_listed(Signal::Percentile)
    } else if reaches(thresholds.one_band_from) {
        one_up(Signal::Percentile)
    } else if case.exploitation == Some(Exploitation::Poc) && case.automatable {
        one_up(Signal::Exploitation(Exploitation::Poc))
    } else {
        return None;
    };
    (escalation.band < from.band).then_some(escalation)
}

/// Applies the vendor's low priority only if every condition is known to hold.
fn deprioritisation(case: &Case, thresholds: &Thresholds) -> Deprioritisation {
    let not_applied = match (case.kev, case.exploitation, case.network_reach, case.percentile) {
        (KevStatus::Listed(_), ..) => "in KEV",
        (KevStatus::Unknown, ..) => "KEV unknown",
        // It counts as if in KEV, where step 4 is not applied.
        (_, Some(Exploitation::Active), ..) => "exploitation active",
        (_, _, Some(true), _) => "network reach",
        (_, _, None, _) => "network reach unknown",
        (_, _, _, None) => "EPSS percentile unknown",
        (_, _, _, Some(percentile)) if percentile < thresholds.deprioritised_below => return Deprioritisation::Applied,
        _ => "EPSS too high",
    };
    Deprioritisation::NotApplied(not_applied)
}
