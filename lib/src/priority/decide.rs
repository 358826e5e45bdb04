//! Steps 2 to 4 of the rule: the row, the early-warning lift, the distribution floor. No text, no dates.

use super::Thresholds;
use super::band::Band;
use super::ssvc::Exploitation;
use super::table::{Row, row};

/// Whether it is in KEV, with "not known" as an answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Listed,
    NotListed,
    Unknown,
}

/// The questions of the table answered, and what the lift and the floor ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) listing: Listing,
    pub(super) exposed: bool,
    pub(super) automatable: bool,
    pub(super) total: bool,
    pub(super) exploitation: Option<Exploitation>,
    /// EPSS, 0 to 1.
    pub(super) percentile: Option<f64>,
    /// Whether the distribution gives it little weight.
    pub(super) distribution_shrugs: bool,
    pub(super) network_reach: Option<bool>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decision {
    pub(super) row: Row,
    pub(super) lift: Option<Lift>,
    pub(super) floor: Option<Floor>,
    pub(super) band: Band,
}

/// An early warning that made it more urgent than its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lift {
    pub(super) by: Warning,
    /// The row that it counts as; none: just one band up.
    pub(super) as_row: Option<Row>,
    pub(super) band: Band,
}

/// What warns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warning {
    Percentile,
    Exploitation(Exploitation),
}

/// What came of the distribution's shrug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floor {
    /// One band down, or already at the lowest.
    Applied,
    /// Not applied, and why not.
    Held(&'static str),
}

pub(super) fn decide(case: &Case, thresholds: &Thresholds) -> Decision {
    let row = row(case.listing == Listing::Listed, case.exposed, case.automatable, case.total);
    let lift = lift(case, thresholds, row);
    let lifted = lift.map_or(row.band, |lift| lift.band);
    let floor = case.distribution_shrugs.then(|| floor(case, thresholds));
    let band = if floor == Some(Floor::Applied) { lifted.one_down_to_p4() } else { lifted };
    Decision { row, lift, floor, band }
}

/// The strongest warning that makes it more urgent. KEV lags behind attacks, so they need not wait for it.
fn lift(case: &Case, thresholds: &Thresholds, from: Row) -> Option<Lift> {
    if case.listing == Listing::Listed {
        return None;
    }
    let reaches = |threshold: f64| case.percentile.is_some_and(|percentile| percentile >= threshold);
    let as_listed = |by| {
        let as_row = row(true, case.exposed, case.automatable, case.total);
        Lift { by, as_row: Some(as_row), band: as_row.band.without_forensics() }
    };
    let one_up = |by| Lift { by, as_row: None, band: from.band.one_up_to_p2() };
    let lift = if case.exploitation == Some(Exploitation::Active) {
        as_listed(Warning::Exploitation(Exploitation::Active))
    } else if reaches(thresholds.as_listed_from) {
        as_listed(Warning::Percentile)
    } else if reaches(thresholds.one_band_from) {
        one_up(Warning::Percentile)
    } else if case.exploitation == Some(Exploitation::Poc) && case.automatable {
        one_up(Warning::Exploitation(Exploitation::Poc))
    } else {
        return None;
    };
    (lift.band < from.band).then_some(lift)
}

/// Every condition has to be known to hold: what is not known keeps the band.
fn floor(case: &Case, thresholds: &Thresholds) -> Floor {
    match case.listing {
        Listing::Listed => return Floor::Held("in KEV"),
        Listing::Unknown => return Floor::Held("KEV unknown"),
        Listing::NotListed => {}
    }
    // It counts as if it were in KEV, and what is in KEV is never lowered.
    if case.exploitation == Some(Exploitation::Active) {
        return Floor::Held("exploitation active");
    }
    match case.network_reach {
        Some(true) => return Floor::Held("network reach"),
        None => return Floor::Held("network reach unknown"),
        Some(false) => {}
    }
    match case.percentile {
        None => Floor::Held("EPSS percentile unknown"),
        Some(percentile) if percentile < thresholds.floor_below => Floor::Applied,
        Some(_) => Floor::Held("EPSS too high"),
    }
}
