//! How fast a source may be asked, and when to leave it alone.
//!
//! Every asker takes a turn first; turns are an interval apart. After [`Pace::OPENS_AFTER`] failures in
//! a row the circuit opens: nobody asks for a while, then one asker tries, and its luck decides.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The state of one source, shared by all who ask it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// The next free turn.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub next_at: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// Nobody asks before then; none while the circuit is closed.
    #[serde(default, with = "jiff::fmt::serde::timestamp::millisecond::optional")]
    pub open_until: Option<Timestamp>,
    /// How often in a row it has opened.
    pub opened: u32,
}

/// Whether a source may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// At that time, not before.
    At(Timestamp),
    /// Not in time: others are before, or the source has asked for patience until then.
    Busy(Timestamp),
    /// The source is failing; nobody asks before then.
    Open(Timestamp),
}

impl Pace {
    /// Failures in a row that open the circuit.
    pub const OPENS_AFTER: u32 = 5;
    /// How long it stays open the first, second and every further time in a row.
    const OPEN: [SignedDuration; 3] =
        [SignedDuration::from_secs(60), SignedDuration::from_mins(5), SignedDuration::from_mins(30)];
    /// How long the one that tries has, before another may.
    const TRIAL: SignedDuration = SignedDuration::from_secs(90);
    /// The longest that a source may ask to be left alone by `Retry-After`.
    const LONGEST_PATIENCE: SignedDuration = SignedDuration::from_mins(30);

    /// A source that was never asked.
    #[must_use]
    pub const fn new() -> Self {
        Self { next_at: Timestamp::UNIX_EPOCH, failures: 0, open_until: None, opened: 0 }
    }

    /// Takes the next turn, if it comes by `latest`.
    pub fn take(&mut self, now: Timestamp, interval: SignedDuration, latest: Timestamp) -> Turn {
        if let Some(until) = self.open_until {
            if until > now {
                return Turn::Open(until);
            }
            // One tries; the others wait for what it finds.
            self.open_until = Some(after(now, Self::TRIAL));
        }
        let at = self.next_at.max(now);
        if at > latest {
            return Turn::Busy(at);
        }
        self.next_at = after(at, interval);
        Turn::At(at)
    }

    /// Takes notice of an answer: any that shows that the source works.
    pub const fn succeeded(&mut self) {
        (self.failures, self.open_until, self.opened) = (0, None, 0);
    }

    /// Takes notice of a failure, after which the source may have asked for patience.
    pub fn failed(&mut self, now: Timestamp, retry_after: Option<SignedDuration>) {
        self.failures = self.failures.saturating_add(1);
        if let Some(patience) = retry_after {
            self.next_at = self.next_at.max(after(now, patience.min(Self::LONGEST_PATIENCE)));
        }
        if self.failures >= Self::OPENS_AFTER || self.open_until.is_some() {
            let [first, second, further] = Self::OPEN;
            let open = match self.opened {
                0 => first,
                1 => second,
                _ => further,
            };
            self.opened = self.opened.saturating_add(1);
            self.open_until = Some(after(now, open));
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const SIX: SignedDuration = SignedDuration::from_secs(6);

    #[test]
    fn turns_are_an_interval_apart_and_never_later_than_is_of_use() {
        let mut pace = Pace::new();
        let turns: Vec<_> = (0..4).map(|_| pace.take(at(100), SIX, at(115))).collect();
        assert_eq!(turns, [Turn::At(at(100)), Turn::At(at(106)), Turn::At(at(112)), Turn::Busy(at(118))]);
        assert_eq!(pace.take(at(200), SIX, at(200)), Turn::At(at(200)));
    }

    #[test]
    fn a_failing_source_is_left_alone_longer_each_time_and_one_asker_tries() {
        let mut pace = Pace::new();
        let mut now = 1000;
        for _ in 0..Pace::OPENS_AFTER {
            assert!(matches!(pace.take(at(now), SIX, at(now + 60)), Turn::At(_)));
            pace.failed(at(now), None);
        }
        for open in [60, 300, 1800, 1800] {
            assert_eq!(pace.take(at(now + open - 1), SIX, at(now + 9999)), Turn::Open(at(now + open)));
            now += open;
            assert_eq!(pace.take(at(now), SIX, at(now + 60)), Turn::At(at(now)));
            assert!(matches!(pace.take(at(now), SIX, at(now + 60)), Turn::Open(_)), "a second one tries");
            pace.failed(at(now), None);
        }
        now += 1800;
        assert!(matches!(pace.take(at(now), SIX, at(now + 60)), Turn::At(_)));
        pace.succeeded();
        assert!(matches!(pace.take(at(now), SIX, at(now + 60)), Turn::At(_)));
    }

    #[test]
    fn patience_is_given_but_not_without_end() {
        let mut pace = Pace::new();
        pace.failed(at(100), Some(SignedDuration::from_secs(20)));
        assert_eq!(pace.take(at(100), SIX, at(110)), Turn::Busy(at(120)));
        pace.failed(at(100), Some(SignedDuration::from_hours(1000)));
        assert_eq!(pace.take(at(100), SIX, at(110)), Turn::Busy(at(100 + 1800)));
    }
}
