//! A document of any format, written by passes over its rows.

use std::io::Write;

use super::{Error, Row, asff, csv, cyclonedx, html, markdown, sarif};

/// A document under construction.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is the writer of its format")]
pub enum Document<W: Write> {
    Csv(csv::Writer<W>),
    Sarif(sarif::Writer<W>),
    Markdown(markdown::Writer<W>),
    Html(html::Writer<W>),
    CycloneDxComponents(cyclonedx::Components<W>),
    CycloneDxVulnerabilities(cyclonedx::Vulnerabilities<W>),
    Asff(asff::Writer<W>),
}

impl<W: Write> Document<W> {
    /// Writes one finding.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        match self {
            Self::Csv(writer) => writer.row(row),
            Self::Sarif(writer) => writer.row(row),
            Self::Markdown(writer) => writer.row(row),
            Self::Html(writer) => writer.row(row),
            Self::CycloneDxComponents(writer) => writer.row(row),
            Self::CycloneDxVulnerabilities(writer) => writer.row(row),
            Self::Asff(writer) => writer.row(row),
        }
    }

    /// Ends a pass over the rows. Returns the document if it takes the same rows again, else it is finished.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn end_pass(self) -> Result<Option<Self>, Error> {
        match self {
            Self::Csv(writer) => writer.finish(),
            Self::Sarif(writer) => writer.finish(),
            Self::Markdown(writer) => writer.finish(),
            Self::Html(writer) => writer.finish(),
            Self::CycloneDxComponents(writer) => {
                return Ok(Some(Self::CycloneDxVulnerabilities(writer.vulnerabilities()?)));
            }
            Self::CycloneDxVulnerabilities(writer) => writer.finish(),
            Self::Asff(writer) => writer.finish(),
        }?;
        Ok(None)
    }
}
