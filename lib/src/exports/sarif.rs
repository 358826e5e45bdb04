//! SARIF 2.1.0 within the limits of GitHub's code scanning: a rule for each vulnerability, a result for each finding.
//!
//! Results come before the rules, so that a rule has the highest rating of its findings and is written once. Rows have
//! to come most urgent first: what is beyond the limit is counted, and left out.
//! <https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning>

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;

use super::elements::Elements;
use super::link::link;
use super::markdown::escaped;
use super::occurrences::Occurrences;
use super::{Error, Image, Row, TOOL, VERSION};
use crate::domain::finding::Suppression;
use crate::domain::severity::Severity;
use crate::domain::text::{clean, shortened};

/// Selects the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The most results, at most [`Options::MOST`].
    pub limit: usize,
    /// Suppressed findings are results with a suppression; GitHub shows them as open. Else they are left out.
    pub suppressed: bool,
}

impl Options {
    /// The most results that GitHub accepts in one run.
    pub const MOST: usize = 25_000;
}

impl Default for Options {
    /// Returns the number of results that GitHub shows of one run.
    fn default() -> Self {
        Self { limit: 5_000, suppressed: false }
    }
}

/// A vulnerability, while its findings are written.
#[derive(Debug)]
struct Rule {
    id: String,
    class: &'static str,
    severity: Severity,
    score: f64,
    title: String,
    description: String,
    url: Option<String>,
    cwes: Vec<String>,
}

/// Writes rows of one image as SARIF.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    image: Image,
    options: Options,
    results: Elements,
    rules: Vec<Rule>,
    index: HashMap<String, usize>,
    occurrences: Occurrences,
    written: usize,
    cut: usize,
    suppressed: usize,
}

/// The longest description, in bytes: GitHub takes 1,024 characters.
const MAX_TEXT: usize = 1_000;
/// The longest title, in bytes.
const MAX_TITLE: usize = 300;
/// The most tags of a rule.
const MOST_TAGS: usize = 10;

impl<W: Write> Writer<W> {
    /// Begins the document.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(mut out: W, image: &Image, options: Options) -> Result<Self, Error> {
        out.write_all(b"{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\"results\":[\n")?;
        Ok(Self {
            out,
            image: image.clone(),
            options: Options { limit: options.limit.min(Options::MOST), ..options },
            results: Elements::default(),
            rules: Vec::new(),
            index: HashMap::new(),
            occurrences: Occurrences::default(),
            written: 0,
            cut: 0,
            suppressed: 0,
        })
    }

    /// Writes one finding.
    ///
    /// # Errors
    /// Those of the output.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        if row.suppressed.is_some() && !self.options.suppressed {
            self.suppressed += 1;
            return Ok(());
        }
        if self.written >= self.options.limit {
            self.cut += 1;
            return Ok(());
        }
        self.written += 1;
        let rule_index = self.rule(row);
        let result = result(row, rule_index, self.occurrences.next(row.tracking_key));
        self.results.write(&mut self.out, &result)
    }

    /// Adds the row to its rule, which has the worst of its findings, and returns the rule's place.
    fn rule(&mut self, row: &Row<'_>) -> usize {
        let score = row.highest().map_or(0.0, |score| score.score);
        if let Some(index) = self.index.get(row.id()).copied() {
            if let Some(rule) = self.rules.get_mut(index) {
                rule.severity = rule.severity.max(row.severity);
                rule.score = rule.score.max(score);
            }
            return index;
        }
        let id = row.id().to_owned();
        let title = row.title.as_deref().map(clean).unwrap_or_else(|| format!("{id} in {}", clean(&row.package)));
        let description = row.description.as_deref().map(clean).unwrap_or_else(|| title.clone());
        self.index.insert(id.clone(), self.rules.len());
        self.rules.push(Rule {
            id,
            class: match row.class.as_deref() {
                Some("os-pkgs") => "OsPackageVulnerability",
                _ => "LanguagePackageVulnerability",
            },
            severity: row.severity,
            score,
            title: shortened(title, MAX_TITLE),
            description: shortened(description, MAX_TEXT),
            url: row.primary_url.as_deref().and_then(link),
            cwes: row.cwes.iter().take(MOST_TAGS).cloned().collect(),
        });
        self.rules.len() - 1
    }

    /// Ends the document.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<(), Error> {
        write!(
            self.out,
            "\n],\"tool\":{{\"driver\":{{\"name\":\"{TOOL}\",\"semanticVersion\":\"{VERSION}\",\"rules\":[\n"
        )?;
        let mut rules = Elements::default();
        for rule in &self.rules {
            rules.write(&mut self.out, &shown(rule))?;
        }
        let category = format!("sirius/{}/{}", relative(&self.image.repository), self.image.scan_id);
        let details = json!({"id": category});
        let properties = json!({
            "image": self.image.name,
            "platform": self.image.platform,
            "digest": self.image.digest,
            "scanTimestamp": self.image.scanned_at.to_string(),
            "resultsCutAtLimit": self.cut,
            "suppressedLeftOut": self.suppressed,
        });
        write!(
            self.out,
            "\n]}}}},\"columnKind\":\"utf16CodeUnits\",\"automationDetails\":{details},\"properties\":{properties}}}]}}\n"
        )?;
        Ok(self.out.flush()?)
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unknown => "note",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownRule<'r> {
    id: &'r str,
    name: &'r str,
    short_description: Text<'r>,
    full_description: Text<'r>,
    help: Help,
    #[serde(skip_serializing_if = "Option::is_none")]
    help_uri: Option<&'r str>,
    default_configuration: Level,
    properties: RuleProperties<'r>,
}

#[derive(Serialize)]
struct Text<'r> {
    text: &'r str,
}

#[derive(Serialize)]
struct Help {
    text: String,
    markdown: String,
}

#[derive(Serialize)]
struct Level {
    level: &'static str,
}

#[derive(Serialize)]
struct RuleProperties<'r> {
    precision: &'static str,
    /// A string, and only where there is a rating: GitHub takes 0.0 for none.
    #[serde(rename = "security-severity", skip_serializing_if = "Option::is_none")]
    security_severity: Option<String>,
    tags: BTreeSet<&'r str>,
}

fn shown(rule: &Rule) -> ShownRule<'_> {
    let mut tags = BTreeSet::from(["security", "vulnerability"]);
    for cwe in &rule.cwes {
        if tags.len() < MOST_TAGS {
            tags.insert(cwe);
        }
    }
    let page = rule.url.as_deref().map(|url| format!("\n\nMore: {url}")).unwrap_or_default();
    let link = rule.url.as_deref().map(|url| format!("\n\n[{}](<{url}>)", escaped(&rule.id))).unwrap_or_default();
    ShownRule {
        id: &rule.id,
        name: rule.class,
        short_description: Text { text: &rule.title },
        full_description: Text { text: &rule.description },
        help: Help {
            text: format!("{}{page}", rule.description),
            markdown: format!("{}{link}", escaped(&rule.description)),
        },
        help_uri: rule.url.as_deref(),
        default_configuration: Level { level: level(rule.severity) },
        properties: RuleProperties {
            precision: "very-high",
            security_severity: (rule.score >= 0.05).then(|| format!("{:.1}", rule.score)),
            tags,
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownResult<'r> {
    rule_id: &'r str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: [Location<'r>; 1],
    partial_fingerprints: Fingerprints,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<ShownSuppression>,
    properties: ResultProperties<'r>,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'r> {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation<'r> {
    fully_qualified_name: &'r str,
    kind: &'static str,
}

/// The one fingerprint that GitHub compares.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fingerprints {
    primary_location_line_hash: String,
}

#[derive(Serialize)]
struct ShownSuppression {
    kind: &'static str,
    status: &'static str,
    justification: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultProperties<'r> {
    finding_id: u64,
    tracking_key: String,
    band: &'static str,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    why: &'r [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    epss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kev: Option<bool>,
    aliases: &'r [String],
}

fn result<'r>(row: &'r Row<'_>, rule_index: usize, occurrence: u32) -> ShownResult<'r> {
    let uri = match row.place() {
        Some(place) => format!("{}/{}", relative(&row.image.repository), relative(place)),
        None => relative(&row.image.repository),
    };
    ShownResult {
        rule_id: row.id(),
        rule_index,
        level: level(row.severity),
        message: Message { text: message(row) },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation { uri },
                region: Region { start_line: 1, start_column: 1, end_line: 1, end_column: 1 },
            },
            logical_locations: {
                let purl = row.purl.as_deref();
                purl.map(|purl| LogicalLocation { fully_qualified_name: purl, kind: "package" }).into_iter().collect()
            },
        }],
        partial_fingerprints: Fingerprints { primary_location_line_hash: format!("{}:{occurrence}", row.tracking_key) },
        suppressions: row.suppressed.iter().map(suppression).collect(),
        properties: ResultProperties {
            finding_id: row.finding_id.get(),
            tracking_key: row.tracking_key.to_string(),
            band: row.priority.band.as_str(),
            score: row.priority.score,
            due: row.priority.due.map(|due| due.to_string()),
            why: &row.priority.why,
            epss: row.epss.as_ref().map(|epss| epss.score),
            kev: row.kev.map(|kev| kev.listed),
            aliases: &row.aliases,
        },
    }
}

/// The first line names the problem and stays; what changes from day to day comes after it.
fn message(row: &Row<'_>) -> String {
    let package = clean(&format!("{} {}", row.package, row.installed.as_deref().unwrap_or_default()));
    let package = package.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = format!("{package} is affected by {}", clean(row.id()));
    if let Some(title) = &row.title {
        text.push_str(&format!("\n{}", shortened(clean(title), MAX_TITLE)));
    }
    text.push_str(&format!("\n{}. Priority {}", clean(&row.remediation), row.priority.band));
    if let Some(due) = row.priority.due {
        text.push_str(&format!(", due {due}"));
    }
    text.push('.');
    if let Some(summary) = &row.summary {
        text.push_str(&format!("\nAnalysis by a model: {}", shortened(clean(summary), MAX_TEXT)));
    }
    text
}

fn suppression(suppression: &Suppression) -> ShownSuppression {
    let said = [&suppression.status, &suppression.source, &suppression.statement];
    let justification = said.into_iter().flatten().map(|text| clean(text)).collect::<Vec<_>>().join("; ");
    ShownSuppression { kind: "external", status: "accepted", justification: shortened(justification, MAX_TEXT) }
}

/// Unreserved characters of a path segment; a colon in the first one would be read as a scheme.
const ENCODED: AsciiSet =
    NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b'@').remove(b'+');

/// Spells a path as a relative reference that stays inside its folder.
fn relative(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !matches!(*segment, "" | "." | ".."));
    let encoded: Vec<String> = segments.map(|segment| utf8_percent_encode(segment, &ENCODED).to_string()).collect();
    if encoded.is_empty() { "unnamed".to_owned() } else { encoded.join("/") }
}
