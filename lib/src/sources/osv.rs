//! OSV, one record at a time: <https://google.github.io/osv.dev/get-v1-vulns/>.

use jiff::Timestamp;
use reqwest::StatusCode;

use super::fetch::{self, Budget, Manner};
use super::mode::{Mode, file};
use crate::domain::enrichment::Facts;
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::enrichment::merge::Said;
use crate::enrichment::osv;
use crate::store::Store;

/// Asks OSV about an id that is its own. None if there was no time, or no turn, to ask.
///
/// # Errors
/// Those of the table.
pub async fn ask(
    mode: &Mode,
    store: &Store,
    id: &VulnerabilityId,
    budget: &Budget,
) -> Result<Option<Said>, fetch::Error> {
    let Mode::Live(live) = mode else {
        return Ok(Some(match file(mode, "osv", &format!("{id}.json")).await {
            Ok(Some(body)) => read(id, &body),
            Ok(None) => Said::Error,
            Err(error) => failed(id, &error),
        }));
    };
    let manner = Manner { source_name: "osv", interval: live.paces.osv, redirects_to: &[] };
    let url = live.addresses.osv.join(&["v1", "vulns", id.as_str()]);
    match live.fetcher.get(store, &manner, &url, None, budget).await {
        Ok(answered) if answered.status == StatusCode::OK => Ok(Some(read(id, &answered.body))),
        Ok(answered) if answered.status == StatusCode::NOT_FOUND => {
            Ok(Some(not_found(id, &answered.body, budget.now())))
        }
        Ok(answered) => Ok(Some(failed(id, &answered.status))),
        Err(fetch::Error::Store(error)) => Err(error.into()),
        Err(error) if error.is_of_source() => Ok(Some(failed(id, &error))),
        Err(_) => Ok(None),
    }
}

fn failed(id: &VulnerabilityId, error: &dyn std::fmt::Display) -> Said {
    tracing::info!(%id, %error, "OSV did not answer");
    Said::Error
}

fn read(id: &VulnerabilityId, body: &[u8]) -> Said {
    match osv::parse(body) {
        Ok((named, facts)) if named == *id => Said::Facts(Box::new(facts)),
        Ok((named, _)) => failed(id, &format_args!("it answered about {named}")),
        Err(error) => failed(id, &error),
    }
}

/// A 404 may say under which other ids OSV knows it: then it is not unknown.
fn not_found(id: &VulnerabilityId, body: &[u8], now: Timestamp) -> Said {
    match osv::parse_not_found(body) {
        Ok(answer) if answer.aliases.is_empty() => Said::Absent,
        Ok(answer) => Said::Facts(Box::new(Facts { aliases: answer.aliases, ..Facts::none(now) })),
        // Not OSV's own 404: that of something on the way.
        Err(error) => failed(id, &error),
    }
}
