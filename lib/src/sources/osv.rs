//! OSV, one record at a time: <https://google.github.io/osv.dev/get-v1-vulns/>.

use jiff::Timestamp;

use super::fetch::FetchPolicy;
use super::record::{Source, Unreadable};
use crate::domain::vulnerability::SourceRecord;
use crate::enrichment::merge::Said;
use crate::enrichment::osv;

/// Answers about the ids of its databases.
pub const SOURCE: Source = Source {
    display_name: "OSV",
    folder: "osv",
    request: |live, id| {
        let policy = FetchPolicy::new("osv", live.intervals.osv);
        (policy, live.addresses.osv.join(&["v1", "vulns", id.as_str()]))
    },
    read: |body, _| Ok(osv::parse_record(body)?),
    not_found: read_not_found,
};

/// Reads a 404, which may name other ids of a record that OSV has. Fails at the 404 of a proxy.
fn read_not_found(body: &[u8], now: Timestamp) -> Result<Said, Unreadable> {
    let aliases = osv::parse_not_found(body)?;
    if aliases.is_empty() {
        return Ok(Said::Absent);
    }
    Ok(Said::Record(Box::new(SourceRecord { aliases, ..SourceRecord::none(now) })))
}
