//! The order inside a band: Grype's risk formula over recomputed CVSS scores.
//!
//! `100 × probability × severity × KEV factor`, at most 100
//! (<https://github.com/anchore/grype>, `grype/vulnerability/metadata.go`).

use super::Kev;
use crate::domain::severity::Severity;

/// The smallest score. A known risk is never shown as no risk, however small.
pub(super) const SMALLEST: f64 = 0.0001;

/// The factor of KEV: 1.1 if ransomware uses it, 1.05 if it is listed, else 1.
pub(super) const fn kev_factor(kev: &Kev) -> f64 {
    match kev {
        Kev::Listed { ransomware: true, .. } => 1.1,
        Kev::Listed { ransomware: false, .. } => 1.05,
        Kev::NotListed { .. } | Kev::Unknown => 1.0,
    }
}

/// Grype's number for a label, 0 to 10. `negligible` is a vendor's word below `LOW` that Trivy's scale lacks.
const fn label_number(severity: Severity, negligible: bool) -> f64 {
    match severity {
        Severity::Low | Severity::Unknown if negligible => 0.5,
        Severity::Critical => 9.0,
        Severity::High => 7.5,
        Severity::Medium | Severity::Unknown => 5.0,
        Severity::Low => 3.0,
    }
}

/// The scores that can be CVSS scores, smallest first: the sum must not hang on the order they came in.
pub(super) fn usable(scores: &[f64]) -> Vec<f64> {
    let mut usable: Vec<f64> = scores.iter().copied().filter(|score| (0.0..=10.0).contains(score)).collect();
    usable.sort_by(f64::total_cmp);
    usable
}

/// The mean; none of nothing.
pub(super) fn mean(scores: &[f64]) -> Option<f64> {
    let count = u32::try_from(scores.len()).ok().filter(|&count| count > 0)?;
    Some(scores.iter().sum::<f64>() / f64::from(count))
}

/// How bad, 0 to 1: the mean of the label and the mean CVSS score, or the label alone.
pub(super) fn severity_factor(severity: Severity, negligible: bool, cvss: Option<f64>) -> f64 {
    let label = label_number(severity, negligible) / 10.0;
    cvss.map_or(label, |cvss| f64::midpoint(label, cvss / 10.0))
}

/// The score, 0.0001 to 100, to four decimals.
///
/// Only multiplication and rounding to the nearest, which IEEE 754 defines to the bit: the same everywhere.
pub(super) fn score(probability: f64, severity: f64, kev_factor: f64) -> f64 {
    let score = (100.0 * probability * severity * kev_factor).min(100.0);
    ((score * 10_000.0).round() / 10_000.0).max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_check_of_grypes_report_comes_out() {
        // CVE-2022-28391, HIGH, EPSS 0.0719, scores 8.8, 6.8, 8.8: Grype 0.94 reports 5.620183.
        let cvss = mean(&usable(&[8.8, 6.8, 8.8]));
        let severity = severity_factor(Severity::High, false, cvss);
        assert_eq!(score(0.0719, severity, 1.0), 5.6202);
    }

    #[test]
    fn the_order_of_the_scores_does_not_matter() {
        let mean_of = |scores: &[f64]| mean(&usable(scores)).map(f64::to_bits);
        assert_eq!(mean_of(&[0.1, 0.2, 0.3, 9.8]), mean_of(&[9.8, 0.3, 0.1, 0.2]));
    }

    #[test]
    fn what_cannot_be_a_cvss_score_is_left_out() {
        assert_eq!(usable(&[f64::NAN, -0.1, 10.1, f64::INFINITY, 10.0, 0.0]), [0.0, 10.0]);
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn without_cvss_the_label_alone_counts() {
        assert_eq!(severity_factor(Severity::Critical, false, None), 0.9);
        assert_eq!(severity_factor(Severity::Unknown, false, None), 0.5);
        assert_eq!(severity_factor(Severity::Low, true, None), 0.05);
        // Trivy took another vendor's HIGH: that is not negligible.
        assert_eq!(severity_factor(Severity::High, true, None), 0.75);
    }

    #[test]
    fn a_score_ends_at_100_and_never_at_zero() {
        assert_eq!(score(1.0, 1.0, 1.1), 100.0);
        assert_eq!(score(1e-12, 0.05, 1.0), SMALLEST);
    }
}
