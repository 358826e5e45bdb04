//! Metrics: lines of the log in the embedded metric format, of which `CloudWatch` makes metrics
//! by itself. No call, no agent, no crate for it: docs/decisions/0013.
//!
//! Specification:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "Sirius";
const SERVICE: &str = "Service";
const FUNCTION: &str = "Function";

/// Whose metrics these are: the two dimensions that all of them have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The stack.
    pub service: String,
    /// The function, as Lambda names it.
    pub function: String,
}

/// Writes a line, which comes without the line break at its end.
pub type Sink = fn(&str);

/// One for the process, like the log: what is counted is known in the innermost functions, and to pass a sink down
/// to them would burden all others.
static INSTALLED: OnceLock<(Source, Sink)> = OnceLock::new();

/// Sets whose metrics these are and where they are written. Before the first call nothing is written.
pub fn install(source: Source, sink: Sink) {
    // A second call, which tests may make, changes nothing.
    let _ = INSTALLED.set((source, sink));
}

/// Writes a line of a function into its log.
pub(super) fn to_log(line: &str) {
    // One write under the lock that the log takes as well, so that lines stay whole. A metric that cannot be written
    // must not fail what it counts.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// What is counted. Every text in it is one of a few that the code spells: each new one is a new
/// metric on the bill, and nothing that a client sends may become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A new report was stored.
    Ingested {
        /// Findings that were stored.
        findings: usize,
        /// From the report's arrival to its publication.
        took: Duration,
    },
    /// A report came that is stored already.
    Duplicate,
    /// A report was not taken in.
    Refused {
        /// The code of the problem document.
        code: &'static str,
    },
    /// A worker is through with a message about an analysis.
    Worked {
        /// How it went.
        outcome: &'static str,
        /// How long it took, the model included.
        took: Duration,
    },
    /// The model gave an answer that can be used. Zero tokens if its host does not count them.
    Answered {
        /// Tokens it read.
        prompt_tokens: u64,
        /// Tokens it wrote.
        answer_tokens: u64,
    },
    /// Somebody wanted analyses.
    Wanted {
        /// So many had been answered before.
        cached: usize,
        /// The model has to be asked about so many.
        missing: usize,
    },
    /// Recovery looked at what is due.
    Recovery {
        /// Analyses whose worker did not get to its end.
        stuck: usize,
        /// How long the longest due of all has been due.
        overdue: Duration,
    },
}

type Metric = (&'static str, &'static str, u64);

impl Fact {
    /// The dimension that it has besides those of its source.
    const fn dimension(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Refused { code } => Some(("Reason", code)),
            Self::Worked { outcome, .. } => Some(("Outcome", outcome)),
            _ => None,
        }
    }

    /// Names, units and values.
    fn metrics(self) -> Vec<Metric> {
        let count = |name, value: usize| (name, "Count", u64::try_from(value).unwrap_or(u64::MAX));
        let millis = |name, took: Duration| -> Metric {
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

/// Counts something that happened at `now`.
pub fn emit(fact: Fact, now: Timestamp) {
    if let Some((source, sink)) = INSTALLED.get() {
        sink(&document(source, fact, now).to_string());
    }
}

fn document(source: &Source, fact: Fact, now: Timestamp) -> Value {
    let (dimension, metrics) = (fact.dimension(), fact.metrics());
    let mut dimensions = vec![SERVICE, FUNCTION];
    dimensions.extend(dimension.map(|(name, _)| name));
    let declared: Vec<Value> = metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
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
    members.extend(metrics.into_iter().map(|(name, _, value)| (name.to_owned(), value.into())));
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ALL: [Fact; 7] = [
        Fact::Ingested { findings: 15, took: SECOND },
        Fact::Duplicate,
        Fact::Refused { code: "too_large" },
        Fact::Worked { outcome: "completed", took: SECOND },
        Fact::Answered { prompt_tokens: 900, answer_tokens: 300 },
        Fact::Wanted { cached: 7, missing: 3 },
        Fact::Recovery { stuck: 1, overdue: SECOND },
    ];

    fn of(fact: Fact) -> Value {
        let source = Source { service: "sirius-prod".to_owned(), function: "sirius-prod-IngestScan-1A2B".to_owned() };
        document(&source, fact, Timestamp::from_millisecond(1_795_255_200_123).unwrap())
    }

    #[test]
    fn a_document_is_what_cloudwatch_reads() {
        assert_eq!(
            of(Fact::Ingested { findings: 15, took: Duration::from_millis(345) }).to_string(),
            r#"{"FindingsIngested":15,"Function":"sirius-prod-IngestScan-1A2B","IngestLatency":345,"ReportsIngested":1,"#
                .to_owned()
                + r#""Service":"sirius-prod","_aws":{"CloudWatchMetrics":[{"Dimensions":[["Service","Function"]],"#
                + r#""Metrics":[{"Name":"ReportsIngested","Unit":"Count"},{"Name":"FindingsIngested","Unit":"Count"},"#
                + r#"{"Name":"IngestLatency","Unit":"Milliseconds"}],"Namespace":"Sirius"}],"Timestamp":1795255200123}}"#
        );
    }

    #[test]
    fn the_reason_of_a_refusal_is_a_dimension() {
        let refused = of(Fact::Refused { code: "not_a_trivy_report" });
        let directive = &refused["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["Service", "Function", "Reason"]]));
        assert_eq!((&refused["Reason"], &refused["ReportsRefused"]), (&json!("not_a_trivy_report"), &json!(1)));
    }

    #[test]
    fn whatever_a_document_declares_it_has_and_one_line_is_enough() {
        let mut names = BTreeSet::new();
        for fact in ALL {
            let document = of(fact);
            let directive = &document["_aws"]["CloudWatchMetrics"][0];
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
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
