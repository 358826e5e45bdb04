use super::*;

#[test]
fn a_report_without_an_artifact_is_taken_with_a_name_and_else_says_what_it_lacks() {
    let results = json!([{"Target": "Node.js", "Vulnerabilities": [{"VulnerabilityID": "CVE-1"}]}]);
    for report in [
        json!({"SchemaVersion": 2, "Results": results, "Metadata": {"RepoTags": ["x"]}}),
        json!({"SchemaVersion": 2, "Results": results}),
        json!({"SchemaVersion": 2, "Metadata": {}}),
    ] {
        let canonical = canonical(&report);
        let error = read_report(&canonical).unwrap_err();
        assert!(error.to_string().contains("neither ArtifactName nor ArtifactType"), "{error}");
        let named = Report::read(&canonical, &named_as("mine:1"), &Limits::default()).unwrap();
        assert_eq!((named.artifact.image_name.as_str(), named.artifact.nameless), ("mine:1", false));
    }
    for (report, said) in [
        (json!({"SchemaVersion": 2}), "are all missing"),
        (json!({"SchemaVersion": 2, "Results": [], "matches": []}), "Grype"),
        (json!({"SchemaVersion": 3, "Results": []}), "SchemaVersion 3 is not known"),
        (json!({"SchemaVersion": [2], "ArtifactName": "a"}), "SchemaVersion [2] is not known"),
    ] {
        let canonical = canonical(&report);
        let error = Report::read(&canonical, &named_as("mine:1"), &Limits::default()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn the_cases_that_are_refused_say_what_they_are() {
    let Some(cases) = shared("cases") else { return };
    let json = |name: &str| std::fs::read(cases.join(name)).unwrap();
    for (name, said) in [
        ("f11-schemaversion-2-is-not-known-only-2.json", "ArtifactName"),
        (
            "f15-two-reports-in-one-body.json",
            "a second JSON value begins at line 2, column 1: send each report by itself",
        ),
        ("lookalike-compliance_all.json", "leave --compliance out"),
        ("lookalike-cosign-vuln.json", "scanner.result"),
    ] {
        let error = Canonical::read(&json(name), &Limits::default())
            .and_then(|canonical| read_report(&canonical).map(|report| report.hash))
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{name}: {error}");
    }
    let wide = Canonical::read(&json("f10-utf16-by-post.json"), &Limits::default()).unwrap();
    assert_eq!(read_report(&wide).unwrap().artifact.image_name.as_str(), "registry.example/utf16:1");
    let nameless = Canonical::read(&json("f11-schemaversion-2-is-not-known-only-2.json"), &Limits::default()).unwrap();
    let named = Report::read(&nameless, &named_as("mine:1"), &Limits::default()).unwrap();
    assert_eq!((named.artifact.image_name.as_str(), named.findings.len()), ("mine:1", 1));
}

#[test]
fn an_array_of_several_images_is_refused() {
    let of = |targets: &[&str]| {
        let results: Vec<Value> = targets.iter().map(|target| json!({"Target": target})).collect();
        read_report(&canonical(&json!(results))).map(|report| report.artifact.image_name.as_str().to_owned())
    };
    let error = of(&["a:1 (debian 9)", "a.jar", "b:1 (alpine 3.10.2)"]).unwrap_err().to_string();
    assert!(error.contains("send each by itself"), "{error}");
    for one in [&["a:1 (debian 9)", "lib (copy)", "a:1 (debian 9)"][..], &["x (y)", "z (v 2)"]] {
        assert!(of(one).is_ok(), "{one:?}");
    }
}

#[test]
fn no_refusal_names_a_type_of_the_program() {
    for (pointer, wrong, said) in [
        ("/Metadata", json!([7]), "Metadata: expected an object, found an array"),
        ("/Metadata/OS", json!("debian"), "Metadata.OS: expected an object, found the text \"debian\""),
        ("/Metadata/OS/EOSL", json!("yes"), "Metadata.OS.EOSL: expected true or false, found the text \"yes\""),
        ("/Metadata/RepoTags", json!({}), "Metadata.RepoTags: expected an array of strings, found an object"),
        ("/Metadata/RepoTags", json!([1.5]), "Metadata.RepoTags[0]: expected a string, found the number 1.5"),
        ("/ArtifactName", json!({}), "ArtifactName: expected a string, found an object"),
        ("/Results", json!({}), "Results: expected an array of results, found an object"),
        ("/Results/0", json!([]), "Results[0]: expected an object with a Target, found an array"),
        ("/Results/0", json!({}), "Results[0]: Target is missing"),
        ("/Results/0/Target", json!(true), "Results[0].Target: expected a string, found true"),
        (
            "/Results/0/Vulnerabilities",
            json!(7),
            "Results[0].Vulnerabilities: expected an array of vulnerabilities, found the number 7",
        ),
        (
            "/Results/0/Vulnerabilities/0",
            json!(7),
            "Results[0].Vulnerabilities[0]: expected a vulnerability object, found the number 7",
        ),
        (
            "/Results/0/Vulnerabilities/0/PkgName",
            json!([]),
            "Results[0].Vulnerabilities[0].PkgName: expected a string, found an array",
        ),
        (
            "/Results/0/Vulnerabilities/0/Severity",
            json!(4),
            "Results[0].Vulnerabilities[0].Severity: expected a string, found the number 4",
        ),
    ] {
        let mut full = full();
        full["Results"] = json!([{"Target": "t", "Vulnerabilities": [{"PkgName": "p", "Severity": "LOW"}]}]);
        *full.pointer_mut(pointer).unwrap() = wrong;
        assert_eq!(read_report(&canonical(&full)).unwrap_err().to_string(), said);
    }
}

#[test]
fn an_array_or_a_text_in_the_place_of_an_object_is_refused_by_its_path() {
    let entry = |path: &str| format!("Results[0].{path}[0]");
    for (pointer, path) in [
        ("/Metadata", "Metadata".to_owned()),
        ("/Trivy", "Trivy".to_owned()),
        ("/Metadata/OS", "Metadata.OS".to_owned()),
        ("/Metadata/ImageConfig", "Metadata.ImageConfig".to_owned()),
        ("/Results/0", "Results[0]".to_owned()),
        ("/Results/0/Vulnerabilities/0", entry("Vulnerabilities")),
        ("/Results/0/ExperimentalModifiedFindings/0", entry("ExperimentalModifiedFindings")),
        ("/Results/0/ExperimentalModifiedFindings/0/Finding", entry("ExperimentalModifiedFindings")),
        ("/Results/0/Misconfigurations/0", entry("Misconfigurations")),
    ] {
        let mut full = full();
        full["Metadata"]["ImageConfig"] = json!({"os": "linux"});
        full["Results"] = json!([{"Target": "t", "Vulnerabilities": [{}], "Misconfigurations": [{}],
            "ExperimentalModifiedFindings": [suppressed(json!({}), json!({}))]}]);
        assert!(read_report(&canonical(&full)).is_ok());
        for wrong in [json!([]), json!(["a", "b"]), json!("a")] {
            *full.pointer_mut(pointer).unwrap() = wrong;
            let error = read_report(&canonical(&full)).unwrap_err();
            assert!(matches!(&error, Error::Field { path: found, .. } if *found == path), "{pointer}: {error}");
        }
    }
    let old = canonical(&json!([{"Target": "t"}, ["t"]]));
    assert!(matches!(read_report(&old), Err(Error::NotTrivy { .. })));
}

#[test]
fn endless_texts_are_refused_by_their_path() {
    let long = "x".repeat(9000);
    for (report, path) in [
        (json!({"SchemaVersion": 2, "ArtifactName": "a", "Metadata": {"ImageID": long}}), "Metadata.ImageID"),
        (json!({"SchemaVersion": 2, "ArtifactName": "a", "Trivy": {"Version": long}}), "Trivy.Version"),
        (report(json!([{"Target": long, "Vulnerabilities": [{}]}])), "Results[0]"),
    ] {
        let error = read_report(&canonical(&report)).unwrap_err();
        assert!(matches!(&error, Error::Field { path: found, .. } if found == path), "{error}");
    }
    assert!(matches!(
        read_report(&canonical(&json!({"SchemaVersion": 2, "ArtifactName": long}))),
        Err(Error::ImageName { .. })
    ));
}
