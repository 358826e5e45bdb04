//! Settings from the environment: one struct per concern, read once, typed.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::report::Limits;

/// Looks a variable up; `|name| std::env::var(name).ok()` outside tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable that is missing or wrong. The message names it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not set, and there is no default.
    #[error("the environment variable {name} is not set")]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// Set to something else than it should be.
    #[error("the environment variable {name} is {reason}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What is wrong; never the value itself.
        reason: String,
    },
}

/// Reads the process's own environment.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `TABLE_NAME`: the table.
///
/// # Errors
/// If it is not set.
pub fn table_name(lookup: Lookup<'_>) -> Result<String, Error> {
    const NAME: &str = "TABLE_NAME";
    lookup(NAME).filter(|name| !name.is_empty()).ok_or(Error::Missing { name: NAME })
}

/// How reports are taken in.
#[derive(Debug, Clone, Copy)]
pub struct Ingestion {
    /// `MAX_REPORT_BYTES` (default 64 MiB) and `MAX_FINDINGS` (default 50,000, at most 1,000,000).
    pub limits: Limits,
    /// `LEASE_SECONDS` (default 60): must be more than the function's timeout.
    pub lease: Duration,
}

impl Ingestion {
    /// Reads the variables.
    ///
    /// # Errors
    /// If one is not a number in its range.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, Error> {
        let default = Limits::default();
        Ok(Self {
            limits: Limits {
                max_bytes: number(lookup, "MAX_REPORT_BYTES", default.max_bytes, 1, 512 << 20)?,
                max_findings: number(lookup, "MAX_FINDINGS", default.max_findings, 1, 1_000_000)?,
            },
            lease: Duration::from_secs(number(lookup, "LEASE_SECONDS", 60, 1, 3600)?),
        })
    }
}

fn number<N>(lookup: Lookup<'_>, name: &'static str, default: N, min: N, max: N) -> Result<N, Error>
where
    N: FromStr + PartialOrd + Display,
{
    let Some(text) = lookup(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    match text.parse() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(Error::Invalid { name, reason: format!("not a number from {min} to {max}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_a_default_but_for_the_table() {
        let nothing = |_: &str| None;
        let ingestion = Ingestion::read(&nothing).unwrap();
        assert_eq!((ingestion.limits.max_findings, ingestion.lease), (50_000, Duration::from_secs(60)));
        assert_eq!(table_name(&nothing).unwrap_err().to_string(), "the environment variable TABLE_NAME is not set");
    }

    #[test]
    fn a_wrong_value_is_named_and_not_shown() {
        for value in ["0", "1000001", "many", "-1"] {
            let lookup = |name: &str| (name == "MAX_FINDINGS").then(|| value.to_owned());
            let message = Ingestion::read(&lookup).unwrap_err().to_string();
            assert_eq!(message, "the environment variable MAX_FINDINGS is not a number from 1 to 1000000");
        }
    }
}
