//! Reads a Trivy report from its canonical text.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeSeed;

use super::envelope::Envelope;
use super::finding::{Finding, Text};
use super::findings::{Collector, Results, Scanned};
use super::naming::{self, OwnName};
use super::reader::Read;
use super::suppressed::Suppressed;
use super::{Canonical, Error, Limits, lookalike, reason, warnings};
use crate::domain::declared::{Declared, Scanners};
use crate::domain::image_name::{ImageName, is_path};
use crate::domain::report_hash::ReportHash;
use crate::domain::scan::{Artifact, ClassCounts, OtherFindings};
use crate::domain::severity::SeverityCounts;
use crate::domain::warning::{Warning, WarningCode};

/// A report that can be stored.
#[derive(Debug)]
pub struct Report<'c> {
    /// The hash of the report.
    pub hash: ReportHash,
    /// The scanned artifact.
    pub artifact: Artifact,
    /// The time of the scan, if it is plausible.
    pub created_at: Option<Timestamp>,
    /// Whether the results show that Trivy looked for vulnerabilities, and the sender does not deny it.
    pub is_vulnerability_scan: bool,
    /// The number of vulnerabilities, with exact repeats.
    pub reported_findings: u32,
    /// The distinct results that have findings, open or suppressed.
    pub scanned: Vec<Scanned<'c>>,
    /// The open findings in the order of their ordinals; exact repeats are collapsed.
    pub findings: Vec<Finding<'c>>,
    /// The open findings by the class of their result.
    pub class_counts: ClassCounts,
    /// The suppressed findings, in the same order; exact repeats are collapsed.
    pub suppressed: Vec<Suppressed<'c>>,
    /// The suppressed findings by the class of their result.
    pub suppressed_class_counts: ClassCounts,
    /// The counts of other findings.
    pub other_findings: OtherFindings,
    /// Warnings for the sender.
    pub warnings: Vec<Warning>,
}

/// The start of 2019, before Trivy's first release: some programs write Go's zero time.
const FIRST_REPORT: Timestamp = Timestamp::constant(1_546_300_800, 0);

impl<'c> Report<'c> {
    /// Reads a report of `SchemaVersion` 2, or an array of Trivy up to v0.19.
    ///
    /// A declared name wins; without one the report must have a name.
    ///
    /// # Errors
    /// [`Error::NotTrivy`], [`Error::SchemaVersion`], [`Error::Field`], [`Error::TooManyFindings`],
    /// [`Error::NoImageName`], [`Error::ImageName`].
    pub fn read(canonical: &'c Canonical, declared: &Declared, limits: &Limits) -> Result<Self, Error> {
        let stated_time = canonical.created_at()?;
        let text = canonical.text();
        let mut collector = Collector::new(text, limits.max_findings);
        let envelope = if text.starts_with('[') {
            read_array(text, &mut collector)?;
            Envelope::default()
        } else {
            read_object(text, declared, &mut collector)?
        };
        let own_name = naming::own_name(&envelope, &collector);
        let hash = canonical.hash(&declared_beyond(declared, own_name.as_ref()));
        let (image_name, nameless) = match (&declared.image_name, &own_name) {
            (Some(given), _) => (given.clone(), is_path(given.as_str())),
            (None, Some(own)) => {
                (own.text.parse::<ImageName>().map_err(|source| Error::ImageName { source })?, own.nameless)
            }
            (None, None) => return Err(Error::NoImageName),
        };
        let reported = collector.finish();
        let class_counts = |places: &mut dyn Iterator<Item = usize>| {
            let mut counts = ClassCounts::default();
            places.for_each(|place| counts.add(collector.scanned.get(place).and_then(|place| place.class.as_deref())));
            counts
        };
        let mut report = Self {
            hash,
            artifact: artifact(envelope, own_name.as_ref(), image_name, nameless)?,
            created_at: stated_time.filter(|time| *time >= FIRST_REPORT),
            is_vulnerability_scan: collector.looked_for_vulnerabilities
                && declared.scanners.as_ref().is_none_or(Scanners::look_for_vulnerabilities),
            reported_findings: u32::try_from(reported).unwrap_or(u32::MAX),
            class_counts: class_counts(&mut collector.findings.iter().map(|finding| finding.scanned)),
            suppressed_class_counts: class_counts(&mut collector.suppressed.iter().map(|s| s.finding.scanned)),
            other_findings: collector.other,
            scanned: collector.scanned,
            findings: collector.findings,
            suppressed: collector.suppressed,
            warnings: Vec::new(),
        };
        report.warnings = warnings::warnings_of(&report, declared);
        if let (Some(time), None) = (stated_time, report.created_at) {
            let message =
                format!("CreatedAt is {time}, before the first release of Trivy: the time of ingestion is used");
            report.warnings.push(Warning::new(WarningCode::CreatedAt, message));
        }
        Ok(report)
    }

    /// Counts the open findings of each severity: all of them, and the fixable ones.
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

    /// Counts the suppressed findings of each severity.
    #[must_use]
    pub fn suppressed_counts(&self) -> SeverityCounts {
        let mut counts = SeverityCounts::default();
        self.suppressed.iter().for_each(|suppressed| counts.add(suppressed.finding.severity));
        counts
    }
}

/// Removes the declared name if it is the report's own name and no path.
fn declared_beyond(declared: &Declared, own_name: Option<&OwnName>) -> Declared {
    let has = |name: &ImageName| own_name.is_some_and(|own| !own.nameless && own.text == name.as_str());
    let mut declared = declared.clone();
    declared.image_name = declared.image_name.filter(|name| !has(name));
    declared
}

fn read_object<'c>(text: &'c str, declared: &Declared, collector: &mut Collector<'c>) -> Result<Envelope<'c>, Error> {
    // A second read finds the error, once the memory of the first is free.
    let read = serde_json::from_str::<Envelope<'c>>(text).ok();
    let envelope = read.ok_or_else(|| misread(text))?;
    check_is_report(&envelope, declared, text)?;
    if let Some(results) = envelope.results {
        read_results(results.get(), "Results", collector)?;
    }
    Ok(envelope)
}

/// Checks that an object is a report, by its version and the name or type of its artifact: files of other tools have
/// `Results` too. The sender must name an artifact that the report does not have.
fn check_is_report(envelope: &Envelope<'_>, declared: &Declared, text: &str) -> Result<(), Error> {
    if !envelope.is_version_2() {
        return Err(lookalike::reject_object(text));
    }
    if envelope.artifact_type.is_some() || envelope.artifact_name.is_some() {
        return Ok(());
    }
    if let Some(error) = lookalike::known_format(text) {
        return Err(error);
    }
    let no_artifact = |missing, advice| Err(Error::NoArtifact { missing, advice });
    match (envelope.results.is_some() || envelope.metadata.is_some(), &declared.image_name) {
        (true, Some(_)) => Ok(()),
        (true, None) => no_artifact(
            "neither ArtifactName nor ArtifactType names the scanned artifact",
            "send it with an image_name, or as Trivy has written it",
        ),
        (false, _) => no_artifact(
            "ArtifactName, ArtifactType, Metadata and Results are all missing",
            "send it as Trivy has written it",
        ),
    }
}

/// Returns the error for an object whose top level cannot be read: it may be no report.
fn misread(text: &str) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Version<'c> {
        #[serde(borrow)]
        schema_version: Option<&'c serde_json::value::RawValue>,
    }

    let version = serde_json::from_str::<Version<'_>>(text).unwrap_or_default().schema_version;
    if version.is_none_or(|version| version.get() != "2") {
        return lookalike::reject_object(text);
    }
    let deserializer = &mut serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Envelope<'_>>(deserializer) {
        Ok(_) => lookalike::reject_object(text),
        Err(error) => field(&error, ""),
    }
}

fn read_array<'c>(text: &'c str, collector: &mut Collector<'c>) -> Result<(), Error> {
    if !lookalike::is_old_report(text) {
        return Err(lookalike::reject_array(text));
    }
    read_results(text, "", collector)?;
    if collector.has_several_systems {
        return Err(lookalike::several_reports());
    }
    Ok(())
}

fn read_results<'c>(text: &'c str, path: &str, collector: &mut Collector<'c>) -> Result<(), Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if Read(Results(collector)).deserialize(&mut deserializer).is_ok() {
        return Ok(());
    }
    if collector.over_limit {
        return Err(Error::TooManyFindings { limit: collector.limit });
    }
    // Only a refused report is read again for the path of the error.
    *collector = Collector::new(collector.text, collector.limit);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let traced = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let mut discarded = Collector::new(collector.text, collector.limit);
    let read = Read(Results(&mut discarded)).deserialize(traced);
    read.map_err(|error| field(&serde_path_to_error::Error::new(track.path(), error), path))
}

fn field(error: &serde_path_to_error::Error<serde_json::Error>, inside: &str) -> Error {
    let path = Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_default();
    Error::Field { path: format!("{inside}{path}"), reason: reason::reword(error.inner()) }
}

const MAX_TAGS: usize = 50;

fn artifact(
    envelope: Envelope<'_>,
    own_name: Option<&OwnName>,
    image_name: ImageName,
    nameless: bool,
) -> Result<Artifact, Error> {
    let metadata = envelope.metadata.unwrap_or_default();
    let os = metadata.os.unwrap_or_default();
    let image_config = metadata.image_config.unwrap_or_default();
    let names = match &metadata.reference {
        Some(Text(reference)) => vec![&**reference],
        None => own_name.map(|own| own.text.as_str()).into_iter().chain([image_name.as_str()]).collect(),
    };
    let repo_digests = metadata.repo_digests.unwrap_or_default().0;
    let digest = naming::digest(&repo_digests, &names).map(|digest| Text(digest.into()));
    let tags = metadata.repo_tags.unwrap_or_default().0.into_iter().take(MAX_TAGS).enumerate();
    let tags = tags.map(|(at, tag)| short(Some(Text(tag)), &format!("Metadata.RepoTags[{at}]")));
    Ok(Artifact {
        nameless,
        platform: image_config.platform(),
        image_digest: short(digest, "Metadata.RepoDigests")?,
        image_ref: short(metadata.reference, "Metadata.Reference")?,
        repo_tags: tags.filter_map(Result::transpose).collect::<Result<_, _>>()?,
        image_id: short(metadata.image_id, "Metadata.ImageID")?,
        artifact_id: short(envelope.artifact_id, "ArtifactID")?,
        image_created_at: image_config.created_at(),
        artifact_type: short(envelope.artifact_type, "ArtifactType")?,
        // The name of an unknown system in Trivy 0.59.
        os_family: short(os.family, "Metadata.OS.Family")?.filter(|family| family != "none"),
        os_name: short(os.name, "Metadata.OS.Name")?,
        os_end_of_life: os.eosl.unwrap_or(false),
        trivy_version: short(envelope.trivy.and_then(|trivy| trivy.version), "Trivy.Version")?,
        image_name,
    })
}

/// Checks that a text fits into an item that is copied into an index and a transaction; none if it is empty.
fn short(text: Option<Text<'_>>, path: &str) -> Result<Option<String>, Error> {
    const MAX_BYTES: usize = 512;
    match text {
        Some(Text(text)) if text.len() > MAX_BYTES => {
            Err(Error::Field { path: path.to_owned(), reason: format!("is longer than {MAX_BYTES} bytes") })
        }
        text => Ok(text.map(|Text(text)| text.into_owned()).filter(|text| !text.is_empty())),
    }
}

#[cfg(test)]
mod tests;
