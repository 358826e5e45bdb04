//! Times in answers: RFC 3339 in UTC, in milliseconds at most, which most clients can read.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serializer;

/// Cuts a time to whole milliseconds.
#[must_use]
pub fn in_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Returns the day of a time, in UTC.
#[must_use]
pub fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Returns the time `by` after `now`, at most the latest possible time.
#[must_use]
pub fn time_after(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Returns the time `by` before `now`, at least the earliest possible time.
#[must_use]
pub fn time_before(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// For serde's `serialize_with`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&in_millis(*at))
}

/// The same for a time that may be missing.
pub mod option {
    use jiff::Timestamp;
    use serde::{Serialize as _, Serializer};

    use super::in_millis;

    /// For serde's `serialize_with`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(in_millis).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Times {
        #[serde(serialize_with = "serialize")]
        at: Timestamp,
        #[serde(serialize_with = "option::serialize")]
        perhaps: Option<Timestamp>,
        #[serde(serialize_with = "option::serialize")]
        never: Option<Timestamp>,
    }

    #[test]
    fn what_is_finer_than_a_millisecond_is_left_out() {
        let at: Timestamp = "2026-11-20T09:14:03.518999611Z".parse().unwrap();
        let json = serde_json::to_string(&Times { at, perhaps: Some(at), never: None }).unwrap();
        let time = "2026-11-20T09:14:03.518Z";
        assert_eq!(json, format!(r#"{{"at":"{time}","perhaps":"{time}","never":null}}"#));
    }
}
