//! NVD, up to a hundred CVEs in one call: <https://nvd.nist.gov/developers/vulnerabilities>.
//!
//! NVD answers 404 to any batch that it refuses, because of an id, of the key, or because it (or a mirror of it) does
//! not support `cveIds`. A refused batch is therefore halved until a single id is refused; if both halves of the first
//! batch are refused, CVEs are asked for one by one. Only a list without a CVE means that it does not exist, never a 404.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reqwest::StatusCode;
use reqwest::header::HeaderName;
use url::Url;

use super::fetch::{self, Budget, FetchPolicy, Response};
use super::mode::{Live, Mode, read_mirrored_file};
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::enrichment::merge::Said;
use crate::enrichment::nvd;
use crate::store::Store;

/// The most ids that NVD accepts in one call.
const MAX_BATCH: usize = 100;
/// Refused calls in a row after which a run stops asking NVD. To find one bad id among a hundred takes two at most.
const MAX_REFUSALS: usize = 8;

/// Whether NVD supports `cveIds`, by the calls up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BatchSupport {
    Unknown,
    /// All batches up to now were refused.
    Doubtful {
        refused: usize,
    },
    Works,
    Missing,
}

/// The result of one call.
enum Asked {
    Answers(BTreeMap<VulnerabilityId, Said>),
    Refused(String),
}

/// Asks NVD about CVEs. The result lacks those that there was no time, or no permit, to ask about.
///
/// # Errors
/// Those of the table.
pub async fn ask_nvd(
    mode: &Mode,
    store: &Store,
    ids: &[VulnerabilityId],
    budget: &Budget,
) -> Result<BTreeMap<VulnerabilityId, Said>, fetch::Error> {
    let Mode::Live(live) = mode else {
        let mut answers = BTreeMap::new();
        for id in ids {
            let answer = match read_mirrored_file(mode, "nvd", &format!("{id}.json")).await {
                Ok(Some(body)) => read_file(id, &body),
                Ok(None) => Said::Error,
                Err(error) => log_failure(id, &error),
            };
            answers.insert(id.clone(), answer);
        }
        return Ok(answers);
    };
    let mut pending: VecDeque<Vec<VulnerabilityId>> = ids.chunks(MAX_BATCH).map(<[VulnerabilityId]>::to_vec).collect();
    let (mut answers, mut support, mut refusals) = (BTreeMap::new(), BatchSupport::Unknown, 0);
    while let Some(batch) = pending.pop_front() {
        if budget.is_over() {
            return Ok(answers);
        }
        if refusals >= MAX_REFUSALS {
            answers.extend(batch.into_iter().map(|id| (id, Said::Error)));
            continue;
        }
        if support == BatchSupport::Missing && batch.len() > 1 {
            pending.extend(batch.into_iter().map(|id| vec![id]));
            continue;
        }
        let refused = match ask_batch(live, store, &batch, budget).await {
            Ok(Asked::Answers(batch_answers)) => {
                if batch.len() > 1 {
                    support = BatchSupport::Works;
                }
                refusals = 0;
                answers.extend(batch_answers);
                continue;
            }
            Ok(Asked::Refused(reason)) => reason,
            Err(fetch::Error::Store(error)) => return Err(error.into()),
            // NVD answers 500 to a hundred CVEs because of one of them.
            Err(error @ fetch::Error::Failed { .. }) => error.to_string(),
            Err(error) if error.is_of_source() => {
                tracing::warn!(%error, "NVD is not asked any more for now");
                refusals = MAX_REFUSALS;
                answers.extend(batch.into_iter().map(|id| (id, Said::Error)));
                continue;
            }
            Err(error) => {
                tracing::info!(%error, "NVD cannot be asked in time");
                return Ok(answers);
            }
        };
        refusals += 1;
        support = match support {
            BatchSupport::Unknown if batch.len() > 1 => BatchSupport::Doubtful { refused: 1 },
            BatchSupport::Doubtful { refused: 1 } if batch.len() > 1 => BatchSupport::Doubtful { refused: 2 },
            BatchSupport::Doubtful { refused: _ } if batch.len() > 1 => BatchSupport::Missing,
            known => known,
        };
        if batch.len() > 1 {
            tracing::warn!(reason = refused, ids = batch.len(), "NVD refuses a batch, which is halved");
            let (first, second) = batch.split_at(batch.len() / 2);
            // Behind the other batches, one of which may show that batches work.
            pending.push_back(first.to_vec());
            pending.push_back(second.to_vec());
        } else if let [id] = batch.as_slice() {
            tracing::warn!(reason = refused, %id, "NVD refuses to answer about a CVE");
            answers.insert(id.clone(), Said::Error);
        }
    }
    Ok(answers)
}

async fn ask_batch(
    live: &Live,
    store: &Store,
    batch: &[VulnerabilityId],
    budget: &Budget,
) -> Result<Asked, fetch::Error> {
    loop {
        let key = live.nvd_key();
        let had_key = key.is_some();
        let interval = if had_key { live.intervals.nvd_with_key } else { live.intervals.nvd };
        let key = key.map(|key| (HeaderName::from_static("apikey"), key));
        let policy = FetchPolicy { key, ..FetchPolicy::new("nvd", interval) };
        let response = live.fetcher.get(store, &policy, &request_url(live, batch), budget).await?;
        if response.status == StatusCode::OK {
            return Ok(read_batch(batch, &response));
        }
        let message = response.message.unwrap_or_default();
        if had_key && message.to_ascii_lowercase().contains("apikey") {
            live.drop_nvd_key(&message);
            continue;
        }
        return Ok(Asked::Refused(format!("{} {message}", response.status)));
    }
}

fn request_url(live: &Live, batch: &[VulnerabilityId]) -> Url {
    let mut url = live.addresses.nvd.url();
    let ids: Vec<&str> = batch.iter().map(VulnerabilityId::as_str).collect();
    let name = if ids.len() == 1 { "cveId" } else { "cveIds" };
    // Ids of CVEs need no encoding.
    url.set_query(Some(&format!("{name}={}", ids.join(","))));
    url
}

/// Reads the answer about each id; an id about which nothing is certain gets an error.
fn read_batch(batch: &[VulnerabilityId], response: &Response) -> Asked {
    let mut page = match nvd::parse_page(&response.body) {
        Ok(page) => page,
        Err(error) => return Asked::Refused(error.to_string()),
    };
    let wanted: BTreeSet<&VulnerabilityId> = batch.iter().collect();
    if page.cves.keys().any(|id| !wanted.contains(id)) {
        // A server without support for `cveIds` ignores it and lists all CVEs.
        return Asked::Refused("an answer about other CVEs".to_owned());
    }
    for entry in &page.unreadable {
        tracing::warn!(id = ?entry.id, reason = entry.reason, "NVD's record of a CVE cannot be read");
    }
    let listed = u64::try_from(page.cves.len() + page.unreadable.len()).unwrap_or(u64::MAX);
    let is_whole = page.total_results <= listed;
    let mut answer = |id: &VulnerabilityId| match page.cves.remove(id) {
        Some(facts) => Some(Said::Record(Box::new(facts))),
        None if page.unreadable.iter().any(|entry| entry.id.as_ref().is_none_or(|named| named == id)) => {
            Some(Said::Error)
        }
        None if is_whole => Some(Said::Absent),
        None => None,
    };
    let answers: BTreeMap<VulnerabilityId, Option<Said>> = batch.iter().map(|id| (id.clone(), answer(id))).collect();
    // Smaller batches may have the ids that a truncated page lacks.
    if batch.len() > 1 && answers.values().any(Option::is_none) {
        return Asked::Refused(format!("only {listed} of {} CVEs", page.total_results));
    }
    Asked::Answers(answers.into_iter().map(|(id, answer)| (id, answer.unwrap_or(Said::Error))).collect())
}

/// Reads a mirrored file, which is an answer or only the `cve` object of one.
fn read_file(id: &VulnerabilityId, body: &[u8]) -> Said {
    if let Ok(mut page) = nvd::parse_page(body) {
        return match page.cves.remove(id) {
            Some(facts) => Said::Record(Box::new(facts)),
            None if page.total_results == 0 => Said::Absent,
            None => log_failure(id, &"its file is about another CVE"),
        };
    }
    match nvd::parse_cve(body) {
        Ok((named, facts)) if named == *id => Said::Record(Box::new(facts)),
        Ok((named, _)) => log_failure(id, &format_args!("its file is about {named}")),
        Err(error) => log_failure(id, &error),
    }
}

fn log_failure(id: &VulnerabilityId, error: &dyn std::fmt::Display) -> Said {
    tracing::warn!(%id, %error, "no answer of NVD in the mirror");
    Said::Error
}
