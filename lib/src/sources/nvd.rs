//! NVD: up to a hundred CVEs in one call, <https://nvd.nist.gov/developers/vulnerabilities>.
//!
//! NVD refuses a batch that it does not like with 404, whatever the reason is: an id, the key, or that
//! it (or a mirror of it) knows no `cveIds`. So a refused batch is halved until what is refused is one
//! id; and if both halves of the first one are, CVEs are asked for one by one. A 404 never means that
//! there is no such CVE: only an answer without it does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reqwest::StatusCode;
use reqwest::header::HeaderName;
use url::Url;

use super::fetch::{self, Answered, Budget, Manner};
use super::mode::{Live, Mode, file};
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::enrichment::merge::Said;
use crate::enrichment::nvd;
use crate::store::Store;

/// NVD takes no more ids at once.
pub const BATCH: usize = 100;
/// Answers of no use in a row after which NVD is left alone for this time. To find one bad id among a
/// hundred takes no more than two.
const PATIENCE: usize = 8;

/// What is known of `cveIds` so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batches {
    Untried,
    /// None was answered yet, and so many were refused.
    Doubted {
        refused: usize,
    },
    Work,
    Refused,
}

/// How one call ended.
enum Asked {
    /// What NVD says of each id of the batch.
    Answers(BTreeMap<VulnerabilityId, Said>),
    /// NVD does not like it.
    Refused(String),
}

/// Asks NVD about CVEs. Those that there was no time, or no turn, to ask about are missing from the
/// answer.
///
/// # Errors
/// Those of the table.
pub async fn ask(
    mode: &Mode,
    store: &Store,
    ids: &[VulnerabilityId],
    budget: &Budget,
) -> Result<BTreeMap<VulnerabilityId, Said>, fetch::Error> {
    let Mode::Live(live) = mode else {
        let mut answers = BTreeMap::new();
        for id in ids {
            let said = match file(mode, "nvd", &format!("{id}.json")).await {
                Ok(Some(body)) => of_file(id, &body),
                Ok(None) => Said::Error,
                Err(error) => failed(id, &error),
            };
            answers.insert(id.clone(), said);
        }
        return Ok(answers);
    };
    let mut left: VecDeque<Vec<VulnerabilityId>> = ids.chunks(BATCH).map(<[VulnerabilityId]>::to_vec).collect();
    let (mut answers, mut batches, mut useless) = (BTreeMap::new(), Batches::Untried, 0);
    while let Some(batch) = left.pop_front() {
        if budget.is_over() {
            return Ok(answers);
        }
        if useless >= PATIENCE {
            answers.extend(batch.into_iter().map(|id| (id, Said::Error)));
            continue;
        }
        if batches == Batches::Refused && batch.len() > 1 {
            left.extend(batch.into_iter().map(|id| vec![id]));
            continue;
        }
        let refused = match one(live, store, &batch, budget).await {
            Ok(Asked::Answers(said)) => {
                if batch.len() > 1 {
                    batches = Batches::Work;
                }
                useless = 0;
                answers.extend(said);
                continue;
            }
            Ok(Asked::Refused(reason)) => reason,
            Err(fetch::Error::Store(error)) => return Err(error.into()),
            // It may be one id that NVD chokes on: 500 for a hundred CVEs because of one.
            Err(error @ fetch::Error::Failed { .. }) => error.to_string(),
            Err(error) if error.is_of_source() => {
                tracing::warn!(%error, "NVD is not asked any more for now");
                useless = PATIENCE;
                answers.extend(batch.into_iter().map(|id| (id, Said::Error)));
                continue;
            }
            Err(error) => {
                tracing::info!(%error, "NVD cannot be asked in time");
                return Ok(answers);
            }
        };
        useless += 1;
        batches = match batches {
            Batches::Untried if batch.len() > 1 => Batches::Doubted { refused: 1 },
            Batches::Doubted { refused: 1 } if batch.len() > 1 => Batches::Doubted { refused: 2 },
            Batches::Doubted { refused: _ } if batch.len() > 1 => Batches::Refused,
            known => known,
        };
        if batch.len() > 1 {
            tracing::warn!(reason = refused, ids = batch.len(), "NVD refuses a batch, which is halved");
            let (first, second) = batch.split_at(batch.len() / 2);
            // Behind the others: one that NVD answers shows that batches work at all.
            left.push_back(first.to_vec());
            left.push_back(second.to_vec());
        } else if let [id] = batch.as_slice() {
            tracing::warn!(reason = refused, %id, "NVD refuses to answer about a CVE");
            answers.insert(id.clone(), Said::Error);
        }
    }
    Ok(answers)
}

async fn one(live: &Live, store: &Store, batch: &[VulnerabilityId], budget: &Budget) -> Result<Asked, fetch::Error> {
    loop {
        let key = live.nvd_key();
        let interval = if key.is_some() { live.paces.nvd_with_key } else { live.paces.nvd };
        let manner = Manner { source_name: "nvd", interval, redirects_to: &[] };
        let header = key.map(|key| (HeaderName::from_static("apikey"), key));
        let had_key = header.is_some();
        let url = address(live, batch);
        let answered = live.fetcher.get(store, &manner, &url, header, budget).await?;
        if answered.status == StatusCode::OK {
            return Ok(read(batch, &answered));
        }
        let message = answered.message.unwrap_or_default();
        if had_key && message.to_ascii_lowercase().contains("apikey") {
            live.drop_nvd_key(&message);
            continue;
        }
        return Ok(Asked::Refused(format!("{} {message}", answered.status)));
    }
}

fn address(live: &Live, batch: &[VulnerabilityId]) -> Url {
    let mut url = live.addresses.nvd.url();
    let ids: Vec<&str> = batch.iter().map(VulnerabilityId::as_str).collect();
    let name = if ids.len() == 1 { "cveId" } else { "cveIds" };
    // A CVE's id has letters, digits and hyphens only, so nothing of it needs encoding.
    url.set_query(Some(&format!("{name}={}", ids.join(","))));
    url
}

/// What the answer says of each id; those it says nothing certain of are errors.
fn read(batch: &[VulnerabilityId], answered: &Answered) -> Asked {
    let mut page = match nvd::parse(&answered.body) {
        Ok(page) => page,
        Err(error) => return Asked::Refused(error.to_string()),
    };
    let wanted: BTreeSet<&VulnerabilityId> = batch.iter().collect();
    if page.cves.keys().any(|id| !wanted.contains(id)) {
        // One that does not know `cveIds` ignores it, and lists everything.
        return Asked::Refused("an answer about other CVEs".to_owned());
    }
    for entry in &page.unreadable {
        tracing::warn!(id = ?entry.id, reason = entry.reason, "NVD's record of a CVE cannot be read");
    }
    let listed = u64::try_from(page.cves.len() + page.unreadable.len()).unwrap_or(u64::MAX);
    let is_whole = page.total_results <= listed;
    let said = |id: &VulnerabilityId| match page.cves.remove(id) {
        Some(facts) => Some(Said::Record(Box::new(facts))),
        None if page.unreadable.iter().any(|entry| entry.id.as_ref().is_none_or(|named| named == id)) => {
            Some(Said::Error)
        }
        None if is_whole => Some(Said::Absent),
        None => None,
    };
    let mut said = said;
    let answers: BTreeMap<VulnerabilityId, Option<Said>> = batch.iter().map(|id| (id.clone(), said(id))).collect();
    // A page that was cut short says nothing about whom it leaves out: smaller batches do.
    if batch.len() > 1 && answers.values().any(Option::is_none) {
        return Asked::Refused(format!("only {listed} of {} CVEs", page.total_results));
    }
    Asked::Answers(answers.into_iter().map(|(id, said)| (id, said.unwrap_or(Said::Error))).collect())
}

/// A file is an answer, or the bare `cve` object in it.
fn of_file(id: &VulnerabilityId, body: &[u8]) -> Said {
    if let Ok(mut page) = nvd::parse(body) {
        return match page.cves.remove(id) {
            Some(facts) => Said::Record(Box::new(facts)),
            None if page.total_results == 0 => Said::Absent,
            None => failed(id, &"its file is about another CVE"),
        };
    }
    match nvd::parse_cve(body) {
        Ok((named, facts)) if named == *id => Said::Record(Box::new(facts)),
        Ok((named, _)) => failed(id, &format_args!("its file is about {named}")),
        Err(error) => failed(id, &error),
    }
}

fn failed(id: &VulnerabilityId, error: &dyn std::fmt::Display) -> Said {
    tracing::warn!(%id, %error, "no answer of NVD in the mirror");
    Said::Error
}
