//! CVE Services, one record at a time: <https://cveawg.mitre.org/api-docs/>.

use super::fetch::FetchPolicy;
use super::record::Source;
use crate::enrichment::cve_services;
use crate::enrichment::merge::Said;

/// Answers about CVEs.
pub const SOURCE: Source = Source {
    display_name: "CVE Services",
    folder: "cve",
    request: |live, id| {
        let policy = FetchPolicy::new("cve_services", live.intervals.cve_services);
        (policy, live.addresses.cve_services.join(&["api", "cve", id.as_str()]))
    },
    read: |body, now| Ok(cve_services::parse_record(body, now)?),
    not_found: |_, _| Ok(Said::Absent),
};
