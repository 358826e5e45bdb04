//! Splits flat lines into the three parts, by headings in any form.

use super::markdown::{Kind, Line};
use super::{Error, RiskScore, ScoreError, Section, score};
use crate::llm::text::fold;

/// The parts, not yet validated.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) summary: Vec<String>,
    pub(super) recommendations: Vec<String>,
    pub(super) risk_score: Option<RiskScore>,
}

pub(super) struct Part {
    section: Section,
    lines: Vec<Line>,
}

pub(super) fn split(lines: Vec<Line>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    // The level of the current part's heading; none for a bold or plain label.
    let mut level = None;
    let mut open = false;
    for line in lines {
        let found = label(&line);
        match (line.kind, found) {
            (Kind::Heading(depth), Some((section, rest))) => {
                parts.push(Part { section, lines: first_line(rest, false) });
                (level, open) = (Some(depth), true);
            }
            // Another heading ends the part, unless its level is below.
            (Kind::Heading(depth), None) => open &= level.is_some_and(|level| depth > level),
            (_, Some((section, rest))) => {
                let rest = first_line(rest, line.kind == Kind::Item);
                match parts.last_mut() {
                    // `- Recommendation: …` inside the recommendations opens nothing new.
                    Some(part) if open && part.section == section => part.lines.extend(rest),
                    _ => {
                        parts.push(Part { section, lines: rest });
                        (level, open) = (None, true);
                    }
                }
            }
            (_, None) if open => {
                if let Some(part) = parts.last_mut() {
                    part.lines.push(line);
                }
            }
            (_, None) => {}
        }
    }
    parts
}

fn first_line(rest: String, item: bool) -> Vec<Line> {
    let kind = if item { Kind::Item } else { Kind::Text };
    let line = Line { kind, text: rest, bold: false, continues: false };
    if line.text.is_empty() { Vec::new() } else { vec![line] }
}

/// Returns the part that a line names, and the rest of the line.
///
/// A heading names it with its first words; any other line must end there or continue with a colon.
fn label(line: &Line) -> Option<(Section, String)> {
    const NAMES: [(&str, Section); 11] = [
        ("executive summary", Section::Summary),
        ("summary", Section::Summary),
        ("recommendations", Section::Recommendations),
        ("recommendation", Section::Recommendations),
        ("recommended actions", Section::Recommendations),
        ("remediation", Section::Recommendations),
        ("risk score", Section::RiskScore),
        ("risk rating", Section::RiskScore),
        ("risk_score", Section::RiskScore),
        ("risk-score", Section::RiskScore),
        ("risk", Section::RiskScore),
    ];
    let heading = matches!(line.kind, Kind::Heading(_));
    // `1. Summary`, `🔒 Summary`, `## Summary` inside bold.
    let text = line.text.trim_start_matches(|c: char| !c.is_alphabetic());
    let (section, rest) = NAMES.iter().find_map(|(name, section)| {
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (*section, text.get(name.len()..).unwrap_or_default()))
    })?;
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let is_decoration = |c: char| c.is_whitespace() || matches!(c, '*' | '_' | '#' | ':' | '-' | '–' | '—' | '=');
    let trimmed = rest.trim_start_matches(['*', '_', '#', ' ']);
    let score_follows =
        section == Section::RiskScore && rest.contains(|c: char| c.is_ascii_digit()) && (heading || line.bold);
    if rest.trim_matches(is_decoration).is_empty() {
        Some((section, String::new()))
    } else if trimmed.starts_with([':', '：']) {
        Some((section, trimmed.trim_start_matches([':', '：']).trim_start_matches(['*', ' ']).trim().to_owned()))
    } else if score_follows {
        Some((section, trimmed.trim().to_owned()))
    } else if heading {
        // `Summary of the vulnerability` is a name, and not the text of the part.
        Some((section, String::new()))
    } else {
        None
    }
}

pub(super) fn assemble(parts: Vec<Part>) -> Result<Draft, Error> {
    let mut draft = Draft::default();
    let mut scores = Vec::new();
    let has_score = parts.iter().any(|part| part.section == Section::RiskScore);
    let flat = |texts: &[String]| fold(&texts.join(" ")).to_lowercase();
    for Part { section, lines } in parts {
        let texts = match section {
            Section::Recommendations => items(lines),
            _ => paragraphs(lines),
        };
        let slot = match section {
            Section::RiskScore => {
                if !texts.is_empty() {
                    scores.push(score::read_score(&texts.join(" "))?);
                }
                continue;
            }
            Section::Summary => &mut draft.summary,
            Section::Recommendations => &mut draft.recommendations,
        };
        if slot.is_empty() {
            *slot = texts;
        } else if !texts.is_empty() && flat(slot) != flat(&texts) {
            return Err(Error::Duplicate(section));
        }
    }
    if scores.windows(2).any(|pair| pair.first() != pair.last()) {
        return Err(ScoreError::Contradicting.into());
    }
    draft.risk_score = scores.first().copied();
    if draft.risk_score.is_none() && has_score {
        return Err(ScoreError::NoNumber.into());
    }
    Ok(draft)
}

/// Joins lines to paragraphs and items, and drops headings.
pub(super) fn paragraphs(lines: Vec<Line>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        match (line.kind, texts.last_mut()) {
            (Kind::Heading(_), _) => {}
            (Kind::Text, Some(text)) if line.continues => {
                text.push(' ');
                text.push_str(&line.text);
            }
            _ => texts.push(line.text),
        }
    }
    texts
}

/// Joins lines to recommendations; `We recommend:` before a list is none.
fn items(lines: Vec<Line>) -> Vec<String> {
    let listed = lines.iter().any(|line| line.kind == Kind::Item);
    let lines =
        lines.into_iter().filter(|line| !(listed && line.kind == Kind::Text && line.text.ends_with(':'))).collect();
    paragraphs(lines)
}
