//! The Ollama client: one streamed `POST /api/chat`, every failure a variant of [`Error`].
//!
//! Facts and their sources: `reference/ollama.md`. What is sent is always explicit (`num_ctx`,
//! `num_predict`, `truncate: false`, `shift: false`, `keep_alive`): the server's defaults depend on its
//! memory, and a silent cut of the prompt is answered with 200.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, redirect};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::llm::prompt::{Message, Prompt};
use crate::tls;

mod address;
mod error;
mod stream;

pub use address::{InvalidUrl, OllamaUrl, is_refused};
pub use error::Error;

use address::{AllRefused, GuardedResolver, Unresolved};
use stream::{Collector, server_words};

/// Largest body of an error answer that is read.
const MAX_ERROR_BODY: usize = 8 * 1024;

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

/// How to reach the host. Model and sampling options are the prompt's.
#[derive(Debug, Clone)]
pub struct OllamaConfig {
    /// Base URL.
    pub url: OllamaUrl,
    /// Token for a proxy in front of Ollama, which knows no authentication itself.
    pub bearer: Option<Bearer>,
    /// PEM certificates trusted besides the public roots: a team's host often has a private CA.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Time for the TCP and TLS handshake.
    pub connect_timeout: Duration,
    /// Time to the first token: queue, model load and prompt evaluation are all inside.
    pub first_token_timeout: Duration,
    /// Longest pause between two chunks of the stream.
    pub idle_timeout: Duration,
    /// How long the model stays loaded afterwards, in seconds; negative = for ever.
    pub keep_alive_seconds: i64,
    /// Largest answer text, in bytes.
    pub max_answer_bytes: usize,
}

impl OllamaConfig {
    /// Defaults: 5 s to connect, 240 s to the first token, 30 s idle, model kept for 30 min, 64 KiB.
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

/// A finished answer. Counters and durations (nanoseconds) are missing when the server leaves them out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The text, without thoughts, trimmed, never empty.
    pub text: String,
    /// Model as the server names it.
    pub model: Option<String>,
    /// `stop`, normally.
    pub done_reason: Option<String>,
    /// The model thought before it answered.
    pub thinking_present: bool,
    /// Tokens of the prompt.
    pub prompt_eval_count: Option<u64>,
    /// Tokens of the prompt found in the cache (newer servers).
    pub prompt_eval_cached_count: Option<u64>,
    /// Tokens of the answer.
    pub eval_count: Option<u64>,
    /// All of it.
    pub total_duration_ns: Option<u64>,
    /// Model load.
    pub load_duration_ns: Option<u64>,
    /// Prompt evaluation.
    pub prompt_eval_duration_ns: Option<u64>,
    /// Generation.
    pub eval_duration_ns: Option<u64>,
}

/// The body of `/api/chat`.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a Value>,
    options: RequestOptions,
    truncate: bool,
    shift: bool,
    keep_alive: i64,
}

#[derive(Serialize)]
struct RequestOptions {
    num_ctx: u32,
    num_predict: u32,
    temperature: f64,
    seed: i64,
    repeat_penalty: f64,
}

/// `{"error": …}`: a text from Ollama, an object from proxies that speak another dialect.
#[derive(Deserialize)]
struct ErrorBody {
    error: Value,
}

/// A client for one host. Build it once and borrow it: it keeps connections.
#[derive(Debug, Clone)]
pub struct Ollama {
    client: Client,
    config: OllamaConfig,
    authorization: Option<HeaderValue>,
}

impl Ollama {
    /// Makes the client; connects to nothing yet.
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
            // A redirect could name any address, and a proxy from the environment see the prompt.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .user_agent(concat!("sirius/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Config(e.into()))?;
        Ok(Self { client, config, authorization })
    }

    /// Asks. `format` is a JSON schema for the answer; `deadline` bounds all of it.
    ///
    /// # Errors
    /// See [`Error`]; partial text is never returned.
    pub async fn chat(&self, prompt: &Prompt, format: Option<&Value>, deadline: Instant) -> Result<Answer, Error> {
        let response = self.send(prompt, format, deadline).await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(self.refusal(response, &prompt.model, deadline).await);
        }
        let answer = self.read(response, deadline).await?;
        accept(answer, prompt.fewest_tokens())
    }

    async fn send(&self, prompt: &Prompt, format: Option<&Value>, deadline: Instant) -> Result<Response, Error> {
        let options = &prompt.options;
        let body = serde_json::to_vec(&Request {
            model: &prompt.model,
            messages: &prompt.messages,
            stream: true,
            think: options.think,
            format,
            options: RequestOptions {
                num_ctx: options.num_ctx,
                num_predict: options.num_predict,
                temperature: options.temperature,
                seed: options.seed,
                repeat_penalty: options.repeat_penalty,
            },
            truncate: false,
            shift: false,
            keep_alive: self.config.keep_alive_seconds,
        })
        .map_err(|e| Error::Config(e.into()))?;
        let mut request = self
            .client
            .post(self.config.url.endpoint("/api/chat"))
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let limit = self.config.first_token_timeout;
        match within(limit, deadline, request.send()).await {
            Some(sent) => sent.map_err(connect_error),
            None => Err(expired(deadline, Error::FirstTokenTimeout(limit))),
        }
    }

    async fn read(&self, mut response: Response, deadline: Instant) -> Result<Answer, Error> {
        // Ollama sends no headers before the first token; a proxy in front may, so the first chunk
        // still has the time of a model load.
        let mut limit = self.config.first_token_timeout;
        let mut late: fn(Duration) -> Error = Error::FirstTokenTimeout;
        let mut collector = Collector::new(self.config.max_answer_bytes);
        loop {
            match within(limit, deadline, response.chunk()).await {
                Some(Ok(Some(chunk))) => {
                    (limit, late) = (self.config.idle_timeout, Error::IdleTimeout);
                    if let Some(answer) = collector.push(&chunk)? {
                        return Ok(answer);
                    }
                }
                Some(Ok(None)) => return collector.finish(),
                Some(Err(source)) => return Err(Error::Broken(source)),
                None => return Err(expired(deadline, late(limit))),
            }
        }
    }

    /// The error of an answer other than 200; a body that cannot be read changes nothing about it.
    async fn refusal(&self, mut response: Response, model: &str, deadline: Instant) -> Error {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while body.len() < MAX_ERROR_BODY {
            match within(self.config.idle_timeout, deadline, response.chunk()).await {
                Some(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                _ => break,
            }
        }
        body.truncate(MAX_ERROR_BODY);
        let message = match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error: Value::String(text) }) => text,
            Ok(ErrorBody { error }) => error.to_string(),
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        error::from_status(status, retry_after, model, server_words(&message))
    }
}

/// What the last line says about an answer that is complete on the wire.
fn accept(answer: Answer, fewest_tokens: u64) -> Result<Answer, Error> {
    let thinking_present = answer.thinking_present;
    // A cached prefix may or may not be inside the count, by version: never reject because of it.
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

/// Runs until it is done, `limit` has passed, or the deadline is there.
async fn within<T>(limit: Duration, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    let end = Instant::now().checked_add(limit).map_or(deadline, |end| end.min(deadline));
    timeout_at(end, work).await.ok()
}

fn expired(deadline: Instant, otherwise: Error) -> Error {
    if Instant::now() >= deadline { Error::Deadline } else { otherwise }
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

/// Sorts a failed send by the cause at the end of its chain.
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
            Box::pin(async move { Ok(address::permitted(name.as_str(), found.into_iter())?) })
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
