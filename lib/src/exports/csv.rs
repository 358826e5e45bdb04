//! CSV as of RFC 4180: one finding on a row, one fixed header.
//!
//! * Columns are only ever added at the end. What is not known is empty; yes and no are `true` and `false`; lists are
//!   joined by a blank, reasons by `; `; times are RFC 3339 in UTC.
//! * Spreadsheets run a text that begins with `=`, `+`, `-` or `@`. Such a cell of a text column has a `'` in front, and
//!   so has one that begins with `'` itself: without its first `'` such a cell is the text of the report.
//!   [`Options::raw`] switches it off.
//! * Spreadsheets take versions for numbers: `1.10` becomes 1.1. The column `package` keeps them, as text.
//! * A cell is cut at 32,000 bytes, which is what a spreadsheet holds.

use std::borrow::Cow;
use std::io::Write;

use jiff::Timestamp;

use super::{Error, Row};
use crate::domain::instant;
use crate::domain::text::cut;

/// Options of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Begins with a byte order mark, without which Excel does not read UTF-8; other programs take it for a part of
    /// the first column's name.
    pub bom: bool,
    /// Texts stay as they are, for programs only.
    pub raw: bool,
}

/// A column of the file.
#[derive(Debug)]
pub struct Column {
    /// The name in the header.
    pub name: &'static str,
    /// A description of its content.
    pub about: &'static str,
    cell: Cell,
}

type TextCell = for<'r, 'i> fn(&'r Row<'i>) -> Cow<'r, str>;

/// The origin of a column's cells.
#[derive(Debug)]
enum Cell {
    /// Text of a report or a model.
    Text(TextCell),
    /// Numbers, dates and texts of Sirius.
    Own(fn(&Row<'_>) -> String),
}

const fn text(name: &'static str, about: &'static str, cell: TextCell) -> Column {
    Column { name, about, cell: Cell::Text(cell) }
}

const fn own(name: &'static str, about: &'static str, cell: fn(&Row<'_>) -> String) -> Column {
    Column { name, about, cell: Cell::Own(cell) }
}

fn optional(text: &Option<String>) -> Cow<'_, str> {
    Cow::Borrowed(text.as_deref().unwrap_or_default())
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn time(at: Option<Timestamp>) -> String {
    shown(at.map(instant::in_millis))
}

/// The columns, in order.
pub const COLUMNS: [Column; 41] = [
    own("scan_id", "number of the scan", |row| row.image.scan_id.to_string()),
    own("finding_id", "number of the finding", |row| row.finding_id.to_string()),
    own("tracking_key", "name of the problem over all scans of the repository", |row| row.tracking_key.to_string()),
    text("image_name", "what was scanned", |row| Cow::Borrowed(&row.image.name)),
    text("repository", "the name without tag and digest", |row| Cow::Borrowed(&row.image.repository)),
    text("platform", "what it runs on", |row| optional(&row.image.platform)),
    own("scan_timestamp", "when it was scanned", |row| time(Some(row.image.scanned_at))),
    text("vulnerability_id", "as the report has it", |row| optional(&row.vulnerability_id)),
    text("aliases", "other names of the vulnerability", |row| Cow::Owned(row.aliases.join(" "))),
    own("severity", "Trivy's severity", |row| row.severity.to_string()),
    own("band", "how soon: P0 to P4, or none", |row| row.priority.band.to_string()),
    own("score", "order inside the band, 0 to 100", |row| format!("{:.4}", row.priority.score)),
    own("due", "the last day to fix it", |row| shown(row.priority.due)),
    own("kev", "whether CISA lists it; empty if not known", |row| shown(row.kev.map(|kev| kev.listed))),
    own("kev_date_added", "the day CISA listed it", |row| shown(row.kev.and_then(|kev| kev.date_added))),
    own("kev_ransomware", "whether ransomware is known to use it", |row| shown(row.kev.and_then(|kev| kev.ransomware))),
    own("epss", "chance of an exploit within 30 days, 0 to 1", |row| {
        row.epss.as_ref().map(|epss| format!("{:.5}", epss.score)).unwrap_or_default()
    }),
    own("epss_percentile", "share of CVEs with this chance or less", |row| {
        row.epss.as_ref().and_then(|epss| epss.percentile).map(|it| format!("{it:.5}")).unwrap_or_default()
    }),
    own("epss_date", "the day of the chance", |row| shown(row.epss.as_ref().map(|epss| epss.date))),
    own("cvss_score", "the highest rating of CVSS 3 or 4, else of 2", |row| {
        row.highest().map(|score| format!("{:.1}", score.score)).unwrap_or_default()
    }),
    text("cvss_vector", "of that rating", |row| {
        row.highest().map_or(Cow::Borrowed(""), |score| Cow::Borrowed(&score.vector))
    }),
    text("cvss_source", "the source of that rating", |row| {
        row.highest().map_or(Cow::Borrowed(""), |score| Cow::Borrowed(&score.source))
    }),
    text("package", "name and version, which stay text in a spreadsheet", |row| Cow::Owned(row.package_at_version())),
    text("pkg_name", "the package", |row| Cow::Borrowed(&row.package)),
    text("installed_version", "the version that is there; import it as text", |row| optional(&row.installed)),
    text("fixed_version", "the versions in which it is fixed; import them as text", |row| optional(&row.fixed)),
    text("remediation", "what to do about it", |row| Cow::Borrowed(&row.remediation)),
    text("status", "the vendor's word, from Trivy", |row| optional(&row.status)),
    text("class", "os-pkgs, lang-pkgs", |row| optional(&row.class)),
    text("type", "debian, npm", |row| optional(&row.kind)),
    text("target", "what was scanned inside the artifact", |row| Cow::Borrowed(&row.target)),
    text("pkg_path", "the package's own file", |row| optional(&row.path)),
    text("purl", "the package URL, as the report has it", |row| optional(&row.purl)),
    text("title", "a headline", |row| optional(&row.title)),
    text("primary_url", "a page about it", |row| optional(&row.primary_url)),
    text("cwes", "weaknesses", |row| Cow::Owned(row.cwes.join(" "))),
    own("published_date", "when it was made public", |row| time(row.published)),
    own("last_modified_date", "when its record last changed", |row| time(row.modified)),
    text("suppressed", "why Trivy suppresses it: status, source and statement; empty if it is open", |row| {
        let said = row.suppressed.iter().flat_map(|it| [&it.status, &it.source, &it.statement]);
        Cow::Owned(said.flatten().map(String::as_str).collect::<Vec<_>>().join("; "))
    }),
    text("why", "the reasons of the priority", |row| Cow::Owned(row.priority.why.join("; "))),
    text("analysis_summary", "what a model said, if it is checked", |row| optional(&row.summary)),
];

/// The longest cell, in bytes: a spreadsheet's has 32,767 characters.
const MAX_CELL: usize = 32_000;

/// Writes rows as CSV.
#[derive(Debug)]
pub struct Writer<W: Write> {
    csv: ::csv::Writer<W>,
    raw: bool,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(mut out: W, options: Options) -> Result<Self, Error> {
        if options.bom {
            out.write_all("\u{feff}".as_bytes())?;
        }
        let mut csv = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
        csv.write_record(COLUMNS.iter().map(|column| column.name))?;
        Ok(Self { csv, raw: options.raw })
    }

    /// Writes one finding.
    ///
    /// # Errors
    /// Those of the output.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        for column in &COLUMNS {
            match column.cell {
                Cell::Text(cell) => {
                    let cell = cell(row);
                    let cell = if self.raw { cell } else { guarded(cell) };
                    self.csv.write_field(storable(&cell).as_bytes())?;
                }
                Cell::Own(cell) => self.csv.write_field(cell(row))?,
            }
        }
        Ok(self.csv.write_record(None::<&[u8]>)?)
    }

    /// Ends the document.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<(), Error> {
        Ok(self.csv.flush()?)
    }
}

/// Puts a `'` before a text that a spreadsheet would run, and before one that begins with it.
fn guarded(text: Cow<'_, str>) -> Cow<'_, str> {
    const RUN: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let is_run = text.starts_with(['\t', '\r', '\n', '\'']) || text.trim_start().starts_with(RUN);
    if is_run { Cow::Owned(format!("'{text}")) } else { text }
}

/// Cuts what no spreadsheet holds, and replaces NUL, at which many readers stop.
fn storable(text: &str) -> Cow<'_, str> {
    let cut = cut(text, MAX_CELL);
    if cut.contains('\0') { Cow::Owned(cut.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(cut) }
}
