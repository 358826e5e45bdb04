//! The limits of the rule.

/// The limits at which the rule's steps apply. Percentiles and probabilities are 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// The EPSS percentile from which a vulnerability counts as if in KEV.
    pub as_listed_from: f64,
    /// The EPSS percentile from which the band is one higher.
    pub one_band_from: f64,
    /// The EPSS percentile below which the vendor's low priority may lower the band.
    pub deprioritised_below: f64,
    /// The probability without EPSS and without a snapshot's median.
    pub epss_fallback: f64,
    /// The age in days above which the reasons call a feed old.
    pub stale_after_days: i64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            as_listed_from: 0.99,
            one_band_from: 0.95,
            deprioritised_below: 0.90,
            epss_fallback: 0.01,
            stale_after_days: 7,
        }
    }
}

pub(super) const fn is_probability(number: f64) -> bool {
    number >= 0.0 && number <= 1.0
}
