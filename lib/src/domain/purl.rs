//! Package URLs: read from any writer, written in one spelling.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The parts of a package URL, percent-decoded (<https://github.com/package-url/purl-spec>).
///
/// Libraries spell the same package in different ways, so URLs are compared by their parts, never as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purl {
    /// `deb`, `npm`, `maven`, …, in small letters.
    pub kind: String,
    /// `debian`, `@angular`, `org.apache`, `github.com/org`, …
    pub namespace: Option<String>,
    /// The package.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// `arch`, `distro`, `epoch`, …, without empty ones.
    pub qualifiers: BTreeMap<String, String>,
    /// A place inside the package.
    pub subpath: Option<String>,
}

/// The text is not a package URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a package URL: pkg:type/name or pkg:type/namespace/name")]
pub struct ParsePurlError;

/// The types whose namespaces and names are compared without letter case.
const FOLDED: [&str; 12] =
    ["apk", "bitbucket", "bitnami", "composer", "deb", "github", "golang", "hex", "oci", "pub", "pypi", "huggingface"];

impl Purl {
    /// Joins namespace, name and subpath in the letter case in which packages of the type are compared.
    #[must_use]
    pub fn full_name(&self) -> String {
        let parts = [self.namespace.as_deref(), Some(&self.name), self.subpath.as_deref()];
        let joined = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
        fold(&self.kind, &joined)
    }
}

/// Folds differences that the type ignores: letter case, and `_` and `-` of Python.
#[must_use]
pub fn fold(kind: &str, name: &str) -> String {
    let name = if FOLDED.contains(&kind) { name.to_lowercase() } else { name.to_owned() };
    if kind == "pypi" { name.replace('_', "-") } else { name }
}

fn decoded(text: &str) -> Result<String, ParsePurlError> {
    percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| ParsePurlError)
}

/// Decodes the segments of a path; none if it has none.
fn segments(path: &str) -> Result<Option<String>, ParsePurlError> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let decoded = segments.map(decoded).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(decoded.join("/")).filter(|path| !path.is_empty()))
}

impl FromStr for Purl {
    type Err = ParsePurlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').ok_or(ParsePurlError)?;
        if !scheme.eq_ignore_ascii_case("pkg") {
            return Err(ParsePurlError);
        }
        let (rest, subpath) = rest.rsplit_once('#').unwrap_or((rest, ""));
        let (rest, qualifiers) = rest.rsplit_once('?').unwrap_or((rest, ""));
        let (kind, path) = rest.trim_start_matches('/').split_once('/').ok_or(ParsePurlError)?;
        let is_kind = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(&b));
        if !is_kind {
            return Err(ParsePurlError);
        }
        let path = path.trim_end_matches('/');
        // An `@` before the last slash belongs to the namespace: `@angular/core`.
        let (path, version) = match path.rsplit_once('@') {
            Some((before, version)) if !before.is_empty() && !version.contains('/') && !before.ends_with('/') => {
                (before, Some(version))
            }
            _ => (path, None),
        };
        let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = decoded(name)?;
        if name.is_empty() {
            return Err(ParsePurlError);
        }
        let pairs =
            qualifiers.split('&').filter_map(|pair| pair.split_once('=')).filter(|(_, value)| !value.is_empty());
        let qualifiers = pairs.map(|(key, value)| Ok((key.to_ascii_lowercase(), decoded(value)?)));
        Ok(Self {
            kind: kind.to_ascii_lowercase(),
            namespace: segments(namespace)?,
            name,
            version: version.map(decoded).transpose()?.filter(|version| !version.is_empty()),
            qualifiers: qualifiers.collect::<Result<_, _>>()?,
            subpath: segments(subpath)?,
        })
    }
}

/// Everything but unreserved characters; all known libraries read it back.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
/// A version keeps its colon, as all libraries write it.
const ENCODED_VERSION: AsciiSet = ENCODED.remove(b':');

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}", self.kind)?;
        let encode = |text| utf8_percent_encode(text, &ENCODED);
        for segment in self.namespace.iter().flat_map(|namespace| namespace.split('/')) {
            write!(f, "/{}", encode(segment))?;
        }
        write!(f, "/{}", encode(&self.name))?;
        if let Some(version) = &self.version {
            write!(f, "@{}", utf8_percent_encode(version, &ENCODED_VERSION))?;
        }
        for (at, (key, value)) in self.qualifiers.iter().enumerate() {
            write!(f, "{}{}={}", if at == 0 { '?' } else { '&' }, encode(key), encode(value))?;
        }
        for (at, segment) in self.subpath.iter().flat_map(|subpath| subpath.split('/')).enumerate() {
            write!(f, "{}{}", if at == 0 { '#' } else { '/' }, encode(segment))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_other_writers_are_one_package() {
        for (one, other) in [
            ("pkg:npm/%40angular/core@1.0.0", "pkg:npm/@angular/core@1.0.0"),
            (
                "pkg:/deb/debian/apt@1%3A2%2Bb1?arch=amd64&distro=debian-12",
                "PKG:deb/debian/apt@1:2+b1?distro=debian-12&arch=amd64",
            ),
            ("pkg://pypi/Foo_Bar@1", "pkg:pypi/Foo_Bar@1"),
            (
                "pkg:oci/app@sha256%3Aab?repository_url=r.example/app",
                "pkg:oci/app@sha256:ab?repository_url=r.example%2Fapp&tag=",
            ),
        ] {
            assert_eq!(one.parse::<Purl>().unwrap(), other.parse().unwrap(), "{one} {other}");
        }
    }

    #[test]
    fn a_url_is_written_in_one_spelling() {
        for (read, written) in [
            ("pkg:npm/@angular/core", "pkg:npm/%40angular/core"),
            (
                "pkg:deb/debian/libstdc++6@1:2+b1~3?distro=debian-12&arch=",
                "pkg:deb/debian/libstdc%2B%2B6@1:2%2Bb1~3?distro=debian-12",
            ),
            ("pkg:golang/github.com/a/b@v1#sub/dir", "pkg:golang/github.com/a/b@v1#sub/dir"),
            (
                "pkg:oci/app@sha256:ab?repository_url=r.example/app",
                "pkg:oci/app@sha256:ab?repository_url=r.example%2Fapp",
            ),
            ("pkg:maven/g/a@1^2 x", "pkg:maven/g/a@1%5E2%20x"),
        ] {
            assert_eq!(read.parse::<Purl>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn names_are_compared_as_their_type_says() {
        for (purl, name) in [
            ("pkg:pypi/Ruamel_yaml.Clib@1", "ruamel-yaml.clib"),
            ("pkg:golang/github.com/Masterminds/goutils@v1", "github.com/masterminds/goutils"),
            ("pkg:npm/JSONStream@1", "JSONStream"),
            ("pkg:cocoapods/AppCenter@1#Analytics", "AppCenter/Analytics"),
            ("pkg:maven/org.Apache/Log4j@1", "org.Apache/Log4j"),
        ] {
            assert_eq!(purl.parse::<Purl>().unwrap().full_name(), name);
        }
    }

    #[test]
    fn other_text_is_no_package_url() {
        for text in ["", "pkg:", "pkg:npm", "pkg:npm/", "npm/a", "pkg:n pm/a", "https://a/b", "pkg:npm/%ff"] {
            assert_eq!(text.parse::<Purl>(), Err(ParsePurlError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            namespace in proptest::option::of("[^/\0]{1,8}(/[^/\0]{1,8})?"), name in "[^/\0]{1,8}",
            version in proptest::option::of(".{1,8}"), value in ".{1,8}", subpath in proptest::option::of("[^/\0]{1,8}")
        ) {
            let qualifiers = BTreeMap::from([("arch".to_owned(), value)]);
            let purl = Purl { kind: "deb".to_owned(), namespace, name, version, qualifiers, subpath };
            prop_assert_eq!(purl.to_string().parse(), Ok(purl));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(pkg:)?\\PC{0,40}") {
            let _ = text.parse::<Purl>();
        }
    }
}
