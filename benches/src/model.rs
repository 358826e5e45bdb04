//! Measures how often the model of the stack gives a usable answer, over 30 findings of the corpus.
//!
//! Takes minutes, so it is measured by name only: `make bench-model`.

use std::collections::BTreeMap;
use std::time::Duration;

use sirius::domain::declared::Declared;
use sirius::domain::finding::{Finding, Ordinal};
use sirius::domain::scan::ScanId;
use sirius::llm::explain::Unusable;
use sirius::llm::facts::EnrichmentFacts;
use sirius::llm::{Ollama, OllamaConfig, Options, Outcome, Question, Questions, explain};
use sirius::report::{Canonical, Limits, Report};
use support::corpus;
use tokio::time::Instant;

use crate::figure::Figure;

const FINDINGS: usize = 30;

pub(crate) async fn figures() -> Vec<Figure> {
    let Ok(url) = std::env::var("OLLAMA_URL") else {
        println!("SKIPPED: no OLLAMA_URL in the environment");
        return Vec::new();
    };
    let model = std::env::var("OLLAMA_MODEL").unwrap();
    let questions = Questions { model, options: Options { num_ctx: 4096, num_predict: 700, ..Options::default() } };
    let questions = spread(&questions);
    if questions.is_empty() {
        return Vec::new();
    }
    let ollama = Ollama::new(OllamaConfig::new(url.parse().unwrap())).unwrap();
    let (mut first, mut repaired, mut review, mut valid_form) = (0, 0, 0, 0);
    let mut unusable = BTreeMap::<String, usize>::new();
    for question in &questions {
        let deadline = Instant::now() + Duration::from_secs(280);
        let outcome = explain(&ollama, &question.prompt, &question.facts, deadline).await;
        match outcome {
            Outcome::Completed(explanation) => {
                *(if explanation.repaired_after.is_some() { &mut repaired } else { &mut first }) += 1;
                review += usize::from(explanation.checked.needs_review);
            }
            // Of the right form, but refused since the facts support nothing of it.
            Outcome::Invalid { first, repair } => {
                // Of the right form, but worthless or unsupported.
                valid_form += usize::from(is_of_the_form(&repair));
                *unusable.entry(format!("{}, then {}", first.name(), repair.name())).or_default() += 1;
            }
            Outcome::Transient(error) | Outcome::Final(error) => panic!("the host failed: {error}"),
        }
        println!(
            "{} of {}: {first} at once, {repaired} repaired, {unusable:?}",
            question.facts.vulnerability_id,
            questions.len()
        );
    }
    let all = questions.len();
    println!("needs_review: {review}; unusable: {unusable:?}");
    let valid = first + repaired + valid_form;
    let share = |count: usize| format!("{count} of {all}");
    vec![
        Figure::shown("answers of a valid form, first try", share(first)),
        Figure::counted("answers of a valid form, after one repair", share(valid), ">= 95 %", valid * 100 >= all * 95),
        Figure::shown("answers that are shown, after the evidence check", share(first + repaired)),
        Figure::shown("of these marked needs_review", share(review)),
    ]
}

/// Tells whether a refused answer has the three parts of the schema.
fn is_of_the_form(unusable: &Unusable) -> bool {
    use sirius::llm::answer::Error;
    match unusable {
        Unusable::Text(_) => false,
        Unusable::Form(error) => {
            !matches!(error, Error::Json(_) | Error::Missing(_) | Error::Score(_) | Error::TooLong)
        }
        Unusable::Content(_) | Unusable::Substance(_) => true,
    }
}

/// Selects questions about findings of the whole corpus, the same each time.
fn spread(questions: &Questions) -> Vec<Question> {
    let mut all = BTreeMap::new();
    for file in corpus::files().unwrap_or_default().into_iter().filter(|file| file.accept && file.real) {
        let limits = Limits::default();
        let canonical = Canonical::read(&file.bytes, &limits).unwrap();
        let report = Report::read(&canonical, &Declared::default(), &limits).unwrap();
        for finding in &report.findings {
            let place = &report.scanned[finding.scanned];
            let mut rest = Vec::new();
            finding.write_rest(&mut rest);
            let finding = Finding {
                scan_id: ScanId::new(1).unwrap(),
                ordinal: Ordinal::new(0).unwrap(),
                vulnerability_id: finding.vulnerability_id.as_deref().map(str::to_owned),
                pkg_name: finding.pkg_name.as_deref().map(str::to_owned),
                target: place.target.to_string(),
                class: place.class.as_deref().map(str::to_owned),
                kind: place.kind.as_deref().map(str::to_owned),
                suppressed: None,
                vulnerability: serde_json::from_slice(&rest).unwrap(),
            };
            let (hash, question) = questions.about(&finding, EnrichmentFacts::default()).unwrap();
            all.insert(hash, question);
        }
    }
    // The order of hashes is a fixed random sample.
    let step = (all.len() / FINDINGS).max(1);
    all.into_values().step_by(step).take(FINDINGS).collect()
}
