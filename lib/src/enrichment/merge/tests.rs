use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value as Json;

use std::collections::BTreeMap;

use super::*;
use crate::domain::vulnerability::{Cvss, CvssKind, CvssSeverity, CvssVersion, Cwe, Epss, Kev, Reference, Ssvc};

fn id(text: &str) -> VulnerabilityId {
    text.parse().unwrap()
}

fn at(hour: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
}

fn facts(hour: i64, change: impl FnOnce(&mut SourceRecord)) -> Said {
    let mut facts = SourceRecord::none(at(hour));
    change(&mut facts);
    Said::Record(Box::new(facts))
}

fn answer(source: Source, hour: i64, said: Said) -> Answer {
    Answer { source, at: at(hour), said }
}

fn records(name: &str, answers: impl IntoIterator<Item = Answer>) -> SourceRecords {
    absorb(SourceRecords::new(id(name), at(0)), answers, &Lifetimes::default())
}

const CVE: &str = "CVE-2026-0001";

#[test]
fn the_authority_goes_before_advisories_and_these_before_the_report() {
    let say = |text: &'static str| {
        facts(1, |facts| {
            facts.description = Some(text.into());
            facts.title = Some(text.into());
        })
    };
    let nvd = answer(Source::Nvd, 1, facts(1, |facts| facts.description = Some("nvd".into())));
    let osv = answer(Source::Osv, 1, say("osv"));
    let trivy = answer(Source::Trivy, 1, say("trivy"));
    let told = |answers: &[&Answer]| {
        let record = record(&records(CVE, answers.iter().map(|&answer| answer.clone())));
        (record.title.map(|title| title.fact.value), record.description.map(|text| (text.fact.value, text.source)))
    };
    let text = |text: &str, source| Some((text.to_owned(), source));
    assert_eq!(told(&[&trivy]), (Some("trivy".into()), text("trivy", Source::Trivy)));
    assert_eq!(told(&[&trivy, &osv]), (Some("osv".into()), text("osv", Source::Osv)));
    assert_eq!(told(&[&trivy, &osv, &nvd]), (Some("osv".into()), text("nvd", Source::Nvd)));
}

#[test]
fn ratings_that_contradict_each_other_are_all_kept() {
    let rate = |vector: &str, assigner: &str| {
        let cvss = crate::domain::vulnerability::cvss::rating(vector, None, CvssKind::Vendor, assigner.into()).unwrap();
        facts(1, |facts| facts.cvss = vec![cvss])
    };
    let (high, low) = ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N");
    let record = record(&records(
        CVE,
        [
            answer(Source::Nvd, 1, rate(high, "nvd@nist.gov")),
            answer(Source::CveServices, 1, rate(low, "acme")),
            // The report repeats what NVD says: no third rating.
            answer(Source::Trivy, 1, rate(high, "nvd@nist.gov")),
        ],
    ));
    let scores: Vec<_> = record.cvss.iter().map(|cvss| (cvss.fact.score, cvss.source)).collect();
    assert_eq!(scores, [(1.8, Source::CveServices), (9.8, Source::Nvd)]);
}

#[test]
fn an_id_has_the_status_that_its_own_sources_give_it() {
    use Said::{Absent, Error};
    let status = |name: &str, answers: Vec<Answer>| {
        let status = record(&records(name, answers)).status;
        (status.fact.value, status.source)
    };
    let is = |source, status| answer(source, 2, facts(1, |facts| facts.status = Some(status)));
    let trivy = || answer(Source::Trivy, 1, facts(1, |facts| facts.title = Some("x".into())));
    let (nvd, services) = (Source::Nvd, Source::CveServices);
    assert_eq!(status(CVE, vec![]), (Status::Pending, Source::Sirius));
    assert_eq!(status(CVE, vec![trivy()]), (Status::Pending, Source::Sirius));
    assert_eq!(status(CVE, vec![is(nvd, Status::Published)]), (Status::Published, nvd));
    assert_eq!(
        status(CVE, vec![is(nvd, Status::Published), is(services, Status::Rejected)]),
        (Status::Rejected, services)
    );
    assert_eq!(status(CVE, vec![is(nvd, Status::Disputed), is(services, Status::Published)]), (Status::Disputed, nvd));
    assert_eq!(status(CVE, vec![answer(nvd, 2, Absent)]), (Status::NotFound, nvd));
    assert_eq!(status(CVE, vec![answer(nvd, 2, Absent), trivy()]), (Status::NotFound, nvd));
    assert_eq!(
        status(CVE, vec![answer(nvd, 2, Absent), is(services, Status::Published)]),
        (Status::Published, services)
    );
    assert_eq!(status(CVE, vec![answer(nvd, 2, Error)]), (Status::Pending, Source::Sirius));
    assert_eq!(status(CVE, vec![answer(nvd, 2, Error), trivy()]), (Status::Partial, Source::Sirius));
    assert_eq!(status("GO-2026-1", vec![answer(Source::Osv, 2, Absent)]), (Status::NotFound, Source::Osv));
    assert_eq!(status("GO-2026-1", vec![is(Source::Osv, Status::Rejected)]), (Status::Rejected, Source::Osv));
    assert_eq!(status("TEMP-0517018-A83CE6", vec![trivy()]), (Status::Partial, Source::Sirius));
    assert_eq!(status("TEMP-0517018-A83CE6", vec![]), (Status::NotFound, Source::Sirius));
}

#[test]
fn an_error_is_never_an_absence_and_costs_no_facts() {
    let said = facts(1, |facts| facts.title = Some("x".into()));
    let failed = records(
        CVE,
        [answer(Source::Osv, 1, said), answer(Source::Osv, 2, Said::Error), answer(Source::Osv, 3, Said::Error)],
    );
    let state = &failed.sources[&Source::Osv];
    assert_eq!(state.facts.as_ref().unwrap().title.as_deref(), Some("x"));
    assert_eq!((state.freshness.outcome, state.freshness.fail_count), (Outcome::Error, 2));
    assert_eq!((state.freshness.fetched_at, state.freshness.attempted_at), (Some(at(1)), at(3)));
    assert!(state.freshness.expires_at < at(4));
}

#[test]
fn an_absence_is_waited_for_longer_each_time_and_an_error_between_does_not_count_as_one() {
    let waits = |said: &[Said]| {
        let answers = (1..).zip(said).map(|(day, said)| answer(Source::Nvd, 24 * day, said.clone()));
        let freshness = records(CVE, answers).sources[&Source::Nvd].freshness;
        (freshness.fail_count, freshness.expires_at.duration_since(freshness.attempted_at).as_hours())
    };
    use Said::{Absent, Error};
    let (count, hours) = waits(&[Absent]);
    assert!(count == 1 && (5..7).contains(&hours));
    let (count, hours) = waits(&[Absent, Absent, Absent]);
    assert!(count == 3 && (64..80).contains(&hours));
    let (count, hours) = waits(&[Error, Error, Error, Absent]);
    assert!(count == 1 && (5..7).contains(&hours));
}

#[test]
fn only_a_list_that_takes_entries_out_can_take_back_a_fact() {
    let epss = |score| {
        facts(1, |facts| {
            facts.epss =
                Some(Epss { score, percentile: None, date: "2026-01-01".parse().unwrap(), model_version: None });
        })
    };
    let kev_then_absent = records(
        CVE,
        [
            answer(Source::Epss, 1, epss(0.5)),
            answer(Source::Epss, 2, Said::Absent),
            answer(Source::Nvd, 1, facts(1, |facts| facts.status = Some(Status::Published))),
            answer(Source::Nvd, 2, Said::Absent),
        ],
    );
    let record = record(&kev_then_absent);
    assert_eq!(record.epss, None);
    assert_eq!(record.status.fact.value, Status::Published);
}

#[test]
fn the_catalogue_itself_goes_before_those_who_repeat_it() {
    let kev = |name: &str, ransomware| {
        let date_added = "2026-01-01".parse().unwrap();
        let name = Some(name.to_owned());
        let kev = Kev { date_added, due_date: None, ransomware, required_action: None, forensic_triage: None, name };
        facts(1, |facts| facts.kev = Some(kev))
    };
    let record = record(&records(
        CVE,
        [answer(Source::Nvd, 1, kev("repeated", None)), answer(Source::Kev, 1, kev("catalogue", Some(true)))],
    ));
    let kev = record.kev.unwrap();
    assert_eq!((kev.source, kev.fact.ransomware), (Source::Kev, Some(true)));
}

/// A record with some of everything, out of small sets so that sources agree and contradict.
fn any_facts() -> impl Strategy<Value = SourceRecord> {
    let words = || select(vec!["one", "two", "three"]);
    let list = |count: usize| prop::collection::vec(0..count, 0..count);
    (
        (0i64..1000, prop::option::of(words()), prop::option::of(words())),
        prop::option::of(select(vec![Status::Published, Status::Rejected, Status::Disputed])),
        (list(25), list(6), list(4), list(30)),
        (any::<bool>(), any::<bool>(), any::<bool>(), list(3)),
    )
        .prop_map(
            |((hour, title, description), status, (aliases, cwes, cvss, references), (ssvc, kev, epss, notes))| {
                let day = "2026-01-01".parse().unwrap();
                SourceRecord {
                    status,
                    title: title.map(Into::into),
                    description: description.map(Into::into),
                    aliases: aliases.iter().map(|n| id(&format!("GO-2026-{n}"))).collect(),
                    upstream: aliases.iter().map(|n| id(&format!("CVE-2026-{n:04}"))).collect(),
                    cwes: cwes.iter().map(|n| Cwe { id: format!("CWE-{n}"), assigner: "x".into() }).collect(),
                    cvss: cvss
                        .iter()
                        .map(|n| Cvss {
                            version: CvssVersion::V31,
                            vector: format!("v{n}"),
                            score: 5.0,
                            severity: CvssSeverity::Medium,
                            stated_score: (*n == 2).then_some(6.0),
                            kind: CvssKind::Primary,
                            assigner: "x".into(),
                        })
                        .collect(),
                    ssvc: ssvc.then(|| Ssvc {
                        exploitation: None,
                        automatable: Some(kev),
                        technical_impact: None,
                        assigner: "x".into(),
                        assessed_at: Some(at(hour)),
                    }),
                    kev: kev.then_some(Kev {
                        date_added: day,
                        due_date: None,
                        ransomware: Some(epss),
                        required_action: None,
                        forensic_triage: None,
                        name: None,
                    }),
                    epss: epss.then_some(Epss {
                        score: 0.00007,
                        percentile: Some(0.5),
                        date: day,
                        model_version: None,
                    }),
                    references: references
                        .iter()
                        .map(|n| Reference { url: format!("https://a.example/{n}"), tags: vec!["Patch".into(); n % 2] })
                        .collect(),
                    published: title.map(|_| at(hour)),
                    modified: Some(at(hour)),
                    notes: notes.iter().map(|n| format!("note {n}")).collect(),
                    ..SourceRecord::none(at(hour))
                }
            },
        )
}

fn any_answers(per_source: usize) -> impl Strategy<Value = Vec<Answer>> {
    let sources = [Source::Nvd, Source::CveServices, Source::Osv, Source::Trivy, Source::Kev, Source::Epss];
    let said = prop_oneof![
        3 => any_facts().prop_map(|facts| Said::Record(Box::new(facts))),
        1 => Just(Said::Absent),
        1 => Just(Said::Error),
    ];
    let one_source = prop::collection::btree_map(0i64..1000, said, 0..=per_source);
    prop::collection::vec(one_source, sources.len()).prop_map(move |of_sources| {
        let pairs = sources.iter().zip(of_sources);
        pairs.flat_map(|(source, said)| said.into_iter().map(|(hour, said)| answer(*source, hour, said))).collect()
    })
}

/// The objects of a record that hold a fact and lack `source` or `as_of`.
fn without_source(json: &Json, path: &str, missing: &mut Vec<String>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| without_source(item, path, missing)),
        Json::Object(object) if object.contains_key("source") && object.contains_key("as_of") => {
            let source = object["source"].as_str().unwrap_or_default();
            if source.is_empty() || object["as_of"].as_str().unwrap_or_default().parse::<Timestamp>().is_err() {
                missing.push(path.to_owned());
            }
        }
        Json::Null => {}
        _ => missing.push(path.to_owned()),
    }
}

/// Every fact of a record without its source or date: the figure that has to be 0.
pub(in crate::enrichment) fn facts_without_source(record: &CveRichment) -> Vec<String> {
    let Json::Object(members) = serde_json::to_value(record).unwrap() else { panic!("is an object") };
    let mut missing = Vec::new();
    for (name, member) in members {
        if !matches!(name.as_str(), "id" | "schema_version" | "freshness") {
            without_source(&member, &name, &mut missing);
        }
    }
    missing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn one_answer_of_each_source_makes_one_dossier_in_any_order_and_however_often(
        answers in any_answers(1), order in any::<prop::sample::Index>(), again in any::<prop::sample::Index>()
    ) {
        let expected = records(CVE, answers.clone());
        let mut shuffled = answers.clone();
        if !shuffled.is_empty() {
            let places = shuffled.len();
            shuffled.rotate_left(order.index(places));
            shuffled.push(answers[again.index(places)].clone());
            shuffled.reverse();
        }
        prop_assert_eq!(&records(CVE, shuffled), &expected);
        prop_assert_eq!(&absorb(expected.clone(), answers, &Lifetimes::default()), &expected);
    }

    #[test]
    fn the_newest_word_of_each_source_counts_in_whatever_order_they_come(
        (answers, shuffled) in any_answers(4)
            .prop_flat_map(|answers| (Just(answers.clone()), Just(answers).prop_shuffle()))
    ) {
        let shown = |answers: Vec<Answer>| CveRichment { freshness: BTreeMap::new(), ..record(&records(CVE, answers)) };
        prop_assert_eq!(shown(shuffled), shown(answers));
    }

    #[test]
    fn no_fact_is_shown_without_its_source_and_date(answers in any_answers(2)) {
        let record = record(&records(CVE, answers));
        prop_assert_eq!(facts_without_source(&record), Vec::<String>::new());
        let lists = [record.aliases.len(), record.cwes.len(), record.cvss.len(), record.references.len()];
        prop_assert!(lists.into_iter().chain([record.notes.len()]).all(|length| length <= SourceRecord::LIST));
    }

    #[test]
    fn what_is_stored_is_read_back_as_json_and_from_dynamodb(answers in any_answers(2)) {
        let records = records(CVE, answers);
        let shown = record(&records);
        let text = serde_json::to_string(&records).unwrap();
        prop_assert_eq!(&serde_json::from_str::<SourceRecords>(&text).unwrap(), &records);
        let text = serde_json::to_string(&shown).unwrap();
        prop_assert_eq!(&serde_json::from_str::<CveRichment>(&text).unwrap(), &shown);
        let item: serde_dynamo::Item = serde_dynamo::to_item(&records).unwrap();
        prop_assert_eq!(&serde_dynamo::from_item::<_, SourceRecords>(item).unwrap(), &records);
        let item: serde_dynamo::Item = serde_dynamo::to_item(&shown).unwrap();
        prop_assert_eq!(&serde_dynamo::from_item::<_, CveRichment>(item).unwrap(), &shown);
    }
}

proptest! {
    #[test]
    fn in_whatever_order_reports_come_the_newest_words_and_all_names_are_kept(
        reports in proptest::collection::vec((0i64..4, 0usize..3, 0usize..3), 1..7),
        order in any::<u64>(),
    ) {
        let titles = ["a", "b", "c"];
        let names = ["GHSA-2222-2222-2222", "GHSA-3333-3333-3333", "GHSA-4444-4444-4444"];
        let said = |&(hour, title, name): &(i64, usize, usize)| {
            let said = facts(hour, |facts| {
                facts.title = Some(titles[title].to_owned());
                facts.aliases = vec![id(names[name])];
            });
            answer(Source::Trivy, hour, said)
        };
        let there = records(CVE, reports.iter().map(said));
        let mut shuffled = reports.clone();
        shuffled.sort_by_key(|report| Sha256::digest(format!("{order} {report:?}")).to_vec());
        prop_assert_eq!(kept_digest(&there), kept_digest(&records(CVE, shuffled.iter().map(said))));
        prop_assert_eq!(record(&there), record(&records(CVE, shuffled.iter().map(said))));

        let newest = reports.iter().map(|(hour, ..)| *hour).max().unwrap();
        let kept = there.sources[&Source::Trivy].facts.clone().unwrap();
        prop_assert_eq!(kept.as_of, at(newest));
        prop_assert!(reports.iter().any(|(hour, title, _)| *hour == newest && kept.title.as_deref() == Some(titles[*title])));
        let all: BTreeSet<VulnerabilityId> = reports.iter().map(|(_, _, name)| id(names[*name])).collect();
        prop_assert_eq!(kept.aliases, all.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_report_that_changes_nothing_is_told_from_one_that_does(
        reports in proptest::collection::vec((0i64..4, 0usize..3), 1..5),
        (hour, title) in (0i64..4, 0usize..3),
    ) {
        let said = |&(hour, title): &(i64, usize)| answer(Source::Trivy, hour, facts(hour, |facts| {
            facts.title = Some(title.to_string());
        }));
        let before = records(CVE, reports.iter().map(said));
        let next = said(&(hour, title));
        let Said::Record(told) = next.said.clone() else { unreachable!() };
        let after = absorb(before.clone(), [next], &Lifetimes::default());
        let yields = kept_digest(&before).unwrap().is_changed_by(&report_digest(&told), false);
        prop_assert_eq!(yields, kept_digest(&before) != kept_digest(&after));
    }
}

#[test]
fn a_report_that_was_read_later_than_it_was_made_counts_the_same_in_either_order() {
    let early = answer(Source::Trivy, 0, facts(0, |facts| facts.title = Some("early".into())));
    let late = answer(Source::Trivy, 9, facts(3, |facts| facts.title = Some("late".into())));
    let shown = |answers: [&Answer; 2]| record(&records(CVE, answers.map(Clone::clone)));
    assert_eq!(shown([&early, &late]), shown([&late, &early]));
    assert_eq!(shown([&late, &early]).title.unwrap().fact.value, "late");
}

#[test]
fn the_same_words_are_renewed_seldom_where_public_sources_describe_it() {
    let words_at = |hour| {
        let Said::Record(said) = facts(hour, |facts| facts.title = Some("a".into())) else { unreachable!() };
        report_digest(&said)
    };
    let kept = words_at(0);
    assert!(!kept.is_changed_by(&words_at(1), true) && kept.is_changed_by(&words_at(1), false));
    assert!(kept.is_changed_by(&words_at(30 * 24 + 1), true));
    let named = ReportDigest { aliases: vec![id("GHSA-2222-2222-2222")], ..words_at(0) };
    assert!(kept.is_changed_by(&named, true), "a new name is always written down");
}

#[test]
fn what_a_report_says_that_others_rated_comes_last_and_is_no_signal() {
    let rate = |vector: &str, kind, assigner: &str| {
        let cvss = crate::domain::vulnerability::cvss::rating(vector, None, kind, assigner.into()).unwrap();
        facts(1, |facts| {
            facts.cvss = vec![cvss];
            facts.published = Some(at(9));
        })
    };
    let forged = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N";
    let report = answer(Source::Trivy, 1, rate(forged, CvssKind::Primary, "nvd@nist.gov"));
    let osv = answer(Source::Osv, 1, rate("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", CvssKind::Vendor, "ghsa"));
    let told = |answers: Vec<Answer>| {
        let records = records(CVE, answers);
        let record = record(&records);
        let summary = crate::domain::vulnerability::VulnerabilitySummary::of(&record, kept_digest(&records), at(2));
        let sources: Vec<Source> = record.cvss.iter().map(|cvss| cvss.source).collect();
        let rated: Vec<Source> = summary.cvss.iter().map(|cvss| cvss.source).collect();
        (sources, rated, summary.published)
    };
    assert_eq!(told(vec![report.clone()]), (vec![Source::Trivy], vec![], None));
    assert_eq!(told(vec![report, osv]), (vec![Source::Osv, Source::Trivy], vec![Source::Osv], Some(at(9))));
}
