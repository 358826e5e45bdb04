//! CVE Services, one record at a time: <https://cveawg.mitre.org/api-docs/>.

use super::fetch::{self, Budget, Manner};
use super::mode::Mode;
use super::record::{Source, about};
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::enrichment::cve_services;
use crate::enrichment::merge::Said;
use crate::store::Store;

const CALLED: &str = "CVE Services";
const SOURCE: Source = Source {
    called: CALLED,
    folder: "cve",
    request: |live, id| {
        let manner = Manner { source_name: "cve_services", interval: live.paces.cve_services, redirects_to: &[] };
        (manner, live.addresses.cve_services.join(&["api", "cve", id.as_str()]))
    },
    read: |id, body, now| about(CALLED, id, cve_services::parse(body, now)),
    not_found: |_, _, _| Said::Absent,
};

/// Asks CVE Services about a CVE. None if there was no time, or no turn, to ask.
///
/// # Errors
/// Those of the table.
pub async fn ask(
    mode: &Mode,
    store: &Store,
    id: &VulnerabilityId,
    budget: &Budget,
) -> Result<Option<Said>, fetch::Error> {
    SOURCE.ask(mode, store, id, budget).await
}
