//! Maven's versions: numbers with dots, then qualifiers of which some come before the release.
//!
//! Read are those that begin with a number, which is all but a few: so the order is that of two lists, each
//! padded, and total.

use std::cmp::Ordering;

use super::compare_padded;

/// `2.9.10.4`, `1.0.0-M2`, `4.1.77.Final`, `31.1-jre`.
#[derive(Debug, Clone)]
pub(super) struct Version {
    release: Vec<u64>,
    qualifiers: Vec<Qualifier>,
}

/// In the order of the specification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Qualifier {
    Alpha,
    Beta,
    Milestone,
    Candidate,
    Snapshot,
    /// Nothing, `final`, `ga`, `release`.
    Release,
    ServicePack,
    Other(String),
    Number(u64),
}

impl Version {
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let numbers = if rest.is_empty() { numbers } else { numbers.strip_suffix('.').unwrap_or(numbers) };
        let release = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?;
        let mut qualifiers = Vec::new();
        for part in rest.split(['.', '-', '_', '+']).filter(|part| !part.is_empty()) {
            let runs: Vec<&[u8]> = part.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).collect();
            for (at, run) in runs.iter().enumerate() {
                let run = std::str::from_utf8(run).ok()?;
                qualifiers.push(Qualifier::read(run, at + 1 < runs.len())?);
            }
        }
        while qualifiers.last().is_some_and(|last| matches!(last, Qualifier::Release | Qualifier::Number(0))) {
            qualifiers.pop();
        }
        Some(Self { release, qualifiers })
    }

    pub(super) fn release(&self) -> &[u64] {
        &self.release
    }
}

impl Qualifier {
    fn read(run: &str, before_digit: bool) -> Option<Self> {
        Some(match run {
            "alpha" => Self::Alpha,
            "a" if before_digit => Self::Alpha,
            "beta" => Self::Beta,
            "b" if before_digit => Self::Beta,
            "milestone" => Self::Milestone,
            "m" if before_digit => Self::Milestone,
            "rc" | "cr" => Self::Candidate,
            "snapshot" => Self::Snapshot,
            "final" | "ga" | "release" => Self::Release,
            "sp" => Self::ServicePack,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Self::Number(digits.parse().ok()?),
            other => Self::Other(other.to_owned()),
        })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = compare_padded(&self.release, &other.release, &0);
        numbers.then_with(|| compare_padded(&self.qualifiers, &other.qualifiers, &Qualifier::Release))
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
