//! Scores a finding inside its band: Grype's risk formula over recomputed CVSS scores.
//!
//! `100 × probability × severity × KEV factor`, at most 100
//! (<https://github.com/anchore/grype>, `grype/vulnerability/metadata.go`).

use super::Inputs;
use super::probability::Probability;
use super::why::decimal;
use crate::domain::severity::Severity;
use crate::domain::vulnerability::KevStatus;

/// The smallest score: a known risk is never shown as no risk.
pub(super) const SMALLEST: f64 = 0.0001;

/// Computes the score of step 5, with its reason.
pub(super) fn score_with_reason(inputs: &Inputs, probability: &Probability) -> (f64, String) {
    let ((probability, origin), factor) = match inputs.kev {
        KevStatus::Listed(listing) => ((1.0, "KEV"), if listing.ransomware == Some(true) { 1.1 } else { 1.05 }),
        KevStatus::NotListed { .. } | KevStatus::Unknown => ((probability.value, probability.origin), 1.0),
    };
    let usable = usable(&inputs.cvss_scores);
    let mean = mean(&usable);
    let severity = severity_factor(inputs.severity, mean);
    let score = score(probability, severity, factor);

    let cvss = match mean {
        Some(mean) => format!("CVSS mean {} of {}", decimal(mean, 2), usable.len()),
        None => "data_gap: no CVSS v2/v3 score".to_owned(),
    };
    let ignored = match inputs.cvss_scores.len() - usable.len() {
        0 => String::new(),
        number => format!(", data_gap: {number} outside 0-10"),
    };
    let (p, s) = (decimal(probability, 9), decimal(severity, 4));
    let label = format!("Trivy {}; {cvss}{ignored}", inputs.severity);
    let why = format!("score {} = 100 x {p} ({origin}) x {s} ({label}) x {factor}", decimal(score, 4));
    (score, why)
}

/// Returns Grype's number for a label, 0 to 10.
const fn label_number(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 9.0,
        Severity::High => 7.5,
        Severity::Medium | Severity::Unknown => 5.0,
        Severity::Low => 3.0,
    }
}

/// Sorts the scores that are CVSS scores, smallest first: the sum must not depend on their order.
pub(super) fn usable(scores: &[f64]) -> Vec<f64> {
    let mut usable: Vec<f64> = scores.iter().copied().filter(|score| (0.0..=10.0).contains(score)).collect();
    usable.sort_by(f64::total_cmp);
    usable
}

/// Computes the mean; none of an empty list.
fn mean(scores: &[f64]) -> Option<f64> {
    let count = u32::try_from(scores.len()).ok().filter(|&count| count > 0)?;
    Some(scores.iter().sum::<f64>() / f64::from(count))
}

/// Computes the severity, 0 to 1: the mean of the label and the mean CVSS score, or the label alone.
fn severity_factor(severity: Severity, cvss: Option<f64>) -> f64 {
    let label = label_number(severity) / 10.0;
    cvss.map_or(label, |cvss| f64::midpoint(label, cvss / 10.0))
}

/// Computes the score, 0.0001 to 100, to four decimals.
///
/// Only multiplication and rounding to the nearest, which IEEE 754 defines to the bit: the same everywhere.
fn score(probability: f64, severity: f64, kev_factor: f64) -> f64 {
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
        let severity = severity_factor(Severity::High, cvss);
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
        assert_eq!(severity_factor(Severity::Critical, None), 0.9);
        assert_eq!(severity_factor(Severity::Unknown, None), 0.5);
    }

    #[test]
    fn a_score_ends_at_100_and_never_at_zero() {
        assert_eq!(score(1.0, 1.0, 1.1), 100.0);
        assert_eq!(score(1e-12, 0.05, 1.0), SMALLEST);
    }
}
