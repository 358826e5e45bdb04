//! Asking a source about one id: what OSV and CVE Services have in common.

use std::fmt::Display;

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use super::fetch::{self, Budget, Manner};
use super::mode::{Live, Mode, file};
use crate::domain::enrichment::Facts;
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::enrichment::merge::Said;
use crate::store::Store;

/// A source that answers about one id at a time.
pub(super) struct Source {
    /// What people call it.
    pub(super) called: &'static str,
    /// Its folder in a mirror.
    pub(super) folder: &'static str,
    /// Under which pace, and where, it is asked about an id.
    pub(super) request: fn(&Live, &VulnerabilityId) -> (Manner, Url),
    /// What an answer says.
    pub(super) read: fn(&VulnerabilityId, &[u8], Timestamp) -> Said,
    /// What a 404 says.
    pub(super) not_found: fn(&VulnerabilityId, &[u8], Timestamp) -> Said,
}

impl Source {
    /// Asks about an id. None if there was no time, or no turn, to ask.
    pub(super) async fn ask(
        &self,
        mode: &Mode,
        store: &Store,
        id: &VulnerabilityId,
        budget: &Budget,
    ) -> Result<Option<Said>, fetch::Error> {
        let Mode::Live(live) = mode else {
            return Ok(Some(match file(mode, self.folder, &format!("{id}.json")).await {
                Ok(Some(body)) => (self.read)(id, &body, budget.now()),
                Ok(None) => Said::Error,
                Err(error) => failed(self.called, id, &error),
            }));
        };
        let (manner, url) = (self.request)(live, id);
        match live.fetcher.get(store, &manner, &url, None, budget).await {
            Ok(answered) if answered.status == StatusCode::OK => {
                Ok(Some((self.read)(id, &answered.body, budget.now())))
            }
            Ok(answered) if answered.status == StatusCode::NOT_FOUND => {
                Ok(Some((self.not_found)(id, &answered.body, budget.now())))
            }
            Ok(answered) => Ok(Some(failed(self.called, id, &answered.status))),
            Err(fetch::Error::Store(error)) => Err(error.into()),
            Err(error) if error.is_of_source() => Ok(Some(failed(self.called, id, &error))),
            Err(_) => Ok(None),
        }
    }
}

/// What a record says, if it is about the id that was asked about.
pub(super) fn about<E: Display>(
    called: &str,
    id: &VulnerabilityId,
    parsed: Result<(VulnerabilityId, Facts), E>,
) -> Said {
    match parsed {
        Ok((named, facts)) if named == *id => Said::Facts(Box::new(facts)),
        Ok((named, _)) => failed(called, id, &format_args!("it answered about {named}")),
        Err(error) => failed(called, id, &error),
    }
}

pub(super) fn failed(called: &str, id: &VulnerabilityId, error: &dyn Display) -> Said {
    tracing::info!(%id, %error, "{called} did not answer");
    Said::Error
}
