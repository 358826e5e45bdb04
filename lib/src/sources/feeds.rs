//! Fetches the KEV and EPSS feeds.

use reqwest::StatusCode;
use url::Url;

use super::fetch::{self, Budget, FetchPolicy, Response};
use super::mode::{self, Mode, read_mirrored_file};
use crate::domain::feed::FeedName;
use crate::store::Store;

/// Hosts to which the EPSS address redirects: to the file of the day, and from older hosts to newer ones.
const EPSS_HOSTS: &[&str] = &["epss.empiricalsecurity.com", "epss.cyentia.com"];

/// A feed could not be fetched; the last good one stays.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error(transparent)]
    File(#[from] mode::FileError),
    #[error("{folder}/{name} does not exist")]
    Missing { folder: &'static str, name: &'static str },
    #[error("the feed {feed} was answered with {status}")]
    Status { feed: FeedName, status: StatusCode },
}

/// Fetches the unpacked bytes of a feed. The caller checks whether they are plausible.
///
/// # Errors
/// [`Error`]
pub async fn fetch_feed(mode: &Mode, store: &Store, feed: FeedName, budget: &Budget) -> Result<Vec<u8>, Error> {
    let Mode::Live(live) = mode else {
        let (folder, names): (_, &[&'static str]) = match feed {
            FeedName::Kev => ("kev", &["known_exploited_vulnerabilities.json"]),
            FeedName::Epss => ("epss", &["epss_scores-current.csv.gz", "epss_scores-current.csv"]),
        };
        for name in names {
            if let Some(bytes) = read_mirrored_file(mode, folder, name).await? {
                return Ok(bytes);
            }
        }
        return Err(Error::Missing { folder, name: names.first().copied().unwrap_or_default() });
    };
    let get = async |source_name: &'static str, url: &Url, redirects_to| {
        let policy = FetchPolicy { redirects_to, ..FetchPolicy::new(source_name, live.intervals.feeds) };
        match live.fetcher.get(store, &policy, url, budget).await? {
            Response { status: StatusCode::OK, body, .. } => Ok(body),
            Response { status, .. } => Err(Error::Status { feed, status }),
        }
    };
    let addresses = &live.addresses;
    match feed {
        FeedName::Epss => get("epss", &addresses.epss.url(), EPSS_HOSTS).await,
        FeedName::Kev => match get("kev", &addresses.kev.url(), &[]).await {
            Ok(body) => Ok(body),
            Err(error) => {
                tracing::warn!(%error, "the KEV catalogue is fetched from its mirror");
                get("kev_mirror", &addresses.kev_mirror.url(), &[]).await
            }
        },
    }
}
