//! The Ollama client: one streamed `POST /api/chat`, with a variant of [`Error`] for each failure.
//!
//! The request sets `num_ctx`, `num_predict`, `truncate: false`, `shift: false` and `keep_alive`: the server's defaults
//! depend on its memory, and it answers 200 after cutting a prompt silently.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, redirect};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::llm::prompt::{Options, Prompt};
use crate::tls;

mod address;
mod error;
mod stream;

pub use address::{InvalidUrl, OllamaUrl};
pub use error::Error;

use address::{AllRefused, GuardedResolver, Unresolved};
use stream::{Collector, server_message};

/// The longest beginning of an error body that is read.
const MAX_ERROR_BODY_BYTES: usize = 8 * 1024;

/// A bearer token whose `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(String);

impl Bearer {
    /// Wraps a token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// The settings of the client. Model and sampling options are part of the prompt.
#[derive(Debug, Clone)]
pub struct OllamaConfig {
    /// The base URL.
    pub url: OllamaUrl,
    /// The token for a proxy in front of Ollama, which has no authentication itself.
    pub bearer: Option<Bearer>,
    /// PEM certificates of a private CA, trusted in addition to the public roots.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// The limit of the TCP and TLS handshakes.
    pub connect_timeout: Duration,
    /// The limit to the first token, with queue, model load and prompt evaluation.
    pub first_token_timeout: Duration,
    /// The longest pause between two chunks of the stream.
    pub idle_timeout: Duration,
    /// The time for which the model stays loaded, in seconds; negative for ever.
    pub keep_alive_seconds: i64,
    /// The longest answer, in bytes.
    pub max_answer_bytes: usize,
}

impl OllamaConfig {
    /// Returns the defaults: 5 s to connect, 240 s to the first token, 30 s idle, model loaded for 30 min, 64 KiB.
    #[must_use]
    pub const fn new(url: OllamaUrl) -> Self {
        Self {
            url,
            bearer: None,
            extra_roots_pem: None,
            connect_timeout: Duration::from_secs(5),
            first_token_timeout: Duration::from_secs(240),
            idle_timeout: Duration::from_secs(30),
            keep_alive_seconds: 1800,
            max_answer_bytes: 64 * 1024,
        }
    }
}

/// A finished answer. The server may leave out counters and durations (nanoseconds).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The text without thoughts, trimmed and not empty.
    pub text: String,
    /// The model in the answer.
    pub model: Option<String>,
    /// Usually `stop`.
    pub done_reason: Option<String>,
    /// Whether the answer has thoughts.
    pub thinking_present: bool,
    /// Tokens of the prompt.
    pub prompt_eval_count: Option<u64>,
    /// Tokens of the prompt from the cache (newer servers).
    pub prompt_eval_cached_count: Option<u64>,
    /// Tokens of the answer.
    pub eval_count: Option<u64>,
    /// The whole request.
    pub total_duration_ns: Option<u64>,
    /// Generating the answer.
    pub eval_duration_ns: Option<u64>,
}

/// `{"error": …}`, a text from Ollama and an object from some proxies.
#[derive(Deserialize)]
struct ErrorBody {
    error: Value,
}

/// A client for one host, which keeps connections.
#[derive(Debug, Clone)]
pub struct Ollama {
    client: Client,
    config: OllamaConfig,
    authorization: Option<HeaderValue>,
}

impl Ollama {
    /// Creates the client, without connecting.
    ///
    /// # Errors
    /// [`Error::Config`] for a token that is no header value, or unreadable certificates.
    pub fn new(config: OllamaConfig) -> Result<Self, Error> {
        let authorization = config.bearer.as_ref().map(bearer_header).transpose()?;
        if authorization.is_some() && config.url.is_plain_remote() {
            tracing::warn!("the Ollama token is sent without encryption: the URL is http");
        }
        let client = Client::builder()
            .tls_backend_preconfigured(tls_config(config.extra_roots_pem.as_deref())?)
            .dns_resolver(GuardedResolver)
            // A redirect could name any address, and a proxy of the environment could read the prompt.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .user_agent(concat!("sirius/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Config(e.into()))?;
        Ok(Self { client, config, authorization })
    }

    /// Sends a prompt and reads the whole answer. `format` is a JSON schema for it.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn chat(&self, prompt: &Prompt, format: Option<&Value>, deadline: Instant) -> Result<Answer, Error> {
        let response = self.send(prompt, format, deadline).await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(self.refusal(response, &prompt.model, deadline).await);
        }
        let answer = self.read(response, deadline).await?;
        check_counters(answer, prompt.fewest_tokens())
    }

    async fn send(&self, prompt: &Prompt, format: Option<&Value>, deadline: Instant) -> Result<Response, Error> {
        let Options { num_ctx, num_predict, temperature, seed, repeat_penalty, think } = prompt.options;
        let mut body = json!({
            "model": prompt.model,
            "messages": prompt.messages,
            "stream": true,
            "options": {
                "num_ctx": num_ctx, "num_predict": num_predict, "temperature": temperature, "seed": seed,
                "repeat_penalty": repeat_penalty,
            },
            "truncate": false,
            "shift": false,
            "keep_alive": self.config.keep_alive_seconds,
        });
        if let Some(members) = body.as_object_mut() {
            let optional = [("think", think.map(Value::from)), ("format", format.cloned())];
            members.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        let mut request = self
            .client
            .post(self.config.url.endpoint("/api/chat"))
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body.to_string());
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let limit = self.config.first_token_timeout;
        within(limit, deadline, Error::FirstTokenTimeout, request.send()).await?.map_err(connect_error)
    }

    async fn read(&self, mut response: Response, deadline: Instant) -> Result<Answer, Error> {
        // A proxy may send headers before the first token, so the first chunk has the limit of a model load.
        let mut limit = self.config.first_token_timeout;
        let mut late: fn(Duration) -> Error = Error::FirstTokenTimeout;
        let mut collector = Collector::new(self.config.max_answer_bytes);
        loop {
            match within(limit, deadline, late, response.chunk()).await? {
                Ok(Some(chunk)) => {
                    (limit, late) = (self.config.idle_timeout, Error::IdleTimeout);
                    if let Some(answer) = collector.push(&chunk)? {
                        return Ok(answer);
                    }
                }
                Ok(None) => return collector.finish(),
                Err(source) => return Err(Error::Broken(source)),
            }
        }
    }

    /// Reads the error of a status other than 200, even without a readable body.
    async fn refusal(&self, mut response: Response, model: &str, deadline: Instant) -> Error {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while body.len() < MAX_ERROR_BODY_BYTES {
            match within(self.config.idle_timeout, deadline, Error::IdleTimeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                _ => break,
            }
        }
        body.truncate(MAX_ERROR_BODY_BYTES);
        let message = match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error: Value::String(text) }) => text,
            Ok(ErrorBody { error }) => error.to_string(),
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        error::from_status(status, retry_after, model, server_message(&message))
    }
}

/// Checks an answer by the counters of its last line.
fn check_counters(answer: Answer, fewest_tokens: u64) -> Result<Answer, Error> {
    let thinking_present = answer.thinking_present;
    // Some versions count a cached prefix and others do not.
    let cached = answer.prompt_eval_cached_count.unwrap_or_default();
    match (answer.done_reason.as_deref(), answer.prompt_eval_count) {
        (Some(reason @ ("load" | "unload")), _) => Err(Error::NotAnAnswer(reason.to_owned())),
        (_, Some(counted)) if counted.saturating_add(cached) < fewest_tokens => {
            Err(Error::PromptCut { counted, expected: fewest_tokens })
        }
        (Some("length"), _) => Err(Error::Truncated { thinking_present }),
        _ if answer.text.is_empty() => Err(Error::Empty { thinking_present }),
        _ => Ok(answer),
    }
}

/// Runs work until `limit` or the deadline has passed.
async fn within<T>(
    limit: Duration,
    deadline: Instant,
    late: fn(Duration) -> Error,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    let end = Instant::now().checked_add(limit).map_or(deadline, |end| end.min(deadline));
    let error = |_| if Instant::now() >= deadline { Error::Deadline } else { late(limit) };
    timeout_at(end, work).await.map_err(error)
}

fn bearer_header(bearer: &Bearer) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.0)).map_err(|e| Error::Config(e.into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Makes the TLS settings of a client that trusts the public roots and these.
fn tls_config(extra_roots_pem: Option<&[u8]>) -> Result<rustls::ClientConfig, Error> {
    let mut roots = tls::public_roots();
    let public = roots.len();
    for certificate in CertificateDer::pem_slice_iter(extra_roots_pem.unwrap_or_default()) {
        let certificate = certificate.map_err(|e| Error::Config(e.into()))?;
        roots.add(certificate).map_err(|e| Error::Config(e.into()))?;
    }
    if extra_roots_pem.is_some() && roots.len() == public {
        return Err(Error::Config("no certificate in the extra roots".into()));
    }
    tls::client(roots).map_err(|e| Error::Config(e.into()))
}

/// Classifies a failed send by the chain of its causes.
fn connect_error(error: reqwest::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(this) = cause {
        if this.is::<AllRefused>() {
            return Error::RefusedAddress(error);
        }
        if this.is::<Unresolved>() {
            return Error::Dns(error);
        }
        let io = this.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Error::Refused(error);
        }
        cause = this.source();
    }
    if error.is_connect() {
        Error::Connect(error)
    } else if error.is_builder() {
        Error::Config(error.into())
    } else {
        Error::Broken(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::dns::{Name, Resolve, Resolving};

    /// A resolver whose every name has metadata addresses only.
    struct MetadataOnly;

    impl Resolve for MetadataOnly {
        fn resolve(&self, name: Name) -> Resolving {
            let found = ["169.254.169.254:0", "[fd00:ec2::254]:0"].map(|a| a.parse().unwrap());
            Box::pin(async move { Ok(address::allowed_addresses(name.as_str(), found.into_iter())?) })
        }
    }

    #[tokio::test]
    async fn a_name_with_metadata_addresses_only_is_refused_before_connecting() {
        let client = Client::builder()
            .tls_backend_preconfigured(tls_config(None).unwrap())
            .dns_resolver(MetadataOnly)
            .no_proxy()
            .build()
            .unwrap();
        let error = connect_error(client.get("http://ollama.internal/").send().await.unwrap_err());
        assert_eq!((error.name(), error.is_transient()), ("refused_address", false), "{error:?}");
    }
}
