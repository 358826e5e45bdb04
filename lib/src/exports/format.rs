//! The formats of an export, by name and by media type.

use std::fmt;
use std::str::FromStr;

/// A format of an export, apart from the API's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// RFC 4180, for spreadsheets and scripts.
    Csv,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// A table, for tickets and pull requests.
    Markdown,
    /// One page that prints.
    Html,
    /// CycloneDX 1.6, a Vulnerability Disclosure Report.
    CycloneDx,
    /// AWS Security Finding Format: a request for `BatchImportFindings` on each line.
    Asff,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Csv, Self::Sarif, Self::Markdown, Self::Html, Self::CycloneDx, Self::Asff];

    /// Returns the name in `?format=`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Sarif => "sarif",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::CycloneDx => "cyclonedx",
            Self::Asff => "asff",
        }
    }

    /// Returns the `Content-Type` of an answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Sarif => "application/sarif+json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::CycloneDx => "application/vnd.cyclonedx+json; version=1.6",
            Self::Asff => "application/x-ndjson",
        }
    }

    /// Returns the media type in `Accept`, without parameters.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        self.content_type().split(';').next().unwrap_or_default()
    }

    /// Returns the ending of a file, without the dot in front.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Sarif => "sarif",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::CycloneDx => "cdx.json",
            Self::Asff => "asff.ndjson",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not one of json, csv, sarif, markdown, html, cyclonedx, asff")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(UnknownFormat)
    }
}

/// Chooses by `Accept`; none is the JSON of the API, which also answers a header that allows nothing else.
///
/// An export has to be named: a wildcard allows JSON only, which comes first among equals. HTML is never chosen, since
/// every browser names it.
#[must_use]
pub fn accepted(accept: &str) -> Option<Format> {
    let ranges: Vec<(String, f32)> = accept.split(',').filter_map(media_range).collect();
    let quality = |wanted: &str| ranges.iter().find(|(range, _)| range == wanted).map(|(_, quality)| *quality);
    // The most specific range counts (RFC 9110, 12.5.1).
    let json = ["application/json", "application/*", "*/*"].into_iter().find_map(quality);
    let mut best = (None, json.unwrap_or_default());
    for format in Format::ALL.into_iter().filter(|format| *format != Format::Html) {
        let quality = quality(format.media_type()).unwrap_or_default();
        if quality > best.1 {
            best = (Some(format), quality);
        }
    }
    best.0
}

/// A media type or range with its quality; parameters other than `q` are ignored.
fn media_range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?.to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality =
        quality.map_or(Some(1.0), |quality| quality.trim().parse().ok().filter(|q| (0.0..=1.0).contains(q)))?;
    Some((range, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_by_its_name_and_the_error_lists_them() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            assert!(UnknownFormat.to_string().contains(format.as_str()));
        }
        for text in ["", "CSV", "xml", "csv "] {
            assert_eq!(text.parse::<Format>(), Err(UnknownFormat));
        }
    }

    #[test]
    fn accept_chooses_a_format() {
        for (accept, format) in [
            ("", None),
            ("*/*", None),
            ("application/json", None),
            ("text/csv", Some(Format::Csv)),
            ("Text/CSV; charset=utf-8", Some(Format::Csv)),
            ("text/csv, application/json", None),
            ("text/csv, application/json;q=0.9", Some(Format::Csv)),
            ("application/sarif+json, */*;q=0.1", Some(Format::Sarif)),
            ("application/vnd.cyclonedx+json; version=1.6", Some(Format::CycloneDx)),
            ("text/markdown, text/html;q=0.9, */*;q=0.8", Some(Format::Markdown)),
            ("text/csv;q=0", None),
            ("text/csv;q=2", None),
            ("application/json;q=0, text/*;q=0.3", None),
            ("text/html", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", None),
            ("image/png", None),
            ("application/xml, text/plain", None),
            ("*/*;q=0", None),
        ] {
            assert_eq!(accepted(accept), format, "{accept}");
        }
    }
}
