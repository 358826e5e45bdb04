//! Markdown: one table of findings, for tickets and pull requests.

use std::io::Write;

use super::link::link;
use super::totals::Totals;
use super::{Error, Image, Row};
use crate::domain::instant;
use crate::domain::text::{clean, shortened};

/// The longest cell, in bytes.
const MAX_CELL: usize = 300;

/// Writes rows of one image as Markdown.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    /// Writes what was scanned and the head of the table.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(mut out: W, image: &Image) -> Result<Self, Error> {
        writeln!(out, "# Vulnerabilities of {}\n", cell(&image.name))?;
        for (name, value) in [("Platform", &image.platform), ("Digest", &image.digest)] {
            if let Some(value) = value {
                writeln!(out, "* {name}: {}", cell(value))?;
            }
        }
        writeln!(out, "* Scan: {}, {}\n", image.scan_id, instant::in_millis(image.scanned_at))?;
        writeln!(out, "| Band | Due | Severity | Vulnerability | Package | Installed | Remediation | Title | Why |")?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
        Ok(Self { out, totals: Totals::default() })
    }

    /// Writes one finding.
    ///
    /// # Errors
    /// Those of the output.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.totals.add(row);
        let id = cell(row.id());
        let id = match row.primary_url.as_deref().and_then(link) {
            Some(url) => format!("[{id}](<{url}>)"),
            None => id,
        };
        let due = row.priority.due.map(|due| due.to_string()).unwrap_or_default();
        let package = match row.place() {
            Some(place) => format!("{} in {}", row.package, place),
            None => row.package.clone(),
        };
        let optional = |text: &Option<String>| cell(text.as_deref().unwrap_or_default());
        writeln!(
            self.out,
            "| {} | {due} | {} | {id} | {} | {} | {} | {} | {} |",
            row.priority.band,
            row.severity,
            cell(&package),
            optional(&row.installed),
            cell(&row.remediation),
            optional(&row.title),
            cell(&row.priority.why.join("; ")),
        )?;
        Ok(())
    }

    /// Writes the totals.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<(), Error> {
        writeln!(self.out, "\n{}", self.totals)?;
        Ok(self.out.flush()?)
    }
}

/// Text of others as a cell: on one line, nothing but text.
fn cell(text: &str) -> String {
    let text = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    escaped(&shortened(text, MAX_CELL))
}

/// Escapes each character that can mean something in Markdown.
///
/// `www.` and `https://` alone are links on GitHub; with a backslash in them they are not.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            ',' | ';' | '%' | '\'' | '"' | '?' => escaped.push(c),
            c if c.is_ascii_punctuation() => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}
