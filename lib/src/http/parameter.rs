//! Defines the query parameters that routes take.

/// A query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the query.
    pub name: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// Whether it may be given more than once, or as several values with commas between them.
    pub repeated: bool,
}

/// The values of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, with rules of its own.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Number {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A day or a time.
    Time,
}

const fn one(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, repeated: false }
}

const fn number(name: &'static str, least: u64, most: u64) -> Parameter {
    one(name, Kind::Number { least, most })
}

/// The images that no longer have the vulnerability are listed too.
pub const ALL: Parameter = one("all", Kind::Flag);
/// Only current scans.
pub const CURRENT: Parameter = one("current", Kind::Flag);
/// The position at which the page begins.
pub const CURSOR: Parameter = one("cursor", Kind::Text);
/// Only with, or only without, a fixed version.
pub const FIXABLE: Parameter = one("fixable", Kind::Flag);
/// The format of the list.
pub const FORMAT: Parameter =
    one("format", Kind::Choice(&["json", "csv", "sarif", "markdown", "html", "cyclonedx", "asff"]));
/// All scans of the image.
pub const HISTORY: Parameter = one("history", Kind::Flag);
/// The name of an image.
pub const IMAGE_NAME: Parameter = one("image_name", Kind::Text);
/// Only images whose names begin like this.
pub const IMAGE_PREFIX: Parameter = one("image_prefix", Kind::Text);
/// The most items of a page.
pub const LIMIT: Parameter = number("limit", 1, 10_000);
/// The most images of a page: with fifty packages each they still fit in an answer.
pub const LIMIT_OF_IMAGES: Parameter = number("limit", 1, 300);
/// The most priorities of an answer.
pub const LIMIT_OF_PRIORITIES: Parameter = number("limit", 1, 200);
/// Only this package.
pub const PACKAGE: Parameter = one("package", Kind::Text);
/// The platform of an image.
pub const PLATFORM: Parameter = one("platform", Kind::Text);
/// The model is asked again.
pub const REFRESH: Parameter = one("refresh", Kind::Flag);
/// The scanners that ran.
pub const SCANNERS: Parameter = one("scanners", Kind::Text);
/// Only scans last seen before a time.
pub const SEEN_BEFORE: Parameter = one("seen_before", Kind::Time);
/// The severities that were looked for.
pub const SEVERITIES: Parameter = one("severities", Kind::Text);
/// Only findings of these severities.
pub const SEVERITY: Parameter = Parameter { name: "severity", kind: Kind::Text, repeated: true };
/// The order of a list.
pub const SORT: Parameter = one("sort", Kind::Choice(&["severity", "priority"]));
/// Whether findings that Trivy has suppressed are listed.
pub const SUPPRESSED: Parameter = one("suppressed", Kind::Choice(&["exclude", "include", "only"]));
/// Only this vulnerability.
pub const VULNERABILITY_ID: Parameter = one("vulnerability_id", Kind::Text);
/// Seconds to wait for an answer: fewer than the 30 after which API Gateway gives up.
pub const WAIT: Parameter = number("wait", 0, 25);
