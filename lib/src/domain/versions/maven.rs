//! Maven's versions: numbers with dots, then qualifiers. Only versions that begin with a number are read.

use super::Padded;

/// `2.9.10.4`, `1.0.0-M2`, `4.1.77.Final`, `31.1-jre`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    release: Padded<u64>,
    qualifiers: Padded<Qualifier>,
}

/// In the order of the specification.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Qualifier {
    Alpha,
    Beta,
    Milestone,
    Candidate,
    Snapshot,
    /// None, `final`, `ga`, `release`.
    #[default]
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
        Some(Self { release: Padded(release), qualifiers: Padded(qualifiers) })
    }

    pub(super) fn release(&self) -> &[u64] {
        &self.release.0
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
