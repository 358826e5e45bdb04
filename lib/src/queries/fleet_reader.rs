//! Defines the reader of the fleet.

use super::priority_config::PriorityConfig;
use crate::domain::fleet::Fleet;
use crate::store::Store;

/// Reads the vulnerabilities of all images that count.
#[derive(Debug)]
pub struct FleetReader {
    pub(crate) store: Store,
    pub(crate) priorities: PriorityConfig,
    pub(crate) fleet: Fleet,
}
