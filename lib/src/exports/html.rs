//! HTML: one page without scripts or requests, which prints.

use std::fmt;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::link::link;
use super::totals::Totals;
use super::{Error, Image, Row};
use crate::domain::instant;
use crate::domain::text::{clean, shortened};

/// The longest text, in bytes.
const MAX_TEXT: usize = 4_000;

const STYLE: &str = "\
body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#111;background:#fff}\
h1{font-size:1.4em}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.3em .5em;border-bottom:1px solid #ccc;overflow-wrap:anywhere}\
thead{display:table-header-group}tbody{break-inside:avoid}.more td{color:#333;padding-left:2em}\
.P0,.P1{background:#fbd5d5}.P2{background:#fde8c8}.P3{background:#fdf6c8}.none{color:#555}p{margin:.2em 0}\
@media print{@page{size:A4 landscape;margin:12mm}body{margin:0;font-size:9pt}a{color:inherit;text-decoration:none}}";

/// Writes rows of one image as a page.
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
        let name = Escaped(&image.name);
        let style = STANDARD.encode(Sha256::digest(STYLE));
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Vulnerabilities of {name}</title><style>{STYLE}</style></head>\n\
             <body><h1>Vulnerabilities of {name}</h1>\n<p>Scan {}, {}</p>\n",
            image.scan_id,
            instant::in_millis(image.scanned_at),
        )?;
        for (name, value) in [("Platform", &image.platform), ("Digest", &image.digest)] {
            if let Some(value) = value {
                writeln!(out, "<p>{name}: {}</p>", Escaped(value))?;
            }
        }
        writeln!(
            out,
            "<table><thead><tr><th>Band</th><th>Due</th><th>Severity</th><th>Vulnerability</th><th>Package</th>\
             <th>Installed</th><th>Fixed in</th><th>CVSS</th><th>EPSS</th><th>KEV</th></tr></thead>"
        )?;
        Ok(Self { out, totals: Totals::default() })
    }

    /// Writes one finding.
    ///
    /// # Errors
    /// Those of the output.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.totals.add(row);
        let band = row.priority.band;
        let due = row.priority.due.map(|due| due.to_string()).unwrap_or_default();
        let optional = |text: &Option<String>| Escaped(text.as_deref().unwrap_or_default()).to_string();
        let id = match row.primary_url.as_deref().and_then(link) {
            Some(url) => {
                format!("<a href=\"{}\" rel=\"noopener noreferrer\">{}</a>", Escaped(&url), Escaped(row.id()))
            }
            None => Escaped(row.id()).to_string(),
        };
        let score = row.highest().map(|score| format!("{:.1}", score.score)).unwrap_or_default();
        let epss = row.epss.as_ref().map(|epss| format!("{:.5}", epss.score)).unwrap_or_default();
        let kev = match row.kev {
            Some(kev) if kev.listed => "listed",
            Some(_) => "not listed",
            None => "",
        };
        write!(
            self.out,
            "<tbody><tr class=\"{band}\"><td>{band}</td><td>{due}</td><td>{}</td><td>{id}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{score}</td><td>{epss}</td><td>{kev}</td></tr>\n<tr class=\"more\"><td colspan=\"10\">",
            row.severity,
            Escaped(&row.package),
            optional(&row.installed),
            optional(&row.fixed),
        )?;
        let why = row.priority.why.join("; ");
        let suppressed = row.suppressed.as_ref().map(|it| {
            let said = [&it.status, &it.source, &it.statement];
            said.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ")
        });
        for (label, text) in [
            ("", row.title.as_deref()),
            ("In: ", row.place()),
            ("Do: ", Some(row.remediation.as_str())),
            ("Why: ", Some(why.as_str())),
            ("Suppressed in Trivy: ", suppressed.as_deref()),
            ("Analysis by a model: ", row.summary.as_deref()),
        ] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                write!(self.out, "<p>{label}{}</p>", Escaped(text))?;
            }
        }
        writeln!(self.out, "</td></tr></tbody>")?;
        Ok(())
    }

    /// Writes the totals.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<(), Error> {
        writeln!(self.out, "</table><p>{}</p></body></html>", self.totals)?;
        Ok(self.out.flush()?)
    }
}

/// Text of others as content or as a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in shortened(clean(self.0), MAX_TEXT).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}
