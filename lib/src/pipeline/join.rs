//! Findings with the analyses that exist of them: joined when read, so that an answer shows on every
//! finding that was asked about in the same words, wherever it was made.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use crate::domain::analysis::{Analysis, Status};
use crate::domain::finding::Finding;
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::Scan;
use crate::llm::Questions;
use crate::store::{self, Selection, Store, findings};

/// A finding, and its analysis if one was ever asked for.
pub type Joined = (Finding, Option<(PromptHash, Analysis)>);

/// Joins findings with their analyses: one round trip for each hundred distinct prompts. Without
/// `questions` nothing is analysed here, and there is nothing to join.
///
/// # Errors
/// Those of the table.
pub async fn analyses(
    store: &Store,
    questions: Option<&Questions>,
    findings: Vec<Finding>,
) -> Result<Vec<Joined>, store::Error> {
    let Some(questions) = questions else {
        return Ok(findings.into_iter().map(|finding| (finding, None)).collect());
    };
    let hashed: Vec<(Finding, Option<PromptHash>)> =
        findings.into_iter().map(|finding| hash(questions, finding)).collect();
    let distinct: HashSet<&PromptHash> = hashed.iter().filter_map(|(_, hash)| hash.as_ref()).collect();
    let distinct: Vec<PromptHash> = distinct.into_iter().cloned().collect();
    let known = store.analyses(&distinct).await?;
    let join = |(finding, hash): (Finding, Option<PromptHash>)| {
        let analysis = hash.and_then(|hash| known.get(&hash).cloned().map(|analysis| (hash, analysis)));
        (finding, analysis)
    };
    Ok(hashed.into_iter().map(join).collect())
}

/// A finding that no prompt can be made for, since the settings leave no room, has no analysis.
fn hash(questions: &Questions, finding: Finding) -> (Finding, Option<PromptHash>) {
    let hash = questions.about(&finding).ok().map(|(hash, _)| hash);
    (finding, hash)
}

/// How many findings of a scan are analysed, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Findings with an answer.
    pub completed: usize,
    /// Findings whose answer is on its way.
    pub pending: usize,
    /// Findings whose analysis failed.
    pub failed: usize,
    /// Findings that nobody has asked about.
    pub none: usize,
    /// Findings that were looked at: the most severe ones of a large scan.
    pub counted_findings: usize,
}

/// The most findings that are counted: a larger scan is counted from its most severe finding on.
const MOST_COUNTED: u32 = 1000;
/// Runs that are read at the same time.
const CONCURRENCY: usize = 4;

/// Counts the analyses of a scan's findings.
///
/// # Errors
/// Those of the table.
pub async fn counts(store: &Store, questions: &Questions, scan: &Scan) -> Result<Counts, store::Error> {
    let runs = findings::runs(0..scan.total_findings().min(MOST_COUNTED));
    let read: Vec<Vec<Finding>> = stream::iter(runs)
        .map(|run| store.findings(scan.scan_id, run, &WHOLE))
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut by_hash = HashMap::<Option<PromptHash>, usize>::new();
    for finding in read.into_iter().flatten() {
        *by_hash.entry(hash(questions, finding).1).or_default() += 1;
    }
    let distinct: Vec<PromptHash> = by_hash.keys().flatten().cloned().collect();
    let known = store.analyses(&distinct).await?;
    let mut counts = Counts::default();
    for (hash, findings) in by_hash {
        let status = hash.and_then(|hash| known.get(&hash)).map(|analysis| analysis.status);
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

const WHOLE: Selection = Selection { package: None, vulnerability_id: None, fixable: None };
