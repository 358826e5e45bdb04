//! Compares versions by the rules of their ecosystem; versions of other ecosystems are not compared.

use std::cmp::Ordering;
use std::str::FromStr as _;

use rpm_version::EvrSortKey;
use semver::Prerelease;

mod apk;
mod deb;
mod gem;
mod maven;

/// The rules of an ecosystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Semantic Versioning 2.0 with any number of parts and an optional `v`: npm, Cargo, Go, …
    /// (<https://semver.org/#spec-item-11>)
    Semver,
    /// Semantic Versioning with pre-releases in any letter case: `NuGet`
    /// (<https://learn.microsoft.com/nuget/concepts/package-versioning>), Composer.
    Nuget,
    /// PEP 440 (<https://packaging.python.org/en/latest/specifications/version-specifiers/>).
    Pypi,
    /// `Gem::Version` (<https://docs.ruby-lang.org/en/master/Gem/Version.html>); also `CocoaPods`.
    Gem,
    /// Maven's version order (<https://maven.apache.org/pom.html#version-order-specification>).
    Maven,
    /// dpkg (<https://www.debian.org/doc/debian-policy/ch-controlfields.html#version>).
    Deb,
    /// RPM (<https://rpm.org/docs/latest/man/rpm-version.7>).
    Rpm,
    /// apk-tools (<https://gitlab.alpinelinux.org/alpine/apk-tools/-/blob/master/src/version.c>).
    Apk,
}

impl Scheme {
    /// Returns the scheme of a result's `Type` in Trivy's spelling, if it is known.
    #[must_use]
    pub fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "npm" | "yarn" | "pnpm" | "bun" | "node-pkg" | "cargo" | "rustbinary" | "gomod" | "gobinary" | "pub"
            | "hex" | "swift" | "conan" | "julia" | "kubernetes" | "k8s" => Self::Semver,
            "nuget" | "dotnet-core" | "packages-props" | "composer" | "composer-vendor" => Self::Nuget,
            "pip" | "pipenv" | "poetry" | "uv" | "pylock" | "python-pkg" => Self::Pypi,
            "bundler" | "gemspec" | "cocoapods" => Self::Gem,
            "jar" | "pom" | "gradle" | "sbt" => Self::Maven,
            "debian" | "ubuntu" | "echo" => Self::Deb,
            "alpine" | "wolfi" | "chainguard" | "minimos" => Self::Apk,
            "redhat" | "centos" | "rocky" | "alma" | "oracle" | "fedora" | "amazon" | "photon" | "azurelinux"
            | "cbl-mariner" | "bottlerocket" | "suse" | "sles" | "slem" => Self::Rpm,
            suse if suse.starts_with("opensuse") || suse.starts_with("suse linux") => Self::Rpm,
            _ => return None,
        })
    }

    /// Tells whether versions are a distribution's builds, whose numbers are no release lines of the package.
    #[must_use]
    pub const fn is_of_distribution(self) -> bool {
        matches!(self, Self::Deb | Self::Rpm | Self::Apk)
    }
}

/// A version, comparable with others of its scheme. The order between schemes has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Parts);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Parts {
    Dotted(Padded<u64>, Prerelease),
    Pypi(Box<pep440_rs::Version>),
    /// The segments alone decide: equal segments have equal releases.
    Gem(Padded<gem::Segment>, Padded<u64>),
    Maven(Padded<u64>, Padded<maven::Qualifier>),
    Deb(deb::Version),
    Rpm(EvrSortKey),
    Apk(Vec<apk::Token>),
}

/// The longest version that is read, in bytes; the longest known one has 67.
const MAX_BYTES: usize = 255;

impl Version {
    /// Reads a version; none if it breaks the rules of the scheme.
    #[must_use]
    pub fn read(scheme: Scheme, text: &str) -> Option<Self> {
        let text = text.trim();
        let printable = !text.is_empty() && text.len() <= MAX_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable {
            return None;
        }
        Some(Self(match scheme {
            Scheme::Semver => dotted(text)?,
            Scheme::Nuget => dotted(&text.to_ascii_lowercase())?,
            Scheme::Pypi => Parts::Pypi(Box::new(pep440_rs::Version::from_str(text).ok()?)),
            Scheme::Gem => gem::parts(text)?,
            Scheme::Maven => maven::parts(&text.to_ascii_lowercase())?,
            Scheme::Deb => Parts::Deb(deb::Version::read(text)?),
            Scheme::Rpm => Parts::Rpm(rpm(text)?),
            Scheme::Apk => Parts::Apk(apk::tokens(text)?),
        }))
    }

    /// Returns the numbers of the release, the major one first; none for a distribution's version.
    #[must_use]
    pub fn release(&self) -> &[u64] {
        match &self.0 {
            Parts::Dotted(release, _) | Parts::Gem(_, release) | Parts::Maven(release, _) => &release.0,
            Parts::Pypi(version) => version.release(),
            Parts::Deb(_) | Parts::Rpm(_) | Parts::Apk(_) => &[],
        }
    }

    /// Counts the leading release numbers that both have in common; absent ones are zero.
    #[must_use]
    pub fn common_release(&self, other: &Self) -> usize {
        let (one, other) = (self.release(), other.release());
        let number = |of: &[u64], at: usize| of.get(at).copied().unwrap_or_default();
        let most = one.len().max(other.len());
        (0..most).take_while(|at| number(one, *at) == number(other, *at)).count()
    }
}

/// Reads `1.2.3-rc.1`; a build after `+` is ignored. Composer and others write `1.0.0RC1` without the hyphen.
fn dotted(text: &str) -> Option<Parts> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(version, _build)| version);
    let (release, rest) = split_release(text)?;
    let pre = match rest.strip_prefix('-') {
        Some("") => return None,
        Some(pre) => pre,
        None => rest,
    };
    Some(Parts::Dotted(release, Prerelease::new(pre).ok()?))
}

/// Splits a version behind its numbers, and reads them.
fn split_release(text: &str) -> Option<(Padded<u64>, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let numbers = if rest.is_empty() { numbers } else { numbers.strip_suffix('.').unwrap_or(numbers) };
    let release = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some((Padded(release), rest))
}

fn rpm(text: &str) -> Option<EvrSortKey> {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    epoch.parse::<u32>().ok()?;
    rest.starts_with(|c: char| c.is_ascii_alphanumeric()).then(|| EvrSortKey::parse(text))
}

/// A list that compares as if its default element followed without end, which is a total order.
#[derive(Debug, Clone)]
struct Padded<T>(Vec<T>);

impl<T: Ord + Default> Ord for Padded<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (Self(one), Self(other), filler) = (self, other, T::default());
        (0..one.len().max(other.len()))
            .map(|at| one.get(at).unwrap_or(&filler).cmp(other.get(at).unwrap_or(&filler)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl<T: Ord + Default> PartialOrd for Padded<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord + Default> PartialEq for Padded<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord + Default> Eq for Padded<T> {}

#[cfg(test)]
mod tests;
