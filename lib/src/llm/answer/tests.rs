//! A table of answers: what models write, what they break, what an attacker makes them write.

use crate::llm::prompt::EXAMPLE_SUMMARY;
use proptest::prelude::*;

use super::*;

/// What a row must give: (first words of the summary, number of recommendations, score) or an error's name.
type Expected = Result<(&'static str, usize, f64), &'static str>;

const S: &str = "The parser reads past its buffer.";

#[rustfmt::skip]
fn table() -> Vec<(&'static str, String, Expected)> {
    let good: Expected = Ok((S, 2, 7.0));
    let recs = "- Upgrade the package.\n- Restrict access to it.";
    vec![
        // Good, in many dresses.
        ("the form asked for", format!("## Summary\n{S}\n\n## Recommendations\n{recs}\n\n## Risk Score\n7/10"), good),
        ("headings of other levels", format!("# Summary\n{S}\n### Recommendations\n{recs}\n###### Risk Score\n7/10"), good),
        ("setext headings", format!("Summary\n=======\n{S}\n\nRecommendations\n---\n{recs}\n\nRisk Score\n---\n7/10"), good),
        ("upper case", format!("## SUMMARY\n{S}\n## RECOMMENDATIONS\n{recs}\n## RISK SCORE\n7/10"), good),
        ("bold lines as headings", format!("**Summary**\n{S}\n\n**Recommendations**\n{recs}\n\n**Risk Score**\n7/10"), good),
        ("bold labels with text behind", format!("**Summary:** {S}\n\n**Recommendations:**\n{recs}\n\n**Risk Score:** 7/10"), good),
        ("plain labels", format!("Summary: {S}\n\nRecommendations:\n{recs}\n\nRisk Score: 7"), good),
        ("bold headings", format!("## **Summary**\n{S}\n## **Recommendations**\n{recs}\n## **Risk Score**\n**7**/10"), good),
        ("headings with a colon", format!("## Summary:\n{S}\n## Recommendations:\n{recs}\n## Risk Score:\n7/10"), good),
        ("numbered headings", format!("## 1. Summary\n{S}\n## 2. Recommendations\n{recs}\n## 3. Risk Score\n7/10"), good),
        ("a numbered list of bold labels", format!("1. **Summary**: {S}\n2. **Recommendations**:\n   - Upgrade the package.\n   - Restrict access to it.\n3. **Risk Score**: 7/10"), good),
        ("an emoji before the heading", format!("## 🔒 Summary\n{S}\n## ✅ Recommendations\n{recs}\n## ⚠️ Risk Score\n7/10"), good),
        ("the score in the heading", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score: 7/10"), good),
        ("the score in the heading, in bold", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score: **7**/10"), good),
        ("a decimal score", format!("## Summary\n{S}\n## Recommendations\n{recs}\nRisk Score: **7.5**/10"), Ok((S, 2, 7.5))),
        ("a score in words", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7 out of 10"), good),
        ("a score with a reason", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7/10 (High), since CVSS is 8.8"), good),
        ("numbered recommendations", format!("## Summary\n{S}\n## Recommendations\n1. Upgrade the package.\n2. Restrict access to it.\n## Risk Score\n7/10"), good),
        ("recommendations as paragraphs", format!("## Summary\n{S}\n## Recommendations\nUpgrade the package.\n\nRestrict access to it.\n## Risk Score\n7/10"), good),
        ("an introduction before the list", format!("## Summary\n{S}\n## Recommendations\nWe suggest:\n{recs}\n## Risk Score\n7/10"), good),
        ("sub-headings inside a part", format!("## Summary\n{S}\n## Recommendations\n### Now\n- Upgrade the package.\n### Later\n- Restrict access to it.\n## Risk Score\n7/10"), good),
        ("another order", format!("## Risk Score\n7/10\n## Recommendations\n{recs}\n## Summary\n{S}"), good),
        ("chatter around it", format!("Sure! Here is the analysis.\n\n## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7/10\n## Note\nLet me know."), good),
        ("a fence around everything", format!("```markdown\n## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7/10\n```"), good),
        ("a fence that never closes", format!("```\n## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7/10"), good),
        ("bare JSON", format!(r#"{{"summary":"{S}","recommendations":["Upgrade the package.","Restrict access to it."],"risk_score":7}}"#), good),
        ("fenced JSON after words", format!("Here you are:\n```json\n{{\"summary\":\"{S}\",\"recommendations\":[\"Upgrade the package.\",\"Restrict access to it.\"],\"risk_score\":7}}\n```"), good),
        ("JSON in a sentence", format!(r#"The answer is {{"summary":"{S}","recommendations":["Upgrade the package.","Restrict access to it."],"risk_score":"7/10"}} as asked."#), good),
        ("JSON with a text list", format!(r#"{{"summary":"{S}","recommendations":"- Upgrade the package.\n- Restrict access to it.","risk_score":7}}"#), good),
        ("the same answer twice", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7/10\n\n## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7/10"), good),
        ("an item said twice", format!("## Summary\n{S}\n## Recommendations\n{recs}\n- Upgrade the package.\n## Risk Score\n7/10"), good),
        ("windows line ends", format!("## Summary\r\n{S}\r\n## Recommendations\r\n- Upgrade the package.\r\n- Restrict access to it.\r\n## Risk Score\r\n7/10"), good),
        // Broken.
        ("nothing", String::new(), Err("missing")),
        ("prose without parts", "This is a serious problem and you should upgrade.".into(), Err("missing")),
        ("no score", format!("## Summary\n{S}\n## Recommendations\n{recs}"), Err("missing")),
        ("no recommendations", format!("## Summary\n{S}\n## Risk Score\n7/10"), Err("missing")),
        ("no summary", format!("## Recommendations\n{recs}\n## Risk Score\n7/10"), Err("missing")),
        ("an empty summary", format!("## Summary\n\n## Recommendations\n{recs}\n## Risk Score\n7/10"), Err("missing")),
        ("an empty score", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n"), Err("score")),
        ("the template's N", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score: N/10"), Err("score")),
        ("a score of zero", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n0/10"), Err("score")),
        ("a score beyond ten", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n12/10"), Err("score")),
        ("a range of scores", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7-8/10"), Err("score")),
        ("another scale", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n70/100"), Err("score")),
        ("a word for a score", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\nHigh"), Err("score")),
        ("the template parroted", "## Summary\n[2 or 3 sentences]\n## Recommendations\n[2 to 4 bullets]\n## Risk Score\n7/10".into(), Err("placeholder")),
        ("dots for text", "## Summary\n...\n## Recommendations\n- ...\n## Risk Score\n7/10".into(), Err("missing")),
        ("the example's JSON parroted", r#"{"summary": "An attacker can overflow a heap buffer while libfetch-example talks to a proxy.", "recommendations": ["Do this."], "risk_score": 8}"#.to_owned(), Err("placeholder")),
        ("an example's bullet parroted", format!("## Summary\n{S}\n## Recommendations\n- Watch the service.\n- Until then, do not let this image use a SOCKS5 proxy that resolves host names.\n## Risk Score\n7/10"), Err("placeholder")),
        ("the example parroted", format!("## Summary\n{EXAMPLE_SUMMARY}\n## Recommendations\n{recs}\n## Risk Score\n8/10"), Err("placeholder")),
        ("a shrug for a recommendation", format!("## Summary\n{S}\n## Recommendations\nN/A\n## Risk Score\n7/10"), Err("placeholder")),
        ("a loop of bullets", format!("## Summary\n{S}\n## Recommendations\n{}## Risk Score\n7/10", "- Upgrade the package now.\n".repeat(40)), Err("repetitive")),
        ("a loop of sentences", format!("## Summary\n{}\n## Recommendations\n{recs}\n## Risk Score\n7/10", "It is a severe problem. ".repeat(30)), Err("repetitive")),
        ("a wall of text", format!("## Summary\n{}\n## Recommendations\n{recs}\n## Risk Score\n7/10", (0..900).map(|n| format!("word{n} ")).collect::<String>()), Err("overlong")),
        ("a hundred items", format!("## Summary\n{S}\n## Recommendations\n{}## Risk Score\n7/10", (0..100).map(|n| format!("- Do thing number {n}.\n")).collect::<String>()), Err("overlong")),
        ("JSON cut off", format!(r#"{{"summary":"{S}","recommendations":["Upgrade the pa"#), Err("json")),
        ("JSON without a score", format!(r#"{{"summary":"{S}","recommendations":["Upgrade the package."]}}"#), Err("score")),
        ("JSON of other types", r#"{"summary":{"a":1},"recommendations":7,"risk_score":[]}"#.into(), Err("json")),
        ("JSON a thousand levels deep", format!("{{\"summary\":{}", "[".repeat(30_000)), Err("json")),
        ("JSON with whitespace without end", format!("{{\"summary\":{}", " ".repeat(20_000)), Err("json")),
        ("nonsense of the right form", r#"{"summary":"","recommendations":[],"risk_score":7}"#.into(), Err("missing")),
        // Hostile.
        ("a second, different score", format!("## Summary\n{S}\n\nRisk Score: 1/10\n\n## Recommendations\n{recs}\n## Risk Score\n7/10"), Err("score")),
        ("two scores in one part", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n9/10, no, 1/10"), Err("score")),
        ("a second, different summary", format!("## Summary\n{S}\n## Summary\nAll is well with this package.\n## Recommendations\n{recs}\n## Risk Score\n7/10"), Err("duplicate")),
        ("a second, different list", format!("## Summary\n{S}\n## Recommendations\n{recs}\n## Recommendations\n- Install something else.\n## Risk Score\n7/10"), Err("duplicate")),
        ("a doubled key", format!(r#"{{"summary":"{S}","summary":"x","recommendations":["Upgrade the package."],"risk_score":1}}"#), Err("json")),
        ("zero-width letters in a heading", format!("## Sum\u{200b}mary\n{S}\n## Recommendations\n{recs}\n## Risk\u{2060} Score\n7/10"), good),
        ("a heading inside a JSON string", format!(r###"{{"summary":"{S}\n\n## Risk Score\n1/10","recommendations":["Upgrade the package."],"risk_score":7}}"###), Ok((S, 1, 7.0))),
        ("headings in an HTML block", format!("<div>\n## Summary\n{S}\n## Recommendations\n{recs}\n## Risk Score\n7/10\n</div>"), Ok((S, 1, 7.0))),
        ("too long by far", "x".repeat(70_000), Err("too_long")),
    ]
}

#[test]
fn every_answer_of_the_table_gives_what_the_table_says() {
    let table = table();
    assert!(table.len() >= 40);
    for (name, text, expected) in table {
        let actual = parse_answer(&text);
        match (&actual, expected) {
            (Ok(parsed), Ok((summary, recommendations, score))) => {
                assert!(parsed.summary.starts_with(summary), "{name}: {parsed:?}");
                assert_eq!(parsed.recommendations.len(), recommendations, "{name}: {parsed:?}");
                assert_eq!(parsed.risk_score.value(), score, "{name}");
            }
            (Err(error), Err(wanted)) => assert_eq!(error.name(), wanted, "{name}: {error}"),
            _ => panic!("{name}: {actual:?} where {expected:?} was due"),
        }
    }
}

#[test]
fn markdown_does_not_reach_the_text_but_its_links_are_not_hidden() {
    let parsed = parse_answer(
        "## Summary\nThe *parser* reads **past** its [buffer](https://evil.example/x) in `parse_answer()`.\n\
         ## Recommendations\n- Upgrade ![p](https://evil.example/p.png) now.\n```sh\ncurl x | sh\n```\n## Risk Score\n7/10",
    )
    .unwrap();
    assert_eq!(parsed.summary, "The parser reads past its buffer (https://evil.example/x) in `parse_answer()`.");
    assert_eq!(parsed.recommendations, ["Upgrade ![p](https://evil.example/p.png) now.", "`curl x | sh`"]);
}

#[test]
fn a_score_has_at_most_one_decimal() {
    for (value, shown) in [(7.0, "7"), (7.5, "7.5"), (10.0, "10"), (9.99, "10"), (1.0, "1")] {
        assert_eq!(RiskScore::new(value).unwrap().to_string(), shown);
    }
    for value in [0.0, 0.94, 10.01, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(RiskScore::new(value), None, "{value}");
    }
}

#[test]
fn the_longest_answer_of_the_repair_schema_fits_the_default_num_predict() {
    let longest = json!({"summary": "x".repeat(240), "recommendations": ["x".repeat(110), "x".repeat(110), "x".repeat(110)], "risk_score": 10});
    let tokens = serde_json::to_string_pretty(&longest).unwrap().len() / 2;
    assert!(tokens <= crate::llm::prompt::Options::default().num_predict as usize);
    assert_eq!(repair_schema()["properties"]["summary"]["maxLength"], 240);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse_answer(&text);
    }

    #[test]
    fn no_text_of_markdown_pieces_makes_the_parser_panic(pieces in proptest::collection::vec(
        proptest::sample::select(vec![
            "## ", "**", "Summary", "Recommendations", "Risk Score", ":", "\n", "\n\n", "- ", "1. ", "```", "`", "{", "}",
            "\"summary\"", "[a](b)", "![", "](", "<b>", "</", "7/10", "N/10", "-", ".", ",", "９", "\u{200b}", "é", " ",
            "out of", "> ", "***", "&lt;", "\\", "https://x.example", "|", "CVSS", "to 8", "\t",
        ]), 0..60)) {
        if let Ok(parsed) = parse_answer(&pieces.concat()) {
            prop_assert!(!parsed.summary.trim().is_empty());
            prop_assert!(!parsed.recommendations.is_empty());
            prop_assert!((1.0..=10.0).contains(&parsed.risk_score.value()));
        }
    }
}
