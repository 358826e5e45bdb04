//! Facts → the messages a model gets. Pure: the same facts, model and options give the same bytes.
//!
//! The facts travel as one JSON object between two marker lines. JSON escapes line breaks, and `<`
//! and `>` are written as `\u003c` and `\u003e`, so no fact can close the block, forge a marker or
//! spell a chat template's control token (`<|im_end|>`, `<start_of_turn>`); `[INST]` and its kin are
//! escaped the same way. An example turn shows the form of the answer: a model given a placeholder
//! repeats the placeholder (`reference/ollama.md` §13.4).

use serde::{Deserialize, Serialize};

use crate::domain::prompt_hash::PromptHash;
use crate::domain::vulnerability::KevListing;
use crate::llm::facts::{Facts, ReportedCvss, percentile_band};
use crate::llm::text::{cap, clean};

mod template;

pub(crate) use template::EXAMPLE_MARKS;
pub use template::{EXAMPLE_SUMMARY, REPAIR_SYSTEM, SYSTEM, TEMPLATE_VERSION};

/// First line of the data block.
pub const BLOCK_OPEN: &str = "<<<FACTS";
/// Last line of the data block.
pub const BLOCK_CLOSE: &str = "FACTS>>>";

/// Longest description that is shown, in bytes.
pub const MAX_DESCRIPTION: usize = 4_000;
/// Most references that are shown.
pub const MAX_REFERENCES: usize = 10;
const MAX_CVSS: usize = 6;
const MAX_LIST: usize = 10;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The rules.
    System,
    /// A question with facts.
    User,
    /// The model, here only in the example turn.
    Assistant,
}

/// One message of the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// What the model runs with. All of it is part of the prompt hash.
///
/// `num_ctx` is a launch attribute of the runner: every caller of one Ollama host must send the same
/// value, or each change of caller loads the model again (`reference/ollama.md` §6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Context length in tokens, prompt and answer together.
    pub num_ctx: u32,
    /// Most tokens of the answer. Must cover the repair schema's own maximum, about 300 tokens.
    pub num_predict: u32,
    /// Sampling temperature; 0 = the likeliest token.
    pub temperature: f64,
    /// Sampling seed.
    pub seed: i64,
    /// Penalty on repetition; 1.1 keeps small models out of loops (`reference/ollama.md` §13.4).
    pub repeat_penalty: f64,
    /// `think` of the request; `Some(false)` keeps a thinking model from spending `num_predict` on
    /// thoughts, and is harmless for others. `None` leaves the field out.
    pub think: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Self { num_ctx: 4096, num_predict: 700, temperature: 0.0, seed: 42, repeat_penalty: 1.1, think: Some(false) }
    }
}

/// A question to a model, complete: what is hashed is what is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// [`TEMPLATE_VERSION`] at the time of asking.
    pub template_version: String,
    /// Model name as Ollama knows it.
    pub model: String,
    /// What the model runs with.
    pub options: Options,
    /// System, example question, example answer, question.
    pub messages: Vec<Message>,
}

/// Why no prompt could be made. Always a matter of configuration, never transient.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `num_ctx − num_predict` does not hold even the rules and the shortest facts.
    #[error("the prompt needs about {needed} tokens, num_ctx - num_predict leaves {available}")]
    ContextTooSmall {
        /// Tokens needed, our estimate.
        needed: usize,
        /// Tokens available.
        available: usize,
    },
    /// The facts could not be written as JSON.
    #[error("the facts cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
}

impl Error {
    /// Always false: asking again changes nothing.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}

impl Prompt {
    /// Builds the prompt, cutting the description, then the references, to fit the context.
    ///
    /// # Errors
    /// [`Error::ContextTooSmall`] when the rest does not fit either.
    pub fn build(facts: &Facts, model: &str, options: &Options) -> Result<Self, Error> {
        let available = options.num_ctx.saturating_sub(options.num_predict) as usize;
        let mut description = MAX_DESCRIPTION;
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
                // One byte is at most one token, so this never cuts more than it must twice over.
                description = shown.saturating_sub((needed - available).max(16));
            } else if references > 0 {
                references -= 1;
            } else {
                return Err(Error::ContextTooSmall { needed, available });
            }
        }
    }

    /// The prompt's name: SHA-256 over its JSON, whose field order is fixed by these types.
    ///
    /// # Errors
    /// [`Error::Encode`]; not seen with values these types can hold.
    pub fn hash(&self) -> Result<PromptHash, Error> {
        let mut canonical = b"sirius prompt 1\n".to_vec();
        serde_json::to_writer(&mut canonical, self).map_err(Error::Encode)?;
        Ok(PromptHash::of(&canonical))
    }

    /// The same question again, to be answered with JSON: new rules, no example turn.
    ///
    /// Never longer than the prompt it repairs: the facts are taken over as they are.
    #[must_use]
    pub fn repair(&self) -> Self {
        let question = self.messages.last().cloned();
        Self { messages: question.map(template::repair_messages).unwrap_or_default(), ..self.clone() }
    }

    /// A lower bound for the tokens of this prompt, to notice that a server cut it silently.
    ///
    /// English text has 3 to 5 bytes per token, JSON fewer; 8 is well above both.
    #[must_use]
    pub fn fewest_tokens(&self) -> u64 {
        self.messages.iter().map(|m| m.content.len() as u64).sum::<u64>() / 8
    }
}

/// Tokens the messages take at most, estimated without the model's tokenizer.
///
/// Letters and blanks a third of a token, other ASCII punctuation two thirds, digits and every byte
/// of other characters one: tokenizers that split digits and fall back to bytes stay below it.
#[must_use]
pub fn estimate_tokens(messages: &[Message]) -> usize {
    const PER_MESSAGE: usize = 8;
    let thirds = |text: &str| -> usize {
        text.bytes()
            .map(|b| match b {
                b'a'..=b'z' | b'A'..=b'Z' | b' ' | b'\n' => 1,
                b if b.is_ascii_punctuation() => 2,
                _ => 3,
            })
            .sum()
    };
    messages.iter().map(|m| thirds(&m.content).div_ceil(3) + PER_MESSAGE).sum()
}

/// The facts as the model sees them; field order is the order of importance.
#[derive(Serialize)]
struct Block {
    vulnerability_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    package: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    package_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    purl: String,
    installed_version: String,
    /// Spelled out when absent: a model that sees no field invents one.
    fixed_version: String,
    severity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cvss: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cwe: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    published: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    known_exploited: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    exploit_prediction: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    priority: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    priority_reasons: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    primary_url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<String>,
    title: String,
    description: String,
}

/// What the block says when the report has no fix.
pub const NO_FIX: &str = "none in the report";

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
    let block = Block {
        vulnerability_id: text(&facts.vulnerability_id, 64),
        aliases: list(&extra.aliases, 64, MAX_LIST),
        package: text(&facts.package, 160),
        package_type: text(&facts.package_type, 32),
        class: text(&facts.class, 32),
        purl: facts.purl.as_deref().map(|p| text(bare_purl(p), 200)).unwrap_or_default(),
        installed_version: text(&facts.installed_version, 100),
        fixed_version: if fixed.is_empty() { NO_FIX.to_owned() } else { fixed },
        severity: text(&facts.severity, 16),
        status: text(&facts.status, 32),
        cvss: list(&facts.cvss.iter().map(cvss_line).collect::<Vec<_>>(), 130, MAX_CVSS),
        cwe: list(&facts.cwe_ids, 16, MAX_LIST),
        published: text(day(facts.published_date.as_deref()), 10),
        known_exploited: extra.kev.map(kev_line).unwrap_or_default(),
        exploit_prediction: extra.epss.map(|epss| format!("EPSS: {}", percentile_band(&epss))).unwrap_or_default(),
        priority: priority.map(|it| format!("{}: {}", it.band, it.band.label())).unwrap_or_default(),
        // In the order in which the rule went.
        priority_reasons: priority
            .map(|it| it.reasons.iter().take(MAX_LIST).map(|reason| text(reason, 120)).collect())
            .unwrap_or_default(),
        primary_url: optional(&facts.primary_url.clone().filter(|u| is_web_link(u)), 200),
        references: list(&links, 200, references),
        title: text(&facts.title, 240),
        description: text(&facts.description, description.min(MAX_DESCRIPTION)),
    };
    let json = serde_json::to_string_pretty(&block).map_err(Error::Encode)?;
    Ok(format!("{}\n{BLOCK_OPEN}\n{}\n{BLOCK_CLOSE}", template::QUESTION, escape(&json)))
}

/// Writes what could look like a marker or a template's control token as a JSON escape.
///
/// `<` and `>` occur in JSON inside strings only. A `[` of the JSON itself is followed by a line
/// break, so one before a capital letter or a slash is inside a string as well.
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

/// References begin with a newline, are `ftp` or free text at times (`trivy-report.md` §6).
pub(crate) fn is_web_link(reference: &str) -> bool {
    url::Url::parse(reference.trim()).is_ok_and(|u| matches!(u.scheme(), "http" | "https"))
}

/// Architecture, distribution release and file path say where, not what.
fn bare_purl(purl: &str) -> &str {
    purl.split(['?', '#']).next().unwrap_or_default()
}

/// The day of an RFC 3339 time: reports differ in their fractions of a second.
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
