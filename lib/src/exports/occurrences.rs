//! Counts the findings of a tracking key: several versions of a package in one place share it.

use std::collections::HashMap;

use crate::domain::tracking_key::TrackingKey;

/// Counts the rows of each tracking key.
#[derive(Debug, Default)]
pub(super) struct Occurrences(HashMap<TrackingKey, u32>);

impl Occurrences {
    /// Counts one more and returns its number, from 1.
    pub(super) fn next(&mut self, key: TrackingKey) -> u32 {
        let count = self.0.entry(key).or_default();
        *count = count.saturating_add(1);
        *count
    }
}
