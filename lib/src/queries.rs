//! Reads scans, findings, priorities and upgrades. No query changes the table, the bucket or a queue.

pub(crate) mod affected_images;
pub(crate) mod analysis_counts;
pub(crate) mod enrichment_state;
pub(crate) mod finding_order;
pub mod finding_reader;
pub(crate) mod finding_view;
pub mod fleet_reader;
pub mod priority_config;
pub mod prompt_reader;
pub(crate) mod scan_lookup;
pub(crate) mod upgrades;
mod vulnerability_ids;
