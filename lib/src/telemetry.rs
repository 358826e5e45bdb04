//! Sets up logs and metrics: JSON lines on Lambda, text on a terminal.

use std::sync::atomic::{AtomicBool, Ordering};

use lambda_http::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_http::tracing::subscriber::layer::SubscriberExt as _;
use lambda_http::tracing::subscriber::util::SubscriberInitExt as _;
use lambda_http::tracing::subscriber::{self, fmt};
use lambda_runtime::Context;
use tracing::Span;

use crate::config::Environment;

pub mod metrics;

/// Sets up the log and the metrics.
///
/// Lambda sets `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL` from the function's `LoggingConfig`. Metrics are written
/// if `AWS_LAMBDA_FUNCTION_NAME` is set; `SERVICE_NAME` is the name of their stack.
pub fn init(environment: &Environment) {
    install_log(environment);
    if let Some(function) = environment.text("AWS_LAMBDA_FUNCTION_NAME") {
        let service = environment.text("SERVICE_NAME").unwrap_or("sirius").to_owned();
        metrics::install(metrics::Source { service, function: function.to_owned() }, metrics::to_log);
    }
}

/// Sets up the log as `lambda_http::tracing::init_default_subscriber` does, but without its filter of spans by patterns,
/// whose regex engine takes 60 KB of each package. `RUST_LOG` takes levels, and levels of modules.
fn install_log(environment: &Environment) {
    let directives = environment.text("AWS_LAMBDA_LOG_LEVEL").or_else(|| environment.text("RUST_LOG"));
    let filter: Option<Targets> = directives.and_then(|directives| directives.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().with_target(false).without_time();
    let log = subscriber::registry().with(filter);
    if environment.text("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json")) {
        log.with(lines.json()).init();
    } else {
        log.with(lines).init();
    }
}

/// Makes the span of one invocation. All log lines within it have its fields.
pub(crate) fn invocation(context: &Context) -> Span {
    static WARM: AtomicBool = AtomicBool::new(false);
    tracing::info_span!(
        "invocation",
        request_id = context.request_id,
        function = context.env_config.function_name,
        cold_start = !WARM.swap(true, Ordering::Relaxed),
        xray_trace_id = context.xray_trace_id,
    )
}

/// Returns the id of a request that another function passed on, if it has the form of Lambda's ids. It only connects log
/// lines, so a wrong one is left out instead of refused.
pub(crate) fn received_request_id(request_id: &str) -> Option<&str> {
    let is_one = (1..=64).contains(&request_id.len())
        && request_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_one.then_some(request_id)
}

/// Writes an error and its causes in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_request_id_is_accepted() {
        let id = "8534bbb5-f24d-41fa-bacd-95af7e20eefd";
        assert_eq!(received_request_id(id), Some(id));
        for other in ["", "a b", "a\nb", "é", &"a".repeat(65)] {
            assert_eq!(received_request_id(other), None, "{other:?}");
        }
    }
}
