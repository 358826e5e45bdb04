//! Summarises a priority for a prompt, in words that stay the same for days.
//!
//! It has no date of a feed, no figure that changes daily and no image name, so that two images of the same exposure
//! get the same prompt, and a new feed alone does not ask the model again.

use serde::{Deserialize, Serialize};

use super::decide::{Case, Deprioritisation, Signal, decide};
use super::exposure::{Exposure, Reach};
use super::inputs::Origin;
use super::probability::Probability;
use super::{Band, Inputs, Thresholds, suppression, why};
use crate::domain::vulnerability::{Exploitation, KevStatus};

/// A band with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// The urgency.
    pub band: Band,
    /// The reasons, one input or step each: ASCII. KEV and EPSS are prompt facts of their own, so they are here only
    /// where they are missing.
    pub reasons: Vec<String>,
}

/// Applies the rule; the band is that of [`super::assess`].
#[must_use]
pub fn brief(inputs: &Inputs, thresholds: &Thresholds) -> Brief {
    if suppression(inputs).is_some() {
        let reason = "suppressed: the CVE record is rejected, or the vendor says not affected".to_owned();
        return Brief { band: Band::Suppressed, reasons: vec![reason] };
    }
    let probability = Probability::of(inputs, thresholds);
    let decision = decide(&Case::of(inputs, &probability), thresholds);
    let words = |origin: &Origin<'_>| match origin {
        Origin::Assessed(_) => "assessed".to_owned(),
        Origin::Derived(vector) => format!("derived from CVSS v{}", vector.derived.version.as_str()),
        Origin::Assumed => "unknown, assumed".to_owned(),
    };
    let (automatable, automatable_origin) = inputs.automatable();
    let (impact, impact_origin) = inputs.technical_impact();

    let mut reasons = Vec::new();
    match inputs.kev {
        KevStatus::Listed(_) => {}
        KevStatus::NotListed { .. } => reasons.push("KEV: not listed".to_owned()),
        KevStatus::Unknown => reasons.push("KEV: unknown".to_owned()),
    }
    let exposed = match inputs.exposure {
        Exposure::Public { .. } => "yes",
        Exposure::Internal { .. } => "no",
        Exposure::Assumed(Reach::Public) => "yes (assumed)",
        Exposure::Assumed(Reach::Internal) => "no (assumed)",
    };
    reasons.push(format!("exposed to untrusted people: {exposed}"));
    reasons.push(format!("automatable: {} ({})", why::yes_no(automatable), words(&automatable_origin)));
    reasons.push(format!("technical impact: {} ({})", impact.as_str(), words(&impact_origin)));
    reasons.push(match inputs.ssvc.as_ref().and_then(|ssvc| ssvc.fact.exploitation) {
        Some(exploitation) => format!("exploitation: {} (assessed)", exploitation.as_str()),
        None => "exploitation: unknown".to_owned(),
    });
    if probability.percentile.is_none() {
        reasons.push("EPSS: unknown".to_owned());
    }
    let row = decision.row;
    reasons.push(format!("row {} of BOD 26-04: {}", row.number, row.band.label()));
    if let Some(escalation) = decision.escalation {
        let by = match escalation.by {
            Signal::Exploitation(Exploitation::Poc) => "a proof of concept of something automatable",
            Signal::Exploitation(_) => "attacks are seen",
            Signal::Percentile => "high EPSS",
        };
        reasons.push(format!("raised by: {by}: {}", escalation.band.label()));
    }
    if let (Some(statement), Some(Deprioritisation::Applied)) =
        (inputs.vendor_deprioritised(), decision.deprioritisation)
    {
        reasons.push(format!("lowered by: {statement}: {}", decision.band.label()));
    }
    Brief { band: decision.band, reasons }
}
