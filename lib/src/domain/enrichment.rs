//! What public sources say about one vulnerability, who said it, and as of when.
//!
//! [`Dossier`] is what is stored: the facts of each source apart, so that a source's newer answer
//! replaces its older one and nothing else. [`CveRichment`] is what is shown: one record out of all
//! of them, made by `merge` of the room next door.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::instant;
use super::vulnerability_id::VulnerabilityId;

/// Whom a fact comes from. The order is that of precedence: where one value is wanted and several
/// sources have it, the first of them wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// NIST's National Vulnerability Database, API 2.0.
    Nvd,
    /// MITRE's CVE Services: the record of the numbering authority, with what CISA added to it.
    CveServices,
    /// OSV.dev, which also serves GitHub's advisories.
    Osv,
    /// The report that brought the vulnerability here.
    Trivy,
    /// CISA's catalogue of Known Exploited Vulnerabilities.
    Kev,
    /// FIRST's Exploit Prediction Scoring System.
    Epss,
    /// Nobody outside: what Sirius concludes from the others.
    Sirius,
}

impl Source {
    /// The name in answers and keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nvd => "nvd",
            Self::CveServices => "cve_services",
            Self::Osv => "osv",
            Self::Trivy => "trivy",
            Self::Kev => "kev",
            Self::Epss => "epss",
            Self::Sirius => "sirius",
        }
    }

    /// True if the source takes entries out again, so that its "absent" revokes what it said.
    ///
    /// NVD, CVE Services and OSV mark a record as rejected or withdrawn and never delete it: "absent"
    /// after an answer is a fault there, and the older answer stands.
    #[must_use]
    pub const fn takes_back(self) -> bool {
        matches!(self, Self::Kev | Self::Epss)
    }
}

/// A fact with where it comes from; as JSON its members beside `source` and `as_of`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sourced<T> {
    /// The fact.
    #[serde(flatten)]
    pub fact: T,
    /// Whom Sirius has it from.
    pub source: Source,
    /// The day and time up to which it holds: when the source last changed its record, or, of a source
    /// that does not say, when it was fetched.
    #[serde(serialize_with = "instant::serialize")]
    pub as_of: Timestamp,
}

/// A fact that is one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value<T> {
    /// The value.
    pub value: T,
}

/// What has become of a vulnerability's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its source describes it.
    Published,
    /// Its source took it back: not a vulnerability, or a duplicate.
    Rejected,
    /// Somebody, mostly the vendor, denies it.
    Disputed,
    /// The source that should know it was asked and does not have it.
    NotFound,
    /// Its own source did not answer or does not exist; what there is comes from others.
    Partial,
    /// No source has answered yet.
    Pending,
}

/// How far NVD has come with a CVE, its `vulnStatus`: <https://nvd.nist.gov/vuln/vulnerability-status>.
///
/// Since 2026-04-15 most are `Deferred` and get no score of NVD's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NvdStatus {
    /// Published by its authority, not looked at.
    Received,
    /// In the queue.
    AwaitingAnalysis,
    /// Being worked on.
    UndergoingAnalysis,
    /// Done.
    Analyzed,
    /// Done, and changed by somebody since.
    Modified,
    /// Will not be analysed for now.
    Deferred,
    /// Taken back by its authority.
    Rejected,
    /// A word that is none of these.
    Other,
}

/// A weakness, by its number in MITRE's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cwe {
    /// `CWE-79`
    pub id: String,
    /// Who says so: `nvd@nist.gov`, `CISA-ADP`, `redhat`, …
    pub assigner: String,
}

/// A link to another id of the same vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The other id.
    pub id: VulnerabilityId,
}

/// A version of the Common Vulnerability Scoring System.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CvssVersion {
    /// CVSS 2.0
    #[serde(rename = "2.0")]
    V2,
    /// CVSS 3.0
    #[serde(rename = "3.0")]
    V30,
    /// CVSS 3.1
    #[serde(rename = "3.1")]
    V31,
    /// CVSS 4.0
    #[serde(rename = "4.0")]
    V4,
}

/// The word that goes with a CVSS score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CvssSeverity {
    /// 0.0; not in CVSS 2.0
    None,
    /// Below 4.0
    Low,
    /// Below 7.0
    Medium,
    /// Below 9.0; in CVSS 2.0 everything from 7.0
    High,
    /// From 9.0; not in CVSS 2.0
    Critical,
}

/// In what capacity somebody scored a vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CvssKind {
    /// NVD's `Primary`: by NVD itself, or an authority that NVD accepts.
    Primary,
    /// NVD's `Secondary`, and what CISA adds to the record.
    Secondary,
    /// The vendor, the authority that assigned the CVE, or an advisory database.
    Vendor,
}

/// One rating of a vulnerability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cvss {
    /// The version, read from the vector.
    pub version: CvssVersion,
    /// The vector as the source has it.
    pub vector: String,
    /// Computed here from the vector: the base score; of CVSS 4.0 with threat and environment, if given.
    pub score: f64,
    /// The word for [`Cvss::score`].
    pub severity: CvssSeverity,
    /// What the source says the score is, if that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_score: Option<f64>,
    /// In what capacity the assigner speaks.
    pub kind: CvssKind,
    /// Who rated: `nvd@nist.gov`, `CISA-ADP`, `redhat`, …
    pub assigner: String,
}

/// Whether anybody exploits a vulnerability:
/// <https://certcc.github.io/SSVC/reference/decision_points/exploitation/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exploitation {
    /// No sign of it.
    None,
    /// There is public code that shows how.
    Poc,
    /// It is being done.
    Active,
}

/// What an exploit gives its user:
/// <https://certcc.github.io/SSVC/reference/decision_points/technical_impact/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TechnicalImpact {
    /// Some control, or a denial of service.
    Partial,
    /// All of the software.
    Total,
}

/// CISA's decision points. One that is not given is unknown, never "no".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssvc {
    /// Whether anybody exploits it.
    pub exploitation: Option<Exploitation>,
    /// Whether the first steps of an attack can run by themselves, for every target.
    pub automatable: Option<bool>,
    /// What an exploit gives.
    pub technical_impact: Option<TechnicalImpact>,
    /// Who assessed it: `CISA-ADP`.
    pub assigner: String,
    /// When.
    #[serde(default, serialize_with = "instant::option::serialize")]
    pub assessed_at: Option<Timestamp>,
}

/// An entry of CISA's catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kev {
    /// The day it was added.
    pub date_added: Date,
    /// The day by which federal agencies had to act; of historic meaning since BOD 26-04.
    pub due_date: Option<Date>,
    /// True if ransomware is known to use it; false if CISA does not know; none if the source does not
    /// carry the field.
    pub ransomware: Option<bool>,
    /// What agencies have to do.
    pub required_action: Option<String>,
    /// Whether signs of a break-in have to be looked for; since 2026.
    pub forensic_triage: Option<bool>,
    /// CISA's name for it.
    pub name: Option<String>,
}

/// The chance that somebody exploits it within 30 days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epss {
    /// The probability, 0 to 1.
    pub score: f64,
    /// The share of CVEs with this score or less, 0 to 1; CSVs of 2021 lack it.
    pub percentile: Option<f64>,
    /// The day of the score.
    pub date: Date,
    /// `v2026.06.15`; scores of two models cannot be compared.
    pub model_version: Option<String>,
}

/// A page about the vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Only `http` and `https`, without user name; host names in ASCII.
    pub url: String,
    /// `Patch`, `Exploit`, `Vendor Advisory`, `FIX`, … in the source's words.
    pub tags: Vec<String>,
}

/// Everything that one source says about one vulnerability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// See [`Sourced::as_of`].
    pub as_of: Timestamp,
    /// `Published`, `Rejected` or `Disputed`; none of a source that keeps no records (KEV, EPSS, Trivy).
    pub status: Option<Status>,
    /// How far NVD has come with it; only of NVD.
    pub nvd_status: Option<NvdStatus>,
    /// A headline.
    pub title: Option<String>,
    /// At most [`Facts::DESCRIPTION_BYTES`].
    pub description: Option<String>,
    /// Other ids of the same vulnerability.
    pub aliases: Vec<VulnerabilityId>,
    /// Ids whose fix or copy this one is: the CVEs of a distribution's advisory.
    pub upstream: Vec<VulnerabilityId>,
    /// Weaknesses.
    pub cwes: Vec<Cwe>,
    /// Ratings.
    pub cvss: Vec<Cvss>,
    /// Decision points.
    pub ssvc: Option<Ssvc>,
    /// The entry in CISA's catalogue.
    pub kev: Option<Kev>,
    /// The chance of an exploit.
    pub epss: Option<Epss>,
    /// Pages, the most useful first.
    pub references: Vec<Reference>,
    /// When it was made public.
    pub published: Option<Timestamp>,
    /// When its record last changed.
    pub modified: Option<Timestamp>,
    /// What could not be read or had no room, in words; nothing is dropped in silence.
    pub notes: Vec<String>,
}

impl Facts {
    /// The longest description, in bytes: about a page, enough for a prompt.
    pub const DESCRIPTION_BYTES: usize = 4096;
    /// The longest title, name or tag list entry, in bytes.
    pub const LINE_BYTES: usize = 300;
    /// How many references, aliases, upstream ids, ratings, weaknesses and notes are kept, of each.
    pub const LIST: usize = 20;

    /// Facts without any.
    #[must_use]
    pub const fn none(as_of: Timestamp) -> Self {
        Self {
            as_of,
            status: None,
            nvd_status: None,
            title: None,
            description: None,
            aliases: Vec::new(),
            upstream: Vec::new(),
            cwes: Vec::new(),
            cvss: Vec::new(),
            ssvc: None,
            kev: None,
            epss: None,
            references: Vec::new(),
            published: None,
            modified: None,
            notes: Vec::new(),
        }
    }
}

/// How asking a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It answered with facts.
    Ok,
    /// It answered that it has none.
    Absent,
    /// It did not answer, or not in a way that can be read: says nothing about the vulnerability.
    Error,
}

/// When a source was asked and when to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// The newest attempt.
    #[serde(serialize_with = "instant::serialize")]
    pub attempted_at: Timestamp,
    /// The newest attempt that got an answer, be it "absent".
    #[serde(default, serialize_with = "instant::option::serialize")]
    pub fetched_at: Option<Timestamp>,
    /// From when on to ask again.
    #[serde(serialize_with = "instant::serialize")]
    pub expires_at: Timestamp,
    /// How the newest attempt ended.
    pub outcome: Outcome,
    /// How many attempts in a row have ended as the newest one did; 0 after `ok`.
    pub fail_count: u32,
}

/// What is known of one source about one vulnerability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    /// Its newest facts, kept while it fails.
    pub facts: Option<Facts>,
    /// When these were fetched.
    pub facts_at: Option<Timestamp>,
    /// When it was asked.
    pub freshness: Freshness,
}

/// What is stored of one vulnerability: each source's word, apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dossier {
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// [`CveRichment::SCHEMA_VERSION`] of the code that wrote it.
    pub schema_version: u32,
    /// When it was first heard of.
    pub opened_at: Timestamp,
    /// The sources that have been asked.
    pub sources: BTreeMap<Source, SourceState>,
}

impl Dossier {
    /// A dossier without any answer.
    #[must_use]
    pub const fn new(id: VulnerabilityId, opened_at: Timestamp) -> Self {
        Self { id, schema_version: CveRichment::SCHEMA_VERSION, opened_at, sources: BTreeMap::new() }
    }
}

/// `CVERichment`: everything known about one vulnerability, every fact with `source` and `as_of`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CveRichment {
    /// The vulnerability.
    pub id: VulnerabilityId,
    /// The version of this shape.
    pub schema_version: u32,
    /// What has become of it.
    pub status: Sourced<Value<Status>>,
    /// How far NVD has come with it.
    pub nvd_status: Option<Sourced<Value<NvdStatus>>>,
    /// A headline.
    pub title: Option<Sourced<Value<String>>>,
    /// Of the authority or NVD, else of an advisory, else of the report.
    pub description: Option<Sourced<Value<String>>>,
    /// Other ids of the same vulnerability.
    pub aliases: Vec<Sourced<Alias>>,
    /// Ids whose fix or copy this one is.
    pub upstream: Vec<Sourced<Alias>>,
    /// Weaknesses.
    pub cwes: Vec<Sourced<Cwe>>,
    /// Every rating of every source, conflicting ones too.
    pub cvss: Vec<Sourced<Cvss>>,
    /// Decision points, the newest assessment.
    pub ssvc: Option<Sourced<Ssvc>>,
    /// The entry in CISA's catalogue.
    pub kev: Option<Sourced<Kev>>,
    /// The chance of an exploit.
    pub epss: Option<Sourced<Epss>>,
    /// Pages, the most useful first, each once.
    pub references: Vec<Sourced<Reference>>,
    /// When it was made public.
    pub published: Option<Sourced<Value<Timestamp>>>,
    /// When its record last changed.
    pub modified: Option<Sourced<Value<Timestamp>>>,
    /// What could not be read or had no room.
    pub notes: Vec<Sourced<Value<String>>>,
    /// When each source was asked.
    pub freshness: BTreeMap<Source, Freshness>,
}

impl CveRichment {
    /// The version of the shape that this code writes.
    pub const SCHEMA_VERSION: u32 = 1;
}
