//! The rate limit and the circuit breaker of one source, shared by all functions through the table.
//!
//! A request needs a permit; permits are an interval apart. [`SourceState::FAILURES_TO_OPEN`] failures in a row open
//! the circuit: no request is permitted for a while, then one is, and its result closes or reopens the circuit.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The next permit of a source, and its failures up to now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// The earliest time of the next permit.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub next_at: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// The end of the open circuit; none while it is closed.
    #[serde(default, with = "jiff::fmt::serde::timestamp::millisecond::optional")]
    pub open_until: Option<Timestamp>,
    /// Openings of the circuit without a success in between.
    pub opened: u32,
}

/// Whether a source may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// One request, at this time or later.
    At(Timestamp),
    /// No request in time: earlier permits, or the source's `Retry-After`, last until then.
    Busy(Timestamp),
    /// No request until then: the circuit is open.
    Open(Timestamp),
}

impl SourceState {
    /// Failures in a row that open the circuit.
    pub const FAILURES_TO_OPEN: u32 = 5;
    /// The time for which the circuit stays open: the first, second and every further time in a row.
    const OPEN_TIMES: [SignedDuration; 3] =
        [SignedDuration::from_secs(60), SignedDuration::from_mins(5), SignedDuration::from_mins(30)];
    /// The time after an open circuit in which only one request is permitted.
    const TRIAL_TIME: SignedDuration = SignedDuration::from_secs(90);
    /// The longest `Retry-After` that is respected.
    const MAX_RETRY_AFTER: SignedDuration = SignedDuration::from_mins(30);

    /// Takes the next permit, if it starts by `latest`.
    pub fn take_permit(&mut self, now: Timestamp, interval: SignedDuration, latest: Timestamp) -> Permit {
        if let Some(until) = self.open_until {
            if until > now {
                return Permit::Open(until);
            }
            // One request is permitted, and all others wait for its result.
            self.open_until = Some(later(now, Self::TRIAL_TIME));
        }
        let at = self.next_at.max(now);
        if at > latest {
            return Permit::Busy(at);
        }
        self.next_at = later(at, interval);
        Permit::At(at)
    }

    /// Records an answer that shows that the source works.
    pub const fn record_success(&mut self) {
        (self.failures, self.open_until, self.opened) = (0, None, 0);
    }

    /// Records a failure, with the source's `Retry-After` if it sent one.
    pub fn record_failure(&mut self, now: Timestamp, retry_after: Option<SignedDuration>) {
        self.failures = self.failures.saturating_add(1);
        if let Some(retry_after) = retry_after {
            self.next_at = self.next_at.max(later(now, retry_after.min(Self::MAX_RETRY_AFTER)));
        }
        if self.failures >= Self::FAILURES_TO_OPEN || self.open_until.is_some() {
            let [first, second, further] = Self::OPEN_TIMES;
            let open = match self.opened {
                0 => first,
                1 => second,
                _ => further,
            };
            self.opened = self.opened.saturating_add(1);
            self.open_until = Some(later(now, open));
        }
    }
}

fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
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
    fn permits_are_an_interval_apart_and_never_later_than_asked_for() {
        let mut state = SourceState::default();
        let permits: Vec<_> = (0..4).map(|_| state.take_permit(at(100), SIX, at(115))).collect();
        assert_eq!(permits, [Permit::At(at(100)), Permit::At(at(106)), Permit::At(at(112)), Permit::Busy(at(118))]);
        assert_eq!(state.take_permit(at(200), SIX, at(200)), Permit::At(at(200)));
    }

    #[test]
    fn the_circuit_stays_open_longer_each_time_and_then_permits_one_request() {
        let mut state = SourceState::default();
        let mut now = 1000;
        for _ in 0..SourceState::FAILURES_TO_OPEN {
            assert!(matches!(state.take_permit(at(now), SIX, at(now + 60)), Permit::At(_)));
            state.record_failure(at(now), None);
        }
        for open in [60, 300, 1800, 1800] {
            assert_eq!(state.take_permit(at(now + open - 1), SIX, at(now + 9999)), Permit::Open(at(now + open)));
            now += open;
            assert_eq!(state.take_permit(at(now), SIX, at(now + 60)), Permit::At(at(now)));
            assert!(
                matches!(state.take_permit(at(now), SIX, at(now + 60)), Permit::Open(_)),
                "a second request is permitted"
            );
            state.record_failure(at(now), None);
        }
        now += 1800;
        assert!(matches!(state.take_permit(at(now), SIX, at(now + 60)), Permit::At(_)));
        state.record_success();
        assert!(matches!(state.take_permit(at(now), SIX, at(now + 60)), Permit::At(_)));
    }

    #[test]
    fn a_retry_after_is_respected_up_to_a_limit() {
        let mut state = SourceState::default();
        state.record_failure(at(100), Some(SignedDuration::from_secs(20)));
        assert_eq!(state.take_permit(at(100), SIX, at(110)), Permit::Busy(at(120)));
        state.record_failure(at(100), Some(SignedDuration::from_hours(1000)));
        assert_eq!(state.take_permit(at(100), SIX, at(110)), Permit::Busy(at(100 + 1800)));
    }
}
