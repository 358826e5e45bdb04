//! Checks that the same reports give the same result in every order, with repetitions and deletions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use sirius::domain::declared::Declared;
use sirius::pipeline::delete_scan::{self, Reason, delete_scan};
use sirius::pipeline::ingest::{Ingestion, ingest_report};
use sirius::report::body::Compression;
use sirius::report::{Limits, Submission};
use sirius::store::Store;
use sirius::store::lease::Owner;
use support::app::App;
use support::report::vulnerability;
use support::{table, unique};

use crate::present::{deployment, on, report};

/// One content of an image in the histories: its image, and its vulnerabilities in system and in language packages.
struct Content {
    image_id: &'static str,
    os: &'static [usize],
    lang: &'static [usize],
}

const fn content(image_id: &'static str, os: &'static [usize], lang: &'static [usize]) -> Content {
    Content { image_id, os, lang }
}

const CONTENTS: [Content; 7] = [
    content("sha256:a", &[1, 2], &[]),
    content("sha256:a", &[1], &[]),
    content("sha256:a", &[], &[]),
    content("sha256:a", &[], &[4]),
    content("sha256:a", &[1], &[4]),
    content("sha256:b", &[], &[]),
    content("sha256:b", &[3], &[]),
];

impl Content {
    /// Whether it has nothing of a class of which another scan of the same image has something.
    fn has_lost(&self, before: &Self) -> bool {
        let is_gone = |before: &[usize], after: &[usize]| !before.is_empty() && after.is_empty();
        self.image_id == before.image_id && (is_gone(before.os, self.os) || is_gone(before.lang, self.lang))
    }

    fn has(&self, number: usize) -> bool {
        self.os.contains(&number) || self.lang.contains(&number)
    }
}

const PLATFORMS: [Option<&str>; 3] = [None, Some("linux/amd64"), Some("linux/arm64")];
const START: i64 = 1_790_000_000;

/// A report that was made at a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    name: usize,
    platform: usize,
    content: usize,
    minute: i64,
}

impl Delivery {
    /// Of any asset and content, or of a few, so that they meet again.
    fn any(rng: &mut fastrand::Rng, minute: i64, few: bool) -> Self {
        let (names, platforms, contents) = if few { (1, 1, 5) } else { (2, 3, CONTENTS.len()) };
        Self { name: rng.usize(..names), platform: rng.usize(..platforms), content: rng.usize(..contents), minute }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_second(START + 60 * self.minute).unwrap()
    }

    fn report(&self, prefix: &str) -> Value {
        let Content { image_id, os, lang } = &CONTENTS[self.content];
        let mut report = report(&format!("{prefix}:{}", self.name), image_id, &self.at().to_string(), os);
        let vulnerabilities: Vec<Value> = lang.iter().map(|number| vulnerability(*number)).collect();
        let lang =
            json!({"Target": "Node.js", "Class": "lang-pkgs", "Type": "node-pkg", "Vulnerabilities": vulnerabilities});
        report["Results"].as_array_mut().unwrap().push(lang);
        match PLATFORMS[self.platform] {
            Some(platform) => on(platform, report),
            None => report,
        }
    }
}

/// The result of a history for one asset: by content the first and the last minute, whether it is suspect, whether it is
/// current.
type End = BTreeMap<(usize, usize, usize), (i64, i64, bool, bool)>;

/// The expected result of deliveries, computed from all of them at once.
fn expected(deliveries: &[Delivery], deleted: &[(usize, usize, usize)]) -> End {
    let mut minutes: BTreeMap<(usize, usize, usize), Vec<i64>> = BTreeMap::new();
    for delivery in deliveries {
        minutes.entry((delivery.name, delivery.platform, delivery.content)).or_default().push(delivery.minute);
    }
    minutes.retain(|key, _| !deleted.contains(key));
    let mut end: End = minutes
        .into_iter()
        .map(|(key, minutes)| (key, (*minutes.iter().min().unwrap(), *minutes.iter().max().unwrap(), false, false)))
        .collect();
    for name in 0..2 {
        for platform in 0..3 {
            let of_asset = end.keys().filter(|(n, p, _)| (*n, *p) == (name, platform));
            let of_asset: Vec<_> = of_asset.copied().collect();
            // By when each was first and last seen.
            let mut sightings: Vec<_> =
                of_asset.iter().flat_map(|key| [(end[key].0, *key), (end[key].1, *key)]).collect();
            sightings.sort_unstable();
            let mut current: Option<(usize, usize, usize)> = None;
            for (_, key) in sightings {
                let is_suspect = current.is_some_and(|before| CONTENTS[key.2].has_lost(&CONTENTS[before.2]));
                end.get_mut(&key).unwrap().2 = is_suspect;
                if !is_suspect {
                    current = Some(key);
                }
            }
            if let Some(key) = current {
                end.get_mut(&key).unwrap().3 = true;
            }
        }
    }
    end
}

async fn deliver(deps: &Ingestion, report: &Value) -> u64 {
    let body = report.to_string().into_bytes();
    let submission = Submission::read(body, Compression::None, Declared::default(), Limits::default(), false).unwrap();
    let report = submission.report().unwrap();
    let owner = Owner::random().unwrap();
    ingest_report(deps, &submission, &report, &owner, Timestamp::now()).await.unwrap().scan.scan_id.get()
}

/// The images of a history in the table.
async fn found(store: &Store, prefix: &str) -> End {
    let mut end = End::new();
    for name in 0..2 {
        let image = format!("{prefix}:{name}").parse().unwrap();
        for scan in store.scans_of_image(&image, None, 100).await.unwrap().scans {
            let platform = scan.artifact.platform.as_ref().map(|platform| platform.as_str());
            let platform = PLATFORMS.iter().position(|known| *known == platform).unwrap();
            let counts = (scan.class_counts.os_pkgs as usize, scan.class_counts.lang_pkgs as usize);
            let is = |content: &Content| {
                scan.artifact.image_id.as_deref() == Some(content.image_id)
                    && counts == (content.os.len(), content.lang.len())
            };
            let content = CONTENTS.iter().position(is).unwrap();
            let minute = |at: Timestamp| (at.as_second() - START) / 60;
            let times = (minute(scan.scan_timestamp), minute(scan.last_seen_at));
            end.insert((name, platform, content), (times.0, times.1, scan.suspect, scan.current));
            let asset = sirius::domain::asset::Asset::of(scan.scan_id, &scan.artifact);
            let pointer = store.current(&asset).await.unwrap();
            assert_eq!(pointer.scan_id == Some(scan.scan_id), scan.current, "{prefix}: pointer and scan differ");
        }
    }
    end
}

/// A history of two to six reports with re-deliveries, in an order of its own, and deletions after it.
async fn history(app: &App, deps: &Ingestion, objects: &sirius::objects::Objects, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let prefix = unique("h");
    let few = rng.bool();
    let mut deliveries: Vec<Delivery> = (0..rng.i64(2..=6)).map(|at| Delivery::any(&mut rng, at * 7, few)).collect();
    for at in 0..rng.usize(..3) {
        deliveries.push(deliveries[at % deliveries.len()]);
    }
    rng.shuffle(&mut deliveries);
    let mut ids = BTreeMap::new();
    for delivery in &deliveries {
        let id = deliver(deps, &delivery.report(&prefix)).await;
        ids.insert((delivery.name, delivery.platform, delivery.content), id);
    }
    let deleted: Vec<_> = ids.keys().filter(|_| rng.u8(..5) == 0).copied().collect();
    for key in &deleted {
        let id = ids[key].to_string().parse().unwrap();
        let time = Duration::from_secs(20);
        delete_scan(
            &deps.store,
            Some(objects),
            delete_scan::Order { scan_id: id, reason: Reason::Requested },
            Timestamp::now(),
            time,
        )
        .await
        .unwrap();
    }
    let (found, expected) = (found(&deps.store, &prefix).await, expected(&deliveries, &deleted));
    assert_eq!(found, expected, "seed {seed} of {}: {deliveries:?}, deleted {deleted:?}", app.table);
}

#[tokio::test]
async fn a_thousand_histories_end_as_all_their_reports_together_say() {
    let app = App::with_archive().await;
    let deps = Ingestion {
        store: Store::new(table::client(&table::endpoint()).await, app.table.clone()),
        archive: None,
        ..app.ingestion().await
    };
    let objects = app.objects().await;
    stream::iter(0..1000u64).for_each_concurrent(8, |seed| history(&app, &deps, &objects, seed)).await;
}

/// The occurrences and first times of a history, as `GET /cves/{id}` shows them.
#[tokio::test]
async fn occurrences_and_first_days_follow_from_the_scans_that_are_left_in_whatever_order_messages_come() {
    let (app, enrichment) = deployment().await;
    for seed in 0..40u64 {
        let mut rng = fastrand::Rng::with_seed(1_000_000 + seed);
        let prefix = unique("o");
        let few = rng.bool();
        let mut deliveries: Vec<Delivery> =
            (0..rng.i64(2..=5)).map(|at| Delivery::any(&mut rng, at * 7, few)).collect();
        rng.shuffle(&mut deliveries);
        let mut ids = BTreeMap::new();
        for delivery in &deliveries {
            let id = app.post(&delivery.report(&prefix)).await.json["scan_id"].as_u64().unwrap();
            ids.insert((delivery.name, delivery.platform, delivery.content), id);
            if rng.bool() {
                app.enrich(&enrichment).await;
            }
        }
        app.enrich(&enrichment).await;
        let deleted: Vec<_> = ids.keys().filter(|_| rng.u8(..4) == 0).copied().collect();
        for key in &deleted {
            assert_eq!(app.delete(ids[key]).await.status, 204);
        }
        let end = expected(&deliveries, &deleted);
        for number in 1..5usize {
            let mut shown = BTreeSet::new();
            let answer = app.get(&format!("/api/container/cves/CVE-2026-{:05}?limit=300", 10_000 + number)).await.json;
            for image in answer["images"].as_array().cloned().unwrap_or_default() {
                let Some(name) = image["image_name"].as_str().unwrap().strip_prefix(&format!("{prefix}:")) else {
                    continue;
                };
                assert_eq!(image["present"], true, "{image}");
                let minute = |field: &str| {
                    let at: Timestamp = image[field].as_str().unwrap().parse().unwrap();
                    (at.as_second() - START) / 60
                };
                let platform = PLATFORMS.iter().position(|known| *known == image["platform"].as_str()).unwrap();
                shown.insert((name.parse::<usize>().unwrap(), platform, minute("first_seen"), minute("last_seen")));
            }
            let has = |content: usize| CONTENTS[content].has(number);
            let wanted: BTreeSet<_> = end
                .iter()
                .filter(|((_, _, content), (.., current))| *current && has(*content))
                .map(|((name, platform, _), (_, last, ..))| {
                    // Both names are tags of one repository.
                    let of_lineage = end.iter().filter(|((_, p, content), _)| p == platform && has(*content));
                    let first = of_lineage.map(|(_, (first, ..))| *first).min().unwrap();
                    (*name, *platform, first, *last)
                })
                .collect();
            assert_eq!(shown, wanted, "seed {seed}, CVE {number}: {deliveries:?}, deleted {deleted:?}");
        }
    }
}
