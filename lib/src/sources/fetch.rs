//! One GET of a public source: in its turn, with patience, within a budget of time.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::domain::pace::Turn;
use crate::store::{self, Store};
use crate::tls;

/// The largest answer, unpacked: a hundred CVEs of NVD have about 5 MB, all EPSS scores 12 MB.
pub const MAX_BYTES: usize = 32 << 20;
/// From the first byte sent to the last one read. NVD takes up to a minute on bad days.
const WHOLE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
/// Who asks; with whom to reach about it, if whoever runs this says.
const USER_AGENT: &str = concat!("sirius/", env!("CARGO_PKG_VERSION"));
/// How often one GET is tried.
const TRIES: u32 = 4;
/// The longest pause between two tries, without `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How often one GET is sent elsewhere.
const REDIRECTS: usize = 3;

/// Time that may be spent, by a clock that starts at a given moment.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    started: Instant,
    now: Timestamp,
    deadline: Instant,
}

impl Budget {
    /// From `now` on for so long.
    #[must_use]
    pub fn new(now: Timestamp, time: Duration) -> Self {
        let started = Instant::now();
        Self { started, now, deadline: started + time }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now.checked_add(self.started.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// When it is used up.
    fn latest(&self) -> Timestamp {
        self.now().checked_add(self.left()).unwrap_or(Timestamp::MAX)
    }

    /// How much of it is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether it is used up.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// What a source answered in the end. Statuses that pass are not among them.
#[derive(Debug)]
pub struct Answered {
    /// The status: 200, or a refusal.
    pub status: StatusCode,
    /// NVD's header `message`, where it says why it refuses.
    pub message: Option<String>,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not our turn in time: others are before, or the source has asked for patience.
    #[error("{source_name} is busy until {until}")]
    Busy {
        /// The source.
        source_name: &'static str,
        /// When there will be a turn.
        until: Timestamp,
    },
    /// The source has failed so often that it is left alone.
    #[error("{source_name} is left alone until {until}")]
    Open {
        /// The source.
        source_name: &'static str,
        /// When somebody tries again.
        until: Timestamp,
    },
    /// It failed each time that it was asked.
    #[error("{source_name} did not answer, after {tries} tries: {reason}")]
    Failed {
        /// The source.
        source_name: &'static str,
        /// How often.
        tries: u32,
        /// The last failure.
        reason: String,
    },
    /// It sends us elsewhere.
    #[error("{source_name} redirects to a place that is not allowed")]
    Redirected {
        /// The source.
        source_name: &'static str,
    },
    /// What is to be sent cannot be.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// The HTTP client cannot be made.
    #[error("no HTTP client could be made: {0}")]
    Client(String),
    /// The table of turns.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether asking again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Open { .. } | Self::Failed { .. } => true,
            Self::Redirected { .. } | Self::Request(_) | Self::Client(_) => false,
            Self::Store(error) => error.is_transient(),
        }
    }

    /// Whether the source has failed, as opposed to our time or table.
    #[must_use]
    pub const fn is_of_source(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Failed { .. } | Self::Redirected { .. })
    }
}

/// How a source is asked.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Its name in the table of turns.
    pub source_name: &'static str,
    /// The time between two turns.
    pub interval: Duration,
    /// Hosts that it may send us to, besides its own; none: no redirects at all.
    pub redirects_to: &'static [&'static str],
}

/// A client for all sources.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    /// The first pause between two tries; doubled by each further one, and cut at random.
    pause: Duration,
    /// Turns are taken one after the other: together they would only stand in each other's way.
    turns: Mutex<()>,
}

/// How one try ended.
enum Tried {
    Answered(Answered),
    Elsewhere(Url),
    /// Worth another try, after the time that the source asks for.
    Again {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl Fetcher {
    /// A client that connects to nothing yet. `pause` is the first one between two tries; `contact` goes
    /// to the sources, which ask for one.
    ///
    /// # Errors
    /// [`Error::Client`]
    pub fn new(pause: Duration, contact: Option<&str>) -> Result<Self, Error> {
        let agent = contact.map_or_else(|| USER_AGENT.to_owned(), |contact| format!("{USER_AGENT} ({contact})"));
        let tls = tls::client(tls::public_roots()).map_err(|error| Error::Client(error.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            // Followed here, where there is a list of the hosts that may be named.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .user_agent(agent)
            .build()
            .map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { client, pause, turns: Mutex::new(()) })
    }

    /// Gets `url` when it is our turn; again while that may help and there is time. What comes back is an
    /// answer that asking again would not change.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn get(
        &self,
        store: &Store,
        manner: &Manner,
        url: &Url,
        header: Option<(HeaderName, HeaderValue)>,
        budget: &Budget,
    ) -> Result<Answered, Error> {
        let Manner { source_name, .. } = *manner;
        let own_host = url.host_str().map(str::to_owned);
        let (mut url, mut redirects, mut tries) = (url.clone(), 0, 0);
        loop {
            self.turn(store, manner, budget).await?;
            tries += 1;
            // A key is for the source itself, and not for whom it names.
            let header = header.clone().filter(|_| url.host_str().map(str::to_owned) == own_host);
            let (reason, retry_after) = match self.once(&url, header, budget).await {
                Tried::Answered(answered) => {
                    self.report(store, source_name, None, budget).await?;
                    return Ok(answered);
                }
                Tried::Elsewhere(next) => {
                    redirects += 1;
                    if redirects > REDIRECTS || !is_allowed(&next, &url, manner.redirects_to) {
                        return Err(Error::Redirected { source_name });
                    }
                    url = next;
                    tries = 0;
                    continue;
                }
                Tried::Again { reason, retry_after } => (reason, retry_after),
            };
            tracing::info!(source_name, tries, reason, "a source failed");
            self.report(store, source_name, Some(retry_after), budget).await?;
            let pause = self.pause_after(tries).max(retry_after.unwrap_or_default());
            let resume = Instant::now() + pause;
            if tries >= TRIES || resume >= budget.deadline {
                return Err(Error::Failed { source_name, tries, reason });
            }
            tokio::time::sleep_until(resume).await;
        }
    }

    /// Waits for our turn.
    async fn turn(&self, store: &Store, manner: &Manner, budget: &Budget) -> Result<(), Error> {
        let Manner { source_name, interval, .. } = *manner;
        let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
        let turn = {
            let _one_at_a_time = self.turns.lock().await;
            store.turn_at(source_name, budget.now(), interval, budget.latest()).await?
        };
        match turn {
            Turn::At(at) => {
                let wait = Duration::try_from(at.duration_since(budget.now())).unwrap_or_default();
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Turn::Busy(until) => Err(Error::Busy { source_name, until }),
            Turn::Open(until) => Err(Error::Open { source_name, until }),
        }
    }

    /// Tells the others how it went: `failed` is none after an answer.
    async fn report(
        &self,
        store: &Store,
        source_name: &str,
        failed: Option<Option<Duration>>,
        budget: &Budget,
    ) -> Result<(), Error> {
        let _one_at_a_time = self.turns.lock().await;
        match failed {
            None => store.source_succeeded(source_name).await?,
            Some(retry_after) => {
                let patience = retry_after.and_then(|time| SignedDuration::try_from(time).ok());
                store.source_failed(source_name, budget.now(), patience).await?;
            }
        }
        Ok(())
    }

    /// Full jitter: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    fn pause_after(&self, tries: u32) -> Duration {
        let longest = self.pause.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
        longest.mul_f64(fastrand::f64())
    }

    async fn once(&self, url: &Url, header: Option<(HeaderName, HeaderValue)>, budget: &Budget) -> Tried {
        let again = |reason: String| Tried::Again { reason, retry_after: None };
        let end = (Instant::now() + WHOLE).min(budget.deadline);
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "gzip");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let mut response = match timeout_at(end, request.send()).await {
            Ok(Ok(response)) => response,
            // Without the URL: it is long, and says nothing that the source's name does not.
            Ok(Err(error)) => return again(error.without_url().to_string()),
            Err(_) => return again("timed out".to_owned()),
        };
        let status = response.status();
        if status.is_redirection() {
            return match location(&response, url) {
                Some(next) => Tried::Elsewhere(next),
                None => again("a redirect to nowhere".to_owned()),
            };
        }
        // 403 is how NVD says that there were too many requests.
        if matches!(status.as_u16(), 403 | 408 | 429) || status.is_server_error() {
            return Tried::Again { reason: status.to_string(), retry_after: retry_after(response.headers(), budget) };
        }
        let message = response.headers().get("message").and_then(|value| value.to_str().ok()).map(plain);
        let mut body = Vec::new();
        loop {
            match timeout_at(end, response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len().saturating_add(chunk.len()) <= MAX_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Ok(Some(_))) => return again(format!("more than {MAX_BYTES} bytes")),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return again(error.without_url().to_string()),
                Err(_) => return again("timed out in the middle".to_owned()),
            }
        }
        match unpacked(body) {
            Ok(body) => Tried::Answered(Answered { status, message, body }),
            Err(reason) => again(reason),
        }
    }
}

/// Where a redirect leads.
fn location(response: &Response, from: &Url) -> Option<Url> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    from.join(text).ok()
}

/// No redirect leads to another scheme, nor to a host that nobody has named.
fn is_allowed(next: &Url, from: &Url, hosts: &[&str]) -> bool {
    let Some(host) = next.host_str() else { return false };
    let same_place = (next.host_str(), next.port()) == (from.host_str(), from.port());
    let named = hosts.contains(&host) && next.port().is_none();
    !hosts.is_empty() && next.scheme() == from.scheme() && next.username().is_empty() && (same_place || named)
}

/// `Retry-After`, seconds or a date: RFC 9110, section 10.2.3.
fn retry_after(headers: &HeaderMap, budget: &Budget) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(budget.now())).unwrap_or_default())
}

/// What a header says, fit for a log.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The body, without gzip: by its first bytes, for feeds are files that are gzip themselves.
pub(super) fn unpacked(body: Vec<u8>) -> Result<Vec<u8>, String> {
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
    fn a_redirect_leads_only_where_it_was_foreseen() {
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
    fn patience_is_read_as_seconds_and_as_a_date() {
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
        assert_eq!(unpacked(b"{}".to_vec()).unwrap(), b"{}");
        assert_eq!(unpacked(packed(b"{}")).unwrap(), b"{}");
        let mut cut = packed(&[7; 1000]);
        cut.truncate(15);
        assert!(unpacked(cut).is_err());
        assert!(unpacked(packed(&vec![0; MAX_BYTES + 1])).is_err());
    }
}
