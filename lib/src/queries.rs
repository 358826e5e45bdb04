//! Reads what handlers answer with. Nothing here changes the table, the bucket or a queue.

pub mod affected_images;
pub mod analysis_counts;
pub mod enrichment_state;
pub mod finding_order;
pub mod finding_reader;
pub mod finding_view;
pub mod fleet_reader;
pub mod priority_config;
pub mod prompt_reader;
pub mod scan_lookup;
pub mod upgrades;
mod vulnerability_ids;
