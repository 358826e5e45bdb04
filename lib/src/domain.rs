//! What Sirius is about, free of I/O: no async, no AWS, no HTTP.

pub mod analysis;
pub mod asset;
pub mod declared;
pub mod enrichment;
pub mod feed;
pub mod finding;
pub mod fleet;
pub mod image_name;
pub mod instant;
pub mod known;
pub mod occurrence;
pub mod pace;
pub mod platform;
pub mod priority;
pub mod prompt_hash;
pub mod purl;
pub mod random;
pub mod remediation;
pub mod report_hash;
pub mod scan;
pub mod severity;
#[cfg(test)]
pub(crate) mod shared;
pub mod signals;
pub mod standing;
pub mod subject;
pub mod text;
pub mod tracking_key;
pub mod upload;
pub mod versions;
pub mod vulnerability_id;
pub mod warning;
