//! Adds answers of sources to their records, in any order, and merges the records into the one that is shown.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::collect::{cvss_order, usefulness};
use super::freshness::{Attempt, Lifetimes};
use crate::domain::vulnerability::id::{Resolver, VulnerabilityId};
use crate::domain::vulnerability::{
    Alias, CveRichment, Cvss, Freshness, Outcome, ReportDigest, Source, SourceRecord, SourceRecords, SourceState,
    Sourced, Status, Value,
};

/// The answer to a request to one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The source.
    pub source: Source,
    /// The time of the request.
    pub at: Timestamp,
    /// The content.
    pub said: Said,
}

/// The content of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The source's record.
    Record(Box<SourceRecord>),
    /// The source has no such id. NVD answers with status 200 without the CVE, never with 404.
    Absent,
    /// No answer, or an unreadable one.
    Error,
}

impl Said {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Record(_) => Outcome::Ok,
            Self::Absent => Outcome::Absent,
            Self::Error => Outcome::Error,
        }
    }
}

/// Adds answers to the records of their sources. An answer that is older than the stored one, or equal to it, changes
/// nothing. Of reports, the newest one's facts are kept, with the aliases of all.
#[must_use]
pub fn absorb(
    mut records: SourceRecords,
    answers: impl IntoIterator<Item = Answer>,
    lifetimes: &Lifetimes,
) -> SourceRecords {
    for answer in answers {
        let source = answer.source;
        let known = records.sources.remove(&source);
        let state = match answer {
            Answer { source: Source::Trivy, at, said: Said::Record(reported) } => {
                take_report(known, &records.id, at, *reported, lifetimes)
            }
            answer => take(known, &records.id, answer, lifetimes),
        };
        records.sources.insert(source, state);
    }
    records.schema_version = CveRichment::SCHEMA_VERSION;
    records
}

fn take(known: Option<SourceState>, id: &VulnerabilityId, answer: Answer, lifetimes: &Lifetimes) -> SourceState {
    let Answer { source, at, said } = answer;
    let outcome = said.outcome();
    let previous = known.as_ref().map(|state| state.freshness);
    let answered_at = previous.and_then(|freshness| freshness.fetched_at);
    let (mut facts, mut facts_at) = known.map_or((None, None), |state| (state.facts, state.facts_at));
    match said {
        Said::Record(new) => {
            let taken_back = source.takes_back() && answered_at.is_some_and(|answered_at| at <= answered_at);
            if !taken_back && facts_at.is_none_or(|facts_at| at > facts_at) {
                (facts, facts_at) = (Some(*new), Some(at));
            }
        }
        Said::Absent if source.takes_back() && facts_at.is_some_and(|facts_at| at > facts_at) => {
            (facts, facts_at) = (None, None);
        }
        Said::Absent | Said::Error => {}
    }
    let fetched_at = if outcome == Outcome::Error { answered_at } else { answered_at.max(Some(at)) };
    let freshness = match previous {
        Some(newer) if at <= newer.attempted_at => Freshness { fetched_at, ..newer },
        _ => {
            let in_a_row = previous.filter(|previous| previous.outcome == outcome);
            let fail_count = match outcome {
                Outcome::Ok => 0,
                Outcome::Absent | Outcome::Error => {
                    in_a_row.map_or(1, |previous| previous.fail_count.saturating_add(1))
                }
            };
            let expires_at = lifetimes.next_fetch(id, source, facts.as_ref(), Attempt { outcome, fail_count, at });
            Freshness { attempted_at: at, fetched_at, expires_at, outcome, fail_count }
        }
    };
    SourceState { facts, facts_at, freshness }
}

/// Adds a report's facts. Reports come in any order, so the newest is found by its own time, not by the time of reading.
fn take_report(
    known: Option<SourceState>,
    id: &VulnerabilityId,
    at: Timestamp,
    reported: SourceRecord,
    lifetimes: &Lifetimes,
) -> SourceState {
    let (kept, attempted) = known.map_or((None, at), |state| (state.facts, state.freshness.attempted_at));
    let facts = newer_report(kept, reported);
    let at = at.max(facts.as_of).max(attempted);
    let (outcome, fail_count) = (Outcome::Ok, 0);
    let expires_at = lifetimes.next_fetch(id, Source::Trivy, Some(&facts), Attempt { outcome, fail_count, at });
    let freshness = Freshness { attempted_at: at, fetched_at: Some(at), expires_at, outcome, fail_count };
    SourceState { facts: Some(facts), facts_at: Some(at), freshness }
}

/// Keeps the facts of the newer of two reports, with the aliases of both.
fn newer_report(kept: Option<SourceRecord>, new: SourceRecord) -> SourceRecord {
    let Some(kept) = kept else { return SourceRecord { aliases: names(&new.aliases), ..new } };
    let aliases = names(kept.aliases.iter().chain(&new.aliases));
    let is_newer = new.as_of.cmp(&kept.as_of).then_with(|| digest(&new).cmp(&digest(&kept))).is_gt();
    SourceRecord { aliases, ..if is_newer { new } else { kept } }
}

/// Lists each alias once, in order; as many as are kept.
fn names<'a>(all: impl IntoIterator<Item = &'a VulnerabilityId>) -> Vec<VulnerabilityId> {
    let all: BTreeSet<&VulnerabilityId> = all.into_iter().collect();
    all.into_iter().take(ReportDigest::ALIASES).cloned().collect()
}

/// Hashes a report's facts without its time, and without the aliases, which add up.
fn digest(facts: &SourceRecord) -> String {
    let hashed = SourceRecord { aliases: Vec::new(), as_of: Timestamp::UNIX_EPOCH, ..facts.clone() };
    // Serializing plain data does not fail.
    let json = serde_json::to_vec(&hashed).unwrap_or_default();
    Sha256::digest(json).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Identifies the facts of a report.
#[must_use]
pub fn report_digest(facts: &SourceRecord) -> ReportDigest {
    ReportDigest { at: facts.as_of, digest: digest(facts), aliases: names(&facts.aliases) }
}

/// Identifies the report's facts that are kept; none if no report was read.
#[must_use]
pub fn kept_digest(records: &SourceRecords) -> Option<ReportDigest> {
    records.sources.get(&Source::Trivy)?.facts.as_ref().map(report_digest)
}

/// Merges the records of all sources into the record that is shown.
#[must_use]
pub fn record(records: &SourceRecords) -> CveRichment {
    let facts: Vec<(Source, &SourceRecord)> =
        records.sources.iter().filter_map(|(source, state)| Some((*source, state.facts.as_ref()?))).collect();
    let facts = facts.as_slice();
    let mut cuts = Vec::new();
    let own_id = &records.id;
    CveRichment {
        id: own_id.clone(),
        schema_version: records.schema_version,
        status: status(records, facts),
        nvd_status: first(facts, |facts| facts.nvd_status.map(value)),
        title: first(facts, |facts| facts.title.clone().map(value)),
        description: first(facts, |facts| facts.description.clone().map(value)),
        aliases: ids("aliases", facts, own_id, |facts| &facts.aliases, &mut cuts),
        upstream: ids("upstream", facts, own_id, |facts| &facts.upstream, &mut cuts),
        cwes: cap("cwes", every(facts, |facts| &facts.cwes, |cwe| cwe.id.clone()), &mut cuts),
        cvss: {
            let same = |cvss: &Cvss| (cvss.vector.clone(), cvss.assigner.clone(), cvss.stated_score.map(f64::to_bits));
            let mut all = every(facts, |facts| &facts.cvss, same);
            // Ratings in a report come after those of public sources.
            let is_reported = |cvss: &Sourced<Cvss>| cvss.source == Source::Trivy;
            all.sort_by(|a, b| {
                let order = is_reported(a).cmp(&is_reported(b)).then_with(|| cvss_order(&a.fact, &b.fact));
                order.then(a.source.cmp(&b.source))
            });
            cap("cvss", all, &mut cuts)
        },
        ssvc: {
            let all = facts.iter().filter_map(|(source, facts)| Some(sourced(*source, facts, facts.ssvc.clone()?)));
            // The newest; of two of the same time, that of the source of higher precedence.
            all.reduce(|best, next| if next.fact.assessed_at > best.fact.assessed_at { next } else { best })
        },
        kev: {
            let mut by_catalogue_first: Vec<_> = facts.to_vec();
            by_catalogue_first.sort_by_key(|(source, _)| (*source != Source::Kev, *source));
            first(&by_catalogue_first, |facts| facts.kev.clone())
        },
        epss: first(facts, |facts| facts.epss.clone()),
        references: {
            // A page of two sources with different tags counts as the more useful one.
            let mut all = every(facts, |facts| &facts.references, |page| (page.url.clone(), usefulness(&page.tags)));
            all.sort_by_key(|page| (usefulness(&page.fact.tags), page.source));
            let mut seen = BTreeSet::new();
            all.retain(|page| seen.insert(page.fact.url.clone()));
            cap("references", all, &mut cuts)
        },
        published: first(facts, |facts| facts.published.map(value)),
        modified: first(facts, |facts| facts.modified.map(value)),
        notes: {
            let as_of = newest_attempt(records);
            let cuts = cuts.into_iter().map(|cut| Sourced { fact: value(cut), source: Source::Sirius, as_of });
            let notes = facts.iter().flat_map(|(source, facts)| {
                facts.notes.iter().map(|note| sourced(*source, facts, value(note.clone())))
            });
            let mut notes: Vec<_> = cuts.chain(notes).collect();
            let count = notes.len();
            if count > SourceRecord::LIST {
                notes.truncate(SourceRecord::LIST - 1);
                let more = format!("and {} more", count - notes.len());
                notes.push(Sourced { fact: value(more), source: Source::Sirius, as_of });
            }
            notes
        },
        freshness: records.sources.iter().map(|(source, state)| (*source, state.freshness)).collect(),
    }
}

const fn value<T>(value: T) -> Value<T> {
    Value { value }
}

const fn sourced<T>(source: Source, facts: &SourceRecord, fact: T) -> Sourced<T> {
    Sourced { fact, source, as_of: facts.as_of }
}

/// Finds the value of the first source that has one.
fn first<T>(facts: &[(Source, &SourceRecord)], get: impl Fn(&SourceRecord) -> Option<T>) -> Option<Sourced<T>> {
    facts.iter().find_map(|(source, facts)| Some(sourced(*source, facts, get(facts)?)))
}

/// Joins the lists without items that an earlier source has.
fn every<T: Clone, K: Ord>(
    facts: &[(Source, &SourceRecord)],
    get: impl Fn(&SourceRecord) -> &Vec<T>,
    same: impl Fn(&T) -> K,
) -> Vec<Sourced<T>> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (source, facts) in facts {
        let new = get(facts).iter().filter(|item| seen.insert(same(item)));
        all.extend(new.map(|item| sourced(*source, facts, item.clone())));
    }
    all
}

fn ids(
    field: &str,
    facts: &[(Source, &SourceRecord)],
    own: &VulnerabilityId,
    get: impl Fn(&SourceRecord) -> &Vec<VulnerabilityId>,
    cuts: &mut Vec<String>,
) -> Vec<Sourced<Alias>> {
    let all = every(facts, get, VulnerabilityId::clone).into_iter().filter(|id| id.fact != *own);
    let all = all.map(|Sourced { fact: id, source, as_of }| Sourced { fact: Alias { id }, source, as_of });
    cap(field, all.collect(), cuts)
}

fn cap<T>(field: &str, mut list: Vec<T>, cuts: &mut Vec<String>) -> Vec<T> {
    if list.len() > SourceRecord::LIST {
        cuts.push(format!("{field}: {} of {} kept", SourceRecord::LIST, list.len()));
        list.truncate(SourceRecord::LIST);
    }
    list
}

fn newest_attempt(records: &SourceRecords) -> Timestamp {
    let attempts = records.sources.values().map(|state| state.freshness.attempted_at);
    attempts.max().unwrap_or(records.opened_at)
}

/// Finds the state of the record: that of its own sources, else a conclusion from their answers.
fn status(records: &SourceRecords, facts: &[(Source, &SourceRecord)]) -> Sourced<Value<Status>> {
    let says = |sources: &[Source], wanted: Option<Status>| {
        let mut own = facts.iter().filter(|(source, _)| sources.contains(source));
        own.find_map(|(source, facts)| {
            let status = facts.status.filter(|status| wanted.is_none_or(|wanted| wanted == *status))?;
            Some(sourced(*source, facts, value(status)))
        })
    };
    for sources in [&[Source::Nvd, Source::CveServices][..], &[Source::Osv]] {
        // A rejection or dispute precedes the "published" of another source, which may be older.
        let said = says(sources, Some(Status::Rejected)).or_else(|| says(sources, Some(Status::Disputed)));
        if let Some(said) = said.or_else(|| says(sources, None)) {
            return said;
        }
    }
    let concluded = |status| Sourced { fact: value(status), source: Source::Sirius, as_of: newest_attempt(records) };
    let own: &[Source] = match records.id.resolver() {
        Resolver::Nvd => &[Source::Nvd, Source::CveServices],
        Resolver::Osv => &[Source::Osv],
        Resolver::NoSource => &[],
    };
    let asked = || {
        let asked = records.sources.iter().filter(|(source, _)| own.contains(source));
        asked.map(|(source, state)| (*source, state.freshness))
    };
    if own.is_empty() {
        return concluded(if facts.is_empty() { Status::NotFound } else { Status::Partial });
    }
    if asked().any(|(_, freshness)| freshness.outcome == Outcome::Error) {
        return concluded(if facts.is_empty() { Status::Pending } else { Status::Partial });
    }
    match asked().next() {
        Some((source, freshness)) => Sourced {
            fact: value(Status::NotFound),
            source,
            as_of: freshness.fetched_at.unwrap_or(freshness.attempted_at),
        },
        None => concluded(Status::Pending),
    }
}

#[cfg(test)]
pub(super) mod tests;
