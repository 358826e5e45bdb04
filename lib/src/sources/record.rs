//! Asking a source about one id: what OSV and CVE Services have in common.

use std::error::Error;
use std::fmt::Display;

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use super::fetch::{self, Budget, Manner};
use super::mode::{Live, Mode, file};
use crate::domain::vulnerability::SourceRecord;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::enrichment::merge::Said;
use crate::store::Store;

/// Why an answer could not be read.
pub(super) type Unreadable = Box<dyn Error + Send + Sync>;
/// Reads an answer that came at a time.
type Read<T> = fn(&[u8], Timestamp) -> Result<T, Unreadable>;

/// A source that answers about one id at a time.
#[derive(Debug)]
pub struct Source {
    /// What people call it.
    pub(super) called: &'static str,
    /// Its folder in a mirror.
    pub(super) folder: &'static str,
    /// Under which pace, and where, it is asked about an id.
    pub(super) request: fn(&Live, &VulnerabilityId) -> (Manner, Url),
    /// Which id an answer is about, and what it says.
    pub(super) read: Read<(VulnerabilityId, SourceRecord)>,
    /// What a 404 says.
    pub(super) not_found: Read<Said>,
}

impl Source {
    /// Asks about an id of its own. None if there was no time, or no turn, to ask.
    ///
    /// # Errors
    /// Those of the table.
    pub async fn ask(
        &self,
        mode: &Mode,
        store: &Store,
        id: &VulnerabilityId,
        budget: &Budget,
    ) -> Result<Option<Said>, fetch::Error> {
        let Mode::Live(live) = mode else {
            return Ok(Some(match file(mode, self.folder, &format!("{id}.json")).await {
                Ok(Some(body)) => self.said(id, &body, budget),
                Ok(None) => Said::Error,
                Err(error) => self.failed(id, &error),
            }));
        };
        let (manner, url) = (self.request)(live, id);
        match live.fetcher.get(store, &manner, &url, None, budget).await {
            Ok(answered) if answered.status == StatusCode::OK => Ok(Some(self.said(id, &answered.body, budget))),
            Ok(answered) if answered.status == StatusCode::NOT_FOUND => {
                let said = (self.not_found)(&answered.body, budget.now());
                Ok(Some(said.unwrap_or_else(|error| self.failed(id, &error))))
            }
            Ok(answered) => Ok(Some(self.failed(id, &answered.status))),
            Err(fetch::Error::Store(error)) => Err(error.into()),
            Err(error) if error.is_of_source() => Ok(Some(self.failed(id, &error))),
            Err(_) => Ok(None),
        }
    }

    /// What a record says, if it is about the id that was asked about.
    fn said(&self, id: &VulnerabilityId, body: &[u8], budget: &Budget) -> Said {
        match (self.read)(body, budget.now()) {
            Ok((named, facts)) if named == *id => Said::Record(Box::new(facts)),
            Ok((named, _)) => self.failed(id, &format_args!("it answered about {named}")),
            Err(error) => self.failed(id, &error),
        }
    }

    fn failed(&self, id: &VulnerabilityId, error: &dyn Display) -> Said {
        tracing::info!(%id, %error, "{} did not answer", self.called);
        Said::Error
    }
}
