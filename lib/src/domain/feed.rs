//! Feeds: what one source says of all vulnerabilities, fetched as a whole.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedName {
    /// CISA's catalogue of Known Exploited Vulnerabilities.
    Kev,
    /// FIRST's daily scores.
    Epss,
}

impl FeedName {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kev, Self::Epss];

    /// The name in keys.
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

/// The last good one of a feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    /// Its object in the bucket.
    pub object: String,
    /// The source's own date: the catalogue's release, the scores' day.
    pub date: Timestamp,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// How many vulnerabilities it has.
    pub entries: u64,
    /// Of EPSS, the model that made the scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,
    /// Of EPSS, the median score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<f64>,
}
