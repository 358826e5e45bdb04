//! Checks whether the sources were asked about the vulnerabilities of a scan.

use super::vulnerability_ids::vulnerability_ids;
use crate::domain::scan::Scan;
use crate::domain::severity::Severity;
use crate::domain::vulnerability::{Status, VulnerabilitySummary};
use crate::store::findings::runs;
use crate::store::{self, Selection, Store};

/// Returns whether the sources were asked about each vulnerability of a scan's findings of these severities. A
/// vulnerability that no source can be asked about counts as asked.
pub(crate) async fn is_enriched(store: &Store, scan: &Scan, severities: &[Severity]) -> Result<bool, store::Error> {
    for run in scan.severity_counts.of_any(severities, 0).into_iter().flat_map(runs) {
        let ids = vulnerability_ids(&store.findings(scan.scan_id, run, &Selection::default()).await?);
        let summaries = store.summaries(&ids).await?;
        let is_known =
            |id| summaries.get(id).is_some_and(|known: &VulnerabilitySummary| known.status != Status::Pending);
        if !ids.iter().all(is_known) {
            return Ok(false);
        }
    }
    Ok(true)
}
