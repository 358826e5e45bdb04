//! Adds priorities and analyses to findings when they are read, so that they are never older than their sources.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use super::finding_reader::FindingReader;
use super::vulnerability_ids::vulnerability_ids;
use crate::domain::analysis::Analysis;
use crate::domain::asset::{Asset, LineageKey};
use crate::domain::finding::{Finding, Suppression};
use crate::domain::prompt_hash::PromptHash;
use crate::domain::scan::Scan;
use crate::domain::subject::Subject;
use crate::domain::tracking_key::{Tracked, TrackingKey, canonical};
use crate::domain::vulnerability::VulnerabilitySummary;
use crate::domain::vulnerability::id::{Kind, VulnerabilityId};
use crate::priority::{Band, Priority};
use crate::store;
use crate::store::answers::LatestAnswer;

/// A finding with its priority, its vulnerability summary and its analysis.
#[derive(Debug)]
pub(crate) struct FindingView {
    pub(crate) finding: Finding,
    pub(crate) priority: Priority,
    /// None if the public sources were not asked.
    pub(crate) summary: Option<VulnerabilitySummary>,
    /// The date of the newest KEV catalogue that was searched for it.
    pub(crate) catalogue: Option<Timestamp>,
    /// The analysis of its present prompt; none if it was not requested.
    pub(crate) analysis: Option<(PromptHash, Analysis)>,
    /// The latest answer to an earlier prompt about the same subject; only if the present prompt has no answer.
    pub(crate) previous_answer: Option<LatestAnswer>,
}

impl FindingView {
    /// Computes the tracking key, from the canonical one of the ids that are known.
    #[must_use]
    pub(crate) fn tracking_key(&self, lineage: LineageKey) -> TrackingKey {
        let reported = self.finding.vulnerability_id.as_deref().unwrap_or_default();
        let own = reported.parse::<VulnerabilityId>().ok();
        // An advisory of a distribution may copy several CVEs, which its aliases then are: each is a problem of its own.
        let is_copy = own.as_ref().is_some_and(|id| id.kind() == Kind::Distribution);
        let aliases = self.summary.iter().filter(|_| !is_copy).flat_map(|summary| {
            let of_reports = summary.reported.iter().flat_map(|words| &words.aliases);
            summary.aliases.iter().chain(of_reports)
        });
        let vulnerability = canonical(own.iter().chain(aliases)).map_or(reported, VulnerabilityId::as_str);
        Tracked::of_finding(lineage, &self.finding, vulnerability).key()
    }
}

impl FindingReader {
    /// Reads the views of findings of one scan.
    ///
    /// It takes one round trip for each hundred distinct vulnerabilities; with a model, then one for each hundred
    /// distinct prompts, and then one for each hundred subjects without an answer. They cannot run at the same time,
    /// because a prompt, and so its hash, has the facts of the sources.
    pub(crate) async fn views(
        &self,
        scan: &Scan,
        findings: Vec<Finding>,
        now: Timestamp,
    ) -> Result<Vec<FindingView>, store::Error> {
        let Self { store, priorities, .. } = self;
        let lineage = Asset::of(scan.scan_id, &scan.artifact).key().lineage();
        let known = store.known_in(&vulnerability_ids(&findings), lineage).await?;
        let prompts = self.prompts();
        let mut views = Vec::with_capacity(findings.len());
        let mut keys = Vec::new();
        for finding in findings {
            let inputs = priorities.inputs(scan, &finding, &known);
            let summary = finding.vulnerability_id.as_deref().and_then(|id| known.of(id)).cloned();
            // A prompt that does not fit into the model's context has no analysis.
            let prompt = prompts.and_then(|prompts| prompts.identify_with(&inputs, &finding, &known).ok());
            keys.push(prompt.map(|prompt| (prompt.hash, prompt.question.facts.subject())));
            views.push(FindingView {
                priority: match &finding.suppressed {
                    None => priorities.assess(&inputs, now),
                    Some(suppressed) => suppressed_priority(suppressed),
                },
                catalogue: summary.as_ref().and_then(|summary| known.catalogue(summary)),
                summary,
                finding,
                analysis: None,
                previous_answer: None,
            });
        }
        let distinct: HashSet<&PromptHash> = keys.iter().flatten().map(|(hash, _)| hash).collect();
        let distinct: Vec<PromptHash> = distinct.into_iter().cloned().collect();
        let analyses = store.analyses(&distinct).await?;
        let has_answer = |hash| analyses.get(hash).is_some_and(|analysis| analysis.answer.is_some());
        let unanswered: BTreeSet<Subject> =
            keys.iter().flatten().filter(|(hash, _)| !has_answer(hash)).map(|(_, subject)| subject.clone()).collect();
        let previous = store.latest_answers(&unanswered.into_iter().collect::<Vec<_>>()).await?;
        for (view, key) in views.iter_mut().zip(keys) {
            let Some((hash, subject)) = key else { continue };
            view.previous_answer = previous.get(&subject).cloned();
            view.analysis = analyses.get(&hash).cloned().map(|analysis| (hash, analysis));
        }
        Ok(views)
    }
}

/// Returns the priority of a finding that Trivy suppressed: it has no due date and no score.
fn suppressed_priority(suppressed: &Suppression) -> Priority {
    let Suppression { status, source, statement } = suppressed;
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let by = text(source).map(|source| format!(" by {source}")).unwrap_or_default();
    let because = text(statement).map(|statement| format!(": {statement}")).unwrap_or_default();
    let status = text(status).unwrap_or_else(|| "suppressed".to_owned());
    let why = vec![format!("suppressed in Trivy ({status}){by}{because}")];
    Priority { band: Band::Suppressed, score: 0.0, due: None, why }
}
