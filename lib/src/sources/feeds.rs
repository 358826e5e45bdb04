//! KEV and EPSS as a whole.

use reqwest::StatusCode;
use url::Url;

use super::fetch::{self, Answered, Budget, Manner};
use super::mode::{self, Mode, file};
use crate::domain::feed::FeedName;
use crate::store::Store;

/// Where the EPSS scores move to now and then: the newest file is a redirect to that of the day, and the
/// host of former years redirects to today's.
const EPSS_HOSTS: &[&str] = &["epss.empiricalsecurity.com", "epss.cyentia.com"];

/// Why a feed could not be had. The last good one stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From its source.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// From the mirror or folder.
    #[error(transparent)]
    File(#[from] mode::FileError),
    /// The mirror or folder does not have it.
    #[error("there is no {folder}/{name}")]
    Missing {
        /// The folder.
        folder: &'static str,
        /// The file.
        name: &'static str,
    },
    /// The source answered with something else.
    #[error("the feed {feed} was answered with {status}")]
    Status {
        /// Which.
        feed: FeedName,
        /// With what.
        status: StatusCode,
    },
}

impl Error {
    /// Whether trying again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_transient(),
            Self::File(error) => error.is_transient(),
            Self::Missing { .. } | Self::Status { .. } => true,
        }
    }
}

/// The bytes of a feed, unpacked. Whether they can be believed is the caller's to judge.
///
/// # Errors
/// [`Error`]
pub async fn get(mode: &Mode, store: &Store, feed: FeedName, budget: &Budget) -> Result<Vec<u8>, Error> {
    let Mode::Live(live) = mode else {
        let (folder, names): (_, &[&'static str]) = match feed {
            FeedName::Kev => ("kev", &["known_exploited_vulnerabilities.json"]),
            FeedName::Epss => ("epss", &["epss_scores-current.csv.gz", "epss_scores-current.csv"]),
        };
        for name in names {
            if let Some(bytes) = file(mode, folder, name).await? {
                return Ok(bytes);
            }
        }
        return Err(Error::Missing { folder, name: names.first().copied().unwrap_or_default() });
    };
    let get = async |source_name: &'static str, url: &Url, redirects_to| {
        let manner = Manner { source_name, interval: live.paces.feeds, redirects_to };
        body(feed, live.fetcher.get(store, &manner, url, None, budget).await?)
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

fn body(feed: FeedName, answered: Answered) -> Result<Vec<u8>, Error> {
    let Answered { status, body, .. } = answered;
    if status == StatusCode::OK { Ok(body) } else { Err(Error::Status { feed, status }) }
}
