//! Asks a source about one id: the part that OSV and CVE Services share.

use std::error::Error;
use std::fmt::Display;

use jiff::Timestamp;
use reqwest::StatusCode;
use url::Url;

use super::fetch::{self, Budget, FetchPolicy};
use super::mode::{Live, Mode, read_mirrored_file};
use crate::domain::vulnerability::SourceRecord;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::enrichment::merge::Said;
use crate::store::Store;

pub(super) type Unreadable = Box<dyn Error + Send + Sync>;
/// Reads an answer that arrived at a time.
type Read<T> = fn(&[u8], Timestamp) -> Result<T, Unreadable>;

/// A source that answers about one id at a time.
#[derive(Debug)]
pub struct Source {
    /// The name in the log.
    pub(super) display_name: &'static str,
    /// The folder in a mirror.
    pub(super) folder: &'static str,
    /// Builds the request about an id.
    pub(super) request: fn(&Live, &VulnerabilityId) -> (FetchPolicy, Url),
    /// Reads an answer into its id and facts.
    pub(super) read: Read<(VulnerabilityId, SourceRecord)>,
    /// Reads a 404.
    pub(super) not_found: Read<Said>,
}

impl Source {
    /// Asks about an id. Returns none if there was no time, or no permit, to ask.
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
            return Ok(Some(match read_mirrored_file(mode, self.folder, &format!("{id}.json")).await {
                Ok(Some(body)) => self.read_answer(id, &body, budget),
                Ok(None) => Said::Error,
                Err(error) => self.log_failure(id, &error),
            }));
        };
        let (policy, url) = (self.request)(live, id);
        match live.fetcher.get(store, &policy, &url, budget).await {
            Ok(response) if response.status == StatusCode::OK => Ok(Some(self.read_answer(id, &response.body, budget))),
            Ok(response) if response.status == StatusCode::NOT_FOUND => {
                let answer = (self.not_found)(&response.body, budget.now());
                Ok(Some(answer.unwrap_or_else(|error| self.log_failure(id, &error))))
            }
            Ok(response) => Ok(Some(self.log_failure(id, &response.status))),
            Err(fetch::Error::Store(error)) => Err(error.into()),
            Err(error) if error.is_of_source() => Ok(Some(self.log_failure(id, &error))),
            Err(_) => Ok(None),
        }
    }

    /// Reads a record, and refuses one that is about another id.
    fn read_answer(&self, id: &VulnerabilityId, body: &[u8], budget: &Budget) -> Said {
        match (self.read)(body, budget.now()) {
            Ok((named, facts)) if named == *id => Said::Record(Box::new(facts)),
            Ok((named, _)) => self.log_failure(id, &format_args!("it answered about {named}")),
            Err(error) => self.log_failure(id, &error),
        }
    }

    fn log_failure(&self, id: &VulnerabilityId, error: &dyn Display) -> Said {
        tracing::info!(%id, %error, "{} did not answer", self.display_name);
        Said::Error
    }
}
