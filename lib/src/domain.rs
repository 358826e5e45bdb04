//! What Sirius is about, free of I/O: no async, no AWS, no HTTP.

pub mod analysis;
pub mod enrichment;
pub mod finding;
pub mod image_name;
pub mod priority;
pub mod prompt_hash;
pub mod report_hash;
pub mod scan;
pub mod severity;
pub mod upload;
pub mod vulnerability_id;
