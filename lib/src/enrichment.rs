//! Reads the bytes of public sources into facts, and merges them into one record. No I/O, no clock.
//!
//! | file | what it reads |
//! |---|---|
//! | [`nvd`] | NVD's API 2.0 |
//! | [`cve_services`] | CVE JSON 5.x with CISA's additions (SSVC, KEV) |
//! | [`osv`] | OSV records, and the 404 that names aliases |
//! | [`kev`] | CISA's catalogue |
//! | [`epss`] | FIRST's daily CSV, into 16 bytes a CVE |
//! | [`trivy`] | a report's facts about a vulnerability |
//! | [`merge`] | answers into [`crate::domain::vulnerability::SourceRecords`], those into a record |
//! | [`freshness`] | when an answer expires |
//! | [`plan`] | which source to ask next |
//!
//! Parsers take bytes whose size the caller has capped. They ignore unknown fields, and note unreadable values of
//! known ones in [`crate::domain::vulnerability::SourceRecord::notes`].

mod collect;
pub mod cve_services;
pub mod epss;
pub mod freshness;
pub mod kev;
mod lenient;
pub mod merge;
pub mod nvd;
pub mod osv;
mod plain_text;
pub mod plan;
mod ssvc;
pub mod trivy;

#[cfg(test)]
mod tests;
