//! The findings that a request selects, read in the order of the answer.

use std::ops::Range;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::domain::finding::Ordinal;
use crate::domain::scan::Scan;
use crate::domain::severity::Severity;
use crate::objects::Objects;
use crate::queries::finding_reader::FindingReader;
use crate::queries::finding_view::FindingView;
use crate::store::findings::runs;
use crate::store::{self, Selection};

/// Runs of findings that are read ahead while an answer is being written.
const READ_AHEAD: usize = 4;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// Reads scans and findings.
    pub reader: FindingReader,
    /// The bucket of large exports and of the archive; none in a deployment without one.
    pub objects: Option<Objects>,
    /// The AWS region.
    pub region: String,
}

/// The order of the list, and what a position in it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// By ordinal: by severity, then vulnerability and package. A position is an ordinal.
    Severity,
    /// By priority. A position is that of a [`PriorityOrder`](super::priority_order::PriorityOrder).
    Priority,
}

/// Which of open and suppressed findings are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suppressed {
    /// Open findings only.
    Exclude,
    /// Open findings, then suppressed ones.
    Include,
    /// Suppressed findings only.
    Only,
}

/// Which findings are listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter<'a> {
    pub(super) scan: &'a Scan,
    pub(super) severities: &'a [Severity],
    pub(super) suppressed: Suppressed,
    pub(super) wanted: &'a Selection,
}

impl Filter<'_> {
    /// Returns the selected ordinals from `start` on; those of suppressed findings follow those of open ones.
    pub(super) fn ordinals(&self, start: u32) -> Vec<Range<u32>> {
        let open = self.scan.total_findings();
        let mut ranges = match self.suppressed {
            Suppressed::Only => Vec::new(),
            Suppressed::Exclude | Suppressed::Include => self.scan.severity_counts.of_any(self.severities, start),
        };
        if self.suppressed != Suppressed::Exclude {
            let suppressed = self.scan.suppressed_counts.of_any(self.severities, start.saturating_sub(open));
            ranges.extend(suppressed.into_iter().map(|range| range.start + open..range.end + open));
        }
        ranges
    }
}

/// Views of findings that are read ahead.
pub(super) type Views<'a> = BoxStream<'a, Result<Vec<FindingView>, store::Error>>;

/// The order of all selected findings, which several passes may read.
pub(super) enum Order {
    /// That of the ordinals.
    Severity,
    /// The sorted ordinals.
    Priority(Vec<Ordinal>),
}

impl Order {
    /// Sorts the selected findings, if they are not stored in the order.
    pub(super) async fn sorted(
        reader: &FindingReader,
        filter: Filter<'_>,
        sort: Sort,
        now: Timestamp,
    ) -> Result<Self, store::Error> {
        if sort == Sort::Severity {
            return Ok(Self::Severity);
        }
        let sorted = reader.order_by_priority(filter.scan, filter.ordinals(0), filter.wanted, now).await?;
        Ok(Self::Priority(sorted.into_iter().map(|(_, ordinal)| ordinal).collect()))
    }

    /// Reads the views of all selected findings.
    pub(super) fn views<'a>(&self, reader: &'a FindingReader, filter: Filter<'a>, now: Timestamp) -> Views<'a> {
        match self {
            Self::Severity => views_of_ordinals(reader, filter, filter.ordinals(0), now),
            Self::Priority(ordinals) => views_at(reader, filter.scan, ordinals, now),
        }
    }
}

/// Reads the views of the selected findings among ordinals.
pub(super) fn views_of_ordinals<'a>(
    reader: &'a FindingReader,
    Filter { scan, wanted, .. }: Filter<'a>,
    ordinals: Vec<Range<u32>>,
    now: Timestamp,
) -> Views<'a> {
    let read = move |run| async move {
        let findings = reader.store.findings(scan.scan_id, run, wanted).await?;
        reader.views(scan, findings, now).await
    };
    stream::iter(ordinals.into_iter().flat_map(runs)).map(read).buffered(READ_AHEAD).boxed()
}

/// Reads the views of the findings with these ordinals, in this order.
pub(super) fn views_at<'a>(
    reader: &'a FindingReader,
    scan: &'a Scan,
    ordinals: &[Ordinal],
    now: Timestamp,
) -> Views<'a> {
    /// The most findings that one round trip reads.
    const BATCH: usize = 100;
    let batches = ordinals.chunks(BATCH).map(<[Ordinal]>::to_vec).collect::<Vec<_>>();
    let read = move |batch: Vec<Ordinal>| async move {
        let findings = reader.store.findings_at(scan.scan_id, &batch).await?;
        reader.views(scan, findings, now).await
    };
    stream::iter(batches).map(read).buffered(READ_AHEAD).boxed()
}
