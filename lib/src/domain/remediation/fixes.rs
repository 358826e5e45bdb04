//! Reads `FixedVersion` of a report: one version, a list, or the ranges of an advisory.

use super::shown;
use crate::domain::vulnerability::id::VulnerabilityId;

/// A fixed version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fix<'a> {
    /// The version in the spelling of the report.
    pub version: &'a str,
    /// Only versions above it have the fix: `> 1.2.3`.
    pub above: bool,
}

impl Fix<'_> {
    pub(super) fn shown(&self) -> String {
        let version = shown(self.version);
        if self.above { format!("a version above {version}") } else { version }
    }
}

/// The most versions of one list; the longest known one has 8.
const MAX_VERSIONS: usize = 64;

/// Reads the fixed versions in the order of the list.
///
/// Separators are commas, semicolons and `||`. In ranges such as `~> 5.2.4, >= 6.0.3` the lower bounds count. Words
/// without a digit (`N/A`, `none`, `-`), addresses and ids of advisories are skipped.
#[must_use]
pub fn fixes(list: &str) -> Vec<Fix<'_>> {
    const OPERATORS: [char; 6] = ['<', '>', '=', '~', '^', '!'];
    let mut fixes: Vec<Fix<'_>> = Vec::new();
    // There may be a blank between an operator and its version.
    let mut operator = "";
    for word in list.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|')) {
        let word = word.trim_matches(['(', ')', '[', ']', '"', '\'', '{', '}']);
        let version = word.trim_start_matches(OPERATORS);
        let before = word.strip_suffix(version).unwrap_or_default();
        if !before.is_empty() {
            operator = before;
        }
        if version.is_empty() {
            continue;
        }
        let operator = std::mem::take(&mut operator);
        let is_bound_above = operator.starts_with(['<', '!']);
        let is_version = is_version(version);
        let fix = Fix { version, above: operator == ">" };
        if is_version && !is_bound_above && !fixes.contains(&fix) {
            fixes.push(fix);
        }
        if fixes.len() == MAX_VERSIONS {
            break;
        }
    }
    fixes
}

/// Tells whether a report names a fixed version.
#[must_use]
pub fn has_fix(list: &str) -> bool {
    !fixes(list).is_empty()
}

/// Recognises a possible version of any ecosystem.
fn is_version(word: &str) -> bool {
    let is_of_versions = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~:^".contains(&byte);
    word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().all(is_of_versions)
        && word.parse::<VulnerabilityId>().is_err()
}
