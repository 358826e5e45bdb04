//! The types and rules of Sirius without I/O: no async, no AWS, no HTTP.

pub mod analysis;
pub mod asset;
pub mod declared;
pub(crate) mod digest;
pub mod feed;
pub mod finding;
pub mod fix_status;
pub mod fleet;
pub mod image_name;
pub mod instant;
pub mod occurrence;
pub mod platform;
pub mod prompt_hash;
pub mod purl;
pub mod random;
pub mod remediation;
pub mod report_hash;
pub mod scan;
pub mod severity;
pub mod standing;
pub mod subject;
#[cfg(test)]
pub(crate) mod tests;
pub mod text;
pub mod tracking_key;
pub mod upload;
pub mod upstream_time;
pub mod versions;
pub mod vulnerabilities;
pub mod vulnerability;
pub mod warning;
