//! Feeds: the facts of one source about all vulnerabilities, fetched as a whole.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedName {
    /// CISA's catalogue of Known Exploited Vulnerabilities.
    Kev,
    /// FIRST's daily scores.
    Epss,
}

impl FeedName {
    /// All feeds.
    pub const ALL: [Self; 2] = [Self::Kev, Self::Epss];

    /// Returns the name in keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kev => "kev",
            Self::Epss => "epss",
        }
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last good version of a feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    /// Its object in the bucket.
    pub object: String,
    /// The date that the source states: the release of the catalogue, the time of the scores.
    pub date: Timestamp,
    /// The time of the fetch.
    pub fetched_at: Timestamp,
    /// The number of vulnerabilities in it.
    pub entries: u64,
    /// For EPSS, the model of the scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,
    /// For EPSS, the median score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<f64>,
}

/// The version of a feed that a new one must not fall behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastGood {
    /// See [`Feed::entries`].
    pub entries: usize,
    /// See [`Feed::date`].
    pub date: Timestamp,
}
