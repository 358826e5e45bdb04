//! Sends one GET to a public source, within its rate limit and a budget of time.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::rate_limit::{Permit, SourceState};
use crate::store::{self, Store};
use crate::tls;

/// The largest body that is read, unpacked: a hundred CVEs of NVD have about 5 MB, all EPSS scores 12 MB.
pub const MAX_BYTES: usize = 32 << 20;
/// The time from the first byte sent to the last one read; NVD may take a minute.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("sirius/", env!("CARGO_PKG_VERSION"));
const MAX_TRIES: u32 = 4;
/// The longest pause between two tries without a `Retry-After`.
const MAX_PAUSE: Duration = Duration::from_secs(20);
const MAX_REDIRECTS: usize = 3;

/// A limit on time, with a clock that starts at a given moment.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    started: Instant,
    now: Timestamp,
    deadline: Instant,
}

impl Budget {
    /// Starts a budget of `time` at `now`.
    #[must_use]
    pub fn new(now: Timestamp, time: Duration) -> Self {
        let started = Instant::now();
        Self { started, now, deadline: started + time }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now.checked_add(self.started.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn end(&self) -> Timestamp {
        self.now().checked_add(self.left()).unwrap_or(Timestamp::MAX)
    }

    /// Returns the time that is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Tells whether no time is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// The last response of a source: a success or a refusal, never a status that a retry may change.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header `message`, in which NVD gives the reason of a refusal.
    pub message: Option<String>,
    /// The unpacked body.
    pub body: Vec<u8>,
}

/// A source gave no response.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("{source_name} is busy until {until}")]
    Busy { source_name: &'static str, until: Timestamp },
    #[error("{source_name} failed too often and is not asked until {until}")]
    Open { source_name: &'static str, until: Timestamp },
    #[error("{source_name} did not answer, after {tries} tries: {reason}")]
    Failed { source_name: &'static str, tries: u32, reason: String },
    #[error("{source_name} redirects to a host that is not allowed")]
    Redirected { source_name: &'static str },
    #[error("the request cannot be made: {0}")]
    Request(String),
    #[error("no HTTP client could be made: {0}")]
    Client(String),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Tells whether asking again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Open { .. } | Self::Failed { .. } => true,
            Self::Redirected { .. } | Self::Request(_) | Self::Client(_) => false,
            Self::Store(error) => error.is_transient(),
        }
    }

    /// Tells whether the source has failed, as opposed to the time or the table.
    #[must_use]
    pub const fn is_of_source(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Failed { .. } | Self::Redirected { .. })
    }
}

/// The limits of requests to a source.
#[derive(Debug, Clone)]
pub struct FetchPolicy {
    /// The source's name in the table.
    pub source_name: &'static str,
    /// The time between two requests.
    pub interval: Duration,
    /// Other hosts to which a redirect may lead; with none, no redirect is followed.
    pub redirects_to: &'static [&'static str],
    /// A header with a key, sent to the source's own host only.
    pub key: Option<(HeaderName, HeaderValue)>,
}

impl FetchPolicy {
    /// Returns a policy without redirects and key.
    #[must_use]
    pub const fn new(source_name: &'static str, interval: Duration) -> Self {
        Self { source_name, interval, redirects_to: &[], key: None }
    }
}

/// An HTTP client for all sources.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    /// The longest pause after the first try; each further try doubles it.
    pause: Duration,
    /// Serialises the writes of source states, which would otherwise refuse each other.
    state_lock: Mutex<()>,
}

/// The result of one try.
enum Tried {
    Responded(Response),
    Redirected(Url),
    Failed { reason: String, retry_after: Option<Duration> },
}

impl Fetcher {
    /// Creates a client, without connecting. `pause` is the first one between two tries; `contact` is sent to the
    /// sources, as they ask for one.
    ///
    /// # Errors
    /// [`Error::Client`]
    pub fn new(pause: Duration, contact: Option<&str>) -> Result<Self, Error> {
        let agent = contact.map_or_else(|| USER_AGENT.to_owned(), |contact| format!("{USER_AGENT} ({contact})"));
        let tls = tls::client(tls::public_roots()).map_err(|error| Error::Client(error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            // `get` follows redirects, to allowed hosts only.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(agent)
            .build()
            .map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { client, pause, state_lock: Mutex::new(()) })
    }

    /// Gets `url` within the source's rate limit, and tries again while that may help and there is time.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn get(
        &self,
        store: &Store,
        policy: &FetchPolicy,
        url: &Url,
        budget: &Budget,
    ) -> Result<Response, Error> {
        let source_name = policy.source_name;
        let own_host = url.host_str().map(str::to_owned);
        let (mut url, mut redirects, mut tries) = (url.clone(), 0, 0);
        loop {
            self.wait_for_permit(store, policy, budget).await?;
            tries += 1;
            let header = policy.key.clone().filter(|_| url.host_str().map(str::to_owned) == own_host);
            let (reason, retry_after) = match self.try_once(&url, header, budget).await {
                Tried::Responded(response) => {
                    self.change_state(store, source_name, SourceState::record_success).await?;
                    return Ok(response);
                }
                Tried::Redirected(next) => {
                    redirects += 1;
                    if redirects > MAX_REDIRECTS || !is_allowed(&next, &url, policy.redirects_to) {
                        return Err(Error::Redirected { source_name });
                    }
                    url = next;
                    tries = 0;
                    continue;
                }
                Tried::Failed { reason, retry_after } => (reason, retry_after),
            };
            tracing::info!(source_name, tries, reason, "a source failed");
            let signed = retry_after.and_then(|time| SignedDuration::try_from(time).ok());
            self.change_state(store, source_name, |state| state.record_failure(budget.now(), signed)).await?;
            let pause = self.pause_after(tries).max(retry_after.unwrap_or_default());
            let resume = Instant::now() + pause;
            if tries >= MAX_TRIES || resume >= budget.deadline {
                return Err(Error::Failed { source_name, tries, reason });
            }
            tokio::time::sleep_until(resume).await;
        }
    }

    async fn wait_for_permit(&self, store: &Store, policy: &FetchPolicy, budget: &Budget) -> Result<(), Error> {
        let FetchPolicy { source_name, interval, .. } = *policy;
        let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
        let take = |state: &mut SourceState| state.take_permit(budget.now(), interval, budget.end());
        match self.change_state(store, source_name, take).await? {
            Permit::At(at) => {
                let wait = Duration::try_from(at.duration_since(budget.now())).unwrap_or_default();
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Permit::Busy(until) => Err(Error::Busy { source_name, until }),
            Permit::Open(until) => Err(Error::Open { source_name, until }),
        }
    }

    async fn change_state<T>(
        &self,
        store: &Store,
        source_name: &str,
        change: impl Fn(&mut SourceState) -> T,
    ) -> Result<T, Error> {
        let _one_at_a_time = self.state_lock.lock().await;
        Ok(store.change_source_state(source_name, change).await?)
    }

    /// Chooses a pause with full jitter: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    fn pause_after(&self, tries: u32) -> Duration {
        let longest = self.pause.saturating_mul(1 << tries.min(10)).min(MAX_PAUSE);
        longest.mul_f64(fastrand::f64())
    }

    async fn try_once(&self, url: &Url, header: Option<(HeaderName, HeaderValue)>, budget: &Budget) -> Tried {
        let failed = |reason: String| Tried::Failed { reason, retry_after: None };
        let end = (Instant::now() + REQUEST_TIMEOUT).min(budget.deadline);
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "gzip");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let mut response = match timeout_at(end, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return failed(error.without_url().to_string()),
            Err(_) => return failed("timed out".to_owned()),
        };
        let status = response.status();
        if status.is_redirection() {
            return match redirect_target(&response, url) {
                Some(next) => Tried::Redirected(next),
                None => failed("a redirect without a valid target".to_owned()),
            };
        }
        // NVD answers 403 to too many requests.
        if matches!(status.as_u16(), 403 | 408 | 429) || status.is_server_error() {
            return Tried::Failed { reason: status.to_string(), retry_after: retry_after(response.headers(), budget) };
        }
        let message = response.headers().get("message").and_then(|value| value.to_str().ok()).map(printable);
        let mut body = Vec::new();
        loop {
            match timeout_at(end, response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len().saturating_add(chunk.len()) <= MAX_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Ok(Some(_))) => return failed(format!("more than {MAX_BYTES} bytes")),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return failed(error.without_url().to_string()),
                Err(_) => return failed("timed out in the middle".to_owned()),
            }
        }
        match unpack(body) {
            Ok(body) => Tried::Responded(Response { status, message, body }),
            Err(reason) => failed(reason),
        }
    }
}

fn redirect_target(response: &reqwest::Response, from: &Url) -> Option<Url> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    from.join(text).ok()
}

/// Allows a redirect to the same scheme, and to the same host or a listed one.
fn is_allowed(next: &Url, from: &Url, hosts: &[&str]) -> bool {
    let Some(host) = next.host_str() else { return false };
    let same_host = (next.host_str(), next.port()) == (from.host_str(), from.port());
    let listed = hosts.contains(&host) && next.port().is_none();
    !hosts.is_empty() && next.scheme() == from.scheme() && next.username().is_empty() && (same_host || listed)
}

/// Reads `Retry-After`, in seconds or as a date: RFC 9110, section 10.2.3.
fn retry_after(headers: &HeaderMap, budget: &Budget) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(budget.now())).unwrap_or_default())
}

/// Makes a header safe for the log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Unpacks gzip, recognised by its first bytes since feeds are themselves files of gzip.
pub(super) fn unpack(body: Vec<u8>) -> Result<Vec<u8>, String> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(body.as_slice()).take(limit).read_to_end(&mut plain);
    read.map_err(|error| format!("its gzip is broken: {error}"))?;
    if plain.len() > MAX_BYTES { Err(format!("more than {MAX_BYTES} bytes once unpacked")) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirect_leads_only_to_an_allowed_host() {
        let from = url("https://epss.example/a.gz");
        let hosts = &["other.example"];
        for (next, expected) in [
            ("https://epss.example/b.gz", true),
            ("https://other.example/b.gz", true),
            ("https://evil.example/b.gz", false),
            ("http://epss.example/b.gz", false),
            ("https://other.example:444/b.gz", false),
            ("https://me@other.example/b.gz", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_allowed(&url(next), &from, hosts), expected, "{next}");
        }
        assert!(!is_allowed(&url("https://epss.example/b.gz"), &from, &[]));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let budget = Budget::new("2026-11-21T10:00:00Z".parse().unwrap(), Duration::from_secs(60));
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&headers, &budget).map(|time| time.as_secs_f64().round())
        };
        assert_eq!(read("30"), Some(30.0));
        assert_eq!(read("Sat, 21 Nov 2026 10:01:30 GMT"), Some(90.0));
        assert_eq!(read("Sat, 21 Nov 2020 10:01:30 GMT"), Some(0.0));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn gzip_is_unpacked_and_a_bomb_is_not() {
        let packed = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(unpack(b"{}".to_vec()).unwrap(), b"{}");
        assert_eq!(unpack(packed(b"{}")).unwrap(), b"{}");
        let mut cut = packed(&[7; 1000]);
        cut.truncate(15);
        assert!(unpack(cut).is_err());
        assert!(unpack(packed(&vec![0; MAX_BYTES + 1])).is_err());
    }
}
