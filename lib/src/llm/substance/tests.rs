//! Labelled answers: what is shown of them, with and without review. The half called `held-out` was written before
//! the rules were tried on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::*;
use crate::domain::vulnerability::CvssVersion;
use crate::llm::evidence::Evidence;
use crate::llm::facts::ReportedCvss;
use crate::llm::{answer, evidence};

#[derive(Deserialize)]
struct Labelled {
    findings: BTreeMap<String, serde_json::Value>,
    answers: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    set: String,
    finding: String,
    label: String,
    kind: String,
    answer: String,
}

fn facts(finding: &serde_json::Value) -> Facts {
    let facts: Facts = serde_json::from_value(finding.clone()).unwrap();
    let score = finding["score"].as_f64();
    let cvss = ReportedCvss { source: "nvd".to_owned(), version: CvssVersion::V31, vector: String::new(), score };
    Facts { cvss: vec![cvss], ..facts }
}

/// What becomes of an answer: refused with a reason, marked with reasons, or shown as it is.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Refused(String),
    Marked(String),
    Plain,
}

fn shown(facts: &Facts, text: &str) -> Shown {
    let refused = |reason: String| Shown::Refused(reason);
    let parsed = match answer::parse_answer(text) {
        Ok(parsed) => parsed,
        Err(error) => return refused(error.to_string()),
    };
    let checked = match evidence::check(parsed, &Evidence::from(facts)) {
        Ok(checked) => checked,
        Err(error) => return refused(error.to_string()),
    };
    match check_substance(checked, facts) {
        Err(error) => refused(error.to_string()),
        Ok(checked) if checked.needs_review => {
            let removed = checked.removed.iter().map(|removed| format!("[{}]", removed.reason));
            let review = checked.review.iter().map(ToString::to_string).chain(removed);
            Shown::Marked(review.collect::<Vec<_>>().join("; "))
        }
        Ok(_) => Shown::Plain,
    }
}

#[test]
fn no_worthless_answer_is_shown_without_review_and_good_ones_are_not_refused() {
    let labelled: Labelled = serde_json::from_str(include_str!("labelled.json")).unwrap();
    assert!(labelled.answers.len() >= 150);
    let findings: BTreeMap<&str, Facts> =
        labelled.findings.iter().map(|(name, finding)| (name.as_str(), facts(finding))).collect();
    // By set and label: refused, marked, plain.
    let mut counts: BTreeMap<(&str, &str), [u32; 3]> = BTreeMap::new();
    let mut wrong = String::new();
    for row in &labelled.answers {
        let shown = shown(&findings[row.finding.as_str()], &row.answer);
        let place = match &shown {
            Shown::Refused(_) => 0,
            Shown::Marked(_) => 1,
            Shown::Plain => 2,
        };
        counts.entry((&row.set, &row.label)).or_default()[place] += 1;
        if (row.label == "good") != (shown == Shown::Plain) {
            writeln!(
                wrong,
                "{} {} {} ({}): {shown:?}\n    {:?}",
                row.set, row.label, row.finding, row.kind, row.answer
            )
            .unwrap();
        }
    }
    println!("{wrong}");
    println!("| set | label | answers | refused | marked | shown plain |\n|---|---|---|---|---|---|");
    for ((set, label), [refused, marked, plain]) in &counts {
        println!("| {set} | {label} | {} | {refused} | {marked} | {plain} |", refused + marked + plain);
    }
    for set in ["tuned", "held-out"] {
        let sum = |label: &dyn Fn(&str) -> bool| {
            let of_set = counts.iter().filter(|((of, with), _)| *of == set && label(with));
            of_set.fold([0; 3], |[a, b, c], (_, [x, y, z])| [a + x, b + y, c + z])
        };
        let (good, bad) = (sum(&|label| label == "good"), sum(&|label| label != "good"));
        let caught = bad[0] + bad[1];
        let precision = f64::from(caught) / f64::from(caught + good[0] + good[1]);
        let recall = f64::from(caught) / f64::from(caught + bad[2]);
        println!("{set}: precision {precision:.3}, recall {recall:.3}");
        assert_eq!(bad[2], 0, "{set}: worthless answers were shown without review");
        assert!(good[0] * 20 <= good.iter().sum::<u32>(), "{set}: more than 5 % of the good answers were refused");
        assert!(precision >= 0.9, "{set}: too many good answers were marked");
    }
}

fn weighed(summary: &str, recommendation: &str, fixed: Option<&str>) -> Result<Vec<Review>, NoSubstance> {
    let facts = Facts {
        package: "curl".to_owned(),
        title: "curl: heap overflow".to_owned(),
        description: "A heap buffer overflow in the TFTP handler is triggered by a malicious server.".to_owned(),
        fixed_version: fixed.map(str::to_owned),
        ..Facts::default()
    };
    let checked = Checked {
        summary: summary.to_owned(),
        recommendations: vec![recommendation.to_owned()],
        risk_score: answer::RiskScore::new(7.0).unwrap(),
        needs_review: false,
        review: Vec::new(),
        removed: Vec::new(),
    };
    check_substance(checked, &facts).map(|checked| {
        assert_eq!(checked.needs_review, !checked.review.is_empty());
        checked.review
    })
}

#[test]
fn a_fix_is_named_exactly_or_the_answer_is_marked() {
    let good = "The TFTP handler overflows a heap buffer.";
    let review = |recommendation, fixed| weighed(good, recommendation, fixed).unwrap();
    for named in
        ["Upgrade curl to 7.61.1-14.el8.", "Upgrade curl (7.61.1-14.el8).", "Upgrade to `7.61.1-14.el8`, please."]
    {
        assert_eq!(review(named, Some("7.61.1-14.el8")), [], "{named}");
    }
    assert_eq!(review("Upgrade to v1.2.6: that is enough.", Some("1.2.6, 0.2.4")), []);
    for other in ["Upgrade curl.", "Upgrade to 17.61.1-14.el8.", "Upgrade to 7.61.1-14.el8_1."] {
        assert_eq!(review(other, Some("7.61.1-14.el8")), [Review::FixNotNamed], "{other}");
    }
    assert_eq!(review("Restrict the network.", None), []);
    assert_eq!(review("Restrict the network.", Some("N/A")), []);
}

#[test]
fn short_honest_text_is_not_measured_by_ratios() {
    for summary in ["An input is copied.", "Heap overflow in curl.", "The TFTP code overflows a heap buffer in curl."] {
        assert!(weighed(summary, "Watch the service.", None).is_ok(), "{summary}");
    }
}

#[test]
fn a_summary_with_a_word_of_the_finding_is_of_the_finding() {
    let review = |summary| weighed(summary, "Watch the service.", None).unwrap();
    assert_eq!(review("The length of a buffer is not checked."), []);
    assert_eq!(review("A flaw lets an attacker run arbitrary code."), [Review::NothingOfTheFinding]);
    assert_eq!(review("Bananas are eaten in many countries of the world."), [Review::NothingOfTheFinding]);
}

#[test]
fn brackets_of_the_facts_are_no_placeholders() {
    let facts = Facts { title: "parser: an index like items[name] is read".to_owned(), ..Facts::default() };
    let known = Known::of(&facts);
    assert!(!known.has_placeholder("the parser reads items[name] and array[0] or {1, 2}."));
    for text in
        ["upgrade [package] now", "use {{ version }}", "see <version>", "todo: write", "${fixed_version}", "____"]
    {
        assert!(known.has_placeholder(text), "{text}");
    }
}

#[test]
fn noise_beside_sense_is_not_shown() {
    let (good, advice) = ("The TFTP handler overflows a heap buffer.", "Restrict the network.");
    let noise = |summary: &str, recommendation: &str| weighed(summary, recommendation, None).unwrap_err().name();
    assert_eq!(noise(&format!("{good} Xqz plonk vireth osmalid."), advice), "gibberish");
    assert_eq!(noise(good, &format!("{advice}\nXqz plonk vireth osmalid.")), "gibberish");
    assert_eq!(noise("The of and curl to in is heap that it for on with as the of.", advice), "gibberish");
    assert_eq!(noise(&format!("{good} {}", "heap ".repeat(40)), advice), "repetitive");
    assert_eq!(noise(good, "Upgrade curl to x.y.z now."), "placeholder");
    assert_eq!(noise(good, "I'm sorry, I cannot help with that."), "refusal");
}
