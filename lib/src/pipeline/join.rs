//! Findings with their priorities and the analyses that exist of them: joined when read, so that what a source
//! says today and what a model answered show on every finding they are about, wherever they came from.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::judge::{self, Judge};
use crate::domain::analysis::{Analysis, Status};
use crate::domain::asset::Asset;
use crate::domain::finding::{Finding, Suppression};
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::Scan;
use crate::domain::subject::Subject;
use crate::domain::vulnerability::VulnerabilitySummary;
use crate::llm::facts::EnrichmentFacts;
use crate::llm::{Question, Questions};
use crate::priority::{Band, Priority};
use crate::store::answers::LatestAnswer;
use crate::store::{self, Selection, Store, findings};

/// A finding with all that is said of it besides the report.
#[derive(Debug)]
pub struct Joined {
    /// The finding.
    pub finding: Finding,
    /// How soon it has to be dealt with, and why.
    pub priority: Priority,
    /// What the public sources say, if they were asked.
    pub signals: Option<VulnerabilitySummary>,
    /// The newest of CISA's catalogues that speaks for it.
    pub catalogue: Option<Timestamp>,
    /// What a model said of it, if it was asked.
    pub analysis: Option<(PromptHash, Analysis)>,
    /// What a model said last of its subject, where the present prompt has no answer.
    pub former: Option<LatestAnswer>,
}

/// Joins findings of one scan with what the sources know, their priorities, and their analyses: one round
/// trip for each hundred distinct vulnerabilities, then one for each hundred distinct prompts, then one for each
/// hundred subjects whose present prompt has no answer. The second cannot go with the first, since the prompt, and so
/// its hash, holds what the sources say. Without `questions` nothing is analysed here, and the first is the only one.
///
/// # Errors
/// Those of the table.
pub async fn findings(
    store: &Store,
    judge: &Judge,
    questions: Option<&Questions>,
    scan: &Scan,
    findings: Vec<Finding>,
    now: Timestamp,
) -> Result<Vec<Joined>, store::Error> {
    let lineage = Asset::of(scan.scan_id, &scan.artifact).key().lineage();
    let known = store.known_in(&judge::ids(&findings), lineage).await?;
    let mut joined = Vec::with_capacity(findings.len());
    let mut asked = Vec::new();
    for finding in findings {
        let facts = judge.facts(scan, &finding, &known);
        let signals = finding.vulnerability_id.as_deref().and_then(|id| known.of(id)).cloned();
        let question = questions.and_then(|it| question(it, &finding, judge.told(&facts, &finding, &known)));
        asked.push(question.map(|(hash, question)| (hash, question.facts.subject())));
        joined.push(Joined {
            priority: match &finding.suppressed {
                None => judge.assess(&facts, now),
                Some(suppressed) => of_suppressed(suppressed),
            },
            catalogue: signals.as_ref().and_then(|signals| known.catalogue(signals)),
            signals,
            finding,
            analysis: None,
            former: None,
        });
    }
    let distinct: HashSet<&PromptHash> = asked.iter().flatten().map(|(hash, _)| hash).collect();
    let distinct: Vec<PromptHash> = distinct.into_iter().cloned().collect();
    let analyses = store.analyses(&distinct).await?;
    let has_answer = |hash| analyses.get(hash).is_some_and(|analysis| analysis.answer.is_some());
    let unanswered: BTreeSet<Subject> =
        asked.iter().flatten().filter(|(hash, _)| !has_answer(hash)).map(|(_, subject)| subject.clone()).collect();
    let former = store.latest_answers(&unanswered.into_iter().collect::<Vec<_>>()).await?;
    for (joined, asked) in joined.iter_mut().zip(asked) {
        let Some((hash, subject)) = asked else { continue };
        joined.former = former.get(&subject).cloned();
        joined.analysis = analyses.get(&hash).cloned().map(|analysis| (hash, analysis));
    }
    Ok(joined)
}

/// What Trivy has suppressed is not open: there is nothing to do, and nothing is due.
fn of_suppressed(suppressed: &Suppression) -> Priority {
    let Suppression { status, source, statement } = suppressed;
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let by = text(source).map(|source| format!(" by {source}")).unwrap_or_default();
    let because = text(statement).map(|statement| format!(": {statement}")).unwrap_or_default();
    let status = text(status).unwrap_or_else(|| "suppressed".to_owned());
    let why = vec![format!("suppressed in Trivy ({status}){by}{because}")];
    Priority { band: Band::Suppressed, score: 0.0, due: None, why }
}

/// A finding that no prompt can be made for, since the settings leave no room, has no analysis.
fn question(questions: &Questions, finding: &Finding, told: EnrichmentFacts) -> Option<(PromptHash, Question)> {
    questions.about(finding, told).ok()
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
pub async fn counts(store: &Store, judge: &Judge, questions: &Questions, scan: &Scan) -> Result<Counts, store::Error> {
    let runs = findings::runs(0..scan.total_findings().min(MOST_COUNTED));
    let read: Vec<Vec<Option<PromptHash>>> = stream::iter(runs)
        .map(|run| async {
            let findings = store.findings(scan.scan_id, run, &WHOLE).await?;
            let known = store.known(&judge::ids(&findings)).await?;
            let hash = |finding: &Finding| Some(question(questions, finding, judge.tell(scan, finding, &known))?.0);
            Ok::<_, store::Error>(findings.iter().map(hash).collect::<Vec<_>>())
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut by_hash = HashMap::<Option<PromptHash>, usize>::new();
    for hash in read.into_iter().flatten() {
        *by_hash.entry(hash).or_default() += 1;
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
