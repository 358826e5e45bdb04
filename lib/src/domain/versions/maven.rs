//! Maven's versions: numbers with dots, then qualifiers. Only versions that begin with a number are read.

use super::{Padded, Parts, split_release};

/// In the order of the specification.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Qualifier {
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

/// Reads `2.9.10.4`, `1.0.0-M2`, `4.1.77.Final`, `31.1-jre`, in small letters.
pub(super) fn parts(text: &str) -> Option<Parts> {
    let (release, rest) = split_release(text)?;
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
    Some(Parts::Maven(release, Padded(qualifiers)))
}

impl Qualifier {
    fn read(run: &str, before_digit: bool) -> Option<Self> {
        Some(match run {
            "a" if before_digit => Self::Alpha,
            "b" if before_digit => Self::Beta,
            "m" if before_digit => Self::Milestone,
            "alpha" => Self::Alpha,
            "beta" => Self::Beta,
            "milestone" => Self::Milestone,
            "rc" | "cr" => Self::Candidate,
            "snapshot" => Self::Snapshot,
            "final" | "ga" | "release" => Self::Release,
            "sp" => Self::ServicePack,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Self::Number(digits.parse().ok()?),
            other => Self::Other(other.to_owned()),
        })
    }
}
