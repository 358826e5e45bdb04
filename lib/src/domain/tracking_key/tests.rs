//! Tracking keys: what they tell apart, what they do not, and how they do over real reports.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::asset::Asset;
use crate::domain::tests::shared;

fn lineage(repository: &str) -> LineageKey {
    Asset { name: repository.parse().unwrap(), platform: "linux/amd64".parse().ok(), alone: None }.key().lineage()
}

fn reported() -> Reported<'static> {
    Reported {
        class: Some("lang-pkgs"),
        kind: Some("jar"),
        target: "Java",
        pkg_name: Some("org.apache.logging.log4j:log4j-core"),
        pkg_path: Some("app/shop-1.4.2.jar/BOOT-INF/lib/log4j-core-2.14.1.jar"),
        purl: Some("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"),
        installed_version: Some("2.14.1"),
    }
}

fn key(reported: &Reported<'_>) -> TrackingKey {
    Tracked::of(lineage("r.example/shop"), reported, "CVE-2021-44228").key()
}

#[test]
fn a_key_of_today_is_a_key_for_ever() {
    assert_eq!(key(&reported()).to_string(), "faa254d8c47c03312dde42ea2997cb94");
}

#[test]
fn a_newer_build_with_a_newer_version_keeps_the_key() {
    let newer = Reported {
        pkg_path: Some("app/shop-1.5.0.jar/BOOT-INF/lib/log4j-core-2.15.0.jar"),
        purl: Some("pkg:maven/org.apache.logging.log4j/log4j-core@2.15.0?type=jar"),
        installed_version: Some("2.15.0"),
        ..reported()
    };
    assert_eq!(key(&newer), key(&reported()));
}

#[test]
fn a_report_without_package_urls_has_the_same_keys() {
    for (kind, name, purl) in [
        ("jar", "org.a:b", "pkg:maven/org.a/b@1"),
        ("npm", "@babel/core", "pkg:npm/%40babel/core@1"),
        ("gomod", "github.com/Masterminds/goutils", "pkg:golang/github.com/masterminds/goutils@1"),
        ("pip", "Ruamel_yaml", "pkg:pypi/ruamel-yaml@1"),
        ("composer", "guzzlehttp/guzzle", "pkg:composer/guzzlehttp/guzzle@1"),
        ("cocoapods", "AppCenter/Analytics", "pkg:cocoapods/AppCenter@1#Analytics"),
    ] {
        let with = Reported { kind: Some(kind), pkg_name: Some(name), purl: Some(purl), ..reported() };
        assert_eq!(key(&Reported { purl: None, ..with }), key(&with), "{name}");
    }
}

#[test]
fn an_older_trivy_gives_the_same_keys() {
    let of_distribution = |kind, target| Reported {
        class: Some("os-pkgs"),
        kind,
        target,
        pkg_name: Some("zlib1g"),
        pkg_path: None,
        purl: None,
        installed_version: Some("1:1.2.13"),
    };
    let today = Reported {
        purl: Some("pkg:deb/debian/zlib1g@1.2.13?epoch=1"),
        ..of_distribution(Some("debian"), "shop:2 (debian 12.5)")
    };
    assert_eq!(key(&of_distribution(Some("debian"), "shop:1 (debian 12.4)")), key(&today));
    let oldest = Reported { class: None, ..of_distribution(None, "shop:1 (debian 12.4)") };
    assert_eq!(key(&oldest), key(&today));
    let renamed = of_distribution(Some("opensuse.leap"), "shop (opensuse.leap 15.1)");
    assert_eq!(key(&renamed), key(&of_distribution(Some("opensuse-leap"), "shop (opensuse-leap 15.1)")));
    let per_file =
        Reported { target: "app/shop-1.4.2.jar/BOOT-INF/lib/log4j-core-2.14.1.jar", pkg_path: None, ..reported() };
    assert_eq!(key(&per_file), key(&reported()));
}

#[test]
fn a_stored_finding_has_the_key_of_its_report() {
    let vulnerability = serde_json::json!({
        "PkgPath": reported().pkg_path, "InstalledVersion": reported().installed_version,
        "PkgIdentifier": {"PURL": reported().purl}
    });
    let finding = Finding {
        scan_id: "7".parse().unwrap(),
        ordinal: crate::domain::finding::Ordinal::new(0).unwrap(),
        vulnerability_id: Some("GHSA-jfh8-c2jp-5v3q".to_owned()),
        pkg_name: reported().pkg_name.map(str::to_owned),
        target: reported().target.to_owned(),
        class: reported().class.map(str::to_owned),
        kind: reported().kind.map(str::to_owned),
        suppressed: None,
        vulnerability: serde_json::from_value(vulnerability).unwrap(),
    };
    let tracked = Tracked::of_finding(lineage("r.example/shop"), &finding, "CVE-2021-44228");
    assert_eq!(tracked.key(), key(&reported()));
}

#[test]
fn each_part_tells_problems_apart() {
    let changed = [
        Reported { class: Some("os-pkgs"), ..reported() },
        Reported { kind: Some("pom"), ..reported() },
        Reported { purl: Some("pkg:maven/org.apache.logging.log4j/log4j-api@2.14.1"), ..reported() },
        Reported { purl: Some("pkg:maven/log4j-core@2.14.1"), ..reported() },
        Reported { pkg_path: Some("app/admin-1.4.2.jar/BOOT-INF/lib/log4j-core-2.14.1.jar"), ..reported() },
    ];
    let mut keys: BTreeSet<TrackingKey> = changed.iter().map(key).collect();
    keys.insert(key(&reported()));
    keys.insert(Tracked::of(lineage("r.example/shop"), &reported(), "CVE-2021-45046").key());
    keys.insert(Tracked::of(lineage("r.example/other"), &reported(), "CVE-2021-44228").key());
    assert_eq!(keys.len(), changed.len() + 3);
}

#[test]
fn lock_files_are_told_apart_by_their_place() {
    let of = |target| Reported { kind: Some("npm"), target, pkg_path: None, ..reported() };
    assert_ne!(key(&of("frontend/package-lock.json")), key(&of("backend/package-lock.json")));
    assert_ne!(key(&of("service-1/package-lock.json")), key(&of("service-2/package-lock.json")));
}

#[test]
fn versions_are_taken_out_of_paths() {
    for (path, version, masked) in [
        (
            "usr/lib/python3.11/site-packages/pip-23.0.dist-info/METADATA",
            "23.0",
            "usr/lib/python*/site-packages/pip-*.dist-info/METADATA",
        ),
        ("lib/json-20240303.jar", "20240303", "lib/json-*.jar"),
        ("lib/spring-5.3.15.RELEASE.jar", "5.3.15.RELEASE", "lib/spring-*.jar"),
        (
            "usr/share/dotnet/shared/Microsoft.AspNetCore.App/6.0.36/a.deps.json",
            "6.0.36",
            "usr/share/dotnet/shared/Microsoft.AspNetCore.App/*/a.deps.json",
        ),
        ("service-1/module2/pom.xml", "1.0", "service-1/module2/pom.xml"),
        ("/abs/./x", "", "abs/./x"),
        ("a1/b1/1", "1", "a1/b1/*"),
        ("1.", "", "1."),
    ] {
        assert_eq!(without_versions(path, version), masked);
    }
}

#[test]
fn the_canonical_id_is_the_smallest_cve_then_the_smallest_ghsa() {
    let ids = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<VulnerabilityId>>();
    for (all, first) in [
        (&["GHSA-jfh8-c2jp-5v3q", "CVE-2021-10000", "CVE-2021-9999", "GO-2021-1"][..], "CVE-2021-9999"),
        (&["RUSTSEC-2020-0071", "GHSA-wcg3-cvx6-7396"][..], "GHSA-wcg3-cvx6-7396"),
        (&["RUSTSEC-2020-0071", "GO-2021-1"][..], "GO-2021-1"),
    ] {
        let mut all = ids(all);
        assert_eq!(canonical(&all).unwrap().as_str(), first);
        all.reverse();
        assert_eq!(canonical(&all).unwrap().as_str(), first);
    }
    assert_eq!(canonical([]), None);
}

proptest! {
    #[test]
    fn parts_never_read_as_others(a in "[ab/]{0,3}", b in "[ab/]{0,3}", c in "[ab/]{0,3}", d in "[ab/]{0,3}") {
        let of = |package: &str, path: &str| Tracked {
            lineage: lineage("r.example/shop"), class: "lang-pkgs".to_owned(), kind: "npm".to_owned(),
            package_type: "npm".to_owned(), package: package.to_owned(), path: path.to_owned(),
            vulnerability: "CVE-2021-44228".to_owned(),
        };
        prop_assert_eq!(of(&a, &b).key() == of(&c, &d).key(), (&a, &b) == (&c, &d));
    }

    #[test]
    fn a_key_is_read_back_from_its_text(digest: [u8; 16], other in "[0-9a-fA-F]{0,40}") {
        let key = TrackingKey(digest);
        prop_assert_eq!(key.to_string().parse(), Ok(key));
        prop_assert_eq!(other.parse::<TrackingKey>().is_ok(), other.len() == 32 && other == other.to_ascii_lowercase());
    }

    #[test]
    fn the_installed_version_never_matters(major in 0u32..100, minor in 0u32..100, suffix in "(-rc[0-9]|\\.Final)?") {
        let version = format!("{major}.{minor}{suffix}");
        let path = format!("app/lib/log4j-core-{version}.jar");
        let purl = format!("pkg:maven/g/log4j-core@{version}");
        let of = Reported { pkg_path: Some(&path), purl: Some(&purl), installed_version: Some(&version), ..reported() };
        let first = Reported {
            pkg_path: Some("app/lib/log4j-core-1.jar"), purl: Some("pkg:maven/g/log4j-core@1"),
            installed_version: Some("1"), ..reported()
        };
        prop_assert_eq!(key(&of), key(&first));
    }

    #[test]
    fn any_text_has_a_key(target in "\\PC{0,20}", path in "[0-9./a]{0,12}", version in "[0-9.]{0,4}", purl in "(pkg:)?\\PC{0,20}") {
        let of = Reported {
            target: &target, pkg_path: Some(&path), installed_version: Some(&version), purl: Some(&purl),
            class: None, kind: None, pkg_name: None,
        };
        let tracked = Tracked::of(lineage("r.example/shop"), &of, &target);
        prop_assert_eq!(tracked.key(), tracked.clone().key());
    }
}

/// A finding of a real report.
struct Real {
    key: TrackingKey,
    without_purl: TrackingKey,
    has_purl: bool,
    version: String,
    /// What a reader calls the same problem of the same package in the same place.
    problem: [String; 3],
    target: String,
}

fn findings(report: &Value, family: &str) -> Vec<Real> {
    let results = report.get("Results").unwrap_or(report).as_array().cloned().unwrap_or_default();
    let lineage = lineage(family);
    let mut found = Vec::new();
    for result in &results {
        for vulnerability in result["Vulnerabilities"].as_array().into_iter().flatten() {
            let target = result["Target"].as_str().unwrap();
            let reported = Reported {
                class: result["Class"].as_str(),
                kind: result["Type"].as_str(),
                target,
                pkg_name: vulnerability["PkgName"].as_str(),
                pkg_path: vulnerability["PkgPath"].as_str(),
                purl: vulnerability["PkgIdentifier"]["PURL"].as_str(),
                installed_version: vulnerability["InstalledVersion"].as_str(),
            };
            let id = vulnerability["VulnerabilityID"].as_str().unwrap_or_default();
            let tracked = Tracked::of(lineage, &reported, id);
            let is_of_distribution = tracked.class == OS_PACKAGES;
            let place = if is_of_distribution { "" } else { reported.pkg_path.unwrap_or(target) };
            found.push(Real {
                key: tracked.key(),
                without_purl: Tracked::of(lineage, &Reported { purl: None, ..reported }, id).key(),
                has_purl: reported.purl.is_some(),
                version: reported.installed_version.unwrap_or_default().to_owned(),
                problem: [id.to_owned(), reported.pkg_name.unwrap_or_default().to_owned(), place.to_owned()],
                target: target.to_owned(),
            });
        }
    }
    found
}

/// The accepted reports of the corpus by family: the same image, project or fixture, scanned more than once or not.
type Families = BTreeMap<String, Vec<(String, Vec<Real>)>>;

/// Reads them; none where the corpus is missing.
fn corpus() -> Option<Families> {
    let folder = match std::env::var_os("SIRIUS_CORPUS") {
        Some(folder) => folder.into(),
        None => shared("corpus")?,
    };
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut families = Families::new();
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        if !matches!(fields[8], "v2" | "v1-array") {
            continue;
        }
        let bytes = std::fs::read(folder.join(fields[0])).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let Ok(report) = serde_json::from_str(text.trim_start_matches('\u{feff}')) else { continue };
        families.entry(fields[16].to_owned()).or_default().push((fields[0].to_owned(), findings(&report, fields[16])));
    }
    Some(families)
}

#[test]
fn over_real_reports_keys_tell_problems_apart_and_outlive_a_scan() {
    let Some(families) = corpus() else { return };
    let (mut total, mut problems, mut keys, mut versions_beside_each_other, mut by_path_only) = (0, 0, 0, 0, 0);
    let (mut with_purl, mut moved_without_purl, mut merging) = (0, Vec::new(), BTreeMap::<&String, usize>::new());
    for (name, real) in families.values().flatten() {
        let mut by_key = BTreeMap::<TrackingKey, BTreeMap<&[String; 3], BTreeSet<&str>>>::new();
        for one in real {
            by_key.entry(one.key).or_default().entry(&one.problem).or_default().insert(&one.version);
            with_purl += usize::from(one.has_purl);
            if one.key != one.without_purl {
                moved_without_purl.push((name, &one.problem));
            }
        }
        total += real.len();
        keys += by_key.len();
        for merged in by_key.values() {
            problems += merged.len();
            versions_beside_each_other += merged.values().filter(|versions| versions.len() > 1).count();
            if merged.len() > 1 {
                let names: BTreeSet<_> = merged.keys().map(|[id, name, _]| (id, name)).collect();
                assert_eq!(names.len(), 1, "{name}: one key for {merged:?}");
                by_path_only += merged.len() - 1;
                *merging.entry(name).or_insert(0) += merged.len() - 1;
            }
        }
    }
    println!(
        "{total} findings, {problems} problems by id, package and place, {keys} keys; {by_path_only} problems share a key \
         with one whose path differs in versions only, of {merging:?}; {versions_beside_each_other} are of several versions of a package \
         in one place; of {with_purl} with a package URL, {} have another key without it: {:?}",
        moved_without_purl.len(),
        moved_without_purl.iter().take(5).collect::<Vec<_>>(),
    );

    let (mut pairs, mut same, mut with_version, mut with_target) = (0, 0, 0, 0);
    for scans in families.values() {
        for [(old_name, old), (new_name, new)] in scans.array_windows() {
            let by_problem: BTreeMap<_, _> = old.iter().map(|one| (&one.problem, one)).collect();
            pairs += 1;
            for one in new {
                let Some(before) = by_problem.get(&one.problem) else { continue };
                assert_eq!(before.key, one.key, "{old_name} {new_name} {:?}", one.problem);
                same += 1;
                let is_there = |found: &&Real| found.problem == one.problem && found.version == one.version;
                with_version += usize::from(!old.iter().any(|found| is_there(&found)));
                with_target += usize::from(before.target != one.target);
            }
        }
    }
    println!(
        "{pairs} pairs of scans: {same} problems in both with one key; with the version in it {with_version} would have \
         moved, with the target {with_target}"
    );
}
