//! Selects the scans of images that count as running.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::asset::{Asset, LineageKey};
use super::scan::Scan;

/// The selection of assets of a fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The tags that count.
    pub scope: Scope,
    /// The longest time since an asset was last seen; none for no limit.
    pub max_age: Option<Duration>,
}

/// The tags of a repository that count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// `tags`: each image name until it is retired.
    #[default]
    Tags,
    /// `newest-per-repository`: the image that was built last, on each platform.
    NewestPerRepository,
}

/// The text is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is neither tags nor newest-per-repository")]
pub struct ParseScopeError;

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tags" => Ok(Self::Tags),
            "newest-per-repository" => Ok(Self::NewestPerRepository),
            _ => Err(ParseScopeError),
        }
    }
}

impl Fleet {
    /// Tells whether an asset counts, by its current scan: it is neither retired nor too old.
    #[must_use]
    pub fn counts(&self, scan: &Scan, now: Timestamp) -> bool {
        let oldest = self.max_age.and_then(|age| now.checked_sub(age).ok());
        !scan.retired && oldest.is_none_or(|oldest| scan.last_seen_at >= oldest)
    }
}

/// Returns the lineage of a scan, and a text that sorts the scans of a lineage: by when the image was built (else when
/// the asset was first seen), then by when the asset was first seen, then by number.
#[must_use]
pub fn generation(scan: &Scan) -> (LineageKey, String) {
    let since = scan.asset_since.unwrap_or(scan.scan_timestamp);
    let built = scan.artifact.image_created_at.unwrap_or(since);
    let millis = |time: Timestamp| time.as_millisecond().max(0);
    let (built, seen) = (millis(built), millis(since));
    let place = format!("{built:015}#{seen:015}#{:010}", scan.scan_id.get());
    (Asset::of(scan.scan_id, &scan.artifact).key().lineage(), place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::standing::tests::scan;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_retired_or_too_old_does_not_count() {
        let current = scan(1, 1_000, "a", 1, 0);
        let always = Fleet::default();
        let for_a_minute = Fleet { max_age: Some(Duration::from_secs(60)), ..always };
        assert!(always.counts(&current, at(1_000_000)));
        assert!(for_a_minute.counts(&current, at(1_060)));
        assert!(!for_a_minute.counts(&current, at(1_061)));
        assert!(!always.counts(&Scan { retired: true, ..current }, at(1_000)));
    }

    #[test]
    fn the_image_that_was_built_last_is_the_newest_whenever_it_was_scanned() {
        let (mut old, mut new) = (scan(2, 2_000, "a", 1, 0), scan(1, 1_000, "b", 1, 0));
        assert!(generation(&old).1 > generation(&new).1);
        // A rescan that finds something else does not make an image newer.
        old.asset_since = Some(at(300));
        assert!(generation(&old).1 < generation(&new).1);
        (old.artifact.image_created_at, new.artifact.image_created_at) = (Some(at(900)), Some(at(500)));
        assert!(generation(&old).1 > generation(&new).1);
    }
}
