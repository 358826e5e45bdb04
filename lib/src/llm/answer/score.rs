//! Reads the risk score: `**7.5**/10`, `7 out of 10`, `Score: 7`.

use crate::llm::answer::RiskScore;
use crate::llm::text::fold;

/// A text is no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum ScoreError {
    #[error("no number")]
    NoNumber,
    #[error("outside 1 to 10, or of another scale")]
    OutOfRange,
    #[error("more than one number")]
    Contradicting,
}

/// A number in the text and its surroundings.
struct Found {
    value: f64,
    /// `/10` or `out of 10` follows.
    of_ten: bool,
    /// Only words like "score" and "is" come before it.
    leads: bool,
}

/// Finds each `n/10` and `n out of ten` of a folded, lower-case text; none if there is another scale.
pub(crate) fn ratings(text: &str) -> Option<Vec<f64>> {
    let text = with_digits(text);
    let rates = text.contains("/10") || text.contains("/ 10") || text.contains("of 10");
    if !rates {
        return Some(Vec::new());
    }
    let found = numbers(&text).ok()?;
    Some(found.iter().filter(|n| n.of_ten).map(|n| n.value).collect())
}

/// Reads the only score of a text.
pub(super) fn read_score(text: &str) -> Result<RiskScore, ScoreError> {
    let text = with_digits(&fold(text).to_lowercase());
    let found = numbers(&text)?;
    let of_ten: Vec<f64> = found.iter().filter(|n| n.of_ten).map(|n| n.value).collect();
    let values = match (of_ten.as_slice(), found.as_slice()) {
        ([], [first, ..]) if first.leads => vec![first.value],
        ([], all) => all.iter().map(|n| n.value).collect(),
        _ => of_ten,
    };
    let (first, rest) = values.split_first().ok_or(ScoreError::NoNumber)?;
    if rest.iter().any(|other| (other - first).abs() > f64::EPSILON) {
        return Err(ScoreError::Contradicting);
    }
    RiskScore::new(*first).ok_or(ScoreError::OutOfRange)
}

fn numbers(text: &str) -> Result<Vec<Found>, ScoreError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|t| t.find(|c: char| c.is_ascii_digit())) {
        let start = at + start;
        let before = text.get(..start).unwrap_or_default();
        let tail = text.get(start..).unwrap_or_default();
        let (value, length) = leading_number(tail);
        let rest = tail.get(length..).unwrap_or_default();
        at = start + length;
        // `N/10` is a scale without a number.
        if before.trim_end().ends_with('/') || before.trim_end().ends_with("out of") {
            continue;
        }
        // A CVSS score beside the risk score is a fact.
        if quotes_cvss(before) {
            if let Some((_, skipped)) = denominator(rest) {
                at += skipped;
            }
            continue;
        }
        if before.ends_with('-') && !before.trim_end_matches('-').ends_with(|c: char| c.is_alphanumeric()) {
            return Err(ScoreError::OutOfRange);
        }
        if is_range(rest) {
            return Err(ScoreError::Contradicting);
        }
        let leads = before
            .split(|c: char| !c.is_alphanumeric())
            .all(|word| matches!(word, "" | "risk" | "score" | "is" | "rating" | "overall" | "the" | "a" | "of"));
        match denominator(rest) {
            Some((scale, skipped)) => {
                at += skipped;
                if (scale - 10.0).abs() > f64::EPSILON {
                    return Err(ScoreError::OutOfRange);
                }
                found.push(Found { value, of_ten: true, leads });
            }
            None => found.push(Found { value, of_ten: false, leads }),
        }
    }
    Ok(found)
}

/// Reads the number at the start of a text, and its length. A decimal comma counts if a digit follows.
fn leading_number(text: &str) -> (f64, usize) {
    let mut length = 0;
    let mut separator = false;
    for (index, c) in text.char_indices() {
        let next_is_digit = || text.get(index + 1..).is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        if c.is_ascii_digit() {
            length = index + 1;
        } else if matches!(c, '.' | ',') && !separator && next_is_digit() {
            separator = true;
        } else {
            break;
        }
    }
    let number = text.get(..length).unwrap_or_default().replace(',', ".");
    (number.parse().unwrap_or(f64::INFINITY), length)
}

/// Reads `/10`, `out of 10` or `of 10`: the scale and its length.
fn denominator(rest: &str) -> Option<(f64, usize)> {
    // A stray `*` or `)` may follow the number.
    let after = rest.trim_start_matches([' ', '*', '_', ')']);
    let after = ["/", "out of", "of"].iter().find_map(|sign| after.strip_prefix(sign))?;
    let after = after.trim_start_matches([' ', '*', '_']);
    if !after.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (scale, length) = leading_number(after);
    Some((scale, rest.len() - after.len() + length))
}

fn is_range(rest: &str) -> bool {
    let rest = rest.trim_start();
    ["-", "to ", "or ", "and "]
        .iter()
        .filter_map(|sign| rest.strip_prefix(sign))
        .any(|after| after.trim_start().starts_with(|c: char| c.is_ascii_digit()))
}

fn quotes_cvss(before: &str) -> bool {
    before.rsplit(|c: char| c.is_whitespace()).take(5).any(|word| word.contains("cvss"))
}

/// Turns `seven out of ten` into `7 out of 10`, and keeps words elsewhere (`one of the …`).
fn with_digits(text: &str) -> String {
    const WORDS: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    if !text.contains("out of") && !text.contains("/10") && !text.contains("/ 10") {
        return text.to_owned();
    }
    let digit = |word: &str| {
        let bare = word.trim_end_matches(|c: char| c.is_ascii_punctuation());
        let tail = word.get(bare.len()..).unwrap_or_default();
        WORDS.iter().position(|w| *w == bare).map(|at| format!("{}{tail}", at + 1))
    };
    let words = text.split(' ').map(|word| digit(word).unwrap_or_else(|| word.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_in_the_forms_models_use() {
        for (text, value) in [
            ("7/10", 7.0),
            ("7.5/10", 7.5),
            ("7,5 / 10", 7.5),
            ("７／１０", 7.0),
            ("**7.5**/10", 7.5),
            ("7 out of 10", 7.0),
            ("seven out of ten", 7.0),
            ("Score: 7", 7.0),
            ("9", 9.0),
            ("8 (High)", 8.0),
            ("The risk score is 8, because 3 services use it.", 8.0),
            ("10/10", 10.0),
            ("1.0/10", 1.0),
            ("9/10 (CVSS 9.8)", 9.0),
            ("CVSS base score of 9.8/10, so 9/10", 9.0),
            ("High: 8/10, it stays 8/10", 8.0),
            ("7.85/10", 7.9),
        ] {
            assert_eq!(read_score(text).map(RiskScore::value), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_single_number_from_1_to_10_is_refused() {
        for (text, error) in [
            ("", ScoreError::NoNumber),
            ("N/10", ScoreError::NoNumber),
            ("[score] / 10", ScoreError::NoNumber),
            ("x out of 10", ScoreError::NoNumber),
            ("High", ScoreError::NoNumber),
            ("0/10", ScoreError::OutOfRange),
            ("11/10", ScoreError::OutOfRange),
            ("-3/10", ScoreError::OutOfRange),
            ("75/100", ScoreError::OutOfRange),
            ("4/5", ScoreError::OutOfRange),
            ("75%", ScoreError::OutOfRange),
            ("7-8/10", ScoreError::Contradicting),
            ("7 to 8", ScoreError::Contradicting),
            ("9/10 or rather 1/10", ScoreError::Contradicting),
            ("99999999999999999999999999/10", ScoreError::OutOfRange),
        ] {
            assert_eq!(read_score(text), Err(error), "{text}");
        }
    }
}
