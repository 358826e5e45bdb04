//! Counts the analyses of a scan's findings by state.

use std::collections::HashMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::prompt_reader::PromptReader;
use crate::domain::analysis::Status;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::Scan;
use crate::store::findings::runs;
use crate::store::{self, Selection};

/// The findings of a scan, by the state of their analyses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AnalysisCounts {
    pub(crate) completed: usize,
    pub(crate) pending: usize,
    pub(crate) failed: usize,
    /// Findings without a request.
    pub(crate) none: usize,
    /// Findings that were counted: in a large scan only the most severe ones.
    pub(crate) counted_findings: usize,
}

/// The most findings that are counted, from the most severe one on.
const MAX_COUNTED: u32 = 1000;
/// Runs of findings that are read at the same time.
const MAX_CONCURRENT_READS: usize = 4;

impl PromptReader<'_> {
    /// Counts the analyses of a scan's findings.
    pub(crate) async fn analysis_counts(&self, scan: &Scan) -> Result<AnalysisCounts, store::Error> {
        let everything = &Selection::default();
        let read: Vec<Vec<Option<PromptHash>>> = stream::iter(runs(0..scan.total_findings().min(MAX_COUNTED)))
            .map(|run| async {
                let findings = self.store.findings(scan.scan_id, run, everything).await?;
                let prompts = self.prompts(scan, &findings).await?;
                Ok::<_, store::Error>(prompts.map(|prompt| Some(prompt.ok()?.hash)).collect())
            })
            .buffered(MAX_CONCURRENT_READS)
            .try_collect()
            .await?;
        let mut by_hash = HashMap::<Option<PromptHash>, usize>::new();
        for hash in read.into_iter().flatten() {
            *by_hash.entry(hash).or_default() += 1;
        }
        let distinct: Vec<PromptHash> = by_hash.keys().flatten().cloned().collect();
        let analyses = self.store.analyses(&distinct).await?;
        let mut counts = AnalysisCounts::default();
        for (hash, findings) in by_hash {
            let status = hash.and_then(|hash| analyses.get(&hash)).map(|analysis| analysis.status);
            *match status {
                Some(Status::Completed) => &mut counts.completed,
                Some(Status::Pending) => &mut counts.pending,
                Some(Status::Failed) => &mut counts.failed,
                None => &mut counts.none,
            } += findings;
            counts.counted_findings += findings;
        }
        Ok(counts)
    }
}
