//! CVE Services, one record at a time: <https://cveawg.mitre.org/api-docs/>.

use super::fetch::Manner;
use super::record::Source;
use crate::enrichment::cve_services;
use crate::enrichment::merge::Said;

/// It is asked about CVEs.
pub const SOURCE: Source = Source {
    called: "CVE Services",
    folder: "cve",
    request: |live, id| {
        let manner = Manner { source_name: "cve_services", interval: live.paces.cve_services, redirects_to: &[] };
        (manner, live.addresses.cve_services.join(&["api", "cve", id.as_str()]))
    },
    read: |body, now| Ok(cve_services::parse(body, now)?),
    not_found: |_, _| Ok(Said::Absent),
};
