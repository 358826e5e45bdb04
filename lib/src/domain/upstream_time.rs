//! Reads the times of public sources and reports.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::instant::in_millis;

/// Reads `2026-06-17T04:12:05.460` (UTC, as in NVD and older CVE records), or the same with `Z` or an offset, `+0000`
/// included; none for any other text. Digits beyond the millisecond are left out.
#[must_use]
pub fn instant(text: &str) -> Option<Timestamp> {
    if text.len() > 40 {
        return None;
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(in_millis(timestamp));
    }
    let naive = text.parse::<DateTime>().ok()?;
    naive.to_zoned(TimeZone::UTC).ok().map(|zoned| in_millis(zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_an_offset_is_utc() {
        let expected: Timestamp = "2026-06-17T04:12:05.460Z".parse().unwrap();
        for text in ["2026-06-17T04:12:05.460", "2026-06-17T04:12:05.460Z", "2026-06-17T06:12:05.460+0200"] {
            assert_eq!(instant(text), Some(expected), "{text}");
        }
        assert_eq!(instant("2022-02-04T00:00:00+0000"), Some("2022-02-04T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_finer_than_a_millisecond_is_left_out() {
        assert_eq!(instant("2024-09-11T06:12:52.123456Z"), instant("2024-09-11T06:12:52.123Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "yesterday", "2026-13-01T00:00:00", "2026-06-17T04:12:05 and more"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
