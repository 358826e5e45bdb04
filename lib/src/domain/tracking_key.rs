//! Identifies a vulnerability of a package in a place of a repository's images, over all scans.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::asset::LineageKey;
use super::digest::{half_sha256, impl_hex};
use super::finding::Finding;
use super::purl::{self, Purl};
use super::text::impl_string_conversions;
use super::versions::Scheme;
use super::vulnerability::id::{Kind, VulnerabilityId};

/// The members of a finding that identify its problem.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reported<'a> {
    /// `os-pkgs`, `lang-pkgs`; reports before Trivy v0.20 lack it.
    pub class: Option<&'a str>,
    /// `debian`, `npm`, …; the oldest reports lack it.
    pub kind: Option<&'a str>,
    /// `name (os version)` or a lock file, or a word such as `Java`.
    pub target: &'a str,
    /// The package.
    pub pkg_name: Option<&'a str>,
    /// The package's own file.
    pub pkg_path: Option<&'a str>,
    /// The package URL; reports before Trivy v0.49 lack it.
    pub purl: Option<&'a str>,
    /// The version, which is taken out of the path.
    pub installed_version: Option<&'a str>,
}

/// The parts of a [`TrackingKey`], none of which changes with a rebuild, the tag or the version of Trivy.
///
/// It excludes `UID`, which versions of Trivy compute differently; `PkgID`, which has the version; `Fingerprint`, which
/// has the image's id; the target of packages of the distribution, which has the tag; severity and text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tracked {
    /// The repository on its platform.
    pub lineage: LineageKey,
    /// `os-pkgs`, `lang-pkgs`, …
    pub class: String,
    /// `debian`, `npm`, …; empty if it is not known.
    pub kind: String,
    /// The type of its package URL; empty if it is not known.
    pub package_type: String,
    /// Namespace and name of the package; of packages of a distribution the name alone.
    pub package: String,
    /// The package's file or the lock file, without versions; empty for packages of the distribution.
    pub path: String,
    /// The vulnerability under its [`canonical`] id.
    pub vulnerability: String,
}

impl Tracked {
    /// Reads the parts of a reported finding. `vulnerability` is the [`canonical`] one of its known ids.
    #[must_use]
    pub fn of(lineage: LineageKey, reported: &Reported<'_>, vulnerability: &str) -> Self {
        let kind = reported.kind.map(str::trim).filter(|kind| !kind.is_empty());
        let kind = kind.or_else(|| distribution_of(reported.target)).map(present_name).unwrap_or_default();
        let scheme = Scheme::of(kind).filter(|scheme| scheme.is_of_distribution());
        let class = reported.class.filter(|class| !class.is_empty());
        let implied = if scheme.is_some() { OS_PACKAGES } else { "lang-pkgs" };
        let class = class.unwrap_or(implied);
        let purl = reported.purl.and_then(|purl| purl.parse::<Purl>().ok());
        let name = reported.pkg_name.unwrap_or_default();
        let (package_type, package, path) = if class == OS_PACKAGES {
            let package_type = scheme.map_or("", package_type_of_scheme);
            // The namespace of its URL is the distribution, which is also the kind.
            let name = if name.is_empty() { purl.map(|purl| purl.name).unwrap_or_default() } else { name.to_owned() };
            (package_type.to_owned(), name, String::new())
        } else {
            let (package_type, name) = match purl {
                Some(purl) => (purl.kind.clone(), purl.full_name()),
                None => (package_type_of(kind).to_owned(), name_as_in_url(package_type_of(kind), name)),
            };
            let path = reported.pkg_path.filter(|path| !path.is_empty()).unwrap_or(reported.target);
            (package_type, name, without_versions(path, reported.installed_version.unwrap_or_default()))
        };
        let vulnerability = match vulnerability.parse::<VulnerabilityId>() {
            Ok(id) => String::from(id),
            Err(_) => vulnerability.trim().to_owned(),
        };
        Self { lineage, class: class.to_owned(), kind: kind.to_owned(), package_type, package, path, vulnerability }
    }

    /// Reads the parts of a stored finding, as [`Tracked::of`] does.
    #[must_use]
    pub fn of_finding(lineage: LineageKey, finding: &Finding, vulnerability: &str) -> Self {
        let (path, version) = (finding.text("PkgPath"), finding.text("InstalledVersion"));
        let identifier = finding.value("PkgIdentifier");
        let reported = Reported {
            class: finding.class.as_deref(),
            kind: finding.kind.as_deref(),
            target: &finding.target,
            pkg_name: finding.pkg_name.as_deref(),
            pkg_path: path.as_deref(),
            purl: identifier.as_ref().and_then(|identifier| identifier.get("PURL")?.as_str()),
            installed_version: version.as_deref(),
        };
        Self::of(lineage, &reported, vulnerability)
    }

    /// Digests the parts into 16 bytes.
    #[must_use]
    pub fn key(&self) -> TrackingKey {
        let lineage = self.lineage.to_string();
        let parts =
            [&lineage, &self.class, &self.kind, &self.package_type, &self.package, &self.path, &self.vulnerability];
        TrackingKey(half_sha256(DOMAIN, parts.map(String::as_str)))
    }
}

/// Chooses one of a vulnerability's ids, whichever of them a report has: a CVE before a GHSA before all others, the
/// smallest first.
pub fn canonical<'a>(ids: impl IntoIterator<Item = &'a VulnerabilityId>) -> Option<&'a VulnerabilityId> {
    ids.into_iter().min_by(|one, other| by_precedence(one, other))
}

fn by_precedence(one: &VulnerabilityId, other: &VulnerabilityId) -> Ordering {
    let rank = |id: &VulnerabilityId| match id.kind() {
        Kind::Cve => 0,
        Kind::Ghsa => 1,
        Kind::Osv | Kind::Distribution | Kind::Temp | Kind::Other => 2,
    };
    (rank(one), one.cve_number(), one).cmp(&(rank(other), other.cve_number(), other))
}

/// Separates the digests from those of other texts.
const DOMAIN: &str = "sirius tracking key 1";
const OS_PACKAGES: &str = "os-pkgs";

/// Finds the distribution in `name (debian 12.5)`, as the oldest reports name it nowhere else.
fn distribution_of(target: &str) -> Option<&str> {
    let (_, system) = target.strip_suffix(')')?.rsplit_once(" (")?;
    let family = system.split(' ').next()?;
    Scheme::of(family).is_some_and(Scheme::is_of_distribution).then_some(family)
}

/// Replaces the names that Trivy gave distributions before v0.56.
fn present_name(kind: &str) -> &str {
    match kind {
        "opensuse.leap" => "opensuse-leap",
        "opensuse.tumbleweed" => "opensuse-tumbleweed",
        "suse linux enterprise server" => "sles",
        "suse linux enterprise micro" => "slem",
        other => other,
    }
}

const fn package_type_of_scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Deb => "deb",
        Scheme::Rpm => "rpm",
        Scheme::Apk => "apk",
        _ => "",
    }
}

/// Returns the type of the URLs that Trivy writes for packages of a kind.
fn package_type_of(kind: &str) -> &str {
    match kind {
        "npm" | "yarn" | "pnpm" | "bun" | "node-pkg" => "npm",
        "cargo" | "rustbinary" => "cargo",
        "gomod" | "gobinary" => "golang",
        "nuget" | "dotnet-core" | "packages-props" => "nuget",
        "composer" | "composer-vendor" => "composer",
        "pip" | "pipenv" | "poetry" | "uv" | "pylock" | "python-pkg" => "pypi",
        "conda-pkg" | "conda-environment" => "conda",
        "bundler" | "gemspec" => "gem",
        "jar" | "pom" | "gradle" | "sbt" => "maven",
        "kubernetes" => "k8s",
        "cocoapods" | "conan" | "hex" | "julia" | "pub" | "swift" | "bitnami" => kind,
        _ => "",
    }
}

/// Spells `PkgName` as the URL of the same package does.
fn name_as_in_url(package_type: &str, name: &str) -> String {
    let name = if package_type == "maven" { name.replacen(':', "/", 1) } else { name.to_owned() };
    purl::fold(package_type, &name)
}

/// Replaces the package's own version and all dotted numbers by `*`: `lib/log4j-core-2.14.1.jar` of the next build is
/// `lib/log4j-core-2.17.1.jar`, and `python3.11` is `python3.12`.
fn without_versions(path: &str, installed_version: &str) -> String {
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let is_number = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let path = if is_number(installed_version) { without(path, installed_version) } else { path.to_owned() };
    let mut masked = String::with_capacity(path.len());
    let mut rest = path.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        masked.push_str(before);
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (run, after) = number.split_at(end);
        let digits = run.trim_end_matches('.');
        masked.push_str(if digits.contains('.') { "*" } else { digits });
        masked.push_str(run.get(digits.len()..).unwrap_or_default());
        rest = after;
    }
    masked.push_str(rest);
    masked
}

/// Replaces a version by `*` wherever it is not a part of a longer word.
fn without(path: &str, version: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut masked = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once(version) {
        let joined = masked.ends_with(is_word) && before.is_empty() || before.ends_with(is_word);
        masked.push_str(before);
        masked.push_str(if joined || after.starts_with(is_word) { version } else { "*" });
        rest = after;
    }
    masked.push_str(rest);
    masked
}

/// Identifies a problem over all scans of a repository on a platform: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrackingKey([u8; 16]);

impl TrackingKey {
    /// Returns the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for TrackingKey {
    fn from(digest: [u8; 16]) -> Self {
        Self(digest)
    }
}

/// The text is not a tracking key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a tracking key: 32 lower-case hexadecimal digits")]
pub struct ParseTrackingKeyError;

impl_hex!(TrackingKey, ParseTrackingKeyError);
impl_string_conversions!(TrackingKey);

#[cfg(test)]
mod tests;
