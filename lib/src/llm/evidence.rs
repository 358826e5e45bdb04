//! Removes sentences of an answer that the facts do not support.
//!
//! A sentence is removed if it has a version, an identifier, a link, a package or a claim that is not in the facts
//! ([`Reason`]), and the analysis is marked `needs_review`. Two more cases mark it ([`Review`]): a score far from the
//! CVSS scores and the severity, and facts that read like instructions to a model, which may have obeyed them.
//!
//! Evidence depends on the field. A title and a description are third-party text: a version or an id in them may be
//! *mentioned*. A *fix* must be the report's fixed version, and a *link* one of its references.

use std::collections::HashSet;

use crate::domain::vulnerability::{CvssVersion, Exploitation};
use crate::llm::answer::{Parsed, RiskScore, Section};
use crate::llm::facts::{Facts, percentile_band};
use crate::llm::prompt::{day, is_web_link};
use crate::llm::text::{cap, clean, fold, has_other_script, sentences};
use crate::priority::Band;

mod claims;
mod domain_name;
mod links;
mod suspicion;
mod tokens;

pub use suspicion::{Suspicion, SuspicionKind};

/// The largest distance of a score from the range of CVSS scores and severity.
///
/// 1.5 permits a 9 for a 7.5 that faces the network, but not a 5 for a HIGH or a 6 for a LOW.
const MAX_SCORE_DISTANCE: f64 = 1.5;

/// The largest distance of a score from the range of the priority's band ([`Band::risk_scores`]).
const MAX_BAND_DISTANCE: f64 = 2.0;

/// The facts of one finding, prepared for comparison.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The fixed versions, in lower case.
    fixed: Vec<String>,
    installed: HashSet<String>,
    /// Tokens of fields with a format: versions, ids, scores, dates, names.
    structured: HashSet<String>,
    /// `structured` and the tokens of title and description.
    mentioned: HashSet<String>,
    /// All facts as running text, for phrases.
    running: String,
    urls: HashSet<String>,
    hosts: HashSet<String>,
    /// The package name, PURL and links, for paths like `github.com/org/repo`.
    paths: String,
    /// The package name in lower case: a package called `patch` is no fix.
    package: String,
    severity: String,
    cvss_scores: Vec<f64>,
    anchor: Option<(f64, f64)>,
    band: Option<Band>,
    known_exploited: bool,
    proof_of_concept: bool,
    not_affected: bool,
    suspicions: Vec<Suspicion>,
}

/// The reason for removing a sentence, with the unsupported part as folded for comparison. The messages do not have the
/// model's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Reason {
    #[error("a version, date or number that is not in the facts")]
    UnknownVersion(String),
    #[error("an advisory id that is not in the facts")]
    UnknownId(String),
    #[error("a link that is not among the references")]
    UnknownLink(String),
    #[error("a package or file name that is not in the facts")]
    UnknownName(String),
    #[error("a fixed version that is not the report's")]
    NotTheFix(String),
    #[error("a fix, where the report has none")]
    NoSuchFix,
    #[error("a denial of the report's fix")]
    FixDenied,
    #[error("a dismissal of the finding")]
    Dismissal,
    #[error("a claim of exploitation that no fact supports")]
    Exploitation,
    #[error("a severity that is not the report's")]
    WrongSeverity(String),
    #[error("a rating other than the risk score and the CVSS scores")]
    OtherScore,
    /// Advice to switch off a protection or to give away a secret.
    #[error("harmful advice")]
    HarmfulAdvice(String),
    #[error("HTML, an image or a link")]
    Markup,
    #[error("a command beyond a package manager's")]
    Command(String),
    #[error("a disguised version, link or id")]
    Obfuscated,
    #[error("letters of another script")]
    ForeignScript,
}

/// A removed sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The part of the answer.
    pub section: Section,
    /// The sentence, shortened. It may be hostile: show it as plain text only.
    pub sentence: String,
    /// The reason.
    pub reason: Reason,
}

/// The reason for a review of an analysis by a person.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Review {
    #[error("sentences were removed that the facts do not support")]
    TextRemoved,
    #[error("the risk score is far from the range of the facts, {low} to {high}")]
    ScoreFarFromFacts { low: f64, high: f64 },
    #[error("the risk score is far from what the priority {band} goes with, {low} to {high}")]
    ScoreFarFromBand { band: Band, low: f64, high: f64 },
    #[error("the facts have no CVSS score and no severity to compare the risk score with")]
    ScoreWithoutAnchor,
    #[error("the report's {} reads like instructions to a model or hides text", .0.field)]
    SuspiciousInput(Suspicion),
    #[error("the summary has no word of this finding")]
    NothingOfTheFinding,
    #[error("no recommendation names an action")]
    NoAction,
    #[error("the report has a fixed version, and no recommendation names it")]
    FixNotNamed,
}

/// An answer without unsupported sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Plain text, no Markdown.
    pub summary: String,
    /// Plain text, at least one.
    pub recommendations: Vec<String>,
    /// The model's score, unchanged.
    pub risk_score: RiskScore,
    /// Whether `review` has a reason.
    pub needs_review: bool,
    /// The reasons for a review.
    pub review: Vec<Review>,
    /// The removed sentences.
    pub removed: Vec<Removed>,
}

impl Checked {
    /// Joins the recommendations, as a `- ` line each.
    #[must_use]
    pub fn recommendations_text(&self) -> String {
        self.recommendations.iter().map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n")
    }
}

/// No sentence of a part is supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the facts support nothing of the {section}")]
pub struct Unsupported {
    /// The empty part.
    pub section: Section,
    /// The removed sentences of all parts.
    pub removed: Vec<Removed>,
}

impl From<&Facts> for Evidence {
    fn from(facts: &Facts) -> Self {
        let extra = facts.enrichment.clone().unwrap_or_default();
        let links: Vec<&str> = facts
            .references
            .iter()
            .chain(&facts.primary_url)
            .map(|link| link.trim())
            .filter(|link| is_web_link(link))
            .collect();
        let lower = |text: &str| fold(text).to_lowercase();
        let mut structured = HashSet::new();
        let mut running = String::new();
        let mut learn = |text: &str| {
            tokens::learn(&mut structured, text);
            running.push_str(&lower(text));
            running.push('\n');
        };
        let Facts { vulnerability_id, package, package_type, installed_version, severity, status, .. } = facts;
        let dates = [&facts.published_date, &facts.last_modified_date];
        for text in [vulnerability_id, package, package_type, installed_version, severity, status] {
            learn(text);
        }
        [&facts.fixed_version, &facts.purl].into_iter().chain(dates).flatten().for_each(|text| learn(text));
        dates.iter().for_each(|date| learn(day(date.as_deref())));
        facts.cwe_ids.iter().chain(&extra.aliases).for_each(|text| learn(text));
        links.iter().for_each(|text| learn(text));
        for cvss in &facts.cvss {
            learn(&format!("{} {} {}", cvss.source, cvss.version.as_str(), cvss.vector));
            if let Some(score) = cvss.score {
                learn(&format!("{score} {score:.1}"));
            }
        }
        if let Some(epss) = &extra.epss {
            learn(&format!("epss {} {}", epss.date, percentile_band(epss)));
            for share in [Some(epss.score), epss.percentile].into_iter().flatten() {
                let percent = share * 100.0;
                learn(&format!("{share} {share:.2} {share:.3} {percent} {percent:.1} {percent:.2}"));
            }
        }
        if let Some(kev) = &extra.kev {
            learn(&format!("kev cisa {}", kev.date_added));
        }
        // Tokens only: as a phrase, `KEV: not listed` would support "in KEV".
        if let Some(priority) = &extra.priority {
            tokens::learn(&mut structured, &format!("priority {} {}", priority.band, priority.band.label()));
            priority.reasons.iter().for_each(|reason| tokens::learn(&mut structured, reason));
        }
        let mut mentioned = structured.clone();
        for text in [&facts.title, &facts.description] {
            tokens::learn(&mut mentioned, text);
            running.push_str(&lower(text));
            running.push('\n');
        }
        let urls: Vec<url::Url> = links.iter().filter_map(|link| url::Url::parse(link).ok()).collect();
        Self {
            fixed: facts.fixed_versions().into_iter().map(lower).collect(),
            installed: tokens::tokens_of(&lower(installed_version)).map(str::to_owned).collect(),
            structured,
            mentioned,
            running,
            hosts: urls.iter().filter_map(|url| url.host_str().map(str::to_owned)).collect(),
            urls: urls.iter().map(url::Url::to_string).collect(),
            paths: lower(&format!("{package} {} {}", facts.purl.as_deref().unwrap_or_default(), links.join(" "))),
            package: lower(package),
            severity: severity.trim().to_lowercase(),
            cvss_scores: facts.cvss.iter().filter_map(|cvss| cvss.score).collect(),
            anchor: anchor(facts),
            band: extra.priority.as_ref().map(|priority| priority.band),
            known_exploited: extra.kev.is_some() || extra.exploitation == Some(Exploitation::Active),
            proof_of_concept: extra.exploitation == Some(Exploitation::Poc),
            not_affected: status == "not_affected",
            suspicions: suspicion::suspicions_of(facts),
        }
    }
}

/// Computes the range of CVSS scores and severity. CVSS 2 has another scale and counts only without newer scores.
fn anchor(facts: &Facts) -> Option<(f64, f64)> {
    let scores = |old: bool| {
        let ratings = facts.cvss.iter().filter(move |cvss| (cvss.version == CvssVersion::V2) == old);
        ratings.filter_map(|cvss| cvss.score).filter(|score| *score > 0.0 && *score <= 10.0).collect::<Vec<f64>>()
    };
    let mut values = scores(false);
    if values.is_empty() {
        values = scores(true);
    }
    // CVSS 3.1 §5, the qualitative scale.
    match facts.severity.trim().to_ascii_uppercase().as_str() {
        "LOW" => values.extend([1.0, 3.9]),
        "MEDIUM" => values.extend([4.0, 6.9]),
        "HIGH" => values.extend([7.0, 8.9]),
        "CRITICAL" => values.extend([9.0, 10.0]),
        _ => {}
    }
    let low = values.iter().copied().reduce(f64::min)?;
    let high = values.iter().copied().reduce(f64::max)?;
    Some((low, high))
}

/// Removes unsupported sentences, and lists the reasons for a review.
///
/// # Errors
/// [`Unsupported`] if no sentence of the summary or of the recommendations is left.
pub fn check(parsed: Parsed, evidence: &Evidence) -> Result<Checked, Unsupported> {
    let mut removed = Vec::new();
    let score = parsed.risk_score;
    let mut keep = |section: Section, text: &str| -> Option<String> {
        let kept: Vec<String> = text
            .lines()
            .map(|line| {
                let kept = sentences(line).filter(|sentence| match evidence.judge(sentence, section, score) {
                    None => true,
                    Some(reason) => {
                        let sentence = cap(&clean(sentence), 400);
                        removed.push(Removed { section, sentence, reason });
                        false
                    }
                });
                kept.collect::<Vec<_>>().join(" ")
            })
            .filter(|line| line.chars().any(char::is_alphabetic))
            .collect();
        let text = kept.join("\n");
        // A single word is no sentence.
        (text.split_whitespace().count() >= 2).then_some(text)
    };
    let summary = keep(Section::Summary, &parsed.summary);
    let recommendations: Vec<String> =
        parsed.recommendations.iter().filter_map(|item| keep(Section::Recommendations, item)).collect();
    let Some(summary) = summary else {
        return Err(Unsupported { section: Section::Summary, removed });
    };
    if recommendations.is_empty() {
        return Err(Unsupported { section: Section::Recommendations, removed });
    }
    let mut review = Vec::new();
    if !removed.is_empty() {
        review.push(Review::TextRemoved);
    }
    let is_far = |low: f64, high: f64, distance: f64| !(low - distance..=high + distance).contains(&score.value());
    match evidence.anchor {
        None => review.push(Review::ScoreWithoutAnchor),
        Some((low, high)) if is_far(low, high, MAX_SCORE_DISTANCE) => {
            review.push(Review::ScoreFarFromFacts { low, high });
        }
        Some(_) => {}
    }
    if let Some(band) = evidence.band {
        let (low, high) = band.risk_scores();
        if is_far(low, high, MAX_BAND_DISTANCE) {
            review.push(Review::ScoreFarFromBand { band, low, high });
        }
    }
    review.extend(evidence.suspicions.iter().cloned().map(Review::SuspiciousInput));
    Ok(Checked { summary, recommendations, risk_score: score, needs_review: !review.is_empty(), review, removed })
}

impl Evidence {
    /// Returns the facts that read like instructions to a model.
    #[must_use]
    pub fn suspicions(&self) -> &[Suspicion] {
        &self.suspicions
    }

    /// Finds the first reason to remove a sentence.
    fn judge(&self, sentence: &str, section: Section, score: RiskScore) -> Option<Reason> {
        let folded = fold(sentence);
        let lower = folded.to_lowercase();
        if has_other_script(&folded) {
            return Some(Reason::ForeignScript);
        }
        if links::has_markup(&lower) {
            return Some(Reason::Markup);
        }
        if tokens::is_obfuscated(&lower) {
            return Some(Reason::Obfuscated);
        }
        let without_links = match self.check_links(&folded) {
            Ok(rest) => rest.to_lowercase(),
            Err(reason) => return Some(reason),
        };
        self.check_code(&without_links)
            .or_else(|| self.check_tokens(&without_links, score))
            .or_else(|| self.check_claims(&without_links, section, score))
    }
}

#[cfg(test)]
mod tests;
