//! Semantic Versioning with any number of release numbers.

use semver::Prerelease;

use super::Padded;

/// `1.2.3-rc.1`; a build after `+` is ignored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    release: Padded<u64>,
    pre: Prerelease,
}

impl Version {
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _build)| version);
        // Composer and others write `1.0.0RC1` and `2.0beta2`: no hyphen where letters follow digits.
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let pre = match rest.strip_prefix('-') {
            Some("") => return None,
            Some(pre) => pre,
            None => rest,
        };
        let numbers = if rest.is_empty() { numbers } else { numbers.strip_suffix('.').unwrap_or(numbers) };
        let release = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?;
        Some(Self { release: Padded(release), pre: Prerelease::new(pre).ok()? })
    }

    pub(super) fn release(&self) -> &[u64] {
        &self.release.0
    }
}
