//! Findings: written in batches under keys that are known beforehand, read in runs of ordinals.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::blob::Packer;
use super::item::{Item, key_of, typed};
use super::keys::{self, FINDINGS_PER_BLOCK, Key, PK, SK};
use super::{Error, Store, backoff};
use crate::domain::finding::{Finding, FindingId, Ordinal, Suppression};
use crate::domain::scan::{Scan, ScanId};
use crate::domain::vulnerability::id::Spellings;
use crate::report::{self, Report};

/// `BatchWriteItem` takes no more:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>.
pub(super) const BATCH: usize = 25;
/// Batches under way at once: a fresh on-demand table takes 4,000 write units a second, and a
/// batch of about 30 units comes back in some 10 ms.
pub(super) const CONCURRENCY: usize = 8;

/// What errors call the writing of a batch.
const WRITE: &str = "BatchWriteItem(findings)";

/// The attributes that a filter can see, and the blob.
const VULNERABILITY_ID: &str = "v";
const PACKAGE: &str = "p";
const FIXABLE: &str = "f";
const BLOB: &str = "z";

/// Which findings of a run are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this package only.
    pub package: Option<String>,
    /// Of this vulnerability only, in whichever of these spellings.
    pub vulnerability_id: Option<Spellings>,
    /// Only with, or only without, a fixed version.
    pub fixable: Option<bool>,
}

impl Selection {
    /// Every finding is wanted.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.package.is_none() && self.vulnerability_id.is_none() && self.fixable.is_none()
    }
}

impl Store {
    /// Writes all findings of a report. Doing it again, or twice at once, writes the same items.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`].
    pub async fn write_findings(&self, scan: ScanId, report: &Report<'_>) -> Result<(), Error> {
        stream::iter(self.finding_batches(scan, report)?)
            .map(|batch| async { self.write_batch(WRITE, batch?).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// The batches that [`Self::write_findings`] sends, each made only when it is asked for, so that
    /// no more than a few of them are ever in memory. Public for the benchmarks, which measure what
    /// making them costs without a network.
    ///
    /// # Errors
    /// [`Error::Refused`] if the compressor cannot be set up; in practice only for want of memory.
    pub fn finding_batches(
        &self,
        scan: ScanId,
        report: &Report<'_>,
    ) -> Result<impl Iterator<Item = Result<Vec<WriteRequest>, Error>>, Error> {
        let packer = self.codec.packer().map_err(|source| refused(source.into()))?;
        Ok(Batches { packer, scan, report, written: 0 })
    }

    /// Writes a batch until nothing of it is left unprocessed.
    pub(super) async fn write_batch(&self, operation: &'static str, mut batch: Vec<WriteRequest>) -> Result<(), Error> {
        let mut delays = backoff::delays();
        let mut tries = 0;
        loop {
            tries += 1;
            let written = self
                .client
                .batch_write_item()
                .request_items(&self.table, batch)
                .send()
                .await
                .map_err(|error| Error::sdk(operation, error))?;
            batch = written.unprocessed_items.and_then(|mut left| left.remove(&self.table)).unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(Error::Unprocessed { operation, tries }),
            }
        }
    }

    /// The findings with the given ordinals that are wanted, in order. The ordinals must exist, and
    /// lie in one block.
    ///
    /// The read is eventually consistent, at half the price, since how many findings there are is
    /// known: if some are not there yet, it is done again with consistency.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`]; [`Error::Vanished`] if findings are missing since the scan is gone,
    /// [`Error::Corrupt`] if they are missing though it is there.
    pub async fn findings(
        &self,
        scan: ScanId,
        ordinals: Range<u32>,
        wanted: &Selection,
    ) -> Result<Vec<Finding>, Error> {
        let expected = ordinals.len();
        let block = keys::block(scan, &ordinals);
        for consistent in [false, true] {
            let (seen, items) = self.query_block(&block, wanted, consistent).await?;
            if seen == expected {
                return items.into_iter().map(|item| self.read_finding(item)).collect();
            }
        }
        let reason = format!("fewer than {expected} findings in {}..={}", block.first, block.last);
        Err(self.missing(scan, ordinals.end, block.pk, reason).await)
    }

    /// Why findings are missing that a scan had when it was read, `end` of them or more: a deletion takes the scan
    /// away before its findings, and ingesting it anew may find fewer.
    async fn missing(&self, scan_id: ScanId, end: u32, item: String, reason: String) -> Error {
        match self.scan(scan_id).await {
            Ok(Some(scan)) if scan.stored_findings() >= end => Error::corrupt(item, reason),
            Ok(_) => Error::Vanished { scan_id },
            Err(error) => error,
        }
    }

    /// Whether there are findings in a block.
    pub(super) async fn has_findings(&self, scan: ScanId, ordinals: &Range<u32>) -> Result<bool, Error> {
        let block = keys::block(scan, ordinals);
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk")
            .projection_expression("#sk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(block.pk))
            .limit(1)
            .send()
            .await
            .map_err(|error| Error::sdk("Query(leftovers)", error))?;
        Ok(page.count > 0)
    }

    /// How many items of a block there are in all, and the wanted ones.
    async fn query_block(
        &self,
        block: &keys::Block,
        wanted: &Selection,
        consistent: bool,
    ) -> Result<(usize, Vec<Item>), Error> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(consistent)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :first AND :last")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(block.pk.clone()))
            .expression_attribute_values(":first", AttributeValue::S(block.first.clone()))
            .expression_attribute_values(":last", AttributeValue::S(block.last.clone()));
        let mut conditions = Vec::new();
        let text = |text: &String| AttributeValue::S(text.clone());
        let conditions_on =
            [(PACKAGE, wanted.package.as_ref().map(text)), (FIXABLE, wanted.fixable.map(AttributeValue::Bool))];
        for (name, value) in conditions_on {
            if let Some(value) = value {
                conditions.push(format!("#{name} = :{name}"));
                query = query
                    .expression_attribute_names(format!("#{name}"), name)
                    .expression_attribute_values(format!(":{name}"), value);
            }
        }
        if let Some(spellings) = &wanted.vulnerability_id {
            let names: Vec<String> = (0..).zip(spellings.iter()).map(|(at, _): (u8, _)| format!(":id{at}")).collect();
            conditions.push(format!("#{VULNERABILITY_ID} IN ({})", names.join(", ")));
            query = query.expression_attribute_names(format!("#{VULNERABILITY_ID}"), VULNERABILITY_ID);
            for (name, spelled) in names.into_iter().zip(spellings.iter()) {
                query = query.expression_attribute_values(name, AttributeValue::S(spelled.to_owned()));
            }
        }
        if !conditions.is_empty() {
            query = query.filter_expression(conditions.join(" AND "));
        }
        // More than one page only if a block's items are over 1 MB together.
        let mut pages = query.into_paginator().send();
        let (mut seen, mut items) = (0, Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Error::sdk("Query(findings)", error))?;
            seen += usize::try_from(page.scanned_count).unwrap_or_default();
            items.extend(page.items.unwrap_or_default());
        }
        Ok((seen, items))
    }

    /// The findings with these ordinals, in their order; up to a hundred, which must exist and be distinct.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`]; as [`Store::findings`] if one is missing.
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

    /// A finding and its scan, in one round trip; none if the scan is not published, or has no
    /// such finding.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unprocessed`], [`Error::Refused`], [`Error::Corrupt`]; as
    /// [`Store::findings`] if it is missing.
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
        // A finding without its scan is not published yet, and one past its end is left over from
        // nothing: neither is anyone's to see.
        let Some(scan) = scan.filter(|scan| ordinal.get() < scan.stored_findings()) else { return Ok(None) };
        let Some(finding) = finding else {
            let reason = format!("{} is missing", key.sk());
            return Err(self.missing(scan_id, ordinal.get().saturating_add(1), key.pk(), reason).await);
        };
        Ok(Some((scan, self.read_finding(finding)?)))
    }

    fn read_finding(&self, mut item: Item) -> Result<Finding, Error> {
        let Some(Key::Finding(scan_id, ordinal)) = key_of(&item) else {
            return Err(Error::corrupt(format!("{:?}", item.get(PK)), "not the key of a finding"));
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

/// Cuts ordinals into runs that lie in one block each.
pub fn runs(ordinals: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let mut start = ordinals.start;
    std::iter::from_fn(move || {
        let border = (start / FINDINGS_PER_BLOCK + 1) * FINDINGS_PER_BLOCK;
        let run = start..border.min(ordinals.end);
        start = run.end;
        (!run.is_empty()).then_some(run)
    })
}

fn refused(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Refused { operation: WRITE, source }
}

/// See [`Store::finding_batches`].
struct Batches<'p, 'r, 'c> {
    packer: Packer<'p>,
    scan: ScanId,
    report: &'r Report<'c>,
    /// Findings that were put into batches so far: the open ones, then the suppressed ones.
    written: usize,
}

impl Iterator for Batches<'_, '_, '_> {
    type Item = Result<Vec<WriteRequest>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let report = self.report;
        // To skip along a slice costs nothing, to skip what is made of it costs each of them.
        let open = report.findings.iter().skip(self.written).take(BATCH).map(|finding| (finding, None));
        let mut batch: Vec<_> = open.collect();
        let from = self.written.saturating_sub(report.findings.len());
        let suppressed = report.suppressed.iter().skip(from).take(BATCH - batch.len());
        batch.extend(suppressed.map(|suppressed| (&suppressed.finding, Some(suppression(suppressed)))));
        let first = self.written;
        self.written += batch.len();
        let puts = (first..)
            .zip(&batch)
            .map(|(ordinal, (finding, suppressed))| self.put(ordinal, finding, suppressed.clone()).map_err(refused));
        (!batch.is_empty()).then(|| puts.collect())
    }
}

fn suppression(suppressed: &report::Suppressed<'_>) -> Suppression {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().map(ToString::to_string);
    let report::Suppressed { status, source, statement, .. } = suppressed;
    Suppression { status: text(status), source: text(source), statement: text(statement) }
}

impl Batches<'_, '_, '_> {
    fn put(
        &mut self,
        ordinal: usize,
        finding: &report::Finding<'_>,
        suppressed: Option<Suppression>,
    ) -> Result<WriteRequest, Box<dyn std::error::Error + Send + Sync>> {
        let ordinal = u32::try_from(ordinal).ok().and_then(Ordinal::new);
        let ordinal = ordinal.ok_or("more findings than a scan can have")?;
        let scanned = self.report.scanned.get(finding.scanned).ok_or("a finding of no result")?;
        let mut item = Key::Finding(self.scan, ordinal).attributes();
        let mut set = |name: &str, value| item.insert(name.to_owned(), value);
        if let Some(id) = &finding.vulnerability_id {
            set(VULNERABILITY_ID, AttributeValue::S(id.to_string()));
        }
        if let Some(package) = &finding.pkg_name {
            set(PACKAGE, AttributeValue::S(package.to_string()));
        }
        set(FIXABLE, AttributeValue::Bool(finding.fixable));
        set(BLOB, AttributeValue::B(Blob::new(self.packer.pack(scanned, finding, suppressed)?)));
        let put = PutRequest::builder().set_item(Some(item)).build()?;
        Ok(WriteRequest::builder().put_request(put).build())
    }
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
