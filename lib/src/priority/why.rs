//! The reasons of a priority. Answers and prompts show them, so text of reports and sources is cut to size
//! and to ASCII.

use jiff::civil::Date;

use super::decide::{Decision, Deprioritisation, Signal};
use super::exposure::{Exposure, Reach};
use super::inputs::Origin;
use super::probability::Probability;
use super::thresholds::is_probability;
use super::{Inputs, Thresholds};
use crate::domain::instant::day;
use crate::domain::vulnerability::{Exploitation, KevStatus, Sourced, Ssvc, Status};

/// The longest name of a source.
const MAX_SOURCE_CHARS: usize = 24;

/// Cuts foreign text, and replaces all but letters, digits and the marks of names and versions with `?`.
pub(super) fn tidy(text: &str, longest: usize) -> String {
    let harmless = |char: char| char.is_ascii_alphanumeric() || "._-/:@+*".contains(char);
    let mut tidied: String = text.chars().take(longest).map(|char| if harmless(char) { char } else { '?' }).collect();
    if text.chars().nth(longest).is_some() {
        tidied.push_str("...");
    }
    tidied
}

/// Names a source and its date.
pub(super) fn dated(source: &str, date: Option<Date>) -> String {
    let source = if source.is_empty() { "unnamed source".to_owned() } else { tidy(source, MAX_SOURCE_CHARS) };
    date.map_or_else(|| format!("{source} (undated)"), |date| format!("{source} {date}"))
}

/// Names the assigner of an assessment and its date, or that of its source's record.
fn assessed_by(ssvc: &Sourced<Ssvc>) -> String {
    dated(&ssvc.fact.assigner, Some(day(ssvc.fact.assessed_at.unwrap_or(ssvc.as_of))))
}

/// Writes a number with at most so many decimals.
pub(super) fn decimal(number: f64, decimals: usize) -> String {
    // Adding 0 takes the sign from a negative zero.
    let text = format!("{:.decimals$}", number + 0.0);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Writes a share of 1 as a percentage, exact for the nine decimals of EPSS: 0.9899999 must not read as 99.
pub(super) fn percent(share: f64) -> String {
    decimal(share * 100.0, 7)
}

pub(super) const fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

pub(super) fn kev(inputs: &Inputs, thresholds: &Thresholds, today: Date) -> String {
    match inputs.kev {
        KevStatus::Listed(listing) => {
            let ransomware = if listing.ransomware == Some(true) { " (ransomware)" } else { "" };
            format!("KEV since {}{ransomware} (CISA)", listing.date_added)
        }
        KevStatus::NotListed { catalogue } => {
            format!("KEV: not listed, catalogue {catalogue} (CISA){}", age(catalogue, thresholds, today))
        }
        KevStatus::Unknown => "data_gap: KEV unknown (no catalogue), decided as not listed".to_owned(),
    }
}

pub(super) fn exposed(inputs: &Inputs) -> String {
    match &inputs.exposure {
        Exposure::Public { pattern } => format!("exposed: yes, configured public={}", tidy(pattern, 80)),
        Exposure::Internal { pattern } => format!("exposed: no, configured internal={}", tidy(pattern, 80)),
        Exposure::Assumed(Reach::Public) => "exposed: assumed yes (no pattern matches, default public)".to_owned(),
        Exposure::Assumed(Reach::Internal) => "exposed: assumed no (no pattern matches, default internal)".to_owned(),
    }
}

pub(super) fn automatable(inputs: &Inputs) -> String {
    let (answer, origin) = inputs.automatable();
    answered("automatable", yes_no(answer), &origin, "")
}

pub(super) fn technical_impact(inputs: &Inputs) -> String {
    let (answer, origin) = inputs.technical_impact();
    answered("technical impact", answer.as_str(), &origin, &format!(" (Trivy {})", inputs.severity))
}

fn answered(question: &str, answer: &str, origin: &Origin<'_>, assumed_from: &str) -> String {
    match origin {
        Origin::Assessed(ssvc) => format!("{question}: {answer}, {}", assessed_by(ssvc)),
        Origin::Derived(vector) => {
            let (version, source) = (vector.derived.version.as_str(), dated(&vector.source, vector.as_of));
            format!("{question}: {answer}, derived from CVSS v{version} of {source}")
        }
        Origin::Assumed => {
            let gap = format!("data_gap: {question} unknown (no SSVC, no CVSS v3/v4 vector)");
            format!("{gap}, decided as {answer}{assumed_from}")
        }
    }
}

pub(super) fn exploitation(inputs: &Inputs) -> String {
    match inputs.ssvc.as_ref().and_then(|ssvc| Some((ssvc, ssvc.fact.exploitation?))) {
        Some((ssvc, exploitation)) => format!("exploitation: {}, {}", exploitation.as_str(), assessed_by(ssvc)),
        None => "data_gap: exploitation unknown (no SSVC), no lift from it".to_owned(),
    }
}

pub(super) fn epss(inputs: &Inputs, probability: &Probability, thresholds: &Thresholds, today: Date) -> String {
    let substitute = || format!("{} {} used", probability.origin, decimal(probability.value, 9));
    match &inputs.epss {
        None => format!("data_gap: epss: unknown, {}", substitute()),
        Some(epss) if !is_probability(epss.score) => {
            format!("data_gap: epss: invalid score of {}, {}", epss.date, substitute())
        }
        Some(epss) => {
            let percentile = match probability.percentile {
                Some(percentile) => format!("p{}", percent(percentile)),
                None => "data_gap: percentile unknown".to_owned(),
            };
            let model = epss.model_version.as_ref().map(|version| format!(" {}", tidy(version, 24)));
            let (score, model) = (decimal(epss.score, 9), model.unwrap_or_default());
            format!("EPSS {score} ({percentile}) {}{model}{}", epss.date, age(epss.date, thresholds, today))
        }
    }
}

/// Writes the age of a feed that is old.
fn age(of: Date, thresholds: &Thresholds, today: Date) -> String {
    match of.duration_until(today).as_hours() / 24 {
        days if days > thresholds.stale_after_days => format!("; data_gap: {days} days old"),
        _ => String::new(),
    }
}

/// Mentions a dispute, which does not change the priority.
pub(super) fn record(inputs: &Inputs) -> Option<String> {
    let record = inputs.record.as_ref().filter(|record| record.fact.value == Status::Disputed)?;
    Some(format!("CVE record disputed, {}: not suppressed", dated(record.source.as_str(), Some(day(record.as_of)))))
}

/// Writes the row, the escalation and the vendor's low priority: one to three reasons.
pub(super) fn decision(inputs: &Inputs, decision: &Decision, probability: &Probability) -> Vec<String> {
    let row = decision.row;
    let mut why = vec![format!("row {} of BOD 26-04 -> {}", row.number, row.band.label())];
    if let Some(escalation) = decision.escalation {
        let by = match escalation.by {
            Signal::Exploitation(Exploitation::Poc) => "exploitation poc and automatable".to_owned(),
            Signal::Exploitation(exploitation) => format!("exploitation {}", exploitation.as_str()),
            Signal::Percentile => format!("EPSS p{}", percent(probability.percentile.unwrap_or_default())),
        };
        let to = match escalation.as_row {
            Some(row) => format!("row {} as if in KEV", row.number),
            None => "one band up".to_owned(),
        };
        why.push(format!("lift: {by}: {to} -> {}", escalation.band.label()));
    }
    if let (Some(statement), Some(effect)) = (inputs.vendor_deprioritised(), decision.deprioritisation) {
        why.push(match effect {
            Deprioritisation::Applied => {
                format!("floor: {statement}, no network reach, low EPSS -> {}", decision.band.label())
            }
            Deprioritisation::NotApplied(reason) => format!("floor: {statement}, not applied: {reason}"),
        });
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_needless_zeros_and_no_noise() {
        assert_eq!(decimal(0.0719, 9), "0.0719");
        assert_eq!(decimal(1.0, 4), "1");
        assert_eq!(decimal(100.0, 4), "100");
        assert_eq!(decimal(-0.0, 4), "0");
        assert_eq!(decimal(10.0, 0), "10");
        assert_eq!(percent(0.29), "29");
        assert_eq!(percent(0.989_999_999), "98.9999999");
        assert_eq!(percent(1.0), "100");
    }

    #[test]
    fn text_of_others_is_cut_to_size_and_to_ascii() {
        assert_eq!(tidy("ghcr.io/acme/web*", 80), "ghcr.io/acme/web*");
        assert_eq!(tidy("a\u{202e}b\n<c>", 80), "a?b??c?");
        assert_eq!(tidy("abcdef", 3), "abc...");
        assert_eq!(dated("", None), "unnamed source (undated)");
    }
}
