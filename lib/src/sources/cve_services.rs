//! CVE Services, one record at a time: <https://cveawg.mitre.org/api-docs/>.

use reqwest::StatusCode;

use super::fetch::{self, Budget, Manner};
use super::mode::{Mode, file};
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::enrichment::cve_services;
use crate::enrichment::merge::Said;
use crate::store::Store;

/// Asks CVE Services about a CVE. None if there was no time, or no turn, to ask.
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
        return Ok(Some(match file(mode, "cve", &format!("{id}.json")).await {
            Ok(Some(body)) => read(id, &body, budget),
            Ok(None) => Said::Error,
            Err(error) => failed(id, &error),
        }));
    };
    let manner = Manner { source_name: "cve_services", interval: live.paces.cve_services, redirects_to: &[] };
    let url = live.addresses.cve_services.join(&["api", "cve", id.as_str()]);
    match live.fetcher.get(store, &manner, &url, None, budget).await {
        Ok(answered) if answered.status == StatusCode::OK => Ok(Some(read(id, &answered.body, budget))),
        Ok(answered) if answered.status == StatusCode::NOT_FOUND => Ok(Some(Said::Absent)),
        Ok(answered) => Ok(Some(failed(id, &answered.status))),
        Err(fetch::Error::Store(error)) => Err(error.into()),
        Err(error) if error.is_of_source() => Ok(Some(failed(id, &error))),
        Err(_) => Ok(None),
    }
}

fn failed(id: &VulnerabilityId, error: &dyn std::fmt::Display) -> Said {
    tracing::info!(%id, %error, "CVE Services did not answer");
    Said::Error
}

fn read(id: &VulnerabilityId, body: &[u8], budget: &Budget) -> Said {
    match cve_services::parse(body, budget.now()) {
        Ok((named, facts)) if named == *id => Said::Facts(Box::new(facts)),
        Ok((named, _)) => failed(id, &format_args!("it answered about {named}")),
        Err(error) => failed(id, &error),
    }
}
