//! Findings: written in batches, read in runs of ordinals.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, Select, WriteRequest};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::backoff::Retries;
use super::expression::{Condition, between, equals, one_of};
use super::item::{Item, corrupt, key_of, typed};
use super::keys::{self, BLOB, FINDINGS_PER_BLOCK, Key, MOST_ITEMS_OF_A_BATCH, PK, SK};
use super::write::Put;
use super::{Error, Store};
use crate::domain::finding::{Finding, FindingId, Ordinal, Suppression};
use crate::domain::scan::{Scan, ScanId};
use crate::domain::vulnerability::id::Spellings;
use crate::report::{self, Report};

/// Batches that are written at the same time: a new on-demand table takes 4,000 write units a second, and a batch of
/// about 30 units takes some 10 ms.
pub(super) const CONCURRENCY: usize = 8;

const WRITE: &str = "BatchWriteItem(findings)";

// The attributes that a filter can use.
const VULNERABILITY_ID: &str = "v";
/// An id in small letters, of a finding whose report spells it as no search does.
const SMALL_ID: &str = "w";
const PACKAGE: &str = "p";
const FIXABLE: &str = "f";

/// A filter of findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this package only.
    pub package: Option<String>,
    /// Of this vulnerability only, in any of these spellings.
    pub vulnerability_id: Option<Spellings>,
    /// Only with, or only without, a fixed version.
    pub fixable: Option<bool>,
}

impl Selection {
    /// Returns whether every finding passes.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.package.is_none() && self.vulnerability_id.is_none() && self.fixable.is_none()
    }
}

impl Store {
    /// Writes all findings of a report; idempotent.
    pub async fn write_findings(&self, scan: ScanId, report: &Report<'_>) -> Result<(), Error> {
        stream::iter(self.finding_batches(scan, report)?)
            .map(|batch| async { self.write_batch(WRITE, batch?).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Makes the batches that [`Self::write_findings`] writes, one at a time, so that only a few are in memory. Public
    /// for the benchmarks.
    ///
    /// # Errors
    /// [`Error::Refused`] if the compressor cannot be set up.
    pub fn finding_batches(
        &self,
        scan: ScanId,
        report: &Report<'_>,
    ) -> Result<impl Iterator<Item = Result<Vec<WriteRequest>, Error>>, Error> {
        let mut packer = self.codec.packer().map_err(Error::refused(WRITE))?;
        let open = report.findings.iter().map(|finding| (finding, None));
        let suppressed = report.suppressed.iter().map(|it| (&it.finding, Some(suppression(it))));
        let mut findings = (0..).zip(open.chain(suppressed));
        let mut put = move |(ordinal, (finding, suppressed)): (u32, (&report::Finding<'_>, Option<Suppression>))| {
            let ordinal = Ordinal::new(ordinal).ok_or("more findings than a scan can have")?;
            let scanned = report.scanned.get(finding.scanned).ok_or("the finding belongs to no result")?;
            let put = Put::new(&Key::Finding(scan, ordinal))
                .set_some(VULNERABILITY_ID, finding.vulnerability_id.as_deref())
                .set_some(SMALL_ID, finding.vulnerability_id.as_deref().and_then(Spellings::small_if_odd))
                .set_some(PACKAGE, finding.pkg_name.as_deref())
                .set(FIXABLE, finding.fixable)
                .set(BLOB, packer.pack(scanned, finding, suppressed)?);
            let put = PutRequest::builder().set_item(Some(put.into_item())).build()?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(WriteRequest::builder().put_request(put).build())
        };
        Ok(std::iter::from_fn(move || {
            let mut batch = findings.by_ref().take(MOST_ITEMS_OF_A_BATCH).map(&mut put).peekable();
            batch.peek()?;
            Some(batch.collect::<Result<Vec<_>, _>>().map_err(Error::refused(WRITE)))
        }))
    }

    /// Writes a batch, and tries again with its unprocessed items.
    pub(super) async fn write_batch(&self, operation: &'static str, mut batch: Vec<WriteRequest>) -> Result<(), Error> {
        let mut retries = Retries::of(operation);
        loop {
            let written = self.client.batch_write_item().request_items(&self.table, batch).send().await;
            let written = written.map_err(|error| Error::sdk(operation, error))?;
            batch = written.unprocessed_items.and_then(|mut left| left.remove(&self.table)).unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
            retries.wait().await?;
        }
    }

    /// Reads the wanted findings with these ordinals, in order. The ordinals must exist, and lie in one block.
    ///
    /// The read is eventually consistent, at half the price. If it misses findings, it is repeated strongly consistent.
    ///
    /// # Errors
    /// [`Error::Vanished`] if findings are missing because the scan was deleted or ingested again,
    /// [`Error::Corrupt`] if they are missing from a scan that exists.
    pub async fn findings(
        &self,
        scan: ScanId,
        ordinals: Range<u32>,
        wanted: &Selection,
    ) -> Result<Vec<Finding>, Error> {
        let expected = ordinals.len();
        for consistent in [false, true] {
            let (seen, items) = self.query_findings(scan, &ordinals, wanted, consistent).await?;
            if seen == expected {
                return items.into_iter().map(|item| self.read_finding(item)).collect();
            }
        }
        let reason = format!("fewer than {expected} findings from {} on", keys::finding_sk(ordinals.start));
        Err(self.missing(scan, ordinals.end, keys::block_pk(scan, ordinals.start), reason).await)
    }

    /// Returns the reason why findings below `end` are missing: a deletion removes the scan before its findings, and
    /// ingesting it again may give fewer.
    async fn missing(&self, scan_id: ScanId, end: u32, item: String, reason: String) -> Error {
        match self.scan(scan_id).await {
            Ok(Some(scan)) if scan.stored_findings() >= end => Error::corrupt(item, reason),
            Ok(_) => Error::Vanished { scan_id },
            Err(error) => error,
        }
    }

    /// Returns whether the block of an ordinal has findings.
    pub(super) async fn has_findings(&self, scan: ScanId, ordinal: u32) -> Result<bool, Error> {
        let query = self.query_now(equals(PK, keys::block_pk(scan, ordinal))).select(Select::Count).limit(1);
        let page = query.send().await.map_err(|error| Error::sdk("Query(leftovers)", error))?;
        Ok(page.count > 0)
    }

    /// Counts the findings with these ordinals, and reads the wanted ones.
    async fn query_findings(
        &self,
        scan: ScanId,
        ordinals: &Range<u32>,
        wanted: &Selection,
        consistent: bool,
    ) -> Result<(usize, Vec<Item>), Error> {
        let (first, last) = (keys::finding_sk(ordinals.start), keys::finding_sk(ordinals.end.saturating_sub(1)));
        let keys = equals(PK, keys::block_pk(scan, ordinals.start)).and(between(SK, first, last));
        let query = self.query(keys, filter(wanted)).consistent_read(consistent);
        // More than one page only if the block is larger than 1 MB.
        let mut pages = query.into_paginator().send();
        let (mut seen, mut items) = (0, Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Error::sdk("Query(findings)", error))?;
            seen += usize::try_from(page.scanned_count).unwrap_or_default();
            items.extend(page.items.unwrap_or_default());
        }
        Ok((seen, items))
    }

    /// Reads the findings with these ordinals, in their order; up to a hundred, which must exist and be distinct.
    ///
    /// # Errors
    /// As [`Store::findings`] if one is missing.
    pub async fn findings_at(&self, scan: ScanId, ordinals: &[Ordinal]) -> Result<Vec<Finding>, Error> {
        let keys = || ordinals.iter().map(|ordinal| Key::Finding(scan, *ordinal));
        for consistent in [false, true] {
            let items = self.batch_get("BatchGetItem(findings)", keys(), consistent).await?;
            if items.len() == ordinals.len() {
                let read = items.into_iter().map(|item| self.read_finding(item)).collect::<Result<Vec<_>, _>>()?;
                let mut by_ordinal: HashMap<Ordinal, Finding> =
                    read.into_iter().map(|finding| (finding.ordinal, finding)).collect();
                return Ok(ordinals.iter().filter_map(|ordinal| by_ordinal.remove(ordinal)).collect());
            }
        }
        let end = ordinals.iter().map(|ordinal| ordinal.get().saturating_add(1)).max().unwrap_or_default();
        Err(self.missing(scan, end, Key::Scan(scan).pk(), "findings are missing".to_owned()).await)
    }

    /// Reads a finding and its scan; none if the scan is not published, or has no such finding.
    ///
    /// # Errors
    /// As [`Store::findings`] if it is missing.
    pub async fn finding(&self, id: FindingId) -> Result<Option<(Scan, Finding)>, Error> {
        let Some((scan_id, ordinal)) = id.split() else { return Ok(None) };
        let key = Key::Finding(scan_id, ordinal);
        let items = self.batch_get("BatchGetItem(finding)", [Key::Scan(scan_id), key.clone()], true).await?;
        let (mut scan, mut finding) = (None::<Scan>, None);
        for item in items {
            match key_of(&item) {
                Some(Key::Scan(_)) => scan = Some(typed(item)?),
                Some(Key::Finding(..)) => finding = Some(item),
                _ => {}
            }
        }
        // A finding without a scan is not published, and one past the end does not belong to the scan.
        let Some(scan) = scan.filter(|scan| ordinal.get() < scan.stored_findings()) else { return Ok(None) };
        let Some(finding) = finding else {
            let reason = format!("{} is missing", key.sk());
            return Err(self.missing(scan_id, ordinal.get().saturating_add(1), key.pk(), reason).await);
        };
        Ok(Some((scan, self.read_finding(finding)?)))
    }

    fn read_finding(&self, mut item: Item) -> Result<Finding, Error> {
        let Some(Key::Finding(scan_id, ordinal)) = key_of(&item) else {
            return Err(corrupt(&item, "not the key of a finding"));
        };
        let corrupt = |reason: String| Error::corrupt(format!("{}", FindingId::new(scan_id, ordinal)), reason);
        let blob = item.get(BLOB).and_then(|blob| blob.as_b().ok()).ok_or_else(|| corrupt("no blob".to_owned()))?;
        let unpacked = self.codec.unpack(blob.as_ref()).map_err(corrupt)?;
        let mut take =
            |name| item.remove(name).and_then(|value| if let AttributeValue::S(s) = value { Some(s) } else { None });
        Ok(Finding {
            scan_id,
            ordinal,
            vulnerability_id: take(VULNERABILITY_ID),
            pkg_name: take(PACKAGE),
            target: unpacked.target,
            class: unpacked.class,
            kind: unpacked.kind,
            suppressed: unpacked.suppressed,
            vulnerability: unpacked.vulnerability,
        })
    }
}

/// Splits ordinals into runs that lie in one block each.
pub fn runs(ordinals: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let mut start = ordinals.start;
    std::iter::from_fn(move || {
        let border = (start / FINDINGS_PER_BLOCK + 1) * FINDINGS_PER_BLOCK;
        let run = start..border.min(ordinals.end);
        start = run.end;
        (!run.is_empty()).then_some(run)
    })
}

fn filter(wanted: &Selection) -> Option<Condition> {
    let package = wanted.package.as_deref().map(|package| equals(PACKAGE, package));
    let fixable = wanted.fixable.map(|fixable| equals(FIXABLE, fixable));
    let id = wanted
        .vulnerability_id
        .as_ref()
        .map(|ids| one_of(VULNERABILITY_ID, ids.iter()).or(equals(SMALL_ID, ids.small())));
    [package, fixable, id].into_iter().flatten().reduce(Condition::and)
}

fn suppression(suppressed: &report::Suppressed<'_>) -> Suppression {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().map(ToString::to_string);
    let report::Suppressed { status, source, statement, .. } = suppressed;
    Suppression { status: text(status), source: text(source), statement: text(statement) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_cover_every_ordinal_once_and_stay_in_their_block(start in 0u32..2000, len in 0u32..2000) {
            let runs: Vec<_> = runs(start..start + len).collect();
            prop_assert!(runs.iter().all(|run| run.start / FINDINGS_PER_BLOCK == (run.end - 1) / FINDINGS_PER_BLOCK));
            prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), (start..start + len).collect::<Vec<_>>());
        }
    }
}
