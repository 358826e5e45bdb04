//! Reads an answer in JSON: the repair attempt's schema, and the variants that models write.

use serde::Deserialize;

use super::markdown::flatten;
use super::sections::{Draft, paragraphs};
use super::{Error, score};

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    summary: String,
    #[serde(default, alias = "recommendation")]
    recommendations: Texts,
    #[serde(default, alias = "riskScore", alias = "risk-score", alias = "score")]
    risk_score: Number,
}

/// A list, or one text for all recommendations.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    Many(Vec<String>),
    One(String),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// A number, or a text such as `"7/10"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Value(f64),
    Text(String),
}

impl Default for Number {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// Recognises a text that seems to be a JSON object.
pub(super) fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') && text.contains('"')
}

/// Reads one JSON object. Its strings may be Markdown, which is flattened.
pub(super) fn read_json(text: &str) -> Result<Draft, Error> {
    let answer: Answer = serde_json::from_str(text.trim()).map_err(Error::Json)?;
    let lines = |text: &str| paragraphs(flatten(text).lines);
    let recommendations = match answer.recommendations {
        Texts::Many(texts) => texts.iter().map(|text| lines(text).join(" ")).collect(),
        Texts::One(text) => lines(&text),
    };
    let risk_score = match answer.risk_score {
        Number::Value(value) => score::read_score(&value.to_string())?,
        Number::Text(text) => score::read_score(&text)?,
    };
    Ok(Draft { summary: lines(&answer.summary), recommendations, risk_score: Some(risk_score) })
}
