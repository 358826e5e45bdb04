//! Warns the sender of an accepted report.

use super::Report;
use crate::domain::declared::Declared;
use crate::domain::warning::{Warning, WarningCode};

/// Lists the warnings about a report.
pub(super) fn warnings_of(report: &Report<'_>, declared: &Declared) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, message: String| warnings.push(Warning::new(code, message));
    if report.artifact.nameless {
        const NAMELESS: &str = "the ArtifactName of the report is a path, which many artifacts can share. The scan therefore \
            replaces no other; send the report with ?image_name= to give it a name";
        warn(WarningCode::NoImageName, NAMELESS.to_owned());
    }
    if !report.is_vulnerability_scan {
        let reason = match &declared.scanners {
            Some(scanners) if !scanners.look_for_vulnerabilities() => "the declared scanners do not include vuln",
            _ => "no result is of class os-pkgs or lang-pkgs, so the report does not show a vulnerability scan",
        };
        let message = format!("{reason}: a vulnerability that is missing from it does not count as resolved");
        warn(WarningCode::NotAVulnerabilityScan, message);
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
        warn(WarningCode::OtherFindings, format!("the report also has {all}: they are counted and not stored"));
    }
    if let Some(suppressed) = number(report.suppressed_counts().total(), "vulnerability", "vulnerabilities") {
        let message = format!("Trivy has suppressed {suppressed}, which are not among the open findings");
        warn(WarningCode::SuppressedFindings, message);
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
