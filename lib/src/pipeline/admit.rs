//! Limits the number of new vulnerabilities that are queued for the sources, per scan and per day.

use jiff::{SignedDuration, Timestamp};

use crate::store::{self, Store};

/// The most vulnerabilities that one scan queues; the schedule queues the others.
pub const PER_SCAN: u32 = 5_000;
/// The most new vulnerabilities that are queued in a day, by scans and by the schedule.
pub const PER_DAY: u32 = 20_000;

/// Returns how many of the `wanted` new vulnerabilities may be queued today, and counts them.
pub async fn today(store: &Store, now: Timestamp, wanted: usize) -> Result<usize, store::Error> {
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    Ok(store.admit(now, wanted, PER_DAY).await? as usize)
}

/// Returns when the next day begins, in UTC.
#[must_use]
pub fn tomorrow(now: Timestamp) -> Timestamp {
    let day = SignedDuration::from_hours(24).as_secs();
    let seconds = (now.as_second().div_euclid(day) + 1).saturating_mul(day);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(tomorrow(at("2026-11-28T23:59:59.9Z")), at("2026-11-29T00:00:00Z"));
        assert_eq!(tomorrow(at("2026-11-29T00:00:00Z")), at("2026-11-30T00:00:00Z"));
    }
}
