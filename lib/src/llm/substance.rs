//! Whether an answer says anything: garbage is refused, and what helps nobody is marked.
//!
//! [`super::evidence`] takes out what the facts do not support; text can be free of that and still be worthless. No
//! dictionary is needed: English prose is a third function words, and what else an explanation needs is in the facts
//! or among the words of the trade (`words`).

use std::collections::{HashMap, HashSet};

use super::answer::Section;
use super::evidence::{Checked, Review};
use super::facts::Facts;
use super::prompt::{REPAIR_SYSTEM, SYSTEM};
use super::text::{fold, sentences};

mod actions;
mod words;

/// Why the text of a part is worthless. All are worth the repair attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hollow {
    /// The same few words again and again.
    #[error("the {0} repeats its words")]
    Repetitive(Section),
    /// Hardly a word of English or of the facts.
    #[error("the {0} is not English prose about the facts")]
    Gibberish(Section),
    /// `[package]`, `{{version}}`, `TODO`: something was to be filled in.
    #[error("the {0} has a placeholder")]
    Placeholder(Section),
    /// The rules or the names of the facts' fields came back.
    #[error("the {0} repeats the prompt")]
    Echo(Section),
    /// The model declines to answer.
    #[error("the {0} is a refusal")]
    Refusal(Section),
}

impl Hollow {
    /// A stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Repetitive(_) => "repetitive",
            Self::Gibberish(_) => "gibberish",
            Self::Placeholder(_) => "placeholder",
            Self::Echo(_) => "echo",
            Self::Refusal(_) => "refusal",
        }
    }
}

/// Texts with fewer words are too short to be measured by ratios.
const FEWEST_WORDS: usize = 8;
/// Sentences with fewer words may well have none that is known: a name, a command.
const FEWEST_WORDS_OF_A_SENTENCE: usize = 3;
/// The least share of distinct words. Answers that fill their limits are above 0.5.
const LEAST_DISTINCT: f64 = 0.4;
/// The largest share of word triples that came before.
const MOST_REPEATED: f64 = 0.3;
/// The least share of words that are English function words, of the trade, or in the facts.
const LEAST_KNOWN: f64 = 0.5;
/// The least share of English function words in a text of [`FEWEST_WORDS`] or more.
const LEAST_FUNCTION_WORDS: f64 = 0.1;
/// The largest share: prose has 0.6 at most, and more is a heap of them.
const MOST_FUNCTION_WORDS: f64 = 0.75;
/// The least share of letters, digits and blanks among the characters.
const LEAST_TEXT: f64 = 0.75;
/// So many words in the order of the rules are no coincidence.
const ECHOED_WORDS: usize = 7;

/// Refuses an answer that is garbage, and marks one that is of no use to whoever has to act.
///
/// # Errors
/// [`Hollow`] for garbage.
pub fn weigh(mut checked: Checked, facts: &Facts) -> Result<Checked, Hollow> {
    let known = Known::of(facts);
    let recommendations = checked.recommendations.join("\n");
    known.refuse(Section::Summary, &checked.summary)?;
    known.refuse(Section::Recommendations, &recommendations)?;
    if !known.are_spoken_of_in(&checked.summary) {
        checked.review.push(Review::NothingOfTheFinding);
    }
    let asks = |item: &String| sentences(item).any(|sentence| actions::asks_for(&fold(sentence).to_lowercase()));
    if !checked.recommendations.iter().any(asks) {
        checked.review.push(Review::NoAction);
    }
    if facts.status != "not_affected" && !names_a_fix(&recommendations, facts) {
        checked.review.push(Review::FixNotNamed);
    }
    checked.needs_review = !checked.review.is_empty();
    Ok(checked)
}

/// True if there is no fix, or one of its versions is among the words.
fn names_a_fix(recommendations: &str, facts: &Facts) -> bool {
    let fixed = facts.fixed_versions();
    let text = fold(recommendations).to_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '+' | '~' | ':' | '_');
    let has = |version: &str| {
        let version = fold(version).to_lowercase();
        text.match_indices(&version).any(|(at, _)| {
            let before = text.get(..at).unwrap_or_default();
            let after = text.get(at + version.len()..).unwrap_or_default();
            let after = after.trim_start_matches(['.', ':']);
            let ends = after.is_empty() || !after.starts_with(is_part) || text.get(at + version.len()..) != Some(after);
            !before.ends_with(|c: char| is_part(c) && c != 'v' && c != ':') && ends
        })
    };
    fixed.is_empty() || fixed.into_iter().any(has)
}

/// The words of a text in lower case, without numbers and signs.
fn words_of(text: &str) -> Vec<String> {
    let lower = fold(text).to_lowercase();
    lower
        .split(|c: char| !(c.is_alphabetic() || c == '\''))
        .map(|word| word.trim_matches('\''))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What the facts and the language make known.
struct Known {
    /// The facts' words, by their stems.
    facts: HashSet<String>,
    /// Those of them that are about this finding and no other.
    own: HashSet<String>,
    /// The facts as running text.
    running: String,
}

impl Known {
    fn of(facts: &Facts) -> Self {
        let texts = [
            &facts.title,
            &facts.description,
            &facts.package,
            &facts.package_type,
            &facts.vulnerability_id,
            &facts.installed_version,
        ];
        let running = texts.map(|text| fold(text).to_lowercase()).join("\n");
        let facts: HashSet<String> = words_of(&running).iter().map(|word| words::stem(word).to_owned()).collect();
        let own = facts.iter().filter(|word| word.len() > 2 && !words::is_general(word)).cloned().collect();
        Self { facts, own, running }
    }

    fn refuse(&self, section: Section, text: &str) -> Result<(), Hollow> {
        let lower = fold(text).to_lowercase();
        let words = words_of(text);
        if self.has_placeholder(&lower) {
            return Err(Hollow::Placeholder(section));
        }
        if is_refusal(&lower) {
            return Err(Hollow::Refusal(section));
        }
        if is_echo(&lower, &words) {
            return Err(Hollow::Echo(section));
        }
        if repeats(&words) {
            return Err(Hollow::Repetitive(section));
        }
        let is_noise = |sentence: &str| {
            let words = words_of(sentence);
            words.len() >= FEWEST_WORDS_OF_A_SENTENCE && !words.iter().any(|word| self.knows(word))
        };
        let is_gibberish = |line: &str| self.is_gibberish(line, &words_of(line)) || sentences(line).any(is_noise);
        if self.is_gibberish(&lower, &words) || text.lines().any(is_gibberish) {
            return Err(Hollow::Gibberish(section));
        }
        Ok(())
    }

    /// Brackets around a word of a template, unless the facts have them, and words that stand for text to come.
    fn has_placeholder(&self, lower: &str) -> bool {
        const STANDINS: [&str; 9] = [
            "x.y.z",
            "x.x.x",
            "lorem ipsum",
            "recommendation here",
            "text here",
            "summary here",
            "goes here",
            "insert here",
            "to be determined",
        ];
        let pairs = [('[', ']'), ('{', '}'), ('<', '>')];
        let bracketed = pairs.iter().any(|(open, close)| {
            // After a name it is an index or a part of code.
            let follows_name =
                |at: usize| lower.get(..at).is_some_and(|before| before.ends_with(char::is_alphanumeric));
            lower.match_indices(*open).filter(|(at, _)| !follows_name(*at)).any(|(at, _)| {
                let inside = lower.get(at + 1..).and_then(|rest| rest.split_once(*close)).map(|(inside, _)| inside);
                inside.is_some_and(|inside| {
                    let bare = inside.trim_matches(['{', '[', '<', ' ', '$', '%']);
                    let is_name = !bare.is_empty()
                        && bare.len() <= 40
                        && bare.chars().all(|c| c.is_ascii_lowercase() || matches!(c, ' ' | '_' | '-' | '.' | '\''));
                    is_name && !self.running.contains(&format!("{open}{inside}{close}"))
                })
            })
        });
        let marked = lower
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| matches!(word, "todo" | "tbd" | "xxx" | "xxxx" | "fixme") && !self.running.contains(word));
        bracketed || marked || lower.contains("___") || STANDINS.iter().any(|words| lower.contains(words))
    }

    fn is_gibberish(&self, lower: &str, words: &[String]) -> bool {
        let characters = lower.chars().count().max(1);
        let text = lower.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).count();
        if share(text, characters) < LEAST_TEXT {
            return true;
        }
        // Letters alone are no words; a long run of letters and digits is none either.
        let single = words.iter().filter(|word| word.chars().count() == 1 && *word != "a").count();
        if words.len() >= FEWEST_WORDS && share(single, words.len()) > 0.5 {
            return true;
        }
        let known = words.iter().filter(|word| self.knows(word)).count();
        if words.len() < FEWEST_WORDS {
            return words.len() >= 3 && share(known, words.len()) < LEAST_KNOWN;
        }
        let function = share(words.iter().filter(|word| words::is_function(word)).count(), words.len());
        share(known, words.len()) < LEAST_KNOWN || !(LEAST_FUNCTION_WORDS..=MOST_FUNCTION_WORDS).contains(&function)
    }

    /// A word of English, of the trade, or of the facts.
    fn knows(&self, word: &str) -> bool {
        let stem = words::stem(word);
        words::is_function(word)
            || words::is_of_the_trade(stem)
            || self.facts.contains(stem)
            || actions::is_action(word)
    }

    /// A summary has to have a word of this finding. Facts that have hardly any cannot be spoken of.
    fn are_spoken_of_in(&self, summary: &str) -> bool {
        self.own.len() < 3 || words_of(summary).iter().any(|word| self.own.contains(words::stem(word)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "texts are no longer than 64 KiB")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Too few different words for a text of its length, or the same three in a row over and over.
fn repeats(words: &[String]) -> bool {
    if words.len() < FEWEST_WORDS {
        return false;
    }
    // Long texts have fewer new words: the first hundred tell.
    let first: Vec<&String> = words.iter().take(100).collect();
    let distinct: HashSet<&String> = first.iter().copied().collect();
    let mut triples: HashMap<&[String], usize> = HashMap::new();
    for triple in words.windows(3) {
        *triples.entry(triple).or_default() += 1;
    }
    let repeated: usize = triples.values().map(|count| count - 1).sum();
    share(distinct.len(), first.len()) < LEAST_DISTINCT
        || share(repeated, words.len().saturating_sub(2)) > MOST_REPEATED
}

fn is_refusal(lower: &str) -> bool {
    const PHRASES: [&str; 12] = [
        "as an ai",
        "as a language model",
        "i'm sorry",
        "i am sorry",
        "i cannot help",
        "i can't help",
        "i cannot assist",
        "i can't assist",
        "i cannot provide",
        "i can't provide",
        "i am unable to",
        "i do not have access",
    ];
    PHRASES.iter().any(|phrase| lower.contains(phrase))
}

/// Words of the rules in their order, or the names of several fields.
fn is_echo(lower: &str, words: &[String]) -> bool {
    const FIELDS: [&str; 8] = [
        "vulnerability_id",
        "package_type",
        "installed_version",
        "fixed_version",
        "known_exploited",
        "priority_reasons",
        "primary_url",
        "risk_score",
    ];
    if FIELDS.iter().filter(|field| lower.contains(**field)).count() >= 2 {
        return true;
    }
    let rules = words_of(&format!("{SYSTEM}\n{REPAIR_SYSTEM}"));
    let runs: HashSet<&[String]> = rules.windows(ECHOED_WORDS).collect();
    words.windows(ECHOED_WORDS).any(|run| runs.contains(run))
}

#[cfg(test)]
mod tests;
