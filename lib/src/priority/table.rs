//! The decision table of CISA's BOD 26-04 (2026-06-10): four yes-or-no questions, 16 rows.

use super::band::Band;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its number in CERT/CC's publication, 0 to 15.
    pub number: u8,
    /// Its outcome.
    pub band: Band,
}

/// Looks up the row for: in KEV, publicly exposed, automatable, technical impact total.
///
/// Numbers and outcomes are those of `cisa/DT_BOD_26_04` 1.0.0 in <https://github.com/CERTCC/SSVC>.
#[must_use]
pub const fn table_row(kev: bool, exposed: bool, automatable: bool, total: bool) -> Row {
    let (number, band) = match (kev, exposed, automatable, total) {
        (false, false, false, false) => (0, Band::P4),
        (true, false, false, false) => (1, Band::P2),
        (false, true, false, false) => (2, Band::P3),
        (false, false, true, false) => (3, Band::P3),
        (false, false, false, true) => (4, Band::P4),
        (true, true, false, false) => (5, Band::P2),
        (true, false, true, false) => (6, Band::P2),
        (false, true, true, false) => (7, Band::P2),
        (true, false, false, true) => (8, Band::P2),
        (false, true, false, true) => (9, Band::P2),
        (false, false, true, true) => (10, Band::P3),
        (true, true, true, false) => (11, Band::P1),
        (true, true, false, true) => (12, Band::P0),
        (true, false, true, true) => (13, Band::P0),
        (false, true, true, true) => (14, Band::P1),
        (true, true, true, true) => (15, Band::P0),
    };
    Row { number, band }
}
