//! Orders the findings of a scan by priority.
//!
//! The order changes with the sources, so no key of the table has it: all selected findings are read and sorted, and only
//! the parts that decide the order are kept in memory.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::finding_reader::FindingReader;
use crate::domain::finding::{Finding, Ordinal};
use crate::domain::scan::Scan;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::priority::{Reported, SortKey};
use crate::store::findings::runs;
use crate::store::{self, Selection};

/// Runs of findings that are read at the same time.
const MAX_CONCURRENT_READS: usize = 4;

/// The part of a finding that decides its place.
struct Candidate {
    ordinal: Ordinal,
    vulnerability_id: String,
    package: String,
    kind: String,
    reported: Reported,
    suppressed: bool,
}

impl Candidate {
    fn new(finding: Finding, scan: &Scan) -> Self {
        Self {
            ordinal: finding.ordinal,
            suppressed: finding.suppressed.is_some(),
            reported: Reported::finding(&finding, scan.scan_timestamp, scan.scan_timestamp),
            vulnerability_id: finding.vulnerability_id.unwrap_or_default(),
            package: finding.pkg_name.unwrap_or_default(),
            kind: finding.kind.unwrap_or_default(),
        }
    }
}

impl FindingReader {
    /// Returns the selected findings in the order of their priority, suppressed ones last, each with its sort key.
    ///
    /// Where priorities are equal, the upgrade that clears more of the selected findings comes first.
    pub(crate) async fn order_by_priority(
        &self,
        scan: &Scan,
        ordinals: Vec<Range<u32>>,
        wanted: &Selection,
        now: Timestamp,
    ) -> Result<Vec<(SortKey, Ordinal)>, store::Error> {
        let Self { store, priorities, .. } = self;
        let candidates: Vec<Vec<Candidate>> = stream::iter(ordinals.into_iter().flat_map(runs))
            .map(|run| async {
                let findings = store.findings(scan.scan_id, run, wanted).await?;
                Ok::<_, store::Error>(findings.into_iter().map(|finding| Candidate::new(finding, scan)).collect())
            })
            .buffered(MAX_CONCURRENT_READS)
            .try_collect()
            .await?;
        let candidates: Vec<Candidate> = candidates.into_iter().flatten().collect();

        let ids: BTreeSet<VulnerabilityId> =
            candidates.iter().filter_map(|it| it.vulnerability_id.parse().ok()).collect();
        let known = store.known(&ids.into_iter().collect::<Vec<_>>()).await?;
        let mut clears: HashMap<(&str, &str), u32> = HashMap::new();
        for it in candidates.iter().filter(|it| it.reported.fixed_version && !it.suppressed) {
            *clears.entry((&it.kind, &it.package)).or_default() += 1;
        }
        let mut keyed: Vec<(SortKey, Ordinal)> = candidates
            .iter()
            .map(|it| {
                if it.suppressed {
                    return (SortKey::suppressed(it.ordinal.get()), it.ordinal);
                }
                let inputs = priorities.inputs_of_reported(scan, Some(&it.vulnerability_id), &it.reported, &known);
                let cleared = clears.get(&(it.kind.as_str(), it.package.as_str())).copied();
                let cleared = cleared.filter(|_| it.reported.fixed_version).unwrap_or_default();
                let key = priorities.assess(&inputs, now).sort_key(&inputs, cleared, it.ordinal.get());
                (key, it.ordinal)
            })
            .collect();
        keyed.sort_unstable_by_key(|(key, _)| *key);
        Ok(keyed)
    }
}
