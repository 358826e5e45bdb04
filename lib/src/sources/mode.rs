//! The origin of answers: the live sources, a mirror or a folder.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::HeaderValue;
use url::{Host, Url};

use super::fetch::{self, Fetcher};
use crate::objects::{self, Objects};

/// The origin of answers.
#[derive(Debug)]
pub enum Mode {
    /// The sources themselves.
    Live(Box<Live>),
    /// A bucket that is filled by hand where there is no internet access: docs/ENRICHMENT.md has its layout.
    Mirror(Objects),
    /// A folder of the same layout, for development and tests. Feeds of any size are accepted from it.
    Folder(PathBuf),
}

/// The address of a source: `https`, or `http` to this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// The text is no address of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum InvalidUrl {
    #[error("not a URL")]
    Syntax,
    #[error("not https")]
    Scheme,
    #[error("user, query or fragment in the URL")]
    Parts,
}

impl FromStr for BaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidUrl::Syntax)?;
        let is_loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => return Err(InvalidUrl::Syntax),
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(InvalidUrl::Scheme);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidUrl::Parts);
        }
        Ok(Self(url))
    }
}

impl BaseUrl {
    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> Url {
        self.0.clone()
    }

    /// Appends segments, each percent-encoded.
    #[must_use]
    pub fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Fails for a URL without a host only.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

/// The addresses of the live sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The endpoint of NVD's API.
    pub nvd: BaseUrl,
    /// OSV's API, to which `/v1/vulns/{id}` is added.
    pub osv: BaseUrl,
    /// CVE Services, to which `/api/cve/{id}` is added.
    pub cve_services: BaseUrl,
    /// The KEV catalogue.
    pub kev: BaseUrl,
    /// A copy of the catalogue, for when CISA's firewall blocks the request.
    pub kev_mirror: BaseUrl,
    /// The EPSS scores.
    pub epss: BaseUrl,
}

/// The least time between two requests to each source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// NVD without a key: 5 requests in 30 seconds, <https://nvd.nist.gov/developers/start-here>.
    pub nvd: Duration,
    /// NVD with a key: 50 in 30 seconds.
    pub nvd_with_key: Duration,
    /// OSV, which sets no limit.
    pub osv: Duration,
    /// CVE Services, which documents no limit.
    pub cve_services: Duration,
    /// Feeds.
    pub feeds: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            nvd: Duration::from_secs(6),
            nvd_with_key: Duration::from_millis(650),
            osv: Duration::from_millis(20),
            cve_services: Duration::from_millis(200),
            feeds: Duration::from_secs(1),
        }
    }
}

/// The sources themselves.
#[derive(Debug)]
pub struct Live {
    pub(super) fetcher: Fetcher,
    pub(super) addresses: Addresses,
    pub(super) intervals: Intervals,
    nvd_key: Option<HeaderValue>,
    /// NVD has refused the key, and is asked without it, at the longer interval.
    key_refused: AtomicBool,
}

impl Live {
    /// Creates a client of the sources. `pause` is the first one between two tries, `contact` an address for the
    /// sources' operators.
    ///
    /// # Errors
    /// If the key cannot be a header, or no client can be made.
    pub fn new(
        addresses: Addresses,
        intervals: Intervals,
        pause: Duration,
        contact: Option<&str>,
        nvd_key: Option<&str>,
    ) -> Result<Self, fetch::Error> {
        let header = |key: &str| {
            let mut value =
                HeaderValue::from_str(key).map_err(|_| fetch::Error::Request("NVD's key is no header".to_owned()))?;
            value.set_sensitive(true);
            Ok::<_, fetch::Error>(value)
        };
        Ok(Self {
            fetcher: Fetcher::new(pause, contact)?,
            addresses,
            intervals,
            nvd_key: nvd_key.map(header).transpose()?,
            key_refused: AtomicBool::new(false),
        })
    }

    /// Returns NVD's key, unless NVD has refused it.
    pub(super) fn nvd_key(&self) -> Option<HeaderValue> {
        self.nvd_key.clone().filter(|_| !self.key_refused.load(Ordering::Relaxed))
    }

    /// Stops using NVD's key, and logs that once.
    pub(super) fn drop_nvd_key(&self, message: &str) {
        if !self.key_refused.swap(true, Ordering::Relaxed) {
            tracing::error!(message, "NVD refuses the API key; it is asked without one, ten times slower");
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live(_) => "live",
            Self::Mirror(_) => "mirror",
            Self::Folder(_) => "dir",
        })
    }
}

/// A file of a mirror or folder could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum FileError {
    #[error(transparent)]
    Objects(#[from] objects::Error),
    #[error("the folder of sources: {0}")]
    Folder(#[from] std::io::Error),
    #[error("a file of the mirror: {0}")]
    Content(String),
}

/// Reads a file of a mirror or folder, unpacked; none if there is no such file. Each file is one answer of a source.
///
/// ```text
/// nvd/CVE-2026-0001.json     NVD's answer, or its bare `cve` object
/// osv/GHSA-….json            OSV's record
/// cve/CVE-2026-0001.json     CVE Services' record
/// kev/known_exploited_vulnerabilities.json
/// epss/epss_scores-current.csv.gz
/// ```
///
/// A `:` in an id is written `%3A`.
pub(super) async fn read_mirrored_file(mode: &Mode, folder: &str, name: &str) -> Result<Option<Vec<u8>>, FileError> {
    let name = name.replace(':', "%3A");
    let bytes = match mode {
        Mode::Live(_) => None,
        Mode::Mirror(objects) => objects.mirrored(&format!("{folder}/{name}"), fetch::MAX_BYTES).await?,
        // Ids have neither `/` nor a leading dot, so the path stays inside the folder.
        Mode::Folder(root) => {
            let path = root.join(folder).join(name);
            match tokio::task::spawn_blocking(move || std::fs::read(path)).await.map_err(std::io::Error::other)? {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            }
        }
    };
    bytes.map(fetch::unpack).transpose().map_err(FileError::Content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_machine() {
        for (text, expected) in [
            ("https://services.nvd.nist.gov/rest/json/cves/2.0", Ok(())),
            ("http://127.0.0.1:8080", Ok(())),
            ("http://[::1]:8080/x", Ok(())),
            ("http://services.nvd.nist.gov/", Err(InvalidUrl::Scheme)),
            ("ftp://127.0.0.1/", Err(InvalidUrl::Scheme)),
            ("https://user@nvd.example/", Err(InvalidUrl::Parts)),
            ("https://nvd.example/?a=b", Err(InvalidUrl::Parts)),
            ("nvd.example", Err(InvalidUrl::Syntax)),
        ] {
            assert_eq!(text.parse::<BaseUrl>().map(drop), expected, "{text}");
        }
    }

    #[test]
    fn what_is_added_to_an_address_is_encoded() {
        let base: BaseUrl = "https://osv.example/".parse().unwrap();
        let url = base.join(&["v1", "vulns", "RHSA-2024:8709/../x?y"]);
        assert_eq!(url.as_str(), "https://osv.example/v1/vulns/RHSA-2024:8709%2F..%2Fx%3Fy");
    }
}
