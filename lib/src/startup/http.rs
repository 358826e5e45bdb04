//! The state of the functions behind the API.

use super::{Error, Startup};
use crate::config::{self, ollama, queues, reports, sources};
use crate::http::{
    Storage, analyze_finding, confirm_scan, create_upload, get_cve, get_health, list_findings, list_priorities,
};
use crate::queries::finding_reader::FindingReader;
use crate::store::Store;

/// `ingest-scan` starts from [`Startup::ingestion`].
#[expect(clippy::missing_errors_doc, reason = "each method fails if a variable is missing or wrong")]
impl Startup {
    /// Builds the state of `list-scans` and `retire-image`.
    #[must_use]
    pub fn store(self) -> Store {
        self.store
    }

    /// Builds the state of `get-upload`, `get-report` and `delete-scan`.
    pub fn storage(self) -> Result<Storage, Error> {
        Ok(Storage { objects: self.bucket_if_any()?, store: self.store })
    }

    /// Builds the state of `create-upload`.
    pub fn create_upload(self) -> Result<create_upload::Deps, Error> {
        Ok(create_upload::Deps { max_bytes: reports::max_bytes(&self.environment)?, storage: self.storage()? })
    }

    /// Builds the state of `list-findings` and `get-scan`.
    pub fn list_findings(self) -> Result<list_findings::Deps, Error> {
        let (objects, region) = (self.bucket_if_any()?, config::aws::region(&self.environment).to_owned());
        Ok(list_findings::Deps { objects, region, reader: self.finding_reader()? })
    }

    /// Builds the state of `confirm-scan`.
    pub fn confirm_scan(self) -> Result<confirm_scan::Deps, Error> {
        Ok(confirm_scan::Deps { enrichment: self.enrichment_queue(), store: self.store })
    }

    /// Builds the state of `get-finding`.
    pub fn finding_reader(self) -> Result<FindingReader, Error> {
        Ok(FindingReader { priorities: self.priorities()?, questions: self.questions()?, store: self.store })
    }

    /// Builds the state of `get-cve`.
    pub fn get_cve(self) -> Result<get_cve::Deps, Error> {
        let enriched = queues::enrichment_url(&self.environment).is_some();
        Ok(get_cve::Deps { reader: self.fleet_reader()?, enriched })
    }

    /// Builds the state of `list-priorities`.
    pub fn list_priorities(self) -> Result<list_priorities::Deps, Error> {
        let enriched = queues::enrichment_url(&self.environment).is_some();
        Ok(list_priorities::Deps { reader: self.fleet_reader()?, enriched, time: list_priorities::READ_BUDGET })
    }

    /// Builds the state of `analyze-finding` and `analyze-scan`.
    pub fn analyze_finding(self) -> Result<analyze_finding::Deps, Error> {
        Ok(analyze_finding::Deps { queue: self.analysis_queue()?, reader: self.finding_reader()? })
    }

    /// Builds the state of `get-health`.
    pub fn get_health(self) -> Result<get_health::Deps, Error> {
        Ok(get_health::Deps {
            objects: self.bucket_if_any()?,
            queues: queues::all_urls(&self.environment).map(|(name, url)| (name, url.map(|url| self.queue(url)))),
            model: ollama::Model::read_if_any(&self.environment)?.map(|model| model.name),
            sources: sources::mode_name(&self.environment),
            store: self.store,
        })
    }
}
