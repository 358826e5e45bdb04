//! The little of a vulnerability's record that priority, lists and prompts need: at most about a
//! kilobyte, so that a page of findings reads a hundred of them in one round trip.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::enrichment::{CveRichment, Cvss, CvssVersion, Epss, Kev, Source, Sourced, Ssvc, Status};
use super::text::cut;
use super::vulnerability_id::{Kind, VulnerabilityId};

/// What is known of one vulnerability, in short; each fact with its source and as-of date.
///
/// That CISA does not list it is a fact of a day, too: of the catalogue that is newer of
/// [`Signals::kev_checked`] and the last good feed, for a feed is pushed only where something changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// CVEs that are the same, or that it is a distribution's copy of; at most [`Signals::ALIASES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<VulnerabilityId>,
    /// What has become of its record.
    pub status: Status,
    /// Who says so.
    pub status_source: Source,
    /// As of when.
    pub status_as_of: Timestamp,
    /// The best ratings of public sources, CVSS 2.0 last; at most [`Signals::RATINGS`]. Those of a report are not
    /// here: they count for its own findings only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cvss: Vec<Rating>,
    /// CISA's decision points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssvc: Option<Sourced<Ssvc>>,
    /// Its entry in CISA's catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kev: Option<Listed>,
    /// When it was last looked up in the catalogue; none if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kev_checked: Option<Timestamp>,
    /// The chance of an exploit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epss: Option<Sourced<Epss>>,
    /// When it was made public, by a public source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// How many of its pages are tagged as an exploit.
    #[serde(default)]
    pub exploit_refs: u32,
    /// What reports say of it, as far as it is kept; none if no report was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Words>,
    /// From when on a source is to be asked again.
    pub next_fetch: Timestamp,
    /// The newest answer that this is made of.
    pub as_of: Timestamp,
}

/// Tells the words of one report from those of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// The time of the report whose words are kept.
    pub at: Timestamp,
    /// The first 16 hexadecimal digits of their SHA-256.
    pub digest: String,
    /// The other names that reports give it, of all reports, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<VulnerabilityId>,
}

impl Words {
    /// How many names of reports are kept: the first in order.
    pub const ALIASES: usize = 8;
    /// Where public sources describe it, the same words of a newer report are kept once in so long: it is a write for
    /// each vulnerability of each report otherwise.
    const RENEWED: SignedDuration = SignedDuration::from_hours(30 * 24);

    /// Whether a report with `other` changes what is kept.
    #[must_use]
    pub fn yield_to(&self, other: &Self, is_described: bool) -> bool {
        let is_renewed = if self.digest == other.digest && is_described {
            other.at.duration_since(self.at) > Self::RENEWED
        } else {
            (other.at, &other.digest) > (self.at, &self.digest)
        };
        let all: BTreeSet<_> = self.aliases.iter().chain(&other.aliases).collect();
        is_renewed || all.into_iter().take(Self::ALIASES).ne(&self.aliases)
    }
}

/// One rating in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// Which CVSS.
    pub version: CvssVersion,
    /// The vector.
    pub vector: String,
    /// The score, computed from the vector.
    pub score: f64,
    /// Who rated, at most [`Signals::ASSIGNER_BYTES`].
    pub assigner: String,
    /// Whom Sirius has it from.
    pub source: Source,
    /// As of when.
    pub as_of: Timestamp,
}

/// An entry of CISA's catalogue in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The day it was added.
    pub date_added: jiff::civil::Date,
    /// Whether ransomware is known to use it; none if the source does not carry the field.
    pub ransomware: Option<bool>,
    /// Whom Sirius has it from.
    pub source: Source,
    /// As of when.
    pub as_of: Timestamp,
}

impl Signals {
    /// How many aliases are kept.
    pub const ALIASES: usize = 3;
    /// How many ratings are kept.
    pub const RATINGS: usize = 4;
    /// The longest name of who rated, in bytes: a UUID has 36.
    pub const ASSIGNER_BYTES: usize = 48;
    /// The longest vector that is kept; one of CVSS 4.0 with all its metrics has about 200 bytes.
    pub const VECTOR_BYTES: usize = 256;

    /// The signals of a record that has these words of a report, and whose sources are to be asked again at `next_fetch`.
    #[must_use]
    pub fn of(record: &CveRichment, reported: Option<Words>, next_fetch: Timestamp) -> Self {
        let answered = record.freshness.values().filter_map(|freshness| freshness.fetched_at);
        Self {
            id: record.id.clone(),
            aliases: {
                let both = record.aliases.iter().chain(&record.upstream);
                let cves = both.map(|alias| &alias.fact.id).filter(|id| id.kind() == Kind::Cve);
                let mut kept: Vec<VulnerabilityId> = Vec::new();
                for id in cves {
                    if kept.len() < Self::ALIASES && !kept.contains(id) {
                        kept.push(id.clone());
                    }
                }
                kept
            },
            status: record.status.fact.value,
            status_source: record.status.source,
            status_as_of: record.status.as_of,
            cvss: ratings(&record.cvss),
            ssvc: record.ssvc.clone().map(|mut ssvc| {
                ssvc.fact.assigner = short(&ssvc.fact.assigner);
                ssvc
            }),
            kev: record.kev.as_ref().map(|Sourced { fact, source, as_of }| {
                let Kev { date_added, ransomware, .. } = fact;
                Listed { date_added: *date_added, ransomware: *ransomware, source: *source, as_of: *as_of }
            }),
            kev_checked: record.freshness.get(&Source::Kev).and_then(|freshness| freshness.fetched_at),
            epss: record.epss.clone(),
            published: {
                let public = record.published.as_ref().filter(|published| published.source != Source::Trivy);
                public.map(|published| published.fact.value)
            },
            exploit_refs: {
                let tagged = |tags: &[String]| tags.iter().any(|tag| tag.eq_ignore_ascii_case("exploit"));
                let count = record.references.iter().filter(|page| tagged(&page.fact.tags)).count();
                u32::try_from(count).unwrap_or(u32::MAX)
            },
            reported,
            next_fetch,
            as_of: answered.max().unwrap_or(record.status.as_of),
        }
    }

    /// Whether a report with these words changes what is known.
    #[must_use]
    pub fn yield_to(&self, words: &Words) -> bool {
        let is_described = matches!(self.status, Status::Published | Status::Rejected | Status::Disputed);
        self.reported.as_ref().is_none_or(|kept| kept.yield_to(words, is_described))
    }

    /// Whether a source is to be asked.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_fetch <= now
    }
}

/// One rating for each who rated and each version, in the record's order, but those of CVSS 2.0 last:
/// they are left out first.
fn ratings(all: &[Sourced<Cvss>]) -> Vec<Rating> {
    let mut kept: Vec<Rating> = Vec::new();
    let usable =
        |cvss: &&Sourced<Cvss>| cvss.source != Source::Trivy && cvss.fact.vector.len() <= Signals::VECTOR_BYTES;
    let (old, new): (Vec<_>, Vec<_>) = all.iter().filter(usable).partition(|cvss| cvss.fact.version == CvssVersion::V2);
    for Sourced { fact, source, as_of } in new.into_iter().chain(old) {
        let assigner = short(&fact.assigner);
        let repeated = kept.iter().any(|rating| rating.assigner == assigner && rating.version == fact.version);
        if kept.len() < Signals::RATINGS && !repeated {
            let Cvss { version, vector, score, .. } = fact;
            let vector = vector.clone();
            kept.push(Rating { version: *version, vector, score: *score, assigner, source: *source, as_of: *as_of });
        }
    }
    kept
}

fn short(assigner: &str) -> String {
    cut(assigner, Signals::ASSIGNER_BYTES).to_owned()
}
