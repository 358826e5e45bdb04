//! Computes the remediation of a finding from the report's versions, in the order of their ecosystem.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::fix_status::FixStatus;
use super::text::{clean, cut};
use super::versions::{Scheme, Version};

mod fixes;
mod upgrade;

pub use fixes::{Fix, fixes, has_fix};
pub use upgrade::{NoUpgrade, smallest_upgrade};

/// The statements of a report about a vulnerable package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stated<'a> {
    /// The name of the package; empty if the report lacks it.
    pub package: &'a str,
    /// `debian`, `npm`, …
    pub kind: Option<&'a str>,
    /// The installed version; empty if the report lacks it.
    pub installed_version: &'a str,
    /// `FixedVersion`.
    pub fixed_version: Option<&'a str>,
    /// Trivy's `Status`.
    pub status: Option<&'a str>,
}

/// The longest shown name or version, in bytes.
const MAX_SHOWN_BYTES: usize = 200;
/// The most fixed versions in one sentence.
const MAX_NAMED: usize = 8;

impl Stated<'_> {
    /// Writes one sentence: the version to upgrade to, or the reason why none is known.
    ///
    /// Fixed versions above the installed one of the same major version come first, then the others above it, then those
    /// below it. Versions of an ecosystem without a known order keep the order of the report.
    #[must_use]
    pub fn remediation(&self) -> String {
        let status = FixStatus::from_trivy(self.status.unwrap_or_default());
        if status == FixStatus::NotAffected {
            return format!("Nothing to do: the vendor says that {} is not affected", self.subject());
        }
        let fixes = fixes(self.fixed_version.unwrap_or_default());
        if fixes.is_empty() {
            return self.unfixed(status);
        }
        let scheme = self.kind.and_then(Scheme::of);
        match scheme.and_then(|scheme| Some((scheme, Version::read(scheme, self.installed_version)?))) {
            Some((scheme, installed)) => self.ordered(&fixes, scheme, &installed),
            None => format!("Upgrade {} to {}", self.subject(), join_names(fixes.iter().map(Fix::shown).collect())),
        }
    }

    fn ordered(&self, fixes: &[Fix<'_>], scheme: Scheme, installed: &Version) -> String {
        let mut above = Vec::new();
        let mut below = Vec::new();
        let mut unread = Vec::new();
        for fix in fixes {
            match Version::read(scheme, fix.version) {
                Some(version) if version > *installed || (fix.above && version == *installed) => {
                    above.push((!same_major(&version, installed), version, fix.shown()));
                }
                Some(version) => below.push((version, fix.shown())),
                None => unread.push(fix.shown()),
            }
        }
        below.sort_by(|one, other| other.cmp(one));
        if above.is_empty() && unread.is_empty() {
            let names = join_names(below.into_iter().map(|(_, shown)| shown).collect());
            return format!(
                "No fixed version above the installed one is known for {}: the report names {names}",
                self.subject()
            );
        }
        above.sort();
        let mut names = Vec::new();
        for (at, (other_major, _, shown)) in above.into_iter().enumerate() {
            names.push(match (at, scheme.is_of_distribution(), other_major) {
                (0, false, false) => format!("{shown} (same major version)"),
                (0, false, true) => format!("{shown} (another major version)"),
                _ => shown,
            });
        }
        names.extend(unread);
        names.extend(below.into_iter().map(|(_, shown)| shown));
        format!("Upgrade {} to {}", self.subject(), join_names(names))
    }

    fn unfixed(&self, status: FixStatus) -> String {
        let why = match status {
            FixStatus::WillNotFix => ": the vendor will not fix it",
            FixStatus::EndOfLife => ": its release is at its end of life; move to one that is supported",
            FixStatus::FixDeferred => ": the vendor has deferred the fix",
            FixStatus::UnderInvestigation => ": the vendor is still investigating",
            FixStatus::Affected => " yet: the vendor says that it is affected",
            FixStatus::Fixed => ": the report says that it is fixed, but not in which version",
            FixStatus::Unknown | FixStatus::NotAffected => "",
        };
        format!("No fixed version of {} is known{why}", self.subject())
    }

    /// Writes `minimist 1.2.5`.
    fn subject(&self) -> String {
        let package = shown(self.package);
        let package = if package.is_empty() { "the package" } else { &package };
        [package, &shown(self.installed_version)].join(" ").trim_end().to_owned()
    }
}

/// Writes the remediation of a finding.
#[must_use]
pub fn remediation(finding: &Finding) -> String {
    let text = |name| finding.text(name).unwrap_or_default();
    let (installed_version, fixed_version, status) = (text("InstalledVersion"), text("FixedVersion"), text("Status"));
    let stated = Stated {
        package: finding.pkg_name.as_deref().unwrap_or_default(),
        kind: finding.kind.as_deref(),
        installed_version: &installed_version,
        fixed_version: Some(&fixed_version),
        status: Some(&status),
    };
    match finding.suppressed.as_ref().and_then(|suppressed| suppressed.status.as_deref()) {
        Some("not_affected") => format!("Nothing to do: {} is suppressed as not affected", stated.subject()),
        Some("fixed") => format!("Nothing to do: {} is suppressed as fixed", stated.subject()),
        _ => stated.remediation(),
    }
}

fn same_major(one: &Version, other: &Version) -> bool {
    one.common_release(other) > 0
}

/// Puts a text of a report on one line, without invisible characters and not too long.
fn shown(text: &str) -> String {
    let text = clean(cut(text.trim(), MAX_SHOWN_BYTES));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes `a, b or c`, each name once, and the number of further names.
fn join_names(names: Vec<String>) -> String {
    let mut seen = BTreeSet::new();
    let names: Vec<String> = names.into_iter().filter(|name| seen.insert(name.clone())).collect();
    let more = names.len().saturating_sub(MAX_NAMED);
    let mut shown: Vec<String> = names.into_iter().take(MAX_NAMED).collect();
    if more > 0 {
        shown.push(format!("one of {more} more"));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
