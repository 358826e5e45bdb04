//! AWS Security Finding Format: on each line a request for `BatchImportFindings`, as `aws securityhub
//! batch-import-findings --cli-input-json` takes it.
//!
//! A line has at most [`MOST_FINDINGS`] findings and [`MAX_REQUEST`] bytes, a finding at most 240 KB.
//! <https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchimportfindings.html>

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::link::link;
use super::occurrences::Occurrences;
use super::{Error, Image, Row};
use crate::domain::instant;
use crate::domain::severity::Severity;
use crate::domain::text::{clean, cut, shortened};
use crate::domain::vulnerability::CvssVersion;

/// The most findings of a request.
pub const MOST_FINDINGS: usize = 100;
/// The largest request, in bytes: Security Hub takes 6 MB.
pub const MAX_REQUEST: usize = 6_000_000;
/// The largest finding, in bytes; none comes near, since each of its texts is cut.
pub const MAX_FINDING: usize = 240_000;

/// An account's Security Hub, and the product under which it shows findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    account: String,
    region: String,
    product: String,
}

/// The text does not name a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not 12 digits.
    #[error("the account is not 12 digits")]
    Account,
    /// Not the name of a region.
    #[error("the region is not a name such as eu-west-1")]
    Region,
    /// Not the name of a product.
    #[error("the product is not 1 to 64 letters, digits and hyphens")]
    Product,
}

impl Destination {
    /// The product under which an account imports its own findings.
    pub const OWN_PRODUCT: &'static str = "default";

    /// Reads a destination.
    ///
    /// # Errors
    /// If a part is malformed.
    pub fn new(account: &str, region: &str, product: &str) -> Result<Self, DestinationError> {
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !is_account {
            Err(DestinationError::Account)
        } else if !is_name(region, 32) || !region.contains('-') {
            Err(DestinationError::Region)
        } else if !is_name(product, 64) {
            Err(DestinationError::Product)
        } else {
            Ok(Self { account: account.to_owned(), region: region.to_owned(), product: product.to_owned() })
        }
    }

    fn product_arn(&self) -> String {
        let Self { account, region, product } = self;
        format!("arn:{}:securityhub:{region}:{account}:product/{account}/{product}", partition(region))
    }
}

fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Selects the findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Suppressed findings are written as such. Else they are left out.
    pub suppressed: bool,
}

/// Writes rows as requests.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    destination: Destination,
    options: Options,
    request: Vec<u8>,
    findings: usize,
    occurrences: Occurrences,
}

/// The text around the findings of a request.
const BEGIN: &[u8] = b"{\"Findings\":[";
const END: &[u8] = b"]}\n";

impl<W: Write> Writer<W> {
    /// Begins the document.
    #[must_use]
    pub fn new(out: W, destination: Destination, options: Options) -> Self {
        Self { out, destination, options, request: Vec::new(), findings: 0, occurrences: Occurrences::default() }
    }

    /// Writes one finding.
    ///
    /// # Errors
    /// Those of the output.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        if row.suppressed.is_some() && !self.options.suppressed {
            return Ok(());
        }
        let occurrence = self.occurrences.next(row.tracking_key);
        let finding = serde_json::to_vec(&finding(row, &self.destination, occurrence))?;
        let size = self.request.len() + finding.len() + END.len() + 1;
        if self.findings == MOST_FINDINGS || size > MAX_REQUEST {
            self.send()?;
        }
        self.request.extend_from_slice(if self.findings == 0 { BEGIN } else { b"," });
        self.request.extend(finding);
        self.findings += 1;
        Ok(())
    }

    fn send(&mut self) -> Result<(), Error> {
        if self.findings > 0 {
            self.out.write_all(&self.request)?;
            self.out.write_all(END)?;
            self.request.clear();
            self.findings = 0;
        }
        Ok(())
    }

    /// Ends the document.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<(), Error> {
        self.send()?;
        Ok(self.out.flush()?)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Finding<'r> {
    schema_version: &'static str,
    id: String,
    product_arn: String,
    generator_id: String,
    #[serde(rename = "AwsAccountId")]
    account_id: &'r str,
    created_at: String,
    updated_at: String,
    title: String,
    description: String,
    resources: [Resource; 1],
    finding_provider_fields: ProviderFields,
    vulnerabilities: [Vulnerability<'r>; 1],
    remediation: Remediation,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_url: Option<String>,
    product_fields: BTreeMap<&'static str, String>,
    record_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<Workflow>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    #[serde(rename = "Type")]
    kind: &'static str,
    id: String,
    partition: &'static str,
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    container: Container,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    image_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProviderFields {
    severity: Label,
    types: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Label {
    label: &'static str,
    original: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability<'r> {
    id: String,
    vulnerable_packages: [Package; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cvss: Vec<Cvss>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_vulnerabilities: Vec<&'r str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reference_urls: Vec<String>,
    fix_available: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epss_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exploit_available: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Package {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_in_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_manager: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_path: Option<String>,
    remediation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Cvss {
    version: &'static str,
    base_score: f64,
    base_vector: String,
    source: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Remediation {
    recommendation: Recommendation,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Recommendation {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Workflow {
    status: &'static str,
}

/// Text of at most so many characters, counted in bytes, which are never fewer. The ellipsis has three.
fn short(text: &str, most: usize) -> String {
    let text = clean(text);
    let text = if text.trim().is_empty() { "unnamed".to_owned() } else { text };
    shortened(text, most - 3)
}

/// The most pages and other names of a finding.
const MOST_PAGES: usize = 10;
/// The longest name or version, in bytes.
const MAX_NAME: usize = 512;

fn finding<'r>(row: &'r Row<'_>, destination: &'r Destination, occurrence: u32) -> Finding<'r> {
    let id = short(row.id(), 128);
    let package = clean(&row.package_at_version());
    let title = row.title.as_deref().unwrap_or_default();
    let description = row.description.as_deref().or(row.title.as_deref()).unwrap_or_else(|| row.id());
    let at = instant::in_millis(row.image.scanned_at).to_string();
    let url = row.primary_url.as_deref().and_then(link);
    let suppressed = row.suppressed.is_some();
    Finding {
        schema_version: "2018-10-08",
        id: name(row, destination, occurrence),
        product_arn: destination.product_arn(),
        generator_id: format!("sirius/{id}"),
        account_id: &destination.account,
        created_at: at.clone(),
        updated_at: at,
        title: short(&format!("{id} in {package}: {title}"), 256),
        description: short(description, 1024),
        resources: [resource(row.image, destination)],
        finding_provider_fields: ProviderFields {
            severity: Label {
                label: match row.severity {
                    Severity::Critical => "CRITICAL",
                    Severity::High => "HIGH",
                    Severity::Medium => "MEDIUM",
                    Severity::Low => "LOW",
                    Severity::Unknown => "INFORMATIONAL",
                },
                original: row.severity.as_str(),
            },
            types: ["Software and Configuration Checks/Vulnerabilities/CVE"],
        },
        vulnerabilities: [vulnerability(row, id)],
        remediation: Remediation {
            recommendation: Recommendation { text: short(&row.remediation, 512), url: url.clone() },
        },
        source_url: url,
        product_fields: product_fields(row),
        record_state: "ACTIVE",
        workflow: suppressed.then_some(Workflow { status: "SUPPRESSED" }),
    }
}

/// One for each problem of an image, over all scans of it.
fn name(row: &Row<'_>, destination: &Destination, occurrence: u32) -> String {
    let image = cut(&row.image.name, 256);
    let Destination { account, region, .. } = destination;
    let name = format!("sirius/{region}/{account}/{}/{}", clean(image), row.tracking_key);
    if occurrence > 1 { format!("{name}/{occurrence}") } else { name }
}

fn resource(image: &Image, destination: &Destination) -> Resource {
    let partition = partition(&destination.region);
    let region = destination.region.clone();
    if let Some(id) = ecr_arn(image) {
        return Resource { kind: "AwsEcrContainerImage", id, partition, region, details: None };
    }
    let container = Container { image_name: short(&image.name, MAX_NAME), image_id: image.digest.clone() };
    Resource {
        kind: "Container",
        id: short(&image.name, MAX_NAME),
        partition,
        region,
        details: Some(Details { container }),
    }
}

/// The name of an image in Amazon ECR, if it is there and has a digest.
fn ecr_arn(image: &Image) -> Option<String> {
    let (host, name) = image.repository.split_once('/')?;
    let (account, host) = host.split_once(".dkr.ecr.")?;
    let (region, domain) = host.split_once('.')?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_amazon = matches!(domain, "amazonaws.com" | "amazonaws.com.cn");
    let digest = image.digest.as_ref()?;
    (is_account && is_amazon)
        .then(|| format!("arn:{}:ecr:{region}:{account}:repository/{name}/{digest}", partition(region)))
}

fn vulnerability<'r>(row: &'r Row<'_>, id: String) -> Vulnerability<'r> {
    let optional = |text: Option<&str>| text.map(|text| short(text, MAX_NAME));
    Vulnerability {
        id,
        vulnerable_packages: [Package {
            name: short(&row.package, MAX_NAME),
            version: optional(row.installed.as_deref()),
            fixed_in_version: optional(row.fixed.as_deref()),
            package_manager: optional(row.kind.as_deref()),
            file_path: optional(row.place()),
            remediation: short(&row.remediation, MAX_NAME),
        }],
        cvss: row
            .scores
            .iter()
            .map(|score| Cvss {
                version: match score.version {
                    CvssVersion::V2 => "2.0",
                    CvssVersion::V30 => "3.0",
                    CvssVersion::V31 => "3.1",
                    CvssVersion::V4 => "4.0",
                },
                base_score: score.score,
                base_vector: score.vector.clone(),
                source: short(&score.source, 128),
            })
            .collect(),
        related_vulnerabilities: row.aliases.iter().map(String::as_str).take(MOST_PAGES).collect(),
        reference_urls: row.pages(MOST_PAGES),
        fix_available: if row.fixed.is_some() { "YES" } else { "NO" },
        epss_score: row.epss.as_ref().map(|epss| epss.score),
        exploit_available: row.kev.filter(|kev| kev.listed).map(|_| "YES"),
    }
}

fn product_fields(row: &Row<'_>) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::from([
        ("sirius/tracking_key", row.tracking_key.to_string()),
        ("sirius/finding_id", row.finding_id.to_string()),
        ("sirius/scan_id", row.image.scan_id.to_string()),
        ("sirius/band", row.priority.band.to_string()),
        ("sirius/score", row.priority.score.to_string()),
        ("sirius/why", short(&row.priority.why.join("; "), 2048)),
    ]);
    fields.extend(row.priority.due.map(|due| ("sirius/due", due.to_string())));
    fields.extend(row.kev.map(|kev| ("sirius/kev", kev.listed.to_string())));
    fields.extend(row.purl.as_deref().map(|purl| ("sirius/purl", short(purl, 2048))));
    fields.extend(row.summary.as_deref().map(|summary| ("sirius/analysis", short(summary, 2048))));
    fields
}
