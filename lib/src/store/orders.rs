//! The number of vulnerabilities that reports queue for enrichment each day.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::expression::{absent, at_most};
use super::item::number;
use super::keys::{EXPIRES_AT, Key};
use super::write::Update;
use super::{Error, Store};

const ORDERED: &str = "ordered";
/// How long the count of a day is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(72);
/// The tries to count, because other writers count at the same time.
const TRIES: usize = 8;

impl Store {
    /// Counts vulnerabilities of today (UTC) up to `most`, and returns how many of `wanted` still fit.
    pub async fn admit(&self, now: Timestamp, wanted: u32, most: u32) -> Result<u32, Error> {
        let key = Key::Orders(now.to_zoned(TimeZone::UTC).date());
        for _ in 0..TRIES {
            if wanted == 0 {
                return Ok(0);
            }
            let known = self.get("GetItem(orders)", &key, true).await?;
            let known = known.as_ref().and_then(|item| number(item, ORDERED)).and_then(|n| u32::try_from(n).ok());
            let granted = wanted.min(most.saturating_sub(known.unwrap_or_default()));
            if granted == 0 {
                return Ok(0);
            }
            let expires = now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
            let update = Update::of(&key).set(EXPIRES_AT, expires.as_second()).add(ORDERED, granted);
            let fits = absent(ORDERED).or(at_most(ORDERED, most - granted));
            if self.write("UpdateItem(orders)", update.when(fits)).await?.is_applied() {
                return Ok(granted);
            }
        }
        // With so many writers at the same time the schedule queues the rest.
        Ok(0)
    }
}
