//! A Trivy report, read from its canonical text.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::Value;
use serde_json::value::RawValue;

use super::findings::{Collector, Finding, Results, Scanned};
use super::{Canonical, Error, Limits, lookalike};
use crate::domain::image_name::ImageName;
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::Artifact;
use crate::domain::severity::SeverityCounts;

/// A report that is fit to be stored.
#[derive(Debug)]
pub struct Report<'c> {
    /// Which report it is.
    pub hash: ReportHash,
    /// What was scanned.
    pub artifact: Artifact,
    /// When it was made, if it says so.
    pub created_at: Option<Timestamp>,
    /// Vulnerabilities in the report, exact repeats included.
    pub reported_findings: u32,
    /// The distinct results that have findings.
    pub scanned: Vec<Scanned<'c>>,
    /// The findings in the order of their ordinals; exact repeats are collapsed.
    pub findings: Vec<Finding<'c>>,
}

impl<'c> Report<'c> {
    /// Reads a report of `SchemaVersion` 2, or an array of Trivy up to v0.19.
    ///
    /// `image_name` is the name that the sender gives; without it the report must name itself.
    ///
    /// # Errors
    /// [`Error::NotTrivy`], [`Error::SchemaVersion`], [`Error::Field`], [`Error::TooManyFindings`],
    /// [`Error::NoImageName`], [`Error::ImageName`].
    pub fn read(canonical: &'c Canonical, image_name: Option<ImageName>, limits: &Limits) -> Result<Self, Error> {
        let created_at = canonical.created_at()?;
        let text = canonical.text();
        let mut collector = Collector { limit: limits.max_findings, ..Collector::default() };
        let envelope = if text.starts_with('[') {
            read_array(text, &mut collector)?;
            Envelope::default()
        } else {
            read_object(text, &mut collector)?
        };
        let own_name = own_name(&envelope, &collector);
        let given_name = image_name.filter(|given| own_name.as_deref() != Some(given.as_str()));
        let hash = canonical.hash(given_name.as_ref());
        let image_name = match (given_name, own_name) {
            (Some(given), _) => given,
            (None, Some(own)) => ImageName::try_from(own).map_err(|source| Error::ImageName { source })?,
            (None, None) => return Err(Error::NoImageName),
        };
        let reported = collector.finish();
        Ok(Self {
            hash,
            artifact: artifact(envelope, image_name)?,
            created_at,
            reported_findings: u32::try_from(reported).unwrap_or(u32::MAX),
            scanned: collector.scanned,
            findings: collector.findings,
        })
    }

    /// How many findings there are of each severity: all of them, and the fixable ones.
    #[must_use]
    pub fn counts(&self) -> (SeverityCounts, SeverityCounts) {
        let (mut all, mut fixable) = (SeverityCounts::default(), SeverityCounts::default());
        for finding in &self.findings {
            all.add(finding.severity);
            if finding.fixable {
                fixable.add(finding.severity);
            }
        }
        (all, fixable)
    }
}

/// The members of the top level that Sirius uses. Every one of them is optional in Trivy's structs:
/// <https://github.com/aquasecurity/trivy/blob/main/pkg/types/report.go>.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Envelope<'c> {
    schema_version: Option<Value>,
    artifact_name: Option<String>,
    artifact_type: Option<String>,
    metadata: Option<Metadata>,
    trivy: Option<Trivy>,
    /// Kept as text until it is known that the document is Trivy's.
    #[serde(borrow)]
    results: Option<&'c RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    #[serde(rename = "OS")]
    os: Option<Os>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Os {
    family: Option<String>,
    name: Option<String>,
    #[serde(rename = "EOSL")]
    eosl: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Trivy {
    version: Option<String>,
}

/// Whether an object is a report: its version and the name or type of its artifact say so, and
/// nothing looser would tell it from other tools' files, which have `Results` as well.
fn is_report(envelope: &Envelope<'_>) -> bool {
    envelope.schema_version == Some(Value::from(2))
        && (envelope.artifact_type.is_some() || envelope.artifact_name.is_some())
}

fn read_object<'c>(text: &'c str, collector: &mut Collector<'c>) -> Result<Envelope<'c>, Error> {
    let envelope: Envelope<'c> = match serde_json::from_str(text) {
        Ok(envelope) if is_report(&envelope) => envelope,
        Ok(_) => return Err(lookalike::of_object(text)),
        Err(_) => return Err(misread(text)),
    };
    if let Some(results) = envelope.results {
        read_results(results.get(), "Results", collector)?;
    }
    Ok(envelope)
}

/// Why the top level of an object could not be read: it may not be a report in the first place.
fn misread(text: &str) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Version {
        schema_version: Option<Value>,
    }

    let is_version_2 = serde_json::from_str::<Version>(text).is_ok_and(|v| v.schema_version == Some(Value::from(2)));
    if !is_version_2 {
        return lookalike::of_object(text);
    }
    let deserializer = &mut serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Envelope<'_>>(deserializer) {
        Ok(_) => lookalike::of_object(text),
        Err(error) => field(&error, ""),
    }
}

fn read_array<'c>(text: &'c str, collector: &mut Collector<'c>) -> Result<(), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Targeted {
        #[expect(dead_code, reason = "only its presence matters")]
        target: serde::de::IgnoredAny,
    }

    let is_old_report = serde_json::from_str::<Vec<Targeted>>(text).is_ok_and(|results| !results.is_empty());
    if !is_old_report {
        return Err(lookalike::of_array(text));
    }
    read_results(text, "", collector)
}

fn read_results<'c>(text: &'c str, path: &str, collector: &mut Collector<'c>) -> Result<(), Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if Results(collector).deserialize(&mut deserializer).is_ok() {
        return Ok(());
    }
    if collector.over_limit {
        return Err(Error::TooManyFindings { limit: collector.limit });
    }
    // Only a report that is refused pays for knowing where; what was read of it is not needed.
    *collector = Collector { limit: collector.limit, ..Collector::default() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let traced = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let mut discarded = Collector { limit: collector.limit, ..Collector::default() };
    match Results(&mut discarded).deserialize(traced) {
        Ok(()) => Ok(()),
        Err(error) => Err(field(&serde_path_to_error::Error::new(track.path(), error), path)),
    }
}

fn field(error: &serde_path_to_error::Error<serde_json::Error>, inside: &str) -> Error {
    let text = error.inner().to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let path = error.path().to_string();
    Error::Field {
        path: match path.as_str() {
            "." => inside.to_owned(),
            path => format!("{inside}{path}"),
        },
        reason: reason.to_owned(),
    }
}

/// The name that a report gives its artifact. Arrays of Trivy up to v0.19 have none, but the target
/// of their operating system is `name (family version)`.
fn own_name(envelope: &Envelope<'_>, collector: &Collector<'_>) -> Option<String> {
    let named = |text: &String| (!text.trim().is_empty()).then(|| text.clone());
    let tag = || envelope.metadata.as_ref()?.repo_tags.as_ref()?.first().and_then(named);
    let os = || named(&collector.os_target.as_ref()?.rsplit_once(" (")?.0.to_owned());
    let target = || collector.first_target.as_ref().map(|target| target.to_string());
    envelope.artifact_name.as_ref().and_then(named).or_else(tag).or_else(os).or_else(target)
}

fn artifact(envelope: Envelope<'_>, image_name: ImageName) -> Result<Artifact, Error> {
    let metadata = envelope.metadata.unwrap_or_default();
    let os = metadata.os.unwrap_or_default();
    let digest = metadata.repo_digests.unwrap_or_default().into_iter().next();
    let digest = digest.and_then(|digest| digest.rsplit_once('@').map(|(_, digest)| digest.to_owned()));
    Ok(Artifact {
        image_name,
        image_digest: short(digest, "Metadata.RepoDigests[0]")?,
        image_id: short(metadata.image_id, "Metadata.ImageID")?,
        artifact_type: short(envelope.artifact_type, "ArtifactType")?,
        os_family: short(os.family, "Metadata.OS.Family")?,
        os_name: short(os.name, "Metadata.OS.Name")?,
        os_end_of_life: os.eosl.unwrap_or(false),
        trivy_version: short(envelope.trivy.and_then(|trivy| trivy.version), "Trivy.Version")?,
    })
}

/// A text that is there, and short enough for an item that is copied into an index and a transaction.
fn short(text: Option<String>, path: &str) -> Result<Option<String>, Error> {
    const MAX_BYTES: usize = 512;
    match text {
        Some(text) if text.len() > MAX_BYTES => {
            Err(Error::Field { path: path.to_owned(), reason: format!("is longer than {MAX_BYTES} bytes") })
        }
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

#[cfg(test)]
mod tests;
