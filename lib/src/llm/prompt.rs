//! Builds the messages to a model. Pure: the same facts, model and options give the same bytes.
//!
//! The facts are one JSON object between two marker lines. JSON escapes line breaks, and `<` and `>` are written as
//! `\u003c` and `\u003e`, so no fact can close the block, forge a marker or spell a control token of a chat template
//! (`<|im_end|>`, `<start_of_turn>`); `[INST]` and similar tokens are escaped too. An example shows the form of the
//! answer, since models repeat a placeholder.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::domain::prompt_hash::PromptHash;
use crate::domain::vulnerability::KevListing;
use crate::llm::facts::{Facts, ReportedCvss, percentile_band};
use crate::llm::text::{cap, clean};

mod template;

pub(crate) use template::EXAMPLE_MARKS;
pub use template::{EXAMPLE_SUMMARY, REPAIR_SYSTEM, SYSTEM, TEMPLATE_VERSION};

/// The first line of the data block.
const BLOCK_OPEN: &str = "<<<FACTS";
/// The last line of the data block.
const BLOCK_CLOSE: &str = "FACTS>>>";

/// The longest description in a prompt, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 4_000;
/// The most references in a prompt.
const MAX_REFERENCES: usize = 10;
const MAX_CVSS_RATINGS: usize = 6;
const MAX_LIST_ITEMS: usize = 10;

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The rules.
    System,
    /// The question with the facts.
    User,
    /// The answer, here only in the example.
    Assistant,
}

/// One message of the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The text.
    pub content: String,
}

/// The options of the model, all of them part of the prompt hash.
///
/// Ollama loads the model again for another `num_ctx`, so all callers of a host must send the same value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The tokens of prompt and answer together.
    pub num_ctx: u32,
    /// The most tokens of the answer; the repair schema needs about 300.
    pub num_predict: u32,
    /// The sampling temperature; 0 selects the likeliest token.
    pub temperature: f64,
    /// The sampling seed.
    pub seed: i64,
    /// The penalty on repetition; 1.1 keeps small models out of loops.
    pub repeat_penalty: f64,
    /// Whether the model may spend `num_predict` on thoughts; none leaves the field out of the request.
    pub think: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Self { num_ctx: 4096, num_predict: 700, temperature: 0.0, seed: 42, repeat_penalty: 1.1, think: Some(false) }
    }
}

/// A complete question to a model: exactly this is hashed and sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// [`TEMPLATE_VERSION`] when the prompt was built.
    pub template_version: String,
    /// The name of the model in Ollama.
    pub model: String,
    /// The options of the model.
    pub options: Options,
    /// System, example question, example answer, question.
    pub messages: Vec<Message>,
}

/// A prompt cannot be built; no retry helps.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("the prompt needs about {needed} tokens, num_ctx - num_predict leaves {available}")]
    ContextTooSmall { needed: usize, available: usize },
    #[error("the facts cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
}

impl Prompt {
    /// Builds the prompt, cutting the description, then the references, to fit the context.
    ///
    /// # Errors
    /// [`Error::ContextTooSmall`] when the rest does not fit either.
    pub fn build(facts: &Facts, model: &str, options: &Options) -> Result<Self, Error> {
        let available = options.num_ctx.saturating_sub(options.num_predict) as usize;
        let mut description = MAX_DESCRIPTION_BYTES;
        let mut references = MAX_REFERENCES;
        loop {
            let prompt = Self {
                template_version: TEMPLATE_VERSION.to_owned(),
                model: model.to_owned(),
                options: options.clone(),
                messages: template::messages(question(facts, description, references)?),
            };
            let needed = estimate_tokens(&prompt.messages);
            if needed <= available {
                return Ok(prompt);
            }
            let shown = description.min(clean(&facts.description).len());
            if shown > 0 {
                // One byte is at most one token, so the cut is at most twice as long as necessary.
                description = shown.saturating_sub((needed - available).max(16));
            } else if references > 0 {
                references -= 1;
            } else {
                return Err(Error::ContextTooSmall { needed, available });
            }
        }
    }

    /// Hashes the JSON of the prompt, whose field order is fixed by these types.
    ///
    /// # Errors
    /// [`Error::Encode`]
    pub fn hash(&self) -> Result<PromptHash, Error> {
        let mut canonical = b"sirius prompt 1\n".to_vec();
        serde_json::to_writer(&mut canonical, self).map_err(Error::Encode)?;
        Ok(PromptHash::of(&canonical))
    }

    /// Builds the prompt of the repair attempt: the same question, rules that ask for JSON, no example. It is never longer.
    #[must_use]
    pub fn repair(&self) -> Self {
        let question = self.messages.last().cloned();
        Self { messages: question.map(template::repair_messages).unwrap_or_default(), ..self.clone() }
    }

    /// Estimates the fewest tokens of the prompt, to notice a server that cuts it silently.
    ///
    /// English text has 3 to 5 bytes per token, and JSON fewer, so 8 is safe.
    #[must_use]
    pub fn fewest_tokens(&self) -> u64 {
        self.messages.iter().map(|m| m.content.len() as u64).sum::<u64>() / 8
    }
}

/// Estimates the most tokens of messages, for any tokenizer.
///
/// Letters and blanks are a third of a token, ASCII punctuation two thirds, digits and bytes of other characters one:
/// tokenizers that split digits and fall back to bytes need fewer.
fn estimate_tokens(messages: &[Message]) -> usize {
    const TOKENS_PER_MESSAGE: usize = 8;
    let thirds = |text: &str| -> usize {
        text.bytes()
            .map(|b| match b {
                b'a'..=b'z' | b'A'..=b'Z' | b' ' | b'\n' => 1,
                b if b.is_ascii_punctuation() => 2,
                _ => 3,
            })
            .sum()
    };
    messages.iter().map(|m| thirds(&m.content).div_ceil(3) + TOKENS_PER_MESSAGE).sum()
}

/// The facts in the prompt, in the order of importance and without empty ones.
struct Block(Vec<(&'static str, Value)>);

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Facts that the prompt always has; models invent a missing fixed version.
        const ALWAYS: [&str; 7] =
            ["vulnerability_id", "package", "installed_version", "fixed_version", "severity", "title", "description"];
        let is_shown = |(name, value): &&(&str, Value)| {
            ALWAYS.contains(name)
                || value.as_str() != Some("") && value.as_array().is_none_or(|items| !items.is_empty())
        };
        serializer.collect_map(self.0.iter().filter(is_shown).map(|(name, value)| (name, value)))
    }
}

/// The fixed version in the prompt if the report has none.
const NO_FIX: &str = "none in the report";

fn question(facts: &Facts, description: usize, references: usize) -> Result<String, Error> {
    let text = |value: &str, max: usize| cap(clean(value).trim(), max);
    let optional = |value: &Option<String>, max| text(value.as_deref().unwrap_or_default(), max);
    let list = |values: &[String], max: usize, count: usize| {
        let mut values: Vec<String> = values.iter().map(|v| text(v, max)).filter(|v| !v.is_empty()).collect();
        values.sort();
        values.dedup();
        values.truncate(count);
        values
    };
    let links: Vec<String> = facts.references.iter().filter(|r| is_web_link(r)).cloned().collect();
    let extra = facts.enrichment.clone().unwrap_or_default();
    let priority = extra.priority.as_ref();
    let fixed = optional(&facts.fixed_version, 300);
    let reasons = priority.iter().flat_map(|priority| priority.reasons.iter().take(MAX_LIST_ITEMS));
    let block = Block(vec![
        ("vulnerability_id", json!(text(&facts.vulnerability_id, 64))),
        ("aliases", json!(list(&extra.aliases, 64, MAX_LIST_ITEMS))),
        ("package", json!(text(&facts.package, 160))),
        ("package_type", json!(text(&facts.package_type, 32))),
        ("class", json!(text(&facts.class, 32))),
        ("purl", json!(facts.purl.as_deref().map(|p| text(bare_purl(p), 200)).unwrap_or_default())),
        ("installed_version", json!(text(&facts.installed_version, 100))),
        ("fixed_version", json!(if fixed.is_empty() { NO_FIX } else { &fixed })),
        ("severity", json!(text(&facts.severity, 16))),
        ("status", json!(text(&facts.status, 32))),
        ("cvss", json!(list(&facts.cvss.iter().map(cvss_line).collect::<Vec<_>>(), 130, MAX_CVSS_RATINGS))),
        ("cwe", json!(list(&facts.cwe_ids, 16, MAX_LIST_ITEMS))),
        ("published", json!(text(day(facts.published_date.as_deref()), 10))),
        ("known_exploited", json!(extra.kev.map(kev_line).unwrap_or_default())),
        (
            "exploit_prediction",
            json!(extra.epss.map(|epss| format!("EPSS: {}", percentile_band(&epss))).unwrap_or_default()),
        ),
        ("priority", json!(priority.map(|it| format!("{}: {}", it.band, it.band.label())).unwrap_or_default())),
        // In the order of the rule.
        ("priority_reasons", json!(reasons.map(|reason| text(reason, 120)).collect::<Vec<_>>())),
        ("primary_url", json!(optional(&facts.primary_url.clone().filter(|u| is_web_link(u)), 200))),
        ("references", json!(list(&links, 200, references))),
        ("title", json!(text(&facts.title, 240))),
        ("description", json!(text(&facts.description, description.min(MAX_DESCRIPTION_BYTES)))),
    ]);
    let json = serde_json::to_string_pretty(&block).map_err(Error::Encode)?;
    Ok(format!("{}\n{BLOCK_OPEN}\n{}\n{BLOCK_CLOSE}", template::QUESTION, escape(&json)))
}

/// Escapes characters of markers and of control tokens of chat templates.
///
/// In JSON `<` and `>` are inside strings only. A `[` of the JSON itself precedes a line break, so one before a capital
/// letter or a slash is inside a string too.
fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '[' if chars.peek().is_some_and(|n| n.is_ascii_uppercase() || *n == '/') => {
                out.push_str("\\u005b");
            }
            c => out.push(c),
        }
    }
    out
}

/// Recognises a web address; some references are `ftp` or free text, or begin with a line feed.
pub(crate) fn is_web_link(reference: &str) -> bool {
    url::Url::parse(reference.trim()).is_ok_and(|u| matches!(u.scheme(), "http" | "https"))
}

/// Removes architecture, distribution release and file path.
fn bare_purl(purl: &str) -> &str {
    purl.split(['?', '#']).next().unwrap_or_default()
}

/// Returns the day of an RFC 3339 time, since reports differ in fractions of a second.
pub(crate) fn day(time: Option<&str>) -> &str {
    time.and_then(|t| t.trim().get(..10)).unwrap_or_default()
}

fn cvss_line(cvss: &ReportedCvss) -> String {
    let score = cvss.score.map_or_else(|| "no score".to_owned(), |s| format!("{s:.1}"));
    format!("{} CVSS {} {score} {}", cvss.source, cvss.version.as_str(), cvss.vector).trim_end().to_owned()
}

fn kev_line(listing: KevListing) -> String {
    let ransomware = if listing.ransomware == Some(true) { ", used by ransomware" } else { "" };
    format!("yes, in CISA KEV since {}{ransomware}", listing.date_added)
}

#[cfg(test)]
mod tests;
