//! What Sirius is about, free of I/O: no async, no AWS, no HTTP.

pub mod finding;
pub mod image_name;
pub mod report_hash;
pub mod scan;
pub mod severity;
