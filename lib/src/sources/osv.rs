//! OSV, one record at a time: <https://google.github.io/osv.dev/get-v1-vulns/>.

use jiff::Timestamp;

use super::fetch::Manner;
use super::record::{Source, Unreadable};
use crate::domain::vulnerability::SourceRecord;
use crate::enrichment::merge::Said;
use crate::enrichment::osv;

/// It is asked about ids of its own.
pub const SOURCE: Source = Source {
    called: "OSV",
    folder: "osv",
    request: |live, id| {
        let manner = Manner { source_name: "osv", interval: live.paces.osv, redirects_to: &[] };
        (manner, live.addresses.osv.join(&["v1", "vulns", id.as_str()]))
    },
    read: |body, _| Ok(osv::parse(body)?),
    not_found,
};

/// A 404 may say under which other ids OSV knows it: then it is not unknown. Fails at a 404 that is not OSV's own,
/// but that of something on the way.
fn not_found(body: &[u8], now: Timestamp) -> Result<Said, Unreadable> {
    let aliases = osv::parse_not_found(body)?.aliases;
    if aliases.is_empty() {
        return Ok(Said::Absent);
    }
    Ok(Said::Record(Box::new(SourceRecord { aliases, ..SourceRecord::none(now) })))
}
