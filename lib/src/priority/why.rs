//! The reasons of a priority, in words. They end in answers and in prompts, so text of others is cut to size and
//! to ASCII.

use jiff::civil::Date;

use super::decide::{Decision, Floor, Warning};
use super::exposure::{Exposure, Reach};
use super::ssvc::Exploitation;
use super::{Facts, Kev, RecordStatus, Thresholds, UsableEpss, VectorReading, is_probability, shrug};

/// The longest name of a source.
const LONGEST_SOURCE: usize = 24;

/// Others' text: letters, digits and the marks of names and versions; anything else is `?`, the rest is cut off.
pub(super) fn tidy(text: &str, longest: usize) -> String {
    let harmless = |char: char| char.is_ascii_alphanumeric() || "._-/:@+*".contains(char);
    let mut tidied: String = text.chars().take(longest).map(|char| if harmless(char) { char } else { '?' }).collect();
    if text.chars().nth(longest).is_some() {
        tidied.push_str("...");
    }
    tidied
}

/// Who says so, and when.
pub(super) fn dated(source: &str, date: Option<Date>) -> String {
    let source = if source.is_empty() { "unnamed source".to_owned() } else { tidy(source, LONGEST_SOURCE) };
    date.map_or_else(|| format!("{source} (undated)"), |date| format!("{source} {date}"))
}

/// A number with at most so many decimals.
pub(super) fn decimal(number: f64, decimals: usize) -> String {
    // Adding 0 takes the sign from a negative zero.
    let text = format!("{:.decimals$}", number + 0.0);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A share of 1 as a percentage, exact for the nine decimals that EPSS has: 0.9899999 must not read as 99.
pub(super) fn percent(share: f64) -> String {
    decimal(share * 100.0, 7)
}

/// Whose vector says so.
pub(super) fn derived_from(vector: &VectorReading) -> String {
    format!("derived from {} of {}", vector.derived.version, dated(&vector.source, vector.as_of))
}

pub(super) fn kev(facts: &Facts, thresholds: &Thresholds, today: Date) -> String {
    match facts.kev {
        Kev::Listed { date_added, ransomware } => {
            format!("KEV since {date_added}{} (CISA)", if ransomware { " (ransomware)" } else { "" })
        }
        Kev::NotListed { catalogue } => {
            format!("KEV: not listed, catalogue {catalogue} (CISA){}", age(catalogue, thresholds, today))
        }
        Kev::Unknown => "data_gap: KEV unknown (no catalogue), decided as not listed".to_owned(),
    }
}

pub(super) fn exposed(facts: &Facts) -> String {
    match &facts.exposure {
        Exposure::Public { pattern } => format!("exposed: yes, configured public={}", tidy(pattern, 80)),
        Exposure::Internal { pattern } => format!("exposed: no, configured internal={}", tidy(pattern, 80)),
        Exposure::Assumed(Reach::Public) => "exposed: assumed yes (no pattern matches, default public)".to_owned(),
        Exposure::Assumed(Reach::Internal) => "exposed: assumed no (no pattern matches, default internal)".to_owned(),
    }
}

pub(super) fn exploitation(facts: &Facts) -> String {
    match facts.ssvc.as_ref().and_then(|ssvc| Some((ssvc, ssvc.exploitation?))) {
        Some((ssvc, exploitation)) => {
            format!("exploitation: {}, {}", exploitation.as_str(), dated(&ssvc.source, ssvc.assessed_at))
        }
        None => "data_gap: exploitation unknown (no SSVC), no lift from it".to_owned(),
    }
}

pub(super) fn epss(facts: &Facts, usable: &UsableEpss, thresholds: &Thresholds, today: Date) -> String {
    let stand_in = || format!("{} {} used", usable.origin, decimal(usable.probability, 9));
    match &facts.epss {
        None => format!("data_gap: epss: unknown, {}", stand_in()),
        Some(epss) if !is_probability(epss.score) => {
            format!("data_gap: epss: invalid score of {}, {}", epss.date, stand_in())
        }
        Some(epss) => {
            let percentile = match usable.percentile {
                Some(percentile) => format!("p{}", percent(percentile)),
                None => "data_gap: percentile unknown".to_owned(),
            };
            let model = epss.model_version.as_ref().map(|version| format!(" {}", tidy(version, 24)));
            let (score, model) = (decimal(epss.score, 9), model.unwrap_or_default());
            format!("EPSS {score} ({percentile}) {}{model}{}", epss.date, age(epss.date, thresholds, today))
        }
    }
}

/// How old a feed is, if it is old.
fn age(of: Date, thresholds: &Thresholds, today: Date) -> String {
    match of.duration_until(today).as_hours() / 24 {
        days if days > thresholds.stale_after_days => format!("; data_gap: {days} days old"),
        _ => String::new(),
    }
}

/// A dispute changes nothing, but a reader should know of it.
pub(super) fn record(facts: &Facts) -> Option<String> {
    let record = facts.record.as_ref().filter(|record| record.status == RecordStatus::Disputed)?;
    Some(format!("CVE record disputed, {}: not suppressed", dated(&record.source, record.as_of)))
}

/// The row, what lifted it and what lowered it: one to three entries.
pub(super) fn decision(facts: &Facts, decision: &Decision, epss: &UsableEpss) -> Vec<String> {
    let row = decision.row;
    let mut why = vec![format!("row {} of BOD 26-04 -> {}", row.number, row.band.label())];
    if let Some(lift) = decision.lift {
        let by = match lift.by {
            Warning::Exploitation(Exploitation::Poc) => "exploitation poc and automatable".to_owned(),
            Warning::Exploitation(exploitation) => format!("exploitation {}", exploitation.as_str()),
            Warning::Percentile => format!("EPSS p{}", percent(epss.percentile.unwrap_or_default())),
        };
        let to = match lift.as_row {
            Some(row) => format!("row {} as if in KEV", row.number),
            None => "one band up".to_owned(),
        };
        why.push(format!("lift: {by}: {to} -> {}", lift.band.label()));
    }
    match (shrug(facts), decision.floor) {
        (Some(shrug), Some(Floor::Applied)) => {
            why.push(format!("floor: {shrug}, no network reach, low EPSS -> {}", decision.band.label()));
        }
        (Some(shrug), Some(Floor::Held(reason))) => why.push(format!("floor: {shrug}, not applied: {reason}")),
        _ => {}
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
