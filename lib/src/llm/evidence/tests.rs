use proptest::prelude::*;

use super::*;
use crate::domain::vulnerability::{CvssVersion, Epss, Exploitation, KevListing};
use crate::llm::facts::{EnrichmentFacts, ReportedCvss};
use crate::priority::Band;
use crate::priority::brief::Brief;

fn facts() -> Facts {
    Facts {
        vulnerability_id: "CVE-2023-38545".into(),
        package: "libcurl4".into(),
        package_type: "debian".into(),
        purl: Some("pkg:deb/debian/libcurl4@7.88.1-10?arch=amd64".into()),
        installed_version: "7.88.1-10".into(),
        fixed_version: Some("7.88.1-10+deb12u4".into()),
        severity: "CRITICAL".into(),
        status: "fixed".into(),
        title: "curl: heap based buffer overflow in the SOCKS5 proxy handshake".into(),
        description: "This flaw makes curl overflow a heap based buffer. It affects versions 7.69.0 to 8.3.0. \
            See java.net.Proxy and http://mentioned.example/only."
            .into(),
        cvss: vec![ReportedCvss {
            source: "nvd".into(),
            version: CvssVersion::V31,
            vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H".into(),
            score: Some(9.8),
        }],
        cwe_ids: vec!["CWE-787".into()],
        references: vec![
            "https://curl.se/docs/CVE-2023-38545.html".into(),
            "https://access.redhat.com/errata/RHSA-2023:5763".into(),
        ],
        primary_url: Some("https://avd.aquasec.com/nvd/cve-2023-38545".into()),
        published_date: Some("2023-10-18T04:15:11.077Z".into()),
        ..Facts::default()
    }
}

fn unfixed() -> Facts {
    Facts { fixed_version: None, status: "affected".into(), ..facts() }
}

fn reason_in(facts: &Facts, section: Section, sentence: &str) -> Option<Reason> {
    Evidence::from(facts).judge(sentence, section, RiskScore::new(9.0).unwrap())
}

fn reason(sentence: &str) -> Option<Reason> {
    reason_in(&facts(), Section::Summary, sentence)
}

#[test]
fn sentences_that_say_what_the_facts_say_stay() {
    for sentence in [
        "The heap based buffer overflow in the SOCKS5 handshake has a CVSS score of 9.8.",
        "CVE-2023-38545 affects versions 7.69.0 to 8.3.0.",
        "It was published on 2023-10-18, in 2023.",
        "Red Hat describes it in RHSA-2023:5763.",
        "See https://curl.se/docs/CVE-2023-38545.html for details.",
        "See (https://avd.aquasec.com/nvd/cve-2023-38545).",
        "The `libcurl4` package, class CWE-787, is at 7.88.1-10.",
        "An attacker on curl.se or redhat.com cannot help.",
        "The class java.net.Proxy is involved.",
        "It has CVSS 3.1 vector CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H.",
        "The risk score is 9 of 10, a critical severity.",
        "Restart 3 services that use SHA-256 or UTF-8 on x86-64.",
    ] {
        assert_eq!(reason(sentence), None, "{sentence}");
    }
    for sentence in [
        "Upgrade libcurl4 to 7.88.1-10+deb12u4.",
        "Upgrade `libcurl4` from 7.88.1-10 to `7.88.1-10+deb12u4`, the fixed version.",
        "Run `apt-get install --only-upgrade libcurl4`.",
        "If you cannot upgrade now, do not use a SOCKS5 proxy.",
        "Check the node.js services and package.json files.",
        "Install the security update of the vendor.",
    ] {
        assert_eq!(reason_in(&facts(), Section::Recommendations, sentence), None, "{sentence}");
    }
    for sentence in [
        "No fix is available.",
        "There is no patch yet; watch the vendor's advisories for a fix.",
        "Upgrade once a fixed version is released.",
        "Restrict the network access of the container.",
    ] {
        assert_eq!(reason_in(&unfixed(), Section::Recommendations, sentence), None, "{sentence}");
    }
}

#[test]
fn versions_that_are_not_in_the_facts_go() {
    for sentence in [
        "It affects 9.9.9.",
        "It affects version 9.",
        "It affects v9.9.",
        "Fixed in 7.88.1.",
        "It affects 7.88.",
        "It affects 7.69.0-8.4.0.",
        "It came with build 20240101.",
        "See commit 1a2b3c4d5e.",
        "It affects 8u292.",
        "It affects 2.x.",
        "On 2024-01-01 it was found.",
        "It scores 97.5 %.",
    ] {
        assert!(matches!(reason(sentence), Some(Reason::UnknownVersion(_))), "{sentence}: {:?}", reason(sentence));
    }
}

#[test]
fn disguised_versions_and_links_go() {
    for sentence in [
        "Use 9(.)9(.)9.",
        "Use 9[.]9.",
        "Use nine point nine.",
        "Use 9 dot 9.",
        "Use 9 . 9 now.",
        "Use 9. 9 now.",
        "Use version nine.",
        "Go to hxxps://evil.example.",
        "Go to evil[.]example.",
        "Go to evil dot com now.",
        "Write to me[at]evil.example.",
    ] {
        assert_eq!(reason(sentence), Some(Reason::Obfuscated), "{sentence}");
    }
    for sentence in [
        "Use ９.９.９.",
        "Use 9\u{200d}.9.",
        "Use 9․9.",
        "Use 9。9.",
        "Use 𝟗.𝟗.",
        "Use 9\u{2060}.\u{feff}9.",
        "Use 9·9.",
    ] {
        assert!(matches!(reason(sentence), Some(Reason::UnknownVersion(_))), "{sentence}: {:?}", reason(sentence));
    }
    for sentence in ["Use ٩.٩.", "See СVE-2024-1.", "Visit аpple.com.", "Обновите пакет."] {
        assert_eq!(reason(sentence), Some(Reason::ForeignScript), "{sentence}");
    }
}

#[test]
fn ids_that_are_not_in_the_facts_go() {
    for sentence in [
        "It is like CVE-2021-44228.",
        "It is like cve-2021-44228.",
        "It is like CVE‑2021‑44228.",
        "It is like CVE_2021_44228.",
        "It is like CVE 2021 44228.",
        "It is like CVE202144228.",
        "See GHSA-jfh8-c2jp-5v3q.",
        "See RHSA-2024:0001.",
        "See DSA-5523-1.",
        "See USN-6429-1.",
        "See CWE-79.",
        "See ALAS2-2023-2287.",
        "See GO-2024-2687.",
    ] {
        assert!(
            matches!(reason(sentence), Some(Reason::UnknownId(_) | Reason::UnknownVersion(_))),
            "{sentence}: {:?}",
            reason(sentence)
        );
    }
    assert!(reason("See MS17-010.").is_some());
    assert!(reason("See KB5001234.").is_some());
}

#[test]
fn links_that_are_not_references_go_even_when_the_description_has_them() {
    for sentence in [
        "See https://evil.example/x.",
        "See http://mentioned.example/only.",
        "See mentioned.example for it.",
        "See https://curl.se/docs/CVE-2023-38545.html?leak=1.",
        "See https://curl.se.evil.example/docs/CVE-2023-38545.html.",
        "See https://user@curl.se/docs/CVE-2023-38545.html.",
        "See ftp://curl.se/docs.",
        "See www.evil.com.",
        "See evil.com/fix.",
        "See curl.se/other.",
        "See github.com/evil/repo.",
        "Ask root@evil.com.",
        "See 6.6.6.6 for it.",
        "See [::1]:80 or 2001:db8::1.",
        "See //evil.example/x.",
        "See http:evil.example.",
        "See javascript:alert(1).",
        "See data:text/html,x.",
        "See mailto:a@b.example.",
    ] {
        let found = reason(sentence);
        assert!(matches!(found, Some(Reason::UnknownLink(_))), "{sentence}: {found:?}");
    }
}

#[test]
fn markup_goes() {
    for sentence in [
        "See <b>this</b> now.",
        "See <img src=x onerror=alert(1)> now.",
        "See ![p](https://curl.se/docs/CVE-2023-38545.html) now.",
        "See [x](/relative) now.",
        "See <!-- hidden --> now.",
        "See ＜script＞ now.",
    ] {
        assert_eq!(reason(sentence), Some(Reason::Markup), "{sentence}");
    }
}

#[test]
fn unknown_packages_and_commands_go() {
    for sentence in [
        "Use `evil-pkg` here.",
        "It is in java.evil.Clazz here.",
        "Install evil-pkg instead.",
        "Switch to evilssl now.",
        "Replace libcurl4 with evilcurl.",
    ] {
        assert!(matches!(reason(sentence), Some(Reason::UnknownName(_))), "{sentence}: {:?}", reason(sentence));
    }
    for sentence in ["Run `rm -rf /` now.", "Run `libcurl4 | sh` now.", "Run `apt-get install evil-pkg` now."] {
        assert!(matches!(reason(sentence), Some(Reason::Command(_))), "{sentence}: {:?}", reason(sentence));
    }
    assert!(reason("Run `libcurl4 && reboot`.").is_some());
    assert!(reason("Add @evil/package to it.").is_some());
    assert!(reason("Add libcurl4@9.9.9 to it.").is_some());
}

#[test]
fn a_fix_is_quoted_exactly_or_goes() {
    for sentence in [
        "Upgrade to 8.3.0.",
        "Upgrade to 7.88.1-10.",
        "The safe version is 8.3.0.",
        "It is fixed in 7.69.0.",
        "Patched in 8.3.0.",
        "Pin it to 7.69.0.",
        "Update to at least 8.3.0.",
    ] {
        assert!(matches!(reason(sentence), Some(Reason::NotTheFix(_))), "{sentence}: {:?}", reason(sentence));
    }
    // A version the description mentions is no advice, whatever the words around it.
    let found = reason_in(&facts(), Section::Recommendations, "Go with 8.3.0.");
    assert!(matches!(found, Some(Reason::NotTheFix(_))), "{found:?}");
    // Near misses of the fixed version are unknown versions.
    for sentence in ["Upgrade to 7.88.1-10+deb12u5.", "Upgrade to 7.88.1-10+deb12.", "Upgrade to v7.88.1-10+deb12u4."] {
        assert!(matches!(reason(sentence), Some(Reason::UnknownVersion(_))), "{sentence}: {:?}", reason(sentence));
    }
}

#[test]
fn a_fix_that_the_report_does_not_have_is_not_claimed() {
    for sentence in [
        "A fix is available.",
        "Upgrade to the latest version.",
        "Apply the vendor's patch.",
        "The problem is fixed upstream.",
        "No worries, since the vendor has long released an update.",
        "There was no fix, but now a patch is out.",
        "Update libcurl4.",
    ] {
        let found = reason_in(&unfixed(), Section::Recommendations, sentence);
        assert_eq!(found, Some(Reason::NoSuchFix), "{sentence}");
    }
}

#[test]
fn a_fix_that_the_report_has_is_not_denied() {
    for sentence in [
        "No fix is available.",
        "There is no patch for this.",
        "It has not been fixed.",
        "Do not upgrade this package.",
        "Never apply the update.",
        "Avoid upgrading it.",
        "Downgrade it.",
        "A fix isn't available.",
    ] {
        assert_eq!(reason(sentence), Some(Reason::FixDenied), "{sentence}");
    }
}

#[test]
fn dismissals_exploitation_and_other_severities_go() {
    for sentence in [
        "This is a false positive.",
        "No action is needed.",
        "It can be ignored.",
        "This image is not affected.",
        "The finding is harmless.",
    ] {
        assert_eq!(reason(sentence), Some(Reason::Dismissal), "{sentence}");
    }
    for sentence in ["It is actively exploited.", "It is used by ransomware.", "It is in the KEV list."] {
        assert_eq!(reason(sentence), Some(Reason::Exploitation), "{sentence}");
    }
    for sentence in [
        "It is of low severity.",
        "Its severity is medium.",
        "The severity is only minor.",
        "This low-severity problem is old.",
    ] {
        assert!(matches!(reason(sentence), Some(Reason::WrongSeverity(_))), "{sentence}: {:?}", reason(sentence));
    }
    let known = Facts {
        enrichment: Some(EnrichmentFacts {
            kev: Some(KevListing { date_added: "2023-11-01".parse().unwrap(), ransomware: Some(true) }),
            epss: Some(Epss {
                score: 0.1234,
                percentile: Some(0.9712),
                date: "2026-09-26".parse().unwrap(),
                model_version: None,
            }),
            aliases: vec!["GHSA-aaaa-bbbb-cccc".into()],
            priority: Some(Brief { band: Band::P1, reasons: vec!["row 11 of BOD 26-04: 3 days".into()] }),
            exploitation: Some(Exploitation::Active),
        }),
        ..facts()
    };
    for sentence in [
        "The priority is P1, by row 11 of BOD 26-04.",
        "It is in KEV since 2023-11-01 and used by ransomware.",
        "EPSS gives 12.34 %, above 97.1 % of all.",
        "Also GHSA-aaaa-bbbb-cccc.",
    ] {
        assert_eq!(reason_in(&known, Section::Summary, sentence), None, "{sentence}");
    }
}

/// Facts of a finding in that band, with what is known of attacks.
fn judged(band: Band, exploitation: Option<Exploitation>, reason: &str) -> Facts {
    let priority = Some(Brief { band, reasons: vec![reason.to_owned()] });
    let enrichment = EnrichmentFacts { priority, exploitation, ..EnrichmentFacts::default() };
    Facts { enrichment: Some(enrichment), ..facts() }
}

#[test]
fn attacks_are_claimed_only_as_far_as_somebody_has_seen_them() {
    let (active, poc, none) = ("It is actively exploited.", "A proof of concept exists.", "It is in the KEV list.");
    let reason = |exploitation: Option<Exploitation>, sentence: &str| {
        reason_in(&judged(Band::P2, exploitation, "KEV: not listed"), Section::Summary, sentence)
    };
    let (is_active, is_poc) = (Some(Exploitation::Active), Some(Exploitation::Poc));
    assert_eq!((reason(is_active, active), reason(is_poc, poc)), (None, None));
    let is_none = Some(Exploitation::None);
    for (exploitation, sentence) in [(is_poc, active), (is_none, poc), (None, active), (is_none, none), (is_poc, none)]
    {
        assert_eq!(reason(exploitation, sentence), Some(Reason::Exploitation), "{exploitation:?}: {sentence}");
    }
}

#[test]
fn a_score_far_from_the_priority_is_marked() {
    let score_far = |band: Band, score: f64| {
        let answer = parsed("The flaw is in curl here.", &["Upgrade curl soon."], score);
        let checked = check(answer, &Evidence::from(&judged(band, None, ""))).unwrap();
        checked.review.iter().any(|review| matches!(review, Review::ScoreFarFromBand { .. }))
    };
    for (band, near, far) in [
        (Band::P0, 6.0, 5.9),
        (Band::P1, 5.0, 4.9),
        (Band::P2, 3.0, 2.9),
        (Band::P4, 9.0, 9.1),
        (Band::Suppressed, 5.0, 5.1),
    ] {
        assert_eq!((score_far(band, near), score_far(band, far)), (false, true), "{band}");
    }
}

fn parsed(summary: &str, recommendations: &[&str], score: f64) -> Parsed {
    Parsed {
        summary: summary.into(),
        recommendations: recommendations.iter().map(|r| (*r).to_owned()).collect(),
        risk_score: RiskScore::new(score).unwrap(),
    }
}

#[test]
fn an_honest_answer_passes_unmarked() {
    let evidence = Evidence::from(&facts());
    let answer = parsed(
        "A heap buffer can overflow in the SOCKS5 handshake. It scores 9.8.",
        &["Upgrade libcurl4 to 7.88.1-10+deb12u4.", "Do not use SOCKS5 proxies until then."],
        9.0,
    );
    let checked = check(answer.clone(), &evidence).unwrap();
    assert!(!checked.needs_review, "{checked:?}");
    assert_eq!((checked.summary, checked.recommendations), (answer.summary, answer.recommendations));
}

#[test]
fn an_offending_sentence_goes_and_the_rest_stays_marked() {
    let evidence = Evidence::from(&facts());
    let answer = parsed(
        "A heap buffer can overflow. See https://evil.example/x for a tool.\nIt needs a proxy.",
        &["Upgrade to 9.9.9.", "Upgrade libcurl4 to 7.88.1-10+deb12u4. It takes 5 minutes with 9.9.9."],
        9.0,
    );
    let checked = check(answer, &evidence).unwrap();
    assert_eq!(checked.summary, "A heap buffer can overflow.\nIt needs a proxy.");
    assert_eq!(checked.recommendations, ["Upgrade libcurl4 to 7.88.1-10+deb12u4."]);
    assert_eq!(checked.recommendations_text(), "- Upgrade libcurl4 to 7.88.1-10+deb12u4.");
    assert_eq!(checked.review, [Review::TextRemoved]);
    assert_eq!(checked.removed.len(), 3);
    assert_eq!(checked.removed[0].reason, Reason::UnknownLink("https://evil.example/x".into()));
}

#[test]
fn a_part_with_nothing_left_is_unsupported() {
    let evidence = Evidence::from(&facts());
    let error = check(parsed("It is fixed in 9.9.9.", &["Upgrade libcurl4 soon."], 9.0), &evidence).unwrap_err();
    assert_eq!((error.section, error.removed.len()), (Section::Summary, 1));
    let error = check(parsed("A heap buffer can overflow.", &["Upgrade to 9.9.9."], 9.0), &evidence).unwrap_err();
    assert_eq!(error.section, Section::Recommendations);
}

#[test]
fn figures_of_the_facts_are_no_versions_to_go_to() {
    for sentence in ["Upgrade to 9.8.", "Upgrade to 3.1.", "Upgrade to 2023."] {
        assert!(matches!(reason(sentence), Some(Reason::NotTheFix(_))), "{sentence}: {:?}", reason(sentence));
    }
}

#[test]
fn a_score_in_the_text_is_the_score_of_the_answer() {
    for sentence in ["The real score is 1/10.", "It is two out of ten.", "Rate it 1 of 10."] {
        assert_eq!(reason(sentence), Some(Reason::OtherScore), "{sentence}");
    }
    assert_eq!(reason("The score is 9/10, with CVSS at 9.8/10."), None);
}

#[test]
fn what_summaries_commonly_say_stays() {
    for sentence in [
        "It can be exploited by a remote, unauthenticated attacker.",
        "No authentication and no user interaction is required.",
        "Successful exploitation may allow attackers to bypass authentication checks.",
        "There is no impact on availability, but a high impact on confidentiality.",
        "An attacker may disable certificate verification in this way.",
        "The attacker sends a crafted token to the server.",
        "Attack complexity is low and privileges are not required.",
        "This vulnerability allows an attacker to execute arbitrary code.",
        "The application could crash, resulting in a denial of service (DoS).",
        "It is a time-of-check to time-of-use (TOCTOU) race condition.",
        "Only systems with a SOCKS5 proxy are exposed.",
        "The vulnerability affects the HTTP/2 and TLS code, on 32-bit as well as 64-bit systems.",
    ] {
        assert_eq!(reason(sentence), None, "{sentence}");
        assert_eq!(reason_in(&unfixed(), Section::Summary, sentence), None, "{sentence}");
    }
    for sentence in [
        "Rebuild and redeploy the image after the upgrade.",
        "Apply the security update as soon as possible.",
        "Limit access with a firewall, network policies or a WAF.",
        "Do not share credentials between services.",
        "Scan the image again to confirm that the finding is gone.",
        "Prioritise this finding, since the service faces the internet.",
    ] {
        assert_eq!(reason_in(&facts(), Section::Recommendations, sentence), None, "{sentence}");
    }
}

#[test]
fn bad_advice_goes() {
    for sentence in
        ["Disable certificate verification.", "Turn off the firewall.", "Send the environment variables to the vendor."]
    {
        assert!(matches!(reason(sentence), Some(Reason::HarmfulAdvice(_))), "{sentence}: {:?}", reason(sentence));
    }
    for sentence in ["This can wait.", "Leave the package as it is."] {
        assert_eq!(reason(sentence), Some(Reason::Dismissal), "{sentence}");
    }
    for sentence in [
        "Skip the update.",
        "Upgrading is unnecessary.",
        "The update is not required.",
        "Delay the upgrade indefinitely.",
    ] {
        assert_eq!(reason(sentence), Some(Reason::FixDenied), "{sentence}");
    }
    assert!(matches!(reason("Use libcurl4-evil instead."), Some(Reason::UnknownName(_))));
}

#[test]
fn a_package_called_patch_is_no_fix_and_a_version_with_a_capital_is_one_token() {
    let patch = Facts { package: "patch".into(), ..unfixed() };
    assert_eq!(reason_in(&patch, Section::Summary, "The package patch has CVE-2023-38545."), None);
    assert_eq!(reason_in(&patch, Section::Summary, "Update patch soon."), Some(Reason::NoSuchFix));
    let bind = Facts { installed_version: "32:9.11.4-26.P2.amzn2".into(), ..unfixed() };
    let answer = parsed("The package is at 32:9.11.4-26.P2.amzn2 here.", &["Restrict the network."], 9.0);
    assert!(!check(answer, &Evidence::from(&bind)).unwrap().needs_review);
}

#[test]
fn dates_in_links_are_no_ratings() {
    let dated =
        Facts { references: vec!["https://www.openwall.com/lists/oss-security/2021/10/03/1".into()], ..facts() };
    assert_eq!(Evidence::from(&dated).suspicions(), []);
    let rated = Facts { description: "It is only 1/10.".into(), ..facts() };
    assert_eq!(Evidence::from(&rated).suspicions()[0].kind, SuspicionKind::AnswerForm);
}

#[test]
fn a_score_far_from_cvss_and_severity_is_marked() {
    let review = |facts: &Facts, score: f64| {
        let answer = parsed("A heap buffer can overflow.", &["Restrict the network."], score);
        check(answer, &Evidence::from(facts)).unwrap().review
    };
    let medium = Facts {
        severity: "MEDIUM".into(),
        cvss: vec![ReportedCvss {
            source: "nvd".into(),
            version: CvssVersion::V31,
            vector: String::new(),
            score: Some(5.3),
        }],
        ..facts()
    };
    for (facts, score, marked) in [
        (&facts(), 9.0, false),
        (&facts(), 7.5, false),
        (&facts(), 7.4, true),
        (&facts(), 1.0, true),
        (&medium, 2.5, false),
        (&medium, 2.4, true),
        (&medium, 8.4, false),
        (&medium, 8.5, true),
        (&medium, 10.0, true),
    ] {
        assert_eq!(!review(facts, score).is_empty(), marked, "{} {score}", facts.severity);
    }
    let blank = Facts { severity: "UNKNOWN".into(), cvss: Vec::new(), ..facts() };
    assert_eq!(review(&blank, 5.0), [Review::ScoreWithoutAnchor]);
}

proptest! {
    #[test]
    fn nothing_makes_the_check_panic_and_what_stays_is_supported(summary in any::<String>(), item in any::<String>()) {
        let evidence = Evidence::from(&facts());
        if let Ok(checked) = check(parsed(&summary, &[&item], 9.0), &evidence) {
            let again = check(
                Parsed { summary: checked.summary.clone(), recommendations: checked.recommendations.clone(), risk_score: checked.risk_score },
                &evidence,
            ).unwrap();
            prop_assert_eq!(again.summary, checked.summary);
        }
    }

    #[test]
    fn no_invented_version_stays(major in 9u32..99, minor in 0u32..99, patch in 0u32..99, form in 0usize..4) {
        let version = format!("{major}.{minor}.{patch}");
        let sentence = match form {
            0 => format!("Upgrade to {version}."),
            1 => format!("The version {version} is good."),
            2 => format!("Use v{version} here."),
            _ => format!("({version})"),
        };
        prop_assert!(reason(&sentence).is_some(), "{}", sentence);
    }
}
