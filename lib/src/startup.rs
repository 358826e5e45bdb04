//! Starts functions: builds the state of each handler from the environment.
//!
//! | file | builds |
//! |---|---|
//! | `http` | the state of the functions behind the API |
//! | `events` | the state of the functions that ingest reports, analyse findings and enrich vulnerabilities |
//!
//! Each state has its own method, so that the linker removes unused code from each function's package.

use std::fmt;

use crate::aws::{self, Clients};
use crate::config::bucket::Bucket;
use crate::config::ollama::Model;
use crate::config::{self, Environment, fleet, queues, table};
use crate::llm::{Options, Questions, ollama};
use crate::objects::Objects;
use crate::priority::Thresholds;
use crate::queries::fleet_reader::FleetReader;
use crate::queries::priority_config::PriorityConfig;
use crate::queue::Queue;
use crate::sources::fetch;
use crate::store::Store;
use crate::telemetry;

mod events;
mod http;
#[cfg(test)]
mod tests;

/// Why a function cannot start.
#[derive(thiserror::Error)]
pub enum Error {
    /// A setting.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A client of AWS, or a secret.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// The client of the Ollama host.
    #[error(transparent)]
    Ollama(#[from] ollama::Error),
    /// The client of the public sources.
    #[error(transparent)]
    Sources(#[from] fetch::Error),
}

/// Writes the message and its causes: the runtime logs an error of `main` in this form.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&telemetry::chain(self))
    }
}

/// The parts that all states are built from.
#[derive(Debug)]
pub struct Startup {
    environment: Environment,
    clients: Clients,
    store: Store,
}

impl Startup {
    /// Starts this process: sets up the log, reads the environment, and opens the connection to the table, so that the
    /// first request does not have to.
    ///
    /// # Errors
    /// If a variable is missing or wrong, or TLS cannot be set up.
    pub async fn of_process() -> Result<Self, Error> {
        let environment = Environment::of_process();
        telemetry::init(&environment);
        let clients = Clients::new(&environment)?;
        Ok(Self::new(environment, clients)?.connected().await)
    }

    /// Starts from an environment and the clients that it configures. Connects to nothing yet.
    ///
    /// # Errors
    /// If `TABLE_NAME` is not set.
    pub fn new(environment: Environment, clients: Clients) -> Result<Self, Error> {
        let store = Store::new(clients.dynamodb(), table::table_name(&environment)?);
        Ok(Self { environment, clients, store })
    }

    /// Opens the connection to the table.
    pub async fn connected(self) -> Self {
        self.store.warm().await;
        self
    }

    fn queue(&self, url: String) -> Queue {
        Queue::new(self.clients.sqs(), url)
    }

    fn analysis_queue(&self) -> Result<Queue, Error> {
        Ok(self.queue(queues::analysis_url(&self.environment)?))
    }

    /// Returns the queue of enrichment; none if vulnerabilities are not looked up.
    fn enrichment_queue(&self) -> Option<Queue> {
        queues::enrichment_url(&self.environment).map(|url| self.queue(url))
    }

    fn objects(&self, bucket: Bucket) -> Objects {
        Objects::new(self.clients.s3(), bucket.name).owned_by(bucket.owner)
    }

    fn bucket(&self) -> Result<Objects, Error> {
        Ok(self.objects(Bucket::read(&self.environment)?))
    }

    fn bucket_if_any(&self) -> Result<Option<Objects>, Error> {
        Ok(Bucket::read_if_any(&self.environment)?.map(|bucket| self.objects(bucket)))
    }

    fn fleet_reader(self) -> Result<FleetReader, Error> {
        let (priorities, fleet) = (self.priorities()?, fleet::fleet(&self.environment)?);
        Ok(FleetReader { store: self.store, priorities, fleet })
    }

    fn priorities(&self) -> Result<PriorityConfig, Error> {
        Ok(PriorityConfig { exposures: fleet::exposures(&self.environment)?, thresholds: Thresholds::default() })
    }

    /// Returns the settings of the model; none if findings are not analysed.
    fn questions(&self) -> Result<Option<Questions>, Error> {
        Ok(Model::read_if_any(&self.environment)?.map(questions))
    }
}

fn questions(model: Model) -> Questions {
    let Model { name, num_ctx, num_predict } = model;
    Questions { model: name, options: Options { num_ctx, num_predict, ..Options::default() } }
}
