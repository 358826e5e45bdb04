//! The order of findings by priority.

use jiff::civil::Date;

use super::{Band, Inputs, Priority, score};

/// The place of a finding in its scan's list by priority: smaller is more urgent. The order is total and stable.
///
/// The order is by band, score, fix available, findings cleared by the same upgrade, severity, highest CVSS score,
/// newest publication, and the ordinal, which sorts findings of one severity by vulnerability id and package. Unknown
/// values come last. The key is packed into a number, which is the cursor of the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(u128);

impl SortKey {
    /// Makes the key of a finding that Trivy has suppressed: after all open ones, by ordinal.
    #[must_use]
    pub fn suppressed(ordinal: u32) -> Self {
        let unused = [20, 1, 20, 3, 7, 24].map(|bits| (bits, 0));
        let [a, b, c, d, e, f] = unused;
        Self(packed([(3, 7), a, b, c, d, e, f, (20, u64::from(ordinal))]))
    }

    /// Returns the key as a number of the same order.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

/// Packs numbers of the given bits, the first one the most significant; a number that is too large becomes the largest.
fn packed(parts: [(u32, u64); 8]) -> u128 {
    parts.into_iter().fold(0, |packed, (bits, value)| packed << bits | u128::from(value.min((1 << bits) - 1)))
}

impl Priority {
    /// Makes the key to sort by. `inputs` are those of the priority; `clears` is the number of findings that the same
    /// upgrade clears, 0 if it was not counted.
    #[must_use]
    pub fn sort_key(&self, inputs: &Inputs, clears: u32, ordinal: u32) -> SortKey {
        /// Reverses a number, as a larger one is more urgent.
        const fn reverse(bits: u32, value: u64) -> (u32, u64) {
            let most = (1 << bits) - 1;
            (bits, most - if value < most { value } else { most })
        }
        // Four decimals of at most 100, one of at most 10; to the nearest, as they have no more.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of numbers from 0 to a million")]
        let tenth_of = |number: f64, parts: f64| (number.max(0.0) * parts).round() as u64;
        let band = Band::ALL.iter().take_while(|band| **band < self.band).count() as u64;
        let cvss = score::usable(&inputs.cvss_scores).last().map_or(0, |score| 1 + tenth_of(*score, 10.0));
        let day = |date: Date| (date - Date::ZERO).get_days();
        let published = inputs.published.map_or(0, |date| u64::try_from(day(date)).unwrap_or_default() + 1);
        SortKey(packed([
            (3, band),
            reverse(20, tenth_of(self.score, 10_000.0)),
            reverse(1, u64::from(inputs.fixed_version)),
            reverse(20, u64::from(clears)),
            reverse(3, inputs.severity as u64),
            reverse(7, cvss),
            reverse(24, published),
            (20, u64::from(ordinal)),
        ]))
    }
}
