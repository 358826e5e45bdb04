//! The positions of walks along the list of scans, which take a few steps in each run.

use super::item::number;
use super::keys::{Key, SCAN_ID};
use super::write::Put;
use super::{Error, Store};
use crate::domain::scan::ScanId;

/// A walk along the list of scans, from the lowest number to the highest and then from the beginning again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Looks for scans that are too old.
    Retention,
    /// Looks for analyses whose prompts have changed.
    Analyses,
    /// Looks for vulnerabilities that no image has; it walks along the buckets of occurrences.
    Unseen,
}

impl Walk {
    pub(super) const ALL: [Self; 3] = [Self::Retention, Self::Analyses, Self::Unseen];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "RETENTION",
            Self::Analyses => "ANALYSES",
            Self::Unseen => "UNSEEN",
        }
    }
}

impl Store {
    /// Reads the last scan of a walk; none at the beginning of the list.
    pub async fn position(&self, walk: Walk) -> Result<Option<ScanId>, Error> {
        let item = self.get("GetItem(walk)", &Key::Walk(walk), false).await?;
        Ok(item.and_then(|item| number(&item, SCAN_ID)).and_then(ScanId::new))
    }

    /// Moves a walk; none is the beginning of the list.
    pub async fn set_position(&self, walk: Walk, after: Option<ScanId>) -> Result<(), Error> {
        let put = Put::new(&Key::Walk(walk)).set(SCAN_ID, after.map_or(0, ScanId::get));
        self.write("PutItem(walk)", put).await.map(drop)
    }
}
