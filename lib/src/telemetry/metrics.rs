//! Writes metrics as lines of the log in `CloudWatch`'s embedded metric format (docs/decisions/0013):
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

const NAMESPACE: &str = "Sirius";
const SERVICE: &str = "Service";
const FUNCTION: &str = "Function";

/// The dimensions that all metrics have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the stack.
    pub service: String,
    /// The name of the function.
    pub function: String,
}

/// Writes a line, which has no line break.
pub type Sink = fn(&str);

/// One for the process, like the log: the innermost functions count events, and all others would have to pass a sink on.
static INSTALLED: OnceLock<(Source, Sink)> = OnceLock::new();

/// Sets the source of the metrics and where they are written. Before the first call nothing is written.
pub fn install(source: Source, sink: Sink) {
    // A second call has no effect.
    let _ = INSTALLED.set((source, sink));
}

pub(super) fn to_log(line: &str) {
    // One write under the lock of the log, so that lines stay whole. A metric that cannot be written must not fail the
    // work that it counts.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// An event that is counted. Its texts are constants, never a client's, since each distinct text costs a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// A new report was stored.
    Ingested {
        findings: usize,
        /// From the report's arrival to its publication.
        took: Duration,
    },
    /// A report was stored already.
    Duplicate,
    /// A report was refused.
    Refused {
        /// The code of the problem document.
        code: &'static str,
    },
    /// A message about an analysis was processed.
    Worked {
        outcome: &'static str,
        /// The duration, including that of the model.
        took: Duration,
    },
    /// The model gave a usable answer. Token counts are zero if its host does not count them.
    Answered { prompt_tokens: u64, answer_tokens: u64 },
    /// Analyses were requested.
    Wanted {
        /// Those with an answer.
        cached: usize,
        /// Those without an answer.
        missing: usize,
    },
    /// Recovery looked for overdue work.
    Recovery {
        /// Analyses whose worker did not finish.
        stuck: usize,
        /// The age of the oldest overdue analysis.
        overdue: Duration,
    },
}

/// Name, unit, value.
type Value = (&'static str, &'static str, u64);

impl Metric {
    /// Returns the dimension that only this metric has.
    const fn dimension(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Refused { code } => Some(("Reason", code)),
            Self::Worked { outcome, .. } => Some(("Outcome", outcome)),
            _ => None,
        }
    }

    fn values(self) -> Vec<Value> {
        let count = |name, value: usize| (name, "Count", u64::try_from(value).unwrap_or(u64::MAX));
        let millis = |name, took: Duration| -> Value {
            (name, "Milliseconds", u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        };
        match self {
            Self::Ingested { findings, took } => {
                vec![count("ReportsIngested", 1), count("FindingsIngested", findings), millis("IngestLatency", took)]
            }
            Self::Duplicate => vec![count("ReportsDuplicate", 1)],
            Self::Refused { .. } => vec![count("ReportsRefused", 1)],
            Self::Worked { took, .. } => vec![count("AnalysisOutcome", 1), millis("AnalysisLatency", took)],
            Self::Answered { prompt_tokens, answer_tokens } => {
                vec![("ModelPromptTokens", "Count", prompt_tokens), ("ModelAnswerTokens", "Count", answer_tokens)]
            }
            Self::Wanted { cached, missing } => {
                vec![count("AnalysisCacheHit", cached), count("AnalysisCacheMiss", missing)]
            }
            Self::Recovery { stuck, overdue } => {
                vec![count("StuckLeases", stuck), ("OutboxAge", "Seconds", overdue.as_secs())]
            }
        }
    }
}

/// Counts an event that happened at `now`.
pub(crate) fn emit(metric: Metric, now: Timestamp) {
    if let Some((source, sink)) = INSTALLED.get() {
        sink(&document(source, metric, now).to_string());
    }
}

fn document(source: &Source, metric: Metric, now: Timestamp) -> Json {
    let (dimension, values) = (metric.dimension(), metric.values());
    let mut dimensions = vec![SERVICE, FUNCTION];
    dimensions.extend(dimension.map(|(name, _)| name));
    let declared: Vec<Json> = values.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let mut members = Map::new();
    members.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": declared}],
        }),
    );
    members.insert(SERVICE.to_owned(), source.service.as_str().into());
    members.insert(FUNCTION.to_owned(), source.function.as_str().into());
    members.extend(dimension.map(|(name, value)| (name.to_owned(), value.into())));
    members.extend(values.into_iter().map(|(name, _, value)| (name.to_owned(), value.into())));
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ALL: [Metric; 7] = [
        Metric::Ingested { findings: 15, took: SECOND },
        Metric::Duplicate,
        Metric::Refused { code: "too_large" },
        Metric::Worked { outcome: "completed", took: SECOND },
        Metric::Answered { prompt_tokens: 900, answer_tokens: 300 },
        Metric::Wanted { cached: 7, missing: 3 },
        Metric::Recovery { stuck: 1, overdue: SECOND },
    ];

    fn document_of(metric: Metric) -> Json {
        let source = Source { service: "sirius-prod".to_owned(), function: "sirius-prod-IngestScan-1A2B".to_owned() };
        document(&source, metric, Timestamp::from_millisecond(1_795_255_200_123).unwrap())
    }

    #[test]
    fn a_document_is_what_cloudwatch_reads() {
        assert_eq!(
            document_of(Metric::Ingested { findings: 15, took: Duration::from_millis(345) }).to_string(),
            r#"{"FindingsIngested":15,"Function":"sirius-prod-IngestScan-1A2B","IngestLatency":345,"ReportsIngested":1,"#
                .to_owned()
                + r#""Service":"sirius-prod","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Service","Function"]],"#
                + r#""Metrics":[{"Name":"ReportsIngested","Unit":"Count"},{"Name":"FindingsIngested","Unit":"Count"},"#
                + r#"{"Name":"IngestLatency","Unit":"Milliseconds"}],"Namespace":"Sirius"}],"Timestamp":1795255200123}}"#
        );
    }

    #[test]
    fn the_reason_of_a_refusal_is_a_dimension() {
        let refused = document_of(Metric::Refused { code: "not_a_trivy_report" });
        let directive = &refused["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["Service", "Function", "Reason"]]));
        assert_eq!((&refused["Reason"], &refused["ReportsRefused"]), (&json!("not_a_trivy_report"), &json!(1)));
    }

    #[test]
    fn whatever_a_document_declares_it_has_and_one_line_is_enough() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            let document = document_of(metric);
            let directive = &document["_aws"]["CloudWatchMetrics"][0];
            for declared in directive["Metrics"].as_array().unwrap() {
                let name = declared["Name"].as_str().unwrap();
                assert!(document[name].is_u64(), "{name}");
                assert!(names.insert(name.to_owned()), "{name} is counted in two places");
            }
            for dimension in directive["Dimensions"][0].as_array().unwrap() {
                assert!(document[dimension.as_str().unwrap()].is_string(), "{dimension}");
            }
            let line = document.to_string();
            assert!(!line.contains('\n') && line.len() < 1024, "{line}");
        }
        assert_eq!(names.len(), 13);
    }
}
