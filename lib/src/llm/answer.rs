//! Parses a model's text into summary, recommendations and risk score.
//!
//! Models are asked for three Markdown headings, and answer with bold lines, numbered lists, a code fence around
//! everything, JSON, the template itself, or loops. Unclear text is an [`Error`].
//!
//! The result is plain text with links as `text (url)`, images and HTML as their source: [`crate::llm::evidence`] judges
//! them, and dropping them here would hide an attack.

use std::fmt;

use serde_json::{Value, json};

use crate::llm::prompt::EXAMPLE_MARKS;
use crate::llm::text::{clean, fold, sentences};
use crate::llm::word_list::{find_entry, list_has};

mod draft;
mod loose_json;
mod markdown;
mod score;
mod sections;

pub use score::ScoreError;
pub(crate) use score::ratings;

use sections::Draft;

/// The longest text that is parsed, in bytes.
const MAX_INPUT_BYTES: usize = 64 * 1024;
/// The longest summary, in bytes.
const MAX_SUMMARY_BYTES: usize = 2_000;
/// The longest recommendation, in bytes.
const MAX_RECOMMENDATION_BYTES: usize = 700;
/// The most recommendations.
const MAX_RECOMMENDATIONS: usize = 10;
/// The number of equal sentences that is a loop.
const LOOP_REPEATS: usize = 3;

/// A parsed answer, not yet checked against the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Plain text, paragraphs separated by a line feed.
    pub summary: String,
    /// Plain text, one entry per list item or paragraph.
    pub recommendations: Vec<String>,
    /// The model's score.
    pub risk_score: RiskScore,
}

/// A number from 1 to 10 with at most one decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RiskScore(u8);

impl RiskScore {
    /// Rounds to one decimal; none outside 1 to 10.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        // 1.0..=10.0 is ten tenths to a hundred: the cast cannot truncate.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked")]
        (1.0..=10.0).contains(&value).then(|| Self((value * 10.0).round() as u8))
    }

    /// Returns the number.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

impl fmt::Display for RiskScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

/// A part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The problem.
    Summary,
    /// The remedies.
    Recommendations,
    /// The rating.
    RiskScore,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Summary => "summary",
            Self::Recommendations => "recommendations",
            Self::RiskScore => "risk score",
        })
    }
}

/// A text is no answer. Each variant is worth one repair attempt.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("the text is longer than {MAX_INPUT_BYTES} bytes")]
    TooLong,
    #[error("the {0} is missing")]
    Missing(Section),
    #[error("the {0} is there twice and differs")]
    Duplicate(Section),
    #[error("the {0} is a placeholder")]
    Placeholder(Section),
    #[error("the {0} is too long")]
    Overlong(Section),
    #[error("the {0} repeats itself")]
    Repetitive(Section),
    #[error("the risk score is unusable: {0}")]
    Score(#[from] ScoreError),
    #[error("the JSON is unusable")]
    Json(#[source] serde_json::Error),
}

impl Error {
    /// Returns a stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Missing(_) => "missing",
            Self::Duplicate(_) => "duplicate",
            Self::Placeholder(_) => "placeholder",
            Self::Overlong(_) => "overlong",
            Self::Repetitive(_) => "repetitive",
            Self::Score(_) => "score",
            Self::Json(_) => "json",
        }
    }
}

/// Parses an answer in Markdown or JSON.
///
/// # Errors
/// [`Error`]
pub fn parse_answer(text: &str) -> Result<Parsed, Error> {
    if text.len() > MAX_INPUT_BYTES {
        return Err(Error::TooLong);
    }
    validate(draft::draft(&clean(text))?)
}

/// Recognises text of the prompt's example, which is invented and true of no finding.
fn is_of_the_example(text: &str) -> bool {
    let folded = fold(text).to_lowercase();
    EXAMPLE_MARKS.iter().any(|mark| folded.contains(mark))
}

fn validate(draft: Draft) -> Result<Parsed, Error> {
    use Section::{Recommendations, Summary};
    let summary = draft.summary.join("\n");
    if word_count(&summary) == 0 {
        return Err(Error::Missing(Summary));
    }
    if is_placeholder(&summary) || word_count(&summary) < 4 || is_of_the_example(&summary) {
        return Err(Error::Placeholder(Summary));
    }
    if loops(&draft.summary) {
        return Err(Error::Repetitive(Summary));
    }
    if summary.len() > MAX_SUMMARY_BYTES {
        return Err(Error::Overlong(Summary));
    }

    let mut items = draft.recommendations;
    items.retain(|item| word_count(item) > 0);
    if items.is_empty() {
        return Err(Error::Missing(Recommendations));
    }
    if loops(&items) {
        return Err(Error::Repetitive(Recommendations));
    }
    if items.iter().all(|item| is_placeholder(item) || word_count(item) < 2)
        || items.iter().any(|item| is_of_the_example(item))
    {
        return Err(Error::Placeholder(Recommendations));
    }
    let mut seen = Vec::new();
    items.retain(|item| {
        let new = !seen.contains(&fold(item).to_lowercase()) && !is_placeholder(item);
        seen.push(fold(item).to_lowercase());
        new
    });
    if items.len() > MAX_RECOMMENDATIONS || items.iter().any(|i| i.len() > MAX_RECOMMENDATION_BYTES) {
        return Err(Error::Overlong(Recommendations));
    }
    let risk_score = draft.risk_score.ok_or(Error::Missing(Section::RiskScore))?;
    Ok(Parsed { summary, recommendations: items, risk_score })
}

fn word_count(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

/// Recognises template text, brackets and empty words such as `N/A`.
fn is_placeholder(text: &str) -> bool {
    const EMPTY_ANSWERS: &str = "n/a, none, todo, tbd, unknown, not available, not applicable, summary, recommendations, \
        string, text, placeholder";
    const EMPTY_BEGINNINGS: &str = "n/a, none, tbd, todo, not available, not applicable, no rating";
    const TEMPLATES: &str = "2 or 3 sentences, two or three sentences, 2 to 4 bullets, your summary here, \
        summary goes here, recommendation 1";
    let text = fold(text).to_lowercase();
    let bare = text.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    // `N/A (no rating)`, `None - not applicable`.
    let begins_empty = EMPTY_BEGINNINGS.split(", ").any(|empty| {
        let rest = text.strip_prefix(empty).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(['(', '-']) && word_count(rest) <= 6)
    });
    list_has(EMPTY_ANSWERS, bare)
        || begins_empty
        || (text.starts_with('[') && text.ends_with(']'))
        || (text.starts_with('<') && text.ends_with('>'))
        || text.contains("the number, a slash")
        || find_entry(TEMPLATES, &text).is_some()
}

/// Tells whether a sentence of three words or more comes [`LOOP_REPEATS`] times.
fn loops(texts: &[String]) -> bool {
    let mut folded: Vec<String> = texts
        .iter()
        .flat_map(|text| sentences(text))
        .filter(|sentence| word_count(sentence) >= 3)
        .map(|sentence| fold(sentence).to_lowercase())
        .collect();
    folded.sort();
    folded.chunk_by(|a, b| a == b).any(|same| same.len() >= LOOP_REPEATS)
}

/// Returns the JSON schema of the repair attempt.
///
/// Its longest answer takes about 250 tokens, below `num_predict`. With longer texts, 4 of 10 answers were cut off.
#[must_use]
pub fn repair_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "summary": {"type": "string", "minLength": 20, "maxLength": 240},
            "recommendations": {
                "type": "array", "minItems": 1, "maxItems": 3,
                "items": {"type": "string", "minLength": 10, "maxLength": 110}
            },
            "risk_score": {"type": "integer", "minimum": 1, "maximum": 10}
        },
        "required": ["summary", "recommendations", "risk_score"],
        "additionalProperties": false
    })
}

#[cfg(test)]
mod tests;
