//! Numbers with dots and a pre-release, as Semantic Versioning orders them; any number of numbers is taken.

use std::cmp::Ordering;

use semver::Prerelease;

use super::compare_padded;

/// `1.2.3-rc.1`; what follows a `+` does not count.
#[derive(Debug, Clone)]
pub(super) struct Version {
    release: Vec<u64>,
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
        Some(Self { release, pre: Prerelease::new(pre).ok()? })
    }

    pub(super) fn release(&self) -> &[u64] {
        &self.release
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_padded(&self.release, &other.release, &0).then_with(|| self.pre.cmp(&other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}
