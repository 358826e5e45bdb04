//! The probability of an exploit: EPSS, or its substitute.

use super::thresholds::is_probability;
use super::{Inputs, Thresholds};

/// A probability with its origin.
pub(super) struct Probability {
    /// Above 0 unless EPSS itself says 0.
    pub(super) value: f64,
    /// `EPSS`, `snapshot median` or `fallback`.
    pub(super) origin: &'static str,
    /// The percentile of EPSS; a substitute has none.
    pub(super) percentile: Option<f64>,
}

impl Probability {
    pub(super) fn of(inputs: &Inputs, thresholds: &Thresholds) -> Self {
        if let Some(epss) = inputs.epss.as_ref().filter(|epss| is_probability(epss.score)) {
            let percentile = epss.percentile.filter(|&percentile| is_probability(percentile));
            return Self { value: epss.score, origin: "EPSS", percentile };
        }
        let above_zero = |number: &f64| is_probability(*number) && *number > 0.0;
        let median = inputs.epss_median.filter(above_zero).map(|median| (median, "snapshot median"));
        let (value, origin) = median.unwrap_or_else(|| {
            let fallback = Some(thresholds.epss_fallback).filter(above_zero);
            (fallback.unwrap_or_else(|| Thresholds::default().epss_fallback), "fallback")
        });
        Self { value, origin, percentile: None }
    }
}
