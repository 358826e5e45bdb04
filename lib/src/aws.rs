//! The AWS clients: one HTTP client, a small trust store, a timeout on every call.

mod endpoints;
mod http_client;

use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use self::endpoints::Endpoints;
use crate::config::aws::Aws;
use crate::config::{self, Environment};

/// The longest time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client that cannot be made, or a secret that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable is missing or wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The built-in roots cannot be read.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// Secrets Manager does not return the secret.
    #[error("the secret {0} cannot be read")]
    Secret(String, #[source] Box<SdkError<GetSecretValueError>>),
    /// The secret is not text.
    #[error("the secret {0} has no text")]
    NoText(String),
}

/// Makes the HTTP client that all AWS clients share.
///
/// # Errors
/// If the built-in roots cannot be read.
pub fn http_client() -> Result<SharedHttpClient, rustls::Error> {
    Ok(SharedHttpClient::new(http_client::Http::new(CONNECT_TIMEOUT)?))
}

/// The timeouts of each call: by default the SDK waits without limit.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(20))
        .build()
}

/// Makes the clients of the services. They share one HTTP client and its connections.
///
/// `aws_config` would add its chain of credential providers, none of which Lambda has, to each package and each start
/// (docs/decisions/0016).
#[derive(Debug)]
pub struct Clients {
    config: SdkConfig,
    s3_is_emulated: bool,
}

impl Clients {
    /// Reads the SDK's standard variables. Connects to nothing yet.
    ///
    /// # Errors
    /// If there are no credentials among them, one is wrong, or the built-in roots cannot be read.
    pub fn new(environment: &Environment) -> Result<Self, Error> {
        let aws = Aws::read(environment)?;
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(aws.region))
            .credentials_provider(SharedCredentialsProvider::new(aws.credentials))
            .use_fips(aws.use_fips)
            .use_dual_stack(aws.use_dual_stack)
            .service_config(Endpoints(environment.clone()))
            .http_client(http_client()?)
            .timeout_config(timeouts())
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .build();
        Ok(Self { config, s3_is_emulated: aws.s3_is_emulated })
    }

    /// Replaces how failed calls are tried again.
    #[must_use]
    pub fn with_retries(self, retries: RetryConfig) -> Self {
        Self { config: self.config.into_builder().retry_config(retries).build(), ..self }
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        // An emulator has no host name for each bucket.
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(self.s3_is_emulated).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Reads the text of a secret from Secrets Manager, without white space around it.
    pub(crate) async fn secret(&self, name: String) -> Result<String, Error> {
        let answer = aws_sdk_secretsmanager::Client::new(&self.config).get_secret_value().secret_id(&name).send().await;
        match answer {
            Ok(value) => match value.secret_string() {
                Some(text) => Ok(text.trim().to_owned()),
                None => Err(Error::NoText(name)),
            },
            Err(error) => Err(Error::Secret(name, Box::new(error))),
        }
    }
}
