//! The state of the functions that ingest reports, analyse findings and enrich vulnerabilities.

use std::time::Duration;

use super::{Error, Startup, questions};
use crate::config::auto_analyze::AutoAnalyze;
use crate::config::ollama::Host;
use crate::config::reports;
use crate::config::sources::{self, Sources};
use crate::enrichment::freshness::Lifetimes;
use crate::events::{ingest_upload, run_analysis};
use crate::llm::ollama::Bearer;
use crate::llm::{Ollama, OllamaConfig};
use crate::pipeline::enrich::{Enrichment, FeedCache};
use crate::pipeline::ingest::{self, Ingestion};
use crate::pipeline::recover::Recovery;
use crate::report::Limits;
use crate::sources::{Addresses, Intervals, Live, Mode};

#[expect(clippy::missing_errors_doc, reason = "each method fails if a variable is missing or wrong")]
impl Startup {
    /// Builds the state of `ingest-scan` and `reingest`.
    pub fn ingestion(self) -> Result<Ingestion, Error> {
        let settings = reports::Ingestion::read(&self.environment)?;
        Ok(Ingestion {
            archive: if settings.archive { Some(self.bucket()?) } else { None },
            auto: match AutoAnalyze::read_if_any(&self.environment)? {
                Some(AutoAnalyze { severities, model, queue_url }) => {
                    let auto =
                        ingest::AutoAnalyze { severities, questions: questions(model), priorities: self.priorities()? };
                    Some((auto, self.queue(queue_url)))
                }
                None => None,
            },
            enrichment: self.enrichment_queue(),
            limits: Limits { max_bytes: settings.max_bytes, max_findings: settings.max_findings },
            require_image_name: settings.require_image_name,
            lease: settings.lease,
            store: self.store,
        })
    }

    /// Builds the state of `ingest-upload`.
    pub fn ingest_upload(self) -> Result<ingest_upload::Deps, Error> {
        Ok(ingest_upload::Deps { objects: self.bucket()?, ingestion: self.ingestion()? })
    }

    /// Builds the state of `recover`.
    pub fn recovery(self) -> Result<Recovery, Error> {
        Ok(Recovery {
            objects: self.bucket()?,
            queue: self.analysis_queue()?,
            retention: reports::retention(&self.environment)?,
            ingestion: self.ingestion()?,
        })
    }

    /// Builds the state of `run-analysis`.
    pub async fn run_analysis(self) -> Result<run_analysis::Deps, Error> {
        let host = Host::read(&self.environment)?;
        let config = OllamaConfig {
            bearer: self.secret(host.token_secret).await?.map(Bearer::new),
            extra_roots_pem: host.ca_pem.map(String::into_bytes),
            first_token_timeout: host.first_token_timeout,
            idle_timeout: host.idle_timeout,
            ..OllamaConfig::new(host.url.parse()?)
        };
        Ok(run_analysis::Deps { store: self.store, ollama: Ollama::new(config)?, lease: host.lease })
    }

    /// Builds the state of `enrich-cves` and `refresh-feeds`.
    pub async fn enrichment(self) -> Result<Enrichment, Error> {
        let settings = sources::Enrichment::read(&self.environment)?;
        let objects = self.bucket()?;
        let mode = match settings.sources {
            Sources::Live(live) => Mode::Live(Box::new(self.live(*live).await?)),
            Sources::Mirror => Mode::Mirror(objects.clone()),
            Sources::Folder(path) => Mode::Folder(path),
        };
        Ok(Enrichment {
            mode,
            objects,
            queue: self.queue(settings.queue_url),
            lifetimes: Lifetimes::default(),
            lease: settings.lease,
            feeds: FeedCache::default(),
            store: self.store,
        })
    }

    async fn live(&self, settings: sources::Live) -> Result<Live, Error> {
        /// The pause before the second attempt; later ones are longer.
        const FIRST_PAUSE: Duration = Duration::from_secs(1);
        let addresses = Addresses {
            nvd: settings.nvd.parse()?,
            osv: settings.osv.parse()?,
            cve_services: settings.cve_services.parse()?,
            kev: settings.kev.parse()?,
            kev_mirror: settings.kev_mirror.parse()?,
            epss: settings.epss.parse()?,
        };
        let key = self.secret(settings.nvd_key_secret).await?;
        Ok(Live::new(addresses, Intervals::default(), FIRST_PAUSE, settings.contact.as_deref(), key.as_deref())?)
    }

    /// Reads the text of a secret, if one is named.
    async fn secret(&self, name: Option<String>) -> Result<Option<String>, Error> {
        Ok(match name {
            Some(name) => Some(self.clients.secret(name).await?),
            None => None,
        })
    }
}
