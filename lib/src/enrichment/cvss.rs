//! The score of a CVSS vector, computed here: stated ones have been wrong by the thousand
//! (NVD on 2026-04-28 about CVSS 4.0: <https://www.nist.gov/itl/nvd>).

use cvss::Cvss as Vector;

use crate::domain::enrichment::{Cvss, CvssKind, CvssSeverity, CvssVersion};

/// The longest vector that is read; one of CVSS 4.0 with every metric has 190 bytes.
pub const MAX_BYTES: usize = 300;

/// The text is not a CVSS vector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than any vector.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not the grammar of CVSS 2.0, 3.0, 3.1 or 4.0.
    #[error("is not a CVSS vector: {0}")]
    Syntax(#[source] cvss::Error),
    /// One of the base metrics is missing: what is left has no score.
    #[error("lacks a base metric")]
    Incomplete,
}

/// What a vector says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The version that the vector is written in.
    pub version: CvssVersion,
    /// 0.0 to 10.0 in steps of 0.1.
    pub score: f64,
    /// The word for it.
    pub severity: CvssSeverity,
}

/// Computes the base score of a vector; of CVSS 4.0 the score with threat and environment if the vector
/// has them, as that version knows only one.
///
/// CVSS 2.0 vectors may stand in parentheses, as NVD once wrote them.
///
/// # Errors
/// [`Error`]
pub fn score(vector: &str) -> Result<Score, Error> {
    if vector.len() > MAX_BYTES {
        return Err(Error::TooLong);
    }
    let bare = vector.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(vector);
    let parsed: Vector = bare.parse().map_err(Error::Syntax)?;
    let version = match &parsed {
        Vector::CvssV20(_) => CvssVersion::V2,
        Vector::CvssV30(v3) | Vector::CvssV31(v3) => {
            // The crate takes what is missing for "none", which would turn a cut vector into a low score.
            let exploitability = v3.av.is_some() && v3.ac.is_some() && v3.pr.is_some() && v3.ui.is_some();
            let impact = v3.s.is_some() && v3.c.is_some() && v3.i.is_some() && v3.a.is_some();
            if !(exploitability && impact) {
                return Err(Error::Incomplete);
            }
            if matches!(parsed, Vector::CvssV30(_)) { CvssVersion::V30 } else { CvssVersion::V31 }
        }
        Vector::CvssV40(_) => CvssVersion::V4,
        _ => return Err(Error::Incomplete),
    };
    let severity = match parsed.severity() {
        cvss::Severity::None => CvssSeverity::None,
        cvss::Severity::Low => CvssSeverity::Low,
        cvss::Severity::Medium => CvssSeverity::Medium,
        cvss::Severity::High => CvssSeverity::High,
        cvss::Severity::Critical => CvssSeverity::Critical,
    };
    Ok(Score { version, score: parsed.score(), severity })
}

/// One rating: its score computed from the vector, and what the source states if that is another one.
///
/// # Errors
/// [`Error`]
pub fn rating(vector: &str, stated: Option<f64>, kind: CvssKind, assigner: String) -> Result<Cvss, Error> {
    let vector = vector.trim();
    let Score { version, score, severity } = score(vector)?;
    let stated_score = stated.filter(|stated| stated.is_finite() && (stated - score).abs() > 0.05);
    Ok(Cvss { version, vector: vector.to_owned(), score, severity, stated_score, kind, assigner })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn a_vector_has_a_version_a_score_and_a_severity() {
        use CvssSeverity::{Critical, High, Low, Medium, None};
        use CvssVersion::{V2, V4, V30, V31};
        for (vector, version, expected, severity) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", V31, 10.0, Critical),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", V30, 9.8, Critical),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:L/A:N", V31, 3.7, Low),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:N", V31, 0.0, None),
            // Base metrics only: the temporal ones would make it 6.5.
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H/E:U/RL:O/RC:C", V31, 7.5, High),
            ("AV:N/AC:M/Au:N/C:C/I:C/A:C", V2, 9.3, High),
            ("(AV:N/AC:M/Au:N/C:N/I:P/A:N)", V2, 4.3, Medium),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", V4, 9.4, Critical),
        ] {
            assert_eq!(score(vector), Ok(Score { version, score: expected, severity }), "{vector}");
        }
    }

    #[test]
    fn a_cut_or_foreign_vector_has_no_score() {
        for vector in [
            "",
            "low",
            "CVSS:3.1/AV:N",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H",
            "CVSS:4.0/AV:N/AC:L",
            "CVSS:5.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
            "AV:N/AC:M",
            "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
        ] {
            assert!(score(vector).is_err(), "{vector}");
        }
        assert_eq!(score(&"A".repeat(301)), Err(Error::TooLong));
    }

    #[test]
    fn a_stated_score_is_kept_only_if_it_is_another_one() {
        let vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H";
        let stated = |stated| rating(vector, stated, CvssKind::Vendor, "x".into()).unwrap().stated_score;
        assert_eq!(stated(Some(10.0)), None);
        assert_eq!(stated(Some(7.5)), Some(7.5));
        assert_eq!(stated(Some(f64::NAN)), None);
        assert_eq!(stated(None), None);
    }

    proptest! {
        #[test]
        fn whatever_the_vector_there_is_no_panic(text in "\\PC{0,80}|CVSS:[2345]\\.[01](/[A-Z]{1,3}:[A-Z]){0,20}") {
            let _ = score(&text);
        }

        #[test]
        fn every_complete_vector_of_cvss_4_has_a_score(
            base in (
                select(vec!["N", "A", "L", "P"]), select(vec!["L", "H"]), select(vec!["N", "P"]),
                select(vec!["N", "L", "H"]), select(vec!["N", "P", "A"]),
            ),
            impact in [(); 6].map(|()| select(vec!["H", "L", "N"])),
            rest in (
                select(vec!["", "/E:X", "/E:A", "/E:P", "/E:U"]),
                select(vec!["", "/MSI:S", "/MSA:S", "/MSI:X", "/MAV:P", "/MVC:N", "/MAC:H"]),
                select(vec!["", "/CR:H", "/CR:L/IR:M/AR:X", "/AU:Y"]),
            ),
        ) {
            let (av, ac, at, pr, ui) = base;
            let [vc, vi, va, sc, si, sa] = impact;
            let (e, modified, required) = rest;
            let vector = format!(
                "CVSS:4.0/AV:{av}/AC:{ac}/AT:{at}/PR:{pr}/UI:{ui}/VC:{vc}/VI:{vi}/VA:{va}/SC:{sc}/SI:{si}/SA:{sa}\
                 {e}{required}{modified}"
            );
            let Score { score, .. } = score(&vector).unwrap();
            prop_assert!((0.0..=10.0).contains(&score), "{}: {}", vector, score);
        }
    }
}
