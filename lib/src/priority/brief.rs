//! The decision in words that stay the same for days: what a model is told.
//!
//! No date of a feed, no figure that moves daily, no name of an image. Two images with the same exposure ask
//! the same, and one that was asked about is not asked about anew because a feed was loaded.

use serde::{Deserialize, Serialize};

use super::decide::{Floor, Warning, decide};
use super::exposure::{Exposure, Reach};
use super::ssvc::Exploitation;
use super::{Band, Facts, Kev, Thresholds, UsableEpss, automatable, case, shrug, suppression, technical_impact};

/// The band, and what decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// How soon.
    pub band: Band,
    /// What decided, one input or step each: ASCII. Being in KEV and the EPSS are facts of their own, so they
    /// are here only where they are missing.
    pub reasons: Vec<String>,
}

/// Applies the rule; the band is that of [`super::assess`].
#[must_use]
pub fn brief(facts: &Facts, thresholds: &Thresholds) -> Brief {
    if suppression(facts).is_some() {
        let reason = "suppressed: the CVE record is rejected, or the vendor says not affected".to_owned();
        return Brief { band: Band::Suppressed, reasons: vec![reason] };
    }
    let epss = UsableEpss::of(facts, thresholds);
    let (automatable, _) = automatable(facts);
    let (impact, _) = technical_impact(facts);
    let decision = decide(&case(facts, automatable, impact, &epss), thresholds);
    let ssvc = facts.ssvc.as_ref();
    let origin = |assessed: bool| match (&facts.vector, assessed) {
        (_, true) => "assessed".to_owned(),
        (Some(vector), false) => format!("derived from {}", vector.derived.version),
        (None, false) => "unknown, assumed".to_owned(),
    };
    let yes_no = |yes| if yes { "yes" } else { "no" };

    let mut reasons = Vec::new();
    match facts.kev {
        Kev::Listed { .. } => {}
        Kev::NotListed { .. } => reasons.push("KEV: not listed".to_owned()),
        Kev::Unknown => reasons.push("KEV: unknown".to_owned()),
    }
    reasons.push(
        match facts.exposure {
            Exposure::Public { .. } => "exposed to untrusted people: yes",
            Exposure::Internal { .. } => "exposed to untrusted people: no",
            Exposure::Assumed(Reach::Public) => "exposed to untrusted people: yes (assumed)",
            Exposure::Assumed(Reach::Internal) => "exposed to untrusted people: no (assumed)",
        }
        .to_owned(),
    );
    let assessed = ssvc.is_some_and(|ssvc| ssvc.automatable.is_some());
    reasons.push(format!("automatable: {} ({})", yes_no(automatable), origin(assessed)));
    let assessed = ssvc.is_some_and(|ssvc| ssvc.technical_impact.is_some());
    reasons.push(format!("technical impact: {} ({})", impact.as_str(), origin(assessed)));
    reasons.push(match ssvc.and_then(|ssvc| ssvc.exploitation) {
        Some(exploitation) => format!("exploitation: {} (assessed)", exploitation.as_str()),
        None => "exploitation: unknown".to_owned(),
    });
    if epss.percentile.is_none() {
        reasons.push("EPSS: unknown".to_owned());
    }
    let row = decision.row;
    reasons.push(format!("row {} of BOD 26-04: {}", row.number, row.band.label()));
    if let Some(lift) = decision.lift {
        let by = match lift.by {
            Warning::Exploitation(Exploitation::Poc) => "a proof of concept of something automatable",
            Warning::Exploitation(_) => "attacks are seen",
            Warning::Percentile => "high EPSS",
        };
        reasons.push(format!("raised by: {by}: {}", lift.band.label()));
    }
    if let (Some(shrug), Some(Floor::Applied)) = (shrug(facts), decision.floor) {
        reasons.push(format!("lowered by: {shrug}: {}", decision.band.label()));
    }
    Brief { band: decision.band, reasons }
}
