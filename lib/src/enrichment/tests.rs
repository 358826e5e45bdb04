//! Reads real answers of every source, and compares them with a walk over the same JSON. Without the shared data, these
//! tests print a notice and pass.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::collect::assigner;
use super::merge::{Answer, Said, absorb, record};
use super::plain_text::{line, paragraphs};
use super::{cve_services, epss, kev, nvd, osv};
use crate::domain::feed::LastGood;
use crate::domain::tests::shared;
use crate::domain::upstream_time;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::domain::vulnerability::{Source, SourceRecord, SourceRecords, Status};

/// Finds `enrichment-data`, if it exists.
fn data() -> Option<PathBuf> {
    shared("enrichment-data")
}

/// Lists all files below a folder by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|is| is == extension)
}

/// Reads a file, and unpacks a `.gz`.
fn content(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if !has_extension(path, "gz") {
        return bytes;
    }
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap();
    content
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn instant(text: &str) -> Option<Timestamp> {
    if text.is_empty() { None } else { Some(upstream_time::instant(text).unwrap_or_else(|| panic!("{text}"))) }
}

/// The facts that a walk over a document finds, for comparison with those of the parser.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    cwes: BTreeSet<(String, String)>,
    /// Vector, assigner.
    cvss: BTreeSet<(String, String)>,
    urls: BTreeSet<String>,
    aliases: BTreeSet<String>,
    upstream: BTreeSet<String>,
    title: Option<String>,
    description: Option<String>,
    published: Option<Timestamp>,
    modified: Option<Timestamp>,
    kev: Option<String>,
    /// Exploitation, automatable, technical impact, in lower case.
    ssvc: Option<[String; 3]>,
    /// The number of notes about links that are no web pages and invalid ids.
    left_out: usize,
    /// Ratings whose stated score is not that of the vector: vector, stated.
    stated: Vec<(String, f64)>,
}

impl Expected {
    /// Asserts that no fact is missing except those beyond the limit of a list, which need a note.
    fn assert_is(&self, facts: &SourceRecord, name: &str) {
        assert_eq!(facts.title, self.title, "{name}");
        assert_eq!(facts.description, self.description, "{name}");
        assert_eq!((facts.published, facts.modified), (self.published, self.modified), "{name}");
        assert_eq!(facts.kev.as_ref().map(|kev| kev.date_added.to_string()), self.kev, "{name}");
        let ssvc = facts.ssvc.as_ref().map(|ssvc| {
            let json = serde_json::to_value(ssvc).unwrap();
            let automatable = ssvc.automatable.map_or("", |yes| if yes { "yes" } else { "no" });
            [text(&json, "exploitation"), automatable, text(&json, "technical_impact")].map(str::to_owned)
        });
        assert_eq!(ssvc, self.ssvc, "{name}");
        let kept = facts.cwes.iter().map(|cwe| (cwe.id.clone(), cwe.assigner.clone())).collect();
        same_or_capped(&self.cwes, &kept, facts, "cwes", name);
        let kept = facts.cvss.iter().map(|cvss| (cvss.vector.clone(), cvss.assigner.clone())).collect();
        same_or_capped(&self.cvss, &kept, facts, "cvss", name);
        let kept = facts.references.iter().map(|page| page.url.clone()).collect();
        same_or_capped(&self.urls, &kept, facts, "references", name);
        let ids = |ids: &[VulnerabilityId]| ids.iter().map(ToString::to_string).collect();
        same_or_capped(&self.aliases, &ids(&facts.aliases), facts, "aliases", name);
        same_or_capped(&self.upstream, &ids(&facts.upstream), facts, "upstream", name);
        let notes: Vec<_> =
            facts.notes.iter().filter(|note| !note.ends_with(" kept") && *note != "description: cut").collect();
        assert_eq!(notes.len(), self.left_out, "{name}: {notes:?}");
    }

    fn rate(&mut self, vector: &str, stated: Option<f64>, who: &str) {
        self.cvss.insert((vector.to_owned(), who.to_owned()));
        let score =
            crate::domain::vulnerability::cvss::score(vector).unwrap_or_else(|error| panic!("{vector}: {error}")).score;
        if let Some(stated) = stated.filter(|stated| (stated - score).abs() > 1e-9) {
            self.stated.push((vector.to_owned(), stated));
        }
    }

    fn refer(&mut self, url: &str) {
        let url = url::Url::parse(url.trim()).unwrap_or_else(|error| panic!("{url}: {error}"));
        if url.scheme() == "ftp" {
            self.left_out += 1;
        } else {
            self.urls.insert(url.into());
        }
    }

    /// Reads the ids of a list, without an invalid one in the data: GHSA ids have no `k`.
    fn ids(&mut self, record: &Value, name: &str) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = list(record, name).map(|id| id.as_str().unwrap().to_owned()).collect();
        self.left_out += usize::from(ids.remove("GHSA-qgxr-kfqx-v5q9"));
        ids
    }

    fn assess(&mut self, options: &Value) {
        let mut words = [const { String::new() }; 3];
        for (point, word) in options.as_array().unwrap().iter().flat_map(|option| option.as_object().unwrap()) {
            let place = match point.to_lowercase().replace(' ', "").as_str() {
                "exploitation" => 0,
                "automatable" => 1,
                "technicalimpact" => 2,
                other => panic!("{other}"),
            };
            words[place] = word.as_str().unwrap().to_lowercase();
        }
        self.ssvc = Some(words);
    }
}

fn same_or_capped<T: Ord + std::fmt::Debug>(
    all: &BTreeSet<T>,
    kept: &BTreeSet<T>,
    facts: &SourceRecord,
    field: &str,
    name: &str,
) {
    if all.len() <= SourceRecord::LIST {
        assert_eq!(kept, all, "{name} {field}");
    } else {
        assert!(kept.is_subset(all) && kept.len() == SourceRecord::LIST, "{name} {field}");
        let note = format!("{field}: {} of {} kept", SourceRecord::LIST, all.len());
        assert!(facts.notes.contains(&note), "{name} {field}: {:?}", facts.notes);
    }
}

/// Shows the facts as a record, and checks that each has its source.
fn show(source: Source, id: &VulnerabilityId, facts: SourceRecord) {
    let now = "2026-11-22T00:00:00Z".parse().unwrap();
    let answer = Answer { source, at: now, said: Said::Record(Box::new(facts)) };
    let record = record(&absorb(SourceRecords::new(id.clone(), now), [answer], &Default::default()));
    assert_eq!(super::merge::tests::facts_without_source(&record), Vec::<String>::new());
    assert!(serde_json::to_vec(&record).unwrap().len() < 40_000, "{id}");
}

fn walk_nvd(cve: &Value) -> Expected {
    let mut expected = Expected {
        description: list(cve, "descriptions")
            .find(|text| text["lang"] == "en")
            .and_then(|english| Some(paragraphs(text(english, "value"))?.0)),
        published: instant(text(cve, "published")),
        modified: instant(text(cve, "lastModified")),
        kev: cve.get("cisaExploitAdd").and_then(Value::as_str).map(Into::into),
        ..Expected::default()
    };
    for weakness in list(cve, "weaknesses") {
        for value in list(weakness, "description").map(|description| text(description, "value")) {
            if value.starts_with("CWE-") {
                expected.cwes.insert((value.into(), assigner(text(weakness, "source"))));
            }
        }
    }
    for page in list(cve, "references") {
        expected.refer(text(page, "url"));
    }
    for metric in cve["metrics"].as_object().unwrap().values().flat_map(|metrics| metrics.as_array().unwrap()) {
        if let Some(data) = metric.get("cvssData") {
            let who = assigner(text(metric, "source"));
            expected.rate(text(data, "vectorString"), data["baseScore"].as_f64(), &who);
        } else {
            expected.assess(&metric["ssvcData"]["options"]);
        }
    }
    expected
}

#[test]
fn every_cve_of_nvd_is_read_without_loss() {
    let Some(data) = data() else { return };
    let (mut cves, mut ratings, mut stated, mut states) = (0, 0, Vec::new(), Vec::new());
    let mut check = |cve: &Value, id: &VulnerabilityId, facts: &SourceRecord| {
        let expected = walk_nvd(cve);
        expected.assert_is(facts, id.as_str());
        ratings += expected.cvss.len();
        stated.extend(expected.stated);
        if facts.status != Some(Status::Published) {
            states.push((id.to_string(), facts.status));
        }
        show(Source::Nvd, id, facts.clone());
        cves += 1;
    };
    for folder in ["nvd-api-2.0", "nvd-feed-1.1", "nvd-feed-2.0"] {
        for path in files(&data.join(folder)) {
            let bytes = content(&path);
            let page = nvd::parse_page(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(page.unreadable, [], "{}", path.display());
            let json: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(json["totalResults"], page.total_results);
            assert_eq!(json["vulnerabilities"].as_array().unwrap().len(), page.cves.len(), "{}", path.display());
            for entry in list(&json, "vulnerabilities") {
                let (id, facts) = page.cves.get_key_value(&text(&entry["cve"], "id").parse().unwrap()).unwrap();
                check(&entry["cve"], id, facts);
            }
        }
    }
    for path in files(&data.join("retyped/nvd-fkie")) {
        let bytes = content(&path);
        let (id, facts) = nvd::parse_cve(&bytes).unwrap();
        check(&serde_json::from_slice(&bytes).unwrap(), &id, &facts);
    }
    eprintln!("NVD: {cves} CVEs, {ratings} ratings, {} stated otherwise: {stated:?}; {states:?}", stated.len());
    assert_eq!(cves, 112);
    assert_eq!(stated, NVD_SCORES_THAT_ARE_WRONG);
}

/// Ratings whose stated score is not that of their vector.
const NVD_SCORES_THAT_ARE_WRONG: [(String, f64); 0] = [];

fn walk_cve5(record: &Value) -> Expected {
    let metadata = &record["cveMetadata"];
    let cna = &record["containers"]["cna"];
    let english = list(cna, "descriptions")
        .find(|text| text["lang"] == "en")
        .or_else(|| list(cna, "descriptions").find(|text| text["lang"].as_str().unwrap().starts_with("en-")));
    let mut expected = Expected {
        title: cna.get("title").and_then(Value::as_str).and_then(line),
        description: english.and_then(|english| Some(paragraphs(text(english, "value"))?.0)),
        published: instant(text(metadata, "datePublished")),
        modified: instant(text(metadata, "dateUpdated")),
        ..Expected::default()
    };
    for container in std::iter::once(cna).chain(list(&record["containers"], "adp")) {
        let who = line(text(&container["providerMetadata"], "shortName"))
            .unwrap_or_else(|| assigner(text(&container["providerMetadata"], "orgId")));
        let who =
            if text(&container["providerMetadata"], "orgId").starts_with("134c704f") { "CISA-ADP".into() } else { who };
        for problem in list(container, "problemTypes").flat_map(|types| list(types, "descriptions")) {
            let number = problem.get("cweId").and_then(Value::as_str).or_else(|| {
                let words = text(problem, "description");
                words.starts_with("CWE-").then(|| words.split([' ', ':']).next().unwrap())
            });
            if let Some(number) = number {
                expected.cwes.insert((number.into(), who.clone()));
            }
        }
        for page in list(container, "references") {
            expected.refer(text(page, "url"));
        }
        for (name, metric) in list(container, "metrics").flat_map(|metric| metric.as_object().unwrap()) {
            if name.starts_with("cvss") {
                expected.rate(text(metric, "vectorString"), metric["baseScore"].as_f64(), &who);
            } else if name == "other" && metric["type"] == "ssvc" {
                expected.assess(&metric["content"]["options"]);
            } else if name == "other" && metric["type"] == "kev" {
                expected.kev = Some(text(&metric["content"], "dateAdded").into());
            }
        }
    }
    expected
}

#[test]
fn every_cve_record_is_read_without_loss() {
    let Some(data) = data() else { return };
    let (mut records, mut assessed, mut stated) = (0, 0, Vec::new());
    for path in ["vulnrichment", "cvelistv5"].into_iter().flat_map(|folder| files(&data.join(folder))) {
        let bytes = content(&path);
        let (id, facts) = cve_services::parse_record(&bytes, Timestamp::UNIX_EPOCH)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let expected = walk_cve5(&serde_json::from_slice(&bytes).unwrap());
        expected.assert_is(&facts, &path.display().to_string());
        assert_eq!(Some(facts.as_of), facts.modified);
        assessed += usize::from(facts.ssvc.is_some());
        stated.extend(expected.stated.into_iter().map(|(vector, score)| (id.to_string(), vector, score)));
        show(Source::CveServices, &id, facts);
        records += 1;
    }
    eprintln!("CVE records: {records}, {assessed} with SSVC, {} stated otherwise: {stated:?}", stated.len());
    assert_eq!(records, 190);
    assert_eq!(assessed, 183);
    let stated: Vec<_> = stated.iter().map(|(id, vector, score)| (id.as_str(), vector.as_str(), *score)).collect();
    assert_eq!(stated, CNA_SCORES_THAT_ARE_WRONG);
}

/// Scores of GitHub as the authority that are not those of their vectors: 0.1 too high, as if the
/// formula for modified impact (CVSS 3.1, 7.3) had been used for the base score (7.1).
const CNA_SCORES_THAT_ARE_WRONG: [(&str, &str, f64); 4] = [
    ("CVE-2024-32002", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H", 9.1),
    ("CVE-2024-32004", "CVSS:3.1/AV:L/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H", 8.2),
    ("CVE-2024-32465", "CVSS:3.1/AV:P/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H", 7.4),
    ("CVE-2024-47177", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H", 9.1),
];

fn walk_osv(record: &Value) -> Expected {
    let words = |name: &str| paragraphs(text(record, name)).map(|(text, _)| text);
    let database = text(record, "id").split('-').next().unwrap().to_owned();
    let mut expected = Expected {
        title: line(text(record, "summary")),
        description: words("details").or_else(|| words("summary")),
        published: instant(text(record, "published")),
        modified: instant(text(record, "modified")),
        ..Expected::default()
    };
    expected.aliases = expected.ids(record, "aliases");
    expected.upstream = expected.ids(record, "upstream");
    for page in list(record, "references") {
        expected.refer(text(page, "url"));
    }
    for severity in list(record, "severity").chain(list(record, "affected").flat_map(|part| list(part, "severity"))) {
        if text(severity, "type") != "Ubuntu" {
            expected.rate(text(severity, "score"), None, &database);
        }
    }
    for name in ["cwe_ids", "cwes", "cwe"] {
        for number in list(&record["database_specific"], name) {
            expected.cwes.insert((number.as_str().unwrap().into(), database.clone()));
        }
    }
    expected
}

#[test]
fn every_osv_record_is_read_without_loss() {
    let Some(data) = data() else { return };
    let (mut records, mut withdrawn, mut yaml, mut refused, mut others) = (0, 0, 0, Vec::new(), 0);
    for path in files(&data.join("osv")) {
        if has_extension(&path, "yaml") {
            yaml += 1;
            continue;
        }
        let json: Value = serde_json::from_slice(&content(&path)).unwrap();
        let documents: Vec<&Value> = if json.get("id").is_some() {
            vec![&json]
        } else {
            others += 1;
            // What osv-scanner prints has records inside; the API's description has none.
            let packages = list(&json, "results").flat_map(|result| list(result, "packages"));
            packages.flat_map(|package| list(package, "vulnerabilities")).collect()
        };
        for document in documents {
            match osv::parse_record(&serde_json::to_vec(document).unwrap()) {
                Ok((id, facts)) => {
                    walk_osv(document).assert_is(&facts, id.as_str());
                    let expected =
                        if document.get("withdrawn").is_some() { Status::Rejected } else { Status::Published };
                    assert_eq!(facts.status, Some(expected), "{id}");
                    withdrawn += usize::from(expected == Status::Rejected);
                    show(Source::Osv, &id, facts);
                    records += 1;
                }
                Err(error) => refused.push(format!("{}: {error}", text(document, "id"))),
            }
        }
    }
    eprintln!("OSV: {records} records, {withdrawn} withdrawn, {yaml} YAML files skipped, {refused:?} refused");
    // An error page of SUSE's server became the name of this one.
    assert_eq!(refused, ["SUSE-SU-403 Forbidden-1: its id is not the name of a database, a hyphen and a number"]);
    assert_eq!((yaml, others), (11, 3));
    assert_eq!(records, 123 + 67);
}

#[test]
fn the_catalogue_is_read_without_loss() {
    let Some(data) = data() else { return };
    let bytes = content(&data.join("kev/known_exploited_vulnerabilities.json"));
    let catalogue = kev::parse_catalogue(&bytes, None).unwrap();
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    let subset = content(&data.join("retyped/vuln-manager/kev-subset.json"));
    let last = LastGood { entries: catalogue.entries.len(), date: catalogue.released };
    assert!(matches!(kev::parse_catalogue(&subset, Some(last)), Err(kev::Error::TooFew { found: 4, .. })));
    let newer = kev::parse_catalogue(&subset, Some(LastGood { entries: 4, ..last })).unwrap();
    let last = LastGood { entries: 4, date: newer.released };
    assert!(matches!(kev::parse_catalogue(&bytes, Some(last)), Err(kev::Error::Older)));
    assert!(kev::parse_catalogue(&content(&data.join("kev/enisa-eukev.json")), None).is_err());

    let mut ransomware = 0;
    for (catalogue, json) in [(&catalogue, &json), (&newer, &serde_json::from_slice(&subset).unwrap())] {
        assert_eq!(catalogue.entries.len(), json["vulnerabilities"].as_array().unwrap().len());
        for entry in list(json, "vulnerabilities") {
            let id = text(entry, "cveID").parse().unwrap();
            let kev = catalogue.facts(&id).unwrap().kev.unwrap();
            assert_eq!(kev.date_added.to_string(), text(entry, "dateAdded"));
            assert_eq!(kev.due_date.unwrap().to_string(), text(entry, "dueDate"));
            assert_eq!(kev.ransomware, Some(text(entry, "knownRansomwareCampaignUse") == "Known"));
            assert_eq!(kev.forensic_triage, entry.get("forensicTriage").map(|word| word == "Yes"));
            assert_eq!(kev.name, line(text(entry, "vulnerabilityName")));
            assert_eq!(kev.required_action, paragraphs(text(entry, "requiredAction")).map(|(text, _)| text));
            ransomware += usize::from(kev.ransomware == Some(true));
            show(Source::Kev, &id, catalogue.facts(&id).unwrap());
        }
    }
    eprintln!("KEV: {} entries, {ransomware} with ransomware", catalogue.entries.len());
    assert_eq!(catalogue.entries.len(), 1404);
}

#[test]
fn every_csv_of_scores_is_read_without_loss() {
    let Some(data) = data() else { return };
    let mut refused = Vec::new();
    for path in files(&data.join("epss/csv")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = content(&path);
        // The day is in the name of the files that do not say it.
        let day = name.strip_prefix("vuls-epss_scores-").and_then(|rest| rest.get(..10)?.parse().ok());
        let snapshot = match epss::parse_csv(&bytes, day) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                refused.push((name, error));
                continue;
            }
        };
        let packed = epss::pack(&bytes).unwrap();
        let reread = epss::parse_packed(&packed, bytes.len());
        assert!(day.is_some() || reread == Ok(snapshot.clone()), "{name}");
        let csv = String::from_utf8(bytes).unwrap();
        let rows: Vec<&str> = csv.lines().filter(|line| line.starts_with("CVE-")).collect();
        assert_eq!(snapshot.rows(), rows.len(), "{name}");
        assert_eq!(snapshot.model_version().is_some(), csv.starts_with('#'), "{name}");
        assert!(day.is_none_or(|day| day == snapshot.day()), "{name}");
        for row in rows {
            let mut values = row.split(',');
            let id = values.next().unwrap().parse().unwrap();
            let epss = snapshot.get(&id).unwrap();
            assert_eq!(epss.score, values.next().unwrap().parse::<f64>().unwrap(), "{row}");
            let percentile = values.next().map(|value| value.parse::<f64>().unwrap());
            let close = epss.percentile.zip(percentile).is_none_or(|(kept, stated)| (kept - stated).abs() < 1e-9);
            assert!(close && epss.percentile.is_some() == percentile.is_some(), "{row}");
            show(Source::Epss, &id, snapshot.facts(&id).unwrap());
        }
    }
    assert_eq!(
        refused,
        [
            ("vunnel-invalid-header.csv".to_owned(), epss::Error::Header),
            ("vunnel-missing-date.csv".to_owned(), epss::Error::NoDate),
        ]
    );
}
