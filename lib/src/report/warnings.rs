//! Warns the sender of an accepted report.

use super::Report;
use crate::domain::declared::Declared;
use crate::domain::warning::{Warning, WarningCode};

/// Lists the warnings about a report.
pub(super) fn warnings_of(report: &Report<'_>, declared: &Declared) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, message: String| warnings.push(Warning::new(code, message));
    if report.artifact.nameless {
        warn(
            WarningCode::NoImageName,
            "the report does not name what was scanned: its ArtifactName is a path, which many things can have. The \
             scan therefore replaces no other; send the report with ?image_name= to give it a name"
                .to_owned(),
        );
    }
    if !report.is_vulnerability_scan {
        let why = match &declared.scanners {
            Some(scanners) if !scanners.look_for_vulnerabilities() => "the scanners that you name do not include vuln",
            _ => {
                "no result of the report is of class os-pkgs or lang-pkgs, so it does not show that vulnerabilities were \
                 looked for"
            }
        };
        warn(
            WarningCode::NotAVulnerabilityScan,
            format!("{why}: a vulnerability that it lacks is not taken to be gone"),
        );
    }
    let other = report.other_findings;
    let counted = [
        number(other.secrets, "secret", "secrets"),
        number(other.misconfigurations, "failed misconfiguration check", "failed misconfiguration checks"),
        number(other.licenses, "licence", "licences"),
    ];
    let counted: Vec<String> = counted.into_iter().flatten().collect();
    if let Some((last, others)) = counted.split_last() {
        let all = if others.is_empty() { last.clone() } else { format!("{} and {last}", others.join(", ")) };
        warn(
            WarningCode::OtherFindings,
            format!("the report also has {all}: they are counted, and not read any further"),
        );
    }
    if let Some(suppressed) = number(report.suppressed_counts().total(), "vulnerability", "vulnerabilities") {
        warn(
            WarningCode::SuppressedFindings,
            format!("Trivy has suppressed {suppressed} of the report: they are not among the open findings"),
        );
    }
    warnings
}

fn number(count: u32, one: &str, more: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    }
}
