//! OSV, one record at a time: <https://google.github.io/osv.dev/get-v1-vulns/>.

use jiff::Timestamp;

use super::fetch::{self, Budget, Manner};
use super::mode::Mode;
use super::record::{Source, about, failed};
use crate::domain::enrichment::Facts;
use crate::domain::vulnerability_id::VulnerabilityId;
use crate::enrichment::merge::Said;
use crate::enrichment::osv;
use crate::store::Store;

const CALLED: &str = "OSV";
const SOURCE: Source = Source {
    called: CALLED,
    folder: "osv",
    request: |live, id| {
        let manner = Manner { source_name: "osv", interval: live.paces.osv, redirects_to: &[] };
        (manner, live.addresses.osv.join(&["v1", "vulns", id.as_str()]))
    },
    read: |id, body, _| about(CALLED, id, osv::parse(body)),
    not_found,
};

/// Asks OSV about an id that is its own. None if there was no time, or no turn, to ask.
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

/// A 404 may say under which other ids OSV knows it: then it is not unknown.
fn not_found(id: &VulnerabilityId, body: &[u8], now: Timestamp) -> Said {
    match osv::parse_not_found(body) {
        Ok(answer) if answer.aliases.is_empty() => Said::Absent,
        Ok(answer) => Said::Facts(Box::new(Facts { aliases: answer.aliases, ..Facts::none(now) })),
        // Not OSV's own 404: that of something on the way.
        Err(error) => failed(CALLED, id, &error),
    }
}
