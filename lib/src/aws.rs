//! AWS clients: one HTTP stack, one TLS provider (ring), a small trust store, a timeout on every call.

mod http_client;

use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::config::{self, Lookup};
use crate::enrichment::freshness::Lifetimes;
use crate::llm::ollama::Bearer;
use crate::objects::Objects;
use crate::pipeline::enrich::{Enrichment, FeedCache};
use crate::pipeline::ingest::Ingestion;
use crate::queue::Queue;
use crate::sources::{Intervals, Live, Mode};
use crate::store::Store;

/// How long it may take to open a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// The SDK's own default is to wait for ever.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(20))
        .build()
}

/// The HTTP client that all AWS clients share.
///
/// # Errors
/// If the built-in roots cannot be read.
pub fn http_client() -> Result<SharedHttpClient, rustls::Error> {
    Ok(SharedHttpClient::new(http_client::Http::new(CONNECT)?))
}

/// The SDK's standard variables of endpoints: `AWS_ENDPOINT_URL_DYNAMODB` and the like, else `AWS_ENDPOINT_URL`.
#[derive(Debug)]
struct Endpoints(fn(&str) -> Option<String>);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        let read = |name: &str| (self.0)(name).filter(|value| !value.is_empty());
        read(&format!("{}_{service}", key.env())).or_else(|| read(key.env()))
    }
}

/// What AWS is reached with. Not by `aws_config`: its chain of places to look for credentials, none of which Lambda
/// has, would be in each package and in each start (docs/decisions/0016).
fn settings(aws: config::Aws, lookup: fn(&str) -> Option<String>) -> Result<SdkConfig, lambda_http::Error> {
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(aws.region))
        .credentials_provider(SharedCredentialsProvider::new(aws.credentials))
        .use_fips(aws.use_fips)
        .use_dual_stack(aws.use_dual_stack)
        .service_config(Endpoints(lookup))
        .http_client(http_client()?)
        .timeout_config(timeouts())
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .build())
}

/// The clients that functions are wired from. All share one HTTP client and its connections.
#[derive(Debug)]
pub struct Clients {
    config: SdkConfig,
    /// Whether S3 is an emulator's.
    emulated: bool,
}

impl Clients {
    /// Reads the SDK's standard variables.
    ///
    /// # Errors
    /// If there are no credentials among them, one is wrong, or the built-in roots cannot be read.
    pub fn load() -> Result<Self, lambda_http::Error> {
        let lookup = config::environment;
        let emulated = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]
            .into_iter()
            .any(|name| lookup(name).is_some_and(|url| !url.is_empty()));
        Ok(Self { config: settings(config::Aws::read(&lookup)?, lookup)?, emulated })
    }

    /// A store on `table`, with its connection open.
    pub async fn store(&self, table: String) -> Store {
        let store = Store::new(aws_sdk_dynamodb::Client::new(&self.config), table);
        store.warm().await;
        store
    }

    /// The queue at `url`.
    #[must_use]
    pub fn queue(&self, url: String) -> Queue {
        Queue::new(aws_sdk_sqs::Client::new(&self.config), url)
    }

    /// The bucket.
    #[must_use]
    pub fn objects(&self, bucket: config::Bucket) -> Objects {
        // An emulator has no host name for each bucket.
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(self.emulated).build();
        Objects::new(aws_sdk_s3::Client::from_conf(config), bucket.name).owned_by(bucket.owner)
    }

    /// What reports are taken in with, as the environment says.
    ///
    /// # Errors
    /// If a variable is missing or wrong.
    pub async fn ingestion(&self, lookup: Lookup<'_>) -> Result<Ingestion, config::Error> {
        let config::Ingestion { limits, lease, archive, require_image_name } = config::Ingestion::read(lookup)?;
        let bucket = if archive { Some(config::bucket(lookup)?) } else { None };
        let auto = config::auto_analyze(lookup)?.map(|(auto, url)| (auto, self.queue(url)));
        let enrichment = config::enrichment_queue_url(lookup).map(|url| self.queue(url));
        let store = self.store(config::table_name(lookup)?).await;
        let archive = bucket.map(|bucket| self.objects(bucket));
        Ok(Ingestion { store, archive, auto, enrichment, limits, require_image_name, lease })
    }

    /// What vulnerabilities are looked up with, as the environment says.
    ///
    /// # Errors
    /// If a variable is missing or wrong, or the secret with NVD's key cannot be read.
    pub async fn enrichment(&self, lookup: Lookup<'_>) -> Result<Enrichment, lambda_http::Error> {
        /// The first pause between two tries; the next ones are longer.
        const PAUSE: Duration = Duration::from_secs(1);
        let config::Enrichment { sources, queue_url, lease } = config::Enrichment::read(lookup)?;
        let objects = self.objects(config::bucket(lookup)?);
        let mode = match sources {
            config::Sources::Live(live) => {
                let key = self.secret(live.nvd_key_secret).await?;
                let (contact, key) = (live.contact.as_deref(), key.as_deref());
                Mode::Live(Box::new(Live::new(live.addresses, Intervals::default(), PAUSE, contact, key)?))
            }
            config::Sources::Mirror => Mode::Mirror(objects.clone()),
            config::Sources::Folder(path) => Mode::Folder(path),
        };
        Ok(Enrichment {
            store: self.store(config::table_name(lookup)?).await,
            objects,
            queue: self.queue(queue_url),
            mode,
            lifetimes: Lifetimes::default(),
            lease,
            feeds: FeedCache::default(),
        })
    }

    /// A bearer token from Secrets Manager, if there is a secret for it.
    ///
    /// # Errors
    /// If the secret cannot be read, or is not text.
    pub async fn bearer(&self, secret: Option<String>) -> Result<Option<Bearer>, lambda_http::Error> {
        Ok(self.secret(secret).await?.map(Bearer::new))
    }

    /// The text of a secret, if one is named.
    async fn secret(&self, name: Option<String>) -> Result<Option<String>, lambda_http::Error> {
        let Some(name) = name else { return Ok(None) };
        let secrets = aws_sdk_secretsmanager::Client::new(&self.config);
        let value = secrets.get_secret_value().secret_id(name).send().await?;
        let text = value.secret_string().ok_or("a secret holds no text")?;
        Ok(Some(text.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(lookup: fn(&str) -> Option<String>, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        Endpoints(lookup).load_config(key.build().unwrap())
    }

    #[test]
    fn the_endpoint_of_a_service_goes_before_that_of_all() {
        let lookup = |name: &str| match name {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some("http://secrets".to_owned()),
            "AWS_ENDPOINT_URL_S3" => Some(String::new()),
            "AWS_ENDPOINT_URL" => Some("http://all".to_owned()),
            _ => None,
        };
        assert_eq!(endpoint(lookup, "Secrets Manager").as_deref(), Some("http://secrets"));
        assert_eq!(endpoint(lookup, "S3").as_deref(), Some("http://all"));
        assert_eq!(endpoint(lookup, "DynamoDB").as_deref(), Some("http://all"));
        assert_eq!(endpoint(|_| None, "DynamoDB"), None);
    }
}
