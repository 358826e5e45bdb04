//! Holds what the fleet is read with.

use super::priority_config::PriorityConfig;
use crate::domain::fleet::Fleet;
use crate::store::Store;

/// Reads the vulnerabilities of all images that count.
#[derive(Debug)]
pub struct FleetReader {
    /// The table.
    pub store: Store,
    /// The settings of the priority rule.
    pub priorities: PriorityConfig,
    /// Which images count.
    pub fleet: Fleet,
}
