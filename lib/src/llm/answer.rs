//! A model's text → summary, recommendations and risk score, or a typed reason why not.
//!
//! Models are asked for three Markdown headings and give all sorts of things (`reference/ollama.md`
//! §10, §13.4): bold lines for headings, numbered lists, a code fence around everything, JSON, the
//! template parroted back, loops. What is clear is taken, what is unclear is an [`Error`]; nothing is
//! made up, so a placeholder never passes for an answer.
//!
//! The result is plain text with its traps still in it: links as `text (url)`, images and HTML as
//! their source. [`crate::llm::evidence`] judges them; dropping them here would hide an attack.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use crate::llm::prompt::EXAMPLE_MARKS;
use crate::llm::text::fold;

mod draft;
mod loose_json;
mod markdown;
mod score;
mod sections;

pub use score::ScoreError;
pub(crate) use score::ratings;

use sections::Draft;

/// Longest text that is looked at, in bytes.
const MAX_INPUT: usize = 64 * 1024;
/// Longest summary, in bytes.
pub const MAX_SUMMARY: usize = 2_000;
/// Longest recommendation, in bytes.
pub const MAX_RECOMMENDATION: usize = 700;
/// Most recommendations.
pub const MAX_RECOMMENDATIONS: usize = 10;
/// A sentence or item said this often is a loop.
const LOOP: usize = 3;

/// A parsed answer; the text is not yet checked against the facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    /// Plain text, paragraphs separated by a line feed.
    pub summary: String,
    /// Plain text, one entry per list item or paragraph.
    pub recommendations: Vec<String>,
    /// The model's own number.
    pub risk_score: RiskScore,
}

/// A number from 1 to 10 with at most one decimal; a JSON number on the wire (`7`, `7.5`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RiskScore(u8);

impl RiskScore {
    /// Rounds to one decimal; `None` outside 1 to 10.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        // 1.0..=10.0 is ten tenths to a hundred: the cast cannot truncate.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked")]
        (1.0..=10.0).contains(&value).then(|| Self((value * 10.0).round() as u8))
    }

    /// The number.
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

impl Serialize for RiskScore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(10) {
            serializer.serialize_u8(self.0 / 10)
        } else {
            serializer.serialize_f64(self.value())
        }
    }
}

impl<'de> Deserialize<'de> for RiskScore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Self::new(value).ok_or_else(|| de::Error::custom("a risk score is 1 to 10"))
    }
}

/// One of the three parts of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What is wrong.
    Summary,
    /// What to do.
    Recommendations,
    /// How bad it is.
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

/// Why a text is no answer. None is transient; each is worth one repair attempt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More text than any answer needs.
    #[error("the text is longer than {MAX_INPUT} bytes")]
    TooLong,
    /// A part is missing or has no text.
    #[error("the {0} is missing")]
    Missing(Section),
    /// A part is there twice with different text.
    #[error("the {0} is there twice and differs")]
    Duplicate(Section),
    /// The template or the example came back.
    #[error("the {0} is a placeholder")]
    Placeholder(Section),
    /// A part is longer than its limit, or has too many items.
    #[error("the {0} is too long")]
    Overlong(Section),
    /// The model went into a loop.
    #[error("the {0} repeats itself")]
    Repetitive(Section),
    /// The score is missing, unclear or out of range.
    #[error("the risk score is unusable: {0}")]
    Score(#[from] ScoreError),
    /// JSON that is not ours.
    #[error("the JSON is unusable")]
    Json(#[source] serde_json::Error),
}

impl Error {
    /// Always false: the same text parses the same way.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }

    /// A stable name for logs, metrics and stored state.
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

/// Reads an answer, Markdown or JSON.
///
/// # Errors
/// See [`Error`]. Never panics, whatever the text.
pub fn parse(text: &str) -> Result<Parsed, Error> {
    if text.len() > MAX_INPUT {
        return Err(Error::TooLong);
    }
    let text = crate::llm::text::clean(text);
    validated(draft::draft(&text)?)
}

/// The example is invented: nothing of it can be true of a finding.
fn is_of_the_example(text: &str) -> bool {
    let folded = fold(text).to_lowercase();
    EXAMPLE_MARKS.iter().any(|mark| folded.contains(mark))
}

fn validated(draft: Draft) -> Result<Parsed, Error> {
    use Section::{Recommendations, Summary};
    let summary = draft.summary.join("\n");
    if words(&summary) == 0 {
        return Err(Error::Missing(Summary));
    }
    if is_placeholder(&summary) || words(&summary) < 4 || is_of_the_example(&summary) {
        return Err(Error::Placeholder(Summary));
    }
    let sentences: Vec<&str> = draft.summary.iter().flat_map(|line| crate::llm::text::sentences(line)).collect();
    if loops(&sentences) {
        return Err(Error::Repetitive(Summary));
    }
    if summary.len() > MAX_SUMMARY {
        return Err(Error::Overlong(Summary));
    }

    let mut items = draft.recommendations;
    items.retain(|item| words(item) > 0);
    if items.is_empty() {
        return Err(Error::Missing(Recommendations));
    }
    let inside: Vec<&str> = items.iter().flat_map(|item| crate::llm::text::sentences(item)).collect();
    if loops(&inside) {
        return Err(Error::Repetitive(Recommendations));
    }
    if items.iter().all(|item| is_placeholder(item) || words(item) < 2)
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
    if items.len() > MAX_RECOMMENDATIONS || items.iter().any(|i| i.len() > MAX_RECOMMENDATION) {
        return Err(Error::Overlong(Recommendations));
    }
    let risk_score = draft.risk_score.ok_or(Error::Missing(Section::RiskScore))?;
    Ok(Parsed { summary, recommendations: items, risk_score })
}

fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

/// Instructions, brackets and shrugs in place of text.
fn is_placeholder(text: &str) -> bool {
    const SHRUGS: [&str; 12] = [
        "n/a",
        "none",
        "todo",
        "tbd",
        "unknown",
        "not available",
        "not applicable",
        "summary",
        "recommendations",
        "string",
        "text",
        "placeholder",
    ];
    let text = fold(text).to_lowercase();
    let bare = text.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    // `N/A (no rating)`, `None - not applicable`: a shrug with a reason is one.
    let shrugs_first =
        ["n/a", "none", "tbd", "todo", "not available", "not applicable", "no rating"].iter().any(|shrug| {
            let rest = text.strip_prefix(shrug).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with(['(', '-']) && words(rest) <= 6)
        });
    SHRUGS.contains(&bare)
        || shrugs_first
        || (text.starts_with('[') && text.ends_with(']'))
        || (text.starts_with('<') && text.ends_with('>'))
        || [
            "2 or 3 sentences",
            "two or three sentences",
            "2 to 4 bullets",
            "the number, a slash",
            "your summary here",
            "summary goes here",
            "recommendation 1",
        ]
        .iter()
        .any(|template| text.contains(template))
}

/// True when a sentence of three words or more comes [`LOOP`] times.
fn loops(sentences: &[&str]) -> bool {
    let mut folded: Vec<String> = sentences
        .iter()
        .filter(|sentence| words(sentence) >= 3)
        .map(|sentence| fold(sentence).to_lowercase())
        .collect();
    folded.sort();
    folded.chunk_by(|a, b| a == b).any(|same| same.len() >= LOOP)
}

/// The schema of the repair attempt, for `format`.
///
/// Tight on purpose: at three characters a token its longest answer takes about 250 tokens, below
/// `num_predict`; a looser one was cut off in 4 of 10 answers (`reference/ollama.md` §13.4).
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
