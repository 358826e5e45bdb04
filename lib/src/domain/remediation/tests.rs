use proptest::prelude::*;

use super::*;

fn stated<'a>(kind: &'a str, installed: &'a str, fixed: &'a str, status: &'a str) -> Stated<'a> {
    Stated {
        package: "lib",
        kind: Some(kind),
        installed_version: installed,
        fixed_version: Some(fixed),
        status: Some(status),
    }
}

#[test]
fn the_smallest_fixed_version_above_the_installed_one_comes_first() {
    let minimist = Stated { package: "minimist", ..stated("npm", "1.2.5", "1.2.6, 0.2.4", "fixed") };
    assert_eq!(minimist.remediation(), "Upgrade minimist 1.2.5 to 1.2.6 (same major version) or 0.2.4");
    let expected = [
        ("npm", "4.0.2", "2.2.1, 1.2.3, 4.0.3, 3.0.1", "4.0.3 (same major version), 3.0.1, 2.2.1 or 1.2.3"),
        ("npm", "1.0.2", "3.5.0", "3.5.0 (another major version)"),
        ("npm", "3.0.1", "5.0.9, 3.3.8, 3.2.0", "3.2.0 (same major version), 3.3.8 or 5.0.9"),
        ("npm", "0.0.6", ">=3.0.0", "3.0.0 (another major version)"),
        ("npm", "1.0.0", ">1.0.0 <2.0.0 || >= 2.1.0", "a version above 1.0.0 (same major version) or 2.1.0"),
        ("gemspec", "6.0.2.1", "~> 5.2.4.3, >= 6.0.3.1", "6.0.3.1 (same major version) or 5.2.4.3"),
        ("gomod", "1.4.3", "v1.4.11, v1.5.7", "v1.4.11 (same major version) or v1.5.7"),
        ("jar", "2.9.1", "2.7.9.4, 2.8.11.2, 2.9.6", "2.9.6 (same major version), 2.8.11.2 or 2.7.9.4"),
        ("pip", "0.11", "0.11.6", "0.11.6 (same major version)"),
        ("debian", "1:7.88.1-10+deb12u4", "1:7.88.1-10+deb12u12", "1:7.88.1-10+deb12u12"),
        ("alpine", "1.1.1c-r0", "1.1.1d-r2", "1.1.1d-r2"),
        ("redhat", "1:1.1.1k-4.el8", "1:1.1.1k-5.el8_5", "1:1.1.1k-5.el8_5"),
        // No order is claimed where it is not known.
        ("bitnami", "1.2", "1.0, 1.3", "1.0 or 1.3"),
        ("pip", "7.81.0-1ubuntu1.14", "7.81.0-1ubuntu1.15", "7.81.0-1ubuntu1.15"),
    ];
    for (kind, installed, fixed, to) in expected {
        let found = stated(kind, installed, fixed, "fixed").remediation();
        assert_eq!(found, format!("Upgrade lib {installed} to {to}"), "{kind}");
    }
    let fixed = "2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0";
    let many = stated("npm", "1.0", fixed, "").remediation();
    assert!(many.ends_with("8.0, 9.0 or one of 2 more"), "{many}");
}

#[test]
fn without_a_version_that_helps_the_reason_is_said() {
    let expected = [
        ("", "will_not_fix", "No fixed version of lib 1.0 is known: the vendor will not fix it"),
        ("N/A", "fix_deferred", "No fixed version of lib 1.0 is known: the vendor has deferred the fix"),
        ("-", "affected", "No fixed version of lib 1.0 is known yet: the vendor says that it is affected"),
        ("none", "", "No fixed version of lib 1.0 is known"),
        (
            "",
            "fixed",
            "No fixed version of lib 1.0 is known: the report says that it is fixed, but not in which version",
        ),
        ("", "under_investigation", "No fixed version of lib 1.0 is known: the vendor is still investigating"),
        ("2.0", "not_affected", "Nothing to do: the vendor says that lib 1.0 is not affected"),
        (
            "0.9, 1.0",
            "fixed",
            "No fixed version above the installed one is known for lib 1.0: the report names 1.0 or 0.9",
        ),
    ];
    for (fixed, status, text) in expected {
        assert_eq!(stated("npm", "1.0", fixed, status).remediation(), text);
    }
    let end = stated("debian", "1.0", "", "end_of_life").remediation();
    assert!(end.ends_with("its release is at its end of life; move to one that is supported"), "{end}");
    let nothing = Stated { fixed_version: Some("2"), ..Stated::default() };
    assert_eq!(nothing.remediation(), "Upgrade the package to 2");
}

#[test]
fn text_of_a_report_stays_on_one_line_and_short() {
    let long = "1.".repeat(5000);
    let package = format!("a\u{202e}b\n\nc {}", "x".repeat(5000));
    let text = Stated { package: &package, ..stated("npm", "1.0", &long, "") }.remediation();
    assert!(text.starts_with("Upgrade ab c x") && text.len() < 500 && !text.contains('\n'), "{text}");
}

fn upgrade<'a>(kind: &'a str, findings: &[(&'a str, &'a str)]) -> Result<&'a str, NoUpgrade> {
    let findings: Vec<_> = findings.iter().map(|(installed, fixed)| stated(kind, installed, fixed, "")).collect();
    smallest_upgrade(&findings)
}

#[test]
fn the_smallest_version_that_clears_all_findings_is_found() {
    let found = upgrade("npm", &[("1.2.5", "1.2.6, 0.2.4"), ("1.2.5", "1.2.8, 2.0.1")]);
    assert_eq!(found, Ok("1.2.8"));
    // 2.8.11 lacks what 2.9.6 has; 2.9.10 has all.
    let jackson = [("2.8.1", "2.7.9.4, 2.8.11.2, 2.9.6"), ("2.8.1", "2.9.10"), ("2.8.1", "2.6.7.2, 2.9.7")];
    assert_eq!(upgrade("jar", &jackson), Ok("2.9.10"));
    assert_eq!(upgrade("npm", &[("2.0.0", "2.2.1, 4.0.3"), ("2.0.0", "3.0.1")]), Ok("4.0.3"));
    assert_eq!(upgrade("npm", &[("1.0.0", "1.2.0, 2.0.0"), ("3.0.0", "3.1.0")]), Ok("3.1.0"));
    let openssl = [("3.0.9-1", "3.0.11-1~deb12u2"), ("3.0.9-1", "3.0.10-1"), ("3.0.9-1", "3.0.13-1~deb12u1")];
    assert_eq!(upgrade("debian", &openssl), Ok("3.0.13-1~deb12u1"));
    assert_eq!(upgrade("bitnami", &[("1", "2"), ("1", "2")]), Ok("2"));
}

#[test]
fn where_no_version_clears_all_the_reason_is_said() {
    let reason = |kind, findings: &[(&'static str, &'static str)]| upgrade(kind, findings).unwrap_err().to_string();
    assert_eq!(reason("npm", &[("1", "2"), ("1", "none")]), "1 of 2 findings have no fixed version");
    assert_eq!(reason("npm", &[("1", "> 1")]), "no fixed version that the report names has the fixes of all findings");
    assert_eq!(
        reason("npm", &[("3.0", "2.0")]),
        "no fixed version that the report names has the fixes of all findings"
    );
    assert_eq!(reason("bitnami", &[("1", "2, 3")]), "the order of versions of this ecosystem is not known");
    assert_eq!(reason("npm", &[("1", "x1")]), "x1 is no version that can be compared");
    assert_eq!(reason("npm", &[]), "there is no finding");
}

#[test]
fn many_findings_take_little_time() {
    let fixed: Vec<String> = (0..20_000).map(|n| format!("{}.{}.{}, 9.{n}.0", n % 7, n % 911, n % 13)).collect();
    let findings: Vec<_> = fixed.iter().map(|fixed| stated("npm", "0.0.1", fixed, "")).collect();
    assert_eq!(smallest_upgrade(&findings), Ok("9.19999.0"));
}

proptest! {
    #[test]
    fn an_upgrade_clears_each_finding_by_itself_and_the_order_of_findings_does_not_matter(
        lists in prop::collection::vec(prop::collection::vec((0u8..4, 0u8..4, 0u8..4), 1..4), 1..6), seed: u64
    ) {
        let fixed: Vec<String> = lists
            .iter()
            .map(|list| list.iter().map(|(a, b, c)| format!("{a}.{b}.{c}")).collect::<Vec<_>>().join(", "))
            .collect();
        let mut findings: Vec<_> = fixed.iter().map(|fixed| stated("npm", "0.0.0", fixed, "")).collect();
        let found = smallest_upgrade(&findings);
        fastrand::Rng::with_seed(seed).shuffle(&mut findings);
        prop_assert_eq!(&smallest_upgrade(&findings), &found);
        if let Ok(version) = found {
            let version = Version::read(Scheme::Semver, version).unwrap();
            for list in &fixed {
                let mut versions: Vec<_> = fixes(list).iter().map(|fix| Version::read(Scheme::Semver, fix.version).unwrap()).collect();
                versions.sort();
                let clears = version >= versions[versions.len() - 1]
                    || versions.windows(2).any(|two| {
                        let line = || version.common_release(&two[0]) > version.common_release(&two[1]);
                        version == two[0] || (version > two[0] && version < two[1] && line())
                    });
                prop_assert!(clears, "{:?} {}", version, list);
            }
        }
    }

    #[test]
    fn any_text_has_a_remediation(package in any::<String>(), kind in "npm|debian|alpine|x", installed: String, fixed: String, status: String) {
        let stated = Stated { package: &package, kind: Some(&kind), installed_version: &installed, fixed_version: Some(&fixed), status: Some(&status) };
        let text = stated.remediation();
        prop_assert!(!text.contains('\n') && text.len() < 3000);
        let _ = smallest_upgrade(&[stated]);
    }
}
