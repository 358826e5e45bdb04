//! Finds one version of a package that has the fixes of all its findings.

use super::{Fix, Stated, fixes, shown};
use crate::domain::versions::{Scheme, Version};

/// No version is known to clear all findings of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum NoUpgrade {
    #[error("there is no finding")]
    Nothing,
    #[error("{unfixed} of {findings} findings have no fixed version")]
    Unfixed { unfixed: usize, findings: usize },
    #[error("the order of versions of this ecosystem is not known")]
    UnknownOrder,
    #[error("{0} is no version that can be compared")]
    Unreadable(String),
    #[error("no fixed version that the report names has the fixes of all findings")]
    NoneSuffices,
}

/// Finds the smallest fixed version that clears all findings of one package in one image, above all installed versions.
///
/// A version clears a finding if it is one of the finding's fixed versions, above all of them, or between two of them and
/// of the release line of the lower: it shares more of its first numbers with that one than with the upper. `2.8.12`
/// clears `2.7.9, 2.8.11`, and `2.8.0` does not. For n versions this takes n log n steps.
///
/// # Errors
/// [`NoUpgrade`]
pub fn smallest_upgrade<'a>(findings: &[Stated<'a>]) -> Result<&'a str, NoUpgrade> {
    let lists: Vec<Vec<Fix<'a>>> = findings.iter().map(|stated| fixes(stated.fixed_version.unwrap_or(""))).collect();
    let unfixed = lists.iter().filter(|list| list.is_empty()).count();
    if unfixed > 0 {
        return Err(NoUpgrade::Unfixed { unfixed, findings: findings.len() });
    }
    let (first, kind) = match (lists.first().and_then(|list| list.first()), findings.first()) {
        (Some(first), Some(stated)) => (first, stated.kind),
        _ => return Err(NoUpgrade::Nothing),
    };
    let Some(scheme) = kind.and_then(Scheme::of) else {
        // A version that all findings name needs no order.
        let is_only = !first.above && lists.iter().flatten().all(|fix| fix == first);
        return if is_only { Ok(first.version) } else { Err(NoUpgrade::UnknownOrder) };
    };
    let read = |text: &str| Version::read(scheme, text).ok_or_else(|| NoUpgrade::Unreadable(shown(text)));
    let mut least = None;
    for stated in findings.iter().filter(|stated| !stated.installed_version.trim().is_empty()) {
        least = least.max(Some(read(stated.installed_version)?));
    }
    let mut candidates: Vec<(Version, &'a str)> = Vec::new();
    let mut ordered: Vec<Vec<(Version, bool)>> = Vec::new();
    for list in &lists {
        let mut versions = Vec::new();
        for fix in list {
            let version = read(fix.version)?;
            if !fix.above {
                candidates.push((version.clone(), fix.version));
            }
            versions.push((version, fix.above));
        }
        versions.sort();
        ordered.push(versions);
    }
    candidates.sort();
    candidates.dedup_by(|one, other| one.0 == other.0);

    // The number of findings that each candidate clears, as differences between neighbours.
    let mut steps = vec![0_i64; candidates.len() + 1];
    for versions in &ordered {
        for (at, (fixed, above)) in versions.iter().enumerate() {
            let from = candidates.partition_point(|(version, _)| version < fixed || (*above && version == fixed));
            let to = match versions.get(at + 1) {
                None => candidates.len(),
                Some((next, _)) => candidates.partition_point(|(version, _)| {
                    version < next && (version <= fixed || version.common_release(fixed) > version.common_release(next))
                }),
            };
            if let Some(step) = steps.get_mut(from).filter(|_| from < to) {
                *step += 1;
            }
            if let Some(step) = steps.get_mut(to).filter(|_| from < to) {
                *step -= 1;
            }
        }
    }
    let all = i64::try_from(findings.len()).unwrap_or(i64::MAX);
    let mut cleared = 0;
    for (step, (version, text)) in steps.iter().zip(&candidates) {
        cleared += step;
        if cleared == all && least.as_ref().is_none_or(|least| version > least) {
            return Ok(text);
        }
    }
    Err(NoUpgrade::NoneSuffices)
}
