//! The limits of reports, and the retention of their scans.

use std::time::Duration;

use super::{Environment, Error};

/// The largest report that a function of 1,024 MB can ingest: the bound of `MaxReportBytes` in template.yaml.
pub const MAX_BYTES_LIMIT: usize = 200 << 20;

const DAY: u64 = 24 * 3600;

/// Reads a number of days from 0 to 36,500; 0, the default, is no limit.
pub(super) fn days(environment: &Environment, name: &'static str) -> Result<Option<Duration>, Error> {
    let days: u64 = environment.number(name, 0, 0, 36_500)?;
    Ok((days > 0).then(|| Duration::from_secs(days * DAY)))
}

/// Reads `MAX_REPORT_BYTES` (default 64 MiB, at most [`MAX_BYTES_LIMIT`]): the largest report after decompression, and the
/// largest upload as it is.
pub(crate) fn max_bytes(environment: &Environment) -> Result<usize, Error> {
    environment.number("MAX_REPORT_BYTES", 64 << 20, 1, MAX_BYTES_LIMIT)
}

/// Reads `RETENTION_DAYS`, the age at which a scan is deleted; none (0, the default) if scans are never deleted.
pub(crate) fn retention(environment: &Environment) -> Result<Option<Duration>, Error> {
    days(environment, "RETENTION_DAYS")
}

/// The settings of ingestion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ingestion {
    /// See [`max_bytes`].
    pub(crate) max_bytes: usize,
    /// `MAX_FINDINGS` (default 50,000, at most 100,000).
    pub(crate) max_findings: usize,
    /// `LEASE_SECONDS` (default 60): must be more than the function's timeout.
    pub(crate) lease: Duration,
    /// `ARCHIVE_REPORTS` (default `true`): whether reports are stored as they were sent.
    pub(crate) archive: bool,
    /// `REQUIRE_IMAGE_NAME` (default `false`): whether reports without an image name are refused.
    pub(crate) require_image_name: bool,
}

impl Ingestion {
    pub(crate) fn read(environment: &Environment) -> Result<Self, Error> {
        Ok(Self {
            max_bytes: max_bytes(environment)?,
            max_findings: environment.number("MAX_FINDINGS", 50_000, 1, 100_000)?,
            lease: Duration::from_secs(environment.number("LEASE_SECONDS", 60, 1, 3600)?),
            archive: environment.flag("ARCHIVE_REPORTS", true)?,
            require_image_name: environment.flag("REQUIRE_IMAGE_NAME", false)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_a_default() {
        let ingestion = Ingestion::read(&Environment::from_iter([("", "")])).unwrap();
        assert_eq!((ingestion.max_bytes, ingestion.max_findings), (64 << 20, 50_000));
        assert_eq!((ingestion.lease, ingestion.require_image_name), (Duration::from_secs(60), false));
    }

    #[test]
    fn scans_are_kept_unless_days_are_set() {
        let days = |days| retention(&Environment::from_iter([("RETENTION_DAYS", days)]));
        assert_eq!(days("").unwrap(), None);
        assert_eq!(days("0").unwrap(), None);
        assert_eq!(days("2").unwrap(), Some(Duration::from_secs(172_800)));
        assert!(days("-1").is_err() && days("36501").is_err());
    }

    #[test]
    fn reports_are_archived_unless_that_is_switched_off() {
        let archive = |value| Ingestion::read(&Environment::from_iter([("ARCHIVE_REPORTS", value)])).map(|i| i.archive);
        assert!(archive("").unwrap());
        assert!(!archive("false").unwrap());
        assert!(archive("no").is_err());
    }

    #[test]
    fn a_number_of_findings_out_of_its_range_is_named_and_not_shown() {
        for value in ["0", "100001", "many", "-1"] {
            let message = Ingestion::read(&Environment::from_iter([("MAX_FINDINGS", value)])).unwrap_err().to_string();
            assert_eq!(message, "the environment variable MAX_FINDINGS is not a number from 1 to 100000");
        }
    }
}
