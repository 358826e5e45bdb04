//! The counts in a report for people.

use std::fmt;

use super::Row;
use crate::domain::severity::{Severity, SeverityCounts};

/// The numbers of written findings.
#[derive(Debug, Default)]
pub(super) struct Totals {
    open: SeverityCounts,
    fixable: u32,
    in_kev: u32,
    suppressed: u32,
}

impl Totals {
    pub(super) fn add(&mut self, row: &Row<'_>) {
        if row.suppressed.is_some() {
            self.suppressed = self.suppressed.saturating_add(1);
            return;
        }
        self.open.add(row.severity);
        self.fixable += u32::from(row.fixed.is_some());
        self.in_kev += u32::from(row.kev.is_some_and(|kev| kev.listed));
    }
}

impl fmt::Display for Totals {
    /// `3 findings: 1 critical, 2 high. 1 has a fixed version, …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open findings: {}", self.open.total())?;
        for severity in Severity::DESCENDING {
            write!(f, ", {} {}", severity.as_str().to_ascii_lowercase(), self.open.of(severity))?;
        }
        let Self { fixable, in_kev, suppressed, .. } = self;
        write!(f, ". With a fixed version: {fixable}. In CISA's KEV: {in_kev}. Suppressed: {suppressed}.")
    }
}
