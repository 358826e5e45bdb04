//! Finds facts that read like instructions to a model.
//!
//! A CVE description is third-party text. A model that obeys it may change its answer in ways that no rule finds, so an
//! analysis of such facts is always marked. The word lists mark too much rather than too little.

use crate::llm::facts::Facts;
use crate::llm::text::{fold, has_other_script, hides_characters};
use crate::llm::word_list::{find_entry, has_phrase, list_has};

/// A suspicious fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// The name of the fact in [`Facts`].
    pub field: String,
    /// The kind of suspicion.
    pub kind: SuspicionKind,
}

/// A kind of suspicious text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspicionKind {
    /// Invisible, bidirectional or control characters.
    HiddenCharacters,
    /// An order to a model: "ignore previous instructions", "respond with".
    Instruction,
    /// A role or a token of a chat template: `system:`, `<|im_start|>`.
    RoleMark,
    /// The parts of an answer: `## Summary`, `"risk_score"`, "risk score".
    AnswerForm,
    /// A marker of the data block.
    FenceMark,
    /// A long run of encoded text.
    EncodedBlob,
    /// An image, a script or a `data:` link.
    ActiveContent,
    /// Letters of another script, or letters spaced out.
    Disguise,
    /// A name or a version with words in it.
    ProseInName,
}

/// Lists the suspicions, at most one of a kind per field.
pub(super) fn suspicions_of(facts: &Facts) -> Vec<Suspicion> {
    let empty = String::new();
    let aliases = facts.enrichment.iter().flat_map(|enrichment| &enrichment.aliases);
    let prose = [("title", &facts.title), ("description", &facts.description)];
    let names = [
        ("vulnerability_id", &facts.vulnerability_id),
        ("package", &facts.package),
        ("package_type", &facts.package_type),
        ("class", &facts.class),
        ("installed_version", &facts.installed_version),
        ("fixed_version", facts.fixed_version.as_ref().unwrap_or(&empty)),
        ("severity", &facts.severity),
        ("status", &facts.status),
        ("purl", facts.purl.as_ref().unwrap_or(&empty)),
        ("primary_url", facts.primary_url.as_ref().unwrap_or(&empty)),
    ];
    let lists = facts
        .references
        .iter()
        .map(|text| ("references", text))
        .chain(facts.cwe_ids.iter().map(|text| ("cwe_ids", text)))
        .chain(facts.cvss.iter().flat_map(|c| [("cvss", &c.source), ("cvss", &c.vector)]))
        .chain(aliases.map(|text| ("aliases", text)));
    let mut found: Vec<Suspicion> = Vec::new();
    let mut note = |field: &str, kind: SuspicionKind| {
        let suspicion = Suspicion { field: field.to_owned(), kind };
        if !found.contains(&suspicion) {
            found.push(suspicion);
        }
    };
    for (field, text) in prose.into_iter().chain(names).chain(lists) {
        // A path holds dates, tickets and encoded names: `/2021/10`, a commit in base64.
        let link = matches!(field, "references" | "primary_url" | "purl");
        kinds(text)
            .filter(|kind| !(link && matches!(kind, SuspicionKind::AnswerForm | SuspicionKind::EncodedBlob)))
            .for_each(|kind| note(field, kind));
    }
    for (field, text) in names {
        // `>= 1.2, < 2.0` and `1.2, 1.3` have blanks; five words make a sentence.
        let wordy = text.split_whitespace().filter(|w| w.len() > 2 && w.chars().all(char::is_alphabetic)).count() >= 3;
        if wordy || text.contains(['\n', '<', '`', '{']) && field == "package" {
            note(field, SuspicionKind::ProseInName);
        }
    }
    found
}

fn kinds(text: &str) -> impl Iterator<Item = SuspicionKind> + use<> {
    let folded = fold(text);
    let lower = folded.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|word| !word.is_empty()).collect();
    let running = format!(" {} ", words.join(" "));
    [
        (SuspicionKind::HiddenCharacters, hides_characters(text)),
        (SuspicionKind::Instruction, instructs(&words, &running)),
        (SuspicionKind::RoleMark, marks_role(&lower)),
        (SuspicionKind::AnswerForm, forms_answer(&lower, &running)),
        (SuspicionKind::FenceMark, marks_fence(&lower)),
        (SuspicionKind::EncodedBlob, folded.split_whitespace().any(is_blob)),
        (SuspicionKind::ActiveContent, is_active(&lower)),
        (SuspicionKind::Disguise, is_disguised(&folded)),
    ]
    .into_iter()
    .filter_map(|(kind, found)| found.then_some(kind))
}

/// Finds an imperative and its object within a few words, or a phrase that no advisory needs.
fn instructs(words: &[&str], running: &str) -> bool {
    const VERBS: &str = "ignore, ignoring, disregard, forget, override, overrule, bypass, skip, follow, \
        obey, discard, ignora, ignoriere, ignorez, oublie, vergiss, drop, neglect, replace, \
        cancel, 1gnore, stop, reset";
    const OBJECTS: &str = "instruction, instructions, prompt, prompts, guidelines, directive, directives, \
        rules, anweisungen, instrucciones, consignes, context, above, previous, prior, \
        preceding, facts";
    const PHRASES: &str = "add the link, add this link, include the link, include this link, you are now, \
        you must, you should now, you will now, act as, pretend, roleplay, role play, \
        new instructions, new task, system prompt, system message, developer mode, \
        jailbreak, do anything now, as an ai, language model, llm, llms, chatbot, \
        ai assistant, dear assistant, dear model, note to the, attention assistant, \
        attention model, assistant should, model should, the model must, \
        the assistant must, respond with, reply with, answer with, answer only, \
        respond only, output only, output the following, say that, state that, \
        tell the user, tell the reader, inform the user, inform the reader, recommend that, \
        recommend the user, recommend to, in your answer, in your summary, \
        in your response, your answer, your summary, your response, your recommendations, \
        do not mention, don't mention, must be rated, rate this, score this, \
        this is a test, end of data, end of description, end of facts";
    let near = words.iter().enumerate().any(|(at, word)| {
        list_has(VERBS, word) && words.iter().skip(at + 1).take(5).any(|word| list_has(OBJECTS, word))
    });
    near || has_phrase(PHRASES, running)
}

fn marks_role(lower: &str) -> bool {
    const TOKENS: &str = "<|, |>, [inst, [/inst, <<sys, <start_of_turn, <end_of_turn, </s>, <s>, \
        ### instruction, ### system, ### response, <think, </think";
    const SPEAKERS: &str = "system, assistant, user, human, ai, developer, model, admin";
    let speaks = lower.split(['\n', '.', '!', '?', '"', '}', ']', '*', '#']).any(|line| {
        line.trim_start_matches(|c: char| !c.is_alphanumeric())
            .split_once(':')
            .is_some_and(|(speaker, _)| list_has(SPEAKERS, speaker.trim()))
    });
    speaks || find_entry(TOKENS, lower).is_some()
}

fn forms_answer(lower: &str, running: &str) -> bool {
    const SHAPES: &str = "\"risk_score\", \"recommendations\", risk_score, # risk, # recommendations, \
        \"summary\", 'summary'";
    let rates = lower.match_indices("/10").any(|(at, sign)| {
        let before = lower.get(..at).unwrap_or_default();
        let after = lower.get(at + sign.len()..).unwrap_or_default();
        let after = after.strip_prefix('.').unwrap_or(after);
        before.ends_with(|c: char| c.is_ascii_digit()) && !after.starts_with(|c: char| c.is_ascii_digit() || c == '/')
    });
    const PHRASES: &str = "risk score, risk rating, score of 1, out of 10, out of ten, score to 1, score is 1";
    rates
        || find_entry(SHAPES, lower).is_some()
        || has_phrase(PHRASES, running)
        || lower.lines().any(|line| line.trim_start_matches(['#', '*', ' ']).starts_with("recommendations:"))
}

fn marks_fence(lower: &str) -> bool {
    const MARKS: &str =
        "<<<, >>>, facts>, <facts, end facts, ---end, --- end, === end, ===end, end of facts, \"}, </facts";
    find_entry(MARKS, lower).is_some()
}

/// Recognises Base64 or a similar encoding: long and mixed, neither a hash in hex nor a path.
fn is_blob(word: &str) -> bool {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))).any(|run| {
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let upper = run.bytes().filter(u8::is_ascii_uppercase).count();
        let lower = run.bytes().filter(u8::is_ascii_lowercase).count();
        let hex = run.bytes().all(|b| b.is_ascii_hexdigit());
        run.len() >= 32 && !hex && upper >= 4 && lower >= 4 && digits >= 1 && run.matches('/').count() <= 2
    })
}

fn is_active(lower: &str) -> bool {
    const MARKS: &str = "![, <img, <script, <iframe, <svg, <!--, javascript:, data:text, data:image, onerror=";
    find_entry(MARKS, lower).is_some()
}

fn is_disguised(folded: &str) -> bool {
    let words: Vec<&str> = folded.split_whitespace().collect();
    let spaced = words
        .chunk_by(|a, b| a.chars().count() == 1 && b.chars().count() == 1)
        .any(|run| run.len() >= 6 && run.iter().all(|word| word.chars().all(char::is_alphabetic)));
    spaced || has_other_script(folded)
}
