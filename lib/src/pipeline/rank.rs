//! The findings of a scan in the order in which to fix them.
//!
//! That order hangs on what the sources say today, so it is in no key of the table: the wanted findings are
//! all read, weighed and sorted, and of each only what the order needs is kept.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::judge::Judge;
use crate::domain::finding::{Finding, Ordinal};
use crate::domain::scan::Scan;
use crate::domain::vulnerability::id::VulnerabilityId;
use crate::priority::{Reported, SortKey};
use crate::store::{self, Selection, Store, findings};

/// Runs that are read at the same time.
const CONCURRENCY: usize = 4;

/// What the order needs of a finding.
struct Weighed {
    ordinal: Ordinal,
    vulnerability_id: String,
    package: String,
    kind: String,
    reported: Reported,
    suppressed: bool,
}

/// The ordinals of the wanted findings, the first to fix first and what is suppressed last, each with its key.
///
/// "Findings cleared by the same upgrade" are those wanted ones of the same package that have a fix.
///
/// # Errors
/// Those of the table.
pub async fn ordinals(
    store: &Store,
    judge: &Judge,
    scan: &Scan,
    ordinals: Vec<Range<u32>>,
    wanted: &Selection,
    now: Timestamp,
) -> Result<Vec<(SortKey, Ordinal)>, store::Error> {
    let runs = ordinals.into_iter().flat_map(findings::runs);
    let weighed: Vec<Vec<Weighed>> = stream::iter(runs)
        .map(|run| async {
            let findings = store.findings(scan.scan_id, run, wanted).await?;
            Ok::<_, store::Error>(findings.into_iter().map(|finding| weigh(finding, scan)).collect())
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let weighed: Vec<Weighed> = weighed.into_iter().flatten().collect();

    let ids: BTreeSet<VulnerabilityId> = weighed.iter().filter_map(|it| it.vulnerability_id.parse().ok()).collect();
    let known = store.known(&ids.into_iter().collect::<Vec<_>>()).await?;
    let mut clears: HashMap<(&str, &str), u32> = HashMap::new();
    for it in weighed.iter().filter(|it| it.reported.fixed_version && !it.suppressed) {
        *clears.entry((&it.kind, &it.package)).or_default() += 1;
    }
    let mut keyed: Vec<(SortKey, Ordinal)> = weighed
        .iter()
        .map(|it| {
            if it.suppressed {
                return (SortKey::suppressed(it.ordinal.get()), it.ordinal);
            }
            let facts = judge.weigh(scan, Some(&it.vulnerability_id), &it.reported, &known);
            let cleared = clears.get(&(it.kind.as_str(), it.package.as_str())).copied();
            let cleared = cleared.filter(|_| it.reported.fixed_version).unwrap_or_default();
            let key = judge.assess(&facts, now).sort_key(&facts, cleared, it.ordinal.get());
            (key, it.ordinal)
        })
        .collect();
    keyed.sort_unstable_by_key(|(key, _)| *key);
    Ok(keyed)
}

fn weigh(finding: Finding, scan: &Scan) -> Weighed {
    Weighed {
        ordinal: finding.ordinal,
        suppressed: finding.suppressed.is_some(),
        reported: Reported::finding(&finding, scan.scan_timestamp, scan.scan_timestamp),
        vulnerability_id: finding.vulnerability_id.unwrap_or_default(),
        package: finding.pkg_name.unwrap_or_default(),
        kind: finding.kind.unwrap_or_default(),
    }
}
