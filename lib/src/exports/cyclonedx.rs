//! CycloneDX 1.6, a Vulnerability Disclosure Report: the packages with findings, and each vulnerability once.
//!
//! The rows are given twice: [`Components::row`] writes the packages and learns which vulnerability has which of them,
//! [`Vulnerabilities::row`] writes each vulnerability at its first row. <https://cyclonedx.org/docs/1.6/json/>

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::elements::Elements;
use super::link::link;
use super::{Error, Image, Row, TOOL, VERSION};
use crate::domain::digest::{half_sha256, hex};
use crate::domain::instant;
use crate::domain::purl::Purl;
use crate::domain::severity::Severity;
use crate::domain::text::{clean, shortened};
use crate::domain::vulnerability::CvssVersion;

/// Selects the findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Suppressed findings are vulnerabilities with an analysis, apart from the open findings of the same id. Else they
    /// are left out.
    pub suppressed: bool,
}

/// Names a package in the document.
type Reference = [u8; 16];
/// The id of a vulnerability, and Trivy's status if it is suppressed.
type Entry = (String, Option<String>);

/// Writes the packages.
#[derive(Debug)]
pub struct Components<W: Write> {
    out: W,
    options: Options,
    components: Elements,
    known: HashSet<Reference>,
    affects: HashMap<Entry, BTreeSet<Reference>>,
}

/// Writes the vulnerabilities, after the packages.
#[derive(Debug)]
pub struct Vulnerabilities<W: Write> {
    out: W,
    options: Options,
    vulnerabilities: Elements,
    affects: HashMap<Entry, Option<BTreeSet<Reference>>>,
}

/// The longest text, in bytes.
const MAX_TEXT: usize = 8_000;
/// The most pages of a vulnerability.
const MOST_PAGES: usize = 20;

impl<W: Write> Components<W> {
    /// Begins the document. One of the same scan at the same time has the same serial number.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(mut out: W, image: &Image, options: Options, now: Timestamp) -> Result<Self, Error> {
        let now = instant::in_millis(now);
        let purl = image_purl(image).map(|purl| purl.to_string());
        let mut component = json!({"type": "container", "bom-ref": "image", "name": image.name});
        if let Some(component) = component.as_object_mut() {
            component.extend(purl.map(|purl| ("purl".to_owned(), purl.into())));
            let version = image.digest.as_ref().or(image.tag.as_ref());
            component.extend(version.map(|version| ("version".to_owned(), version.as_str().into())));
        }
        let metadata = json!({
            "timestamp": now.to_string(),
            "tools": {"components": [{"type": "application", "name": TOOL, "version": VERSION}]},
            "component": component,
        });
        let serial = serial_number(image, now);
        writeln!(
            out,
            "{{\"$schema\":\"http://cyclonedx.org/schema/bom-1.6.schema.json\",\"bomFormat\":\"CycloneDX\",\
             \"specVersion\":\"1.6\",\"serialNumber\":\"urn:uuid:{serial}\",\"version\":1,\"metadata\":{metadata},\
             \"components\":["
        )?;
        let components = Elements::default();
        Ok(Self { out, options, components, known: HashSet::new(), affects: HashMap::new() })
    }

    /// Writes the package of a finding, unless it is written already.
    ///
    /// # Errors
    /// Those of the output.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        if row.suppressed.is_some() && !self.options.suppressed {
            return Ok(());
        }
        let reference = reference(row);
        self.affects.entry(entry(row)).or_default().insert(reference);
        if !self.known.insert(reference) {
            return Ok(());
        }
        let purl = row.purl.as_ref().and_then(|purl| purl.parse::<Purl>().ok());
        let properties = [("type", row.kind.as_deref()), ("class", row.class.as_deref()), ("path", row.place())];
        let component = Component {
            kind: "library",
            bom_ref: shown(&reference),
            // A component without a name is refused.
            name: if row.package.is_empty() { "unnamed" } else { &row.package },
            version: row.installed.as_deref(),
            purl: purl.map(|purl| purl.to_string()),
            properties: properties.into_iter().filter_map(|(name, value)| Some(Property::new(name, value?))).collect(),
        };
        self.components.write(&mut self.out, &component)
    }

    /// Ends the packages and begins the vulnerabilities: the same rows follow in the same order.
    ///
    /// # Errors
    /// Those of the output.
    pub fn vulnerabilities(mut self) -> Result<Vulnerabilities<W>, Error> {
        self.out.write_all(b"\n],\"vulnerabilities\":[\n")?;
        let affects = self.affects.into_iter().map(|(entry, references)| (entry, Some(references))).collect();
        Ok(Vulnerabilities { out: self.out, options: self.options, vulnerabilities: Elements::default(), affects })
    }
}

impl<W: Write> Vulnerabilities<W> {
    /// Writes the vulnerability of a finding, unless it is written already.
    ///
    /// # Errors
    /// Those of the output, and [`Error::Changed`] for a vulnerability that no row of the first pass had.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        if row.suppressed.is_some() && !self.options.suppressed {
            return Ok(());
        }
        let Some(references) = self.affects.get_mut(&entry(row)) else { return Err(Error::Changed) };
        let Some(references) = references.take() else { return Ok(()) };
        let affects = references.iter().map(|reference| Affected { reference: shown(reference) }).collect();
        self.vulnerabilities.write(&mut self.out, &vulnerability(row, affects))
    }

    /// Ends the document.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<(), Error> {
        self.out.write_all(b"\n]}\n")?;
        Ok(self.out.flush()?)
    }
}

fn entry(row: &Row<'_>) -> Entry {
    let status = row.suppressed.as_ref().map(|suppressed| suppressed.status.clone().unwrap_or_default());
    (row.id().to_owned(), status)
}

/// One for each package of a version in a place.
fn reference(row: &Row<'_>) -> Reference {
    let texts = [&row.class, &row.kind, &row.purl, &row.installed].map(|text| text.as_deref().unwrap_or_default());
    half_sha256("", texts.into_iter().chain([row.package.as_str(), row.place().unwrap_or_default()]))
}

fn shown(reference: &Reference) -> String {
    format!("package-{}", hex(reference))
}

/// A UUID of version 8, which has a custom content (RFC 9562, 5.8).
fn serial_number(image: &Image, now: Timestamp) -> String {
    let number =
        u128::from_be_bytes(half_sha256("", [image.scan_id.to_string().as_str(), &image.name, &now.to_string()]));
    let number = number & !(0xF << 76) & !(0b11 << 62) | (8 << 76) | (0b10 << 62);
    let text = format!("{number:032x}");
    let part = |range| text.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

/// `pkg:oci/app@sha256:…?repository_url=…`; none without a digest.
fn image_purl(image: &Image) -> Option<Purl> {
    let name = image.repository.rsplit('/').next().filter(|name| !name.is_empty())?;
    let tag = image.tag.clone().map(|tag| ("tag".to_owned(), tag));
    let url = ("repository_url".to_owned(), image.repository.to_lowercase());
    Some(Purl {
        kind: "oci".to_owned(),
        namespace: None,
        name: name.to_lowercase(),
        version: Some(image.digest.clone()?),
        qualifiers: tag.into_iter().chain([url]).collect(),
        subpath: None,
    })
}

#[derive(Serialize)]
struct Component<'r> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Property {
    name: String,
    value: String,
}

impl Property {
    fn new(name: &str, value: impl ToString) -> Self {
        Self { name: format!("sirius:{name}"), value: value.to_string() }
    }
}

#[derive(Serialize)]
struct Vulnerability<'r> {
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    id: &'r str,
    source: Source<'r>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Alias<'r>>,
    ratings: Vec<Rating<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cwes: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    recommendation: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advisories: Vec<Advisory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis: Option<Analysis>,
    affects: Vec<Affected>,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Source<'r> {
    name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Serialize)]
struct Alias<'r> {
    id: &'r str,
    source: Source<'r>,
}

#[derive(Serialize)]
struct Rating<'r> {
    source: Source<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    severity: &'static str,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'r str>,
}

#[derive(Serialize)]
struct Advisory {
    url: String,
}

#[derive(Serialize)]
struct Analysis {
    state: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct Affected {
    #[serde(rename = "ref")]
    reference: String,
}

fn vulnerability<'r>(row: &'r Row<'_>, affects: Vec<Affected>) -> Vulnerability<'r> {
    let text = |text: &Option<String>| text.as_deref().map(|text| shortened(clean(text), MAX_TEXT));
    let cwes = row.cwes.iter().filter_map(|cwe| cwe.strip_prefix("CWE-")?.parse().ok()).filter(|cwe| *cwe > 0);
    let (id, status) = entry(row);
    let texts = ["vulnerability", &id].into_iter().chain(status.as_deref());
    let time = |at: Option<Timestamp>| at.map(|at| instant::in_millis(at).to_string());
    let url = row.primary_url.as_deref().and_then(link);
    Vulnerability {
        bom_ref: format!("vulnerability-{}", hex(&half_sha256("", texts))),
        id: row.id(),
        source: Source { name: database(row.id()), url },
        references: {
            let alias = |alias: &'r String| Alias { id: alias, source: Source { name: database(alias), url: None } };
            row.aliases.iter().map(alias).collect()
        },
        ratings: ratings(row),
        cwes: cwes.collect(),
        description: text(&row.title).or_else(|| text(&row.description)),
        detail: text(&row.title).and_then(|_| text(&row.description)),
        recommendation: clean(&row.remediation),
        advisories: row.pages(MOST_PAGES).into_iter().map(|url| Advisory { url }).collect(),
        published: time(row.published),
        updated: time(row.modified),
        analysis: row.suppressed.as_ref().and_then(|suppressed| {
            let state = match suppressed.status.as_deref()? {
                "not_affected" => "not_affected",
                "fixed" => "resolved",
                // A finding in an ignore file may still affect the image.
                _ => return None,
            };
            let said = [&suppressed.source, &suppressed.statement].into_iter().flatten();
            let said: Vec<String> = said.map(|text| clean(text)).collect();
            Some(Analysis { state, detail: shortened(said.join(": "), MAX_TEXT) })
        }),
        affects,
        properties: properties(row),
    }
}

fn ratings<'r>(row: &'r Row<'_>) -> Vec<Rating<'r>> {
    let own = Rating {
        source: Source { name: "Trivy", url: None },
        score: None,
        severity: match row.severity {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
            Severity::Unknown => "unknown",
        },
        method: "other",
        vector: None,
    };
    let of_cvss = row.scores.iter().map(|score| Rating {
        source: Source { name: &score.source, url: None },
        score: Some(score.score),
        severity: match (score.version, score.score) {
            (CvssVersion::V2, 7.0..) => "high",
            (_, 9.0..) => "critical",
            (_, 7.0..) => "high",
            (_, 4.0..) => "medium",
            (CvssVersion::V2, _) | (_, 0.1..) => "low",
            _ => "none",
        },
        method: match score.version {
            CvssVersion::V2 => "CVSSv2",
            CvssVersion::V30 => "CVSSv3",
            CvssVersion::V31 => "CVSSv31",
            CvssVersion::V4 => "CVSSv4",
        },
        vector: Some(&score.vector),
    });
    std::iter::once(own).chain(of_cvss).collect()
}

fn properties(row: &Row<'_>) -> Vec<Property> {
    let mut properties = vec![
        Property::new("band", row.priority.band),
        Property::new("score", row.priority.score),
        Property::new("why", row.priority.why.join("; ")),
    ];
    properties.extend(row.priority.due.map(|due| Property::new("due", due)));
    properties.extend(row.epss.as_ref().map(|epss| Property::new("epss", epss.score)));
    properties.extend(row.kev.map(|kev| Property::new("kev", kev.listed)));
    let suppressed = row.suppressed.as_ref().and_then(|suppressed| suppressed.status.as_ref());
    properties.extend(suppressed.map(|status| Property::new("suppressed", clean(status))));
    properties.extend(row.summary.as_ref().map(|summary| Property::new("analysis", clean(summary))));
    properties
}

/// The database that numbers a vulnerability.
fn database(id: &str) -> &str {
    match id.split_once('-').map(|(name, _)| name) {
        Some("CVE") => "NVD",
        Some("GHSA") => "GitHub Advisories",
        Some(name) => name,
        None => "unknown",
    }
}
