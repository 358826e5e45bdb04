//! Logs and metrics: JSON lines on Lambda, as `LoggingConfig` asks; text on a terminal.

use std::sync::atomic::{AtomicBool, Ordering};

use lambda_http::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_http::tracing::subscriber::layer::SubscriberExt as _;
use lambda_http::tracing::subscriber::util::SubscriberInitExt as _;
use lambda_http::tracing::subscriber::{self, fmt};
use lambda_runtime::Context;
use tracing::Span;

pub mod metrics;

/// Sets the log up. `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`, which Lambda sets from the
/// function's `LoggingConfig`, decide its form. Metrics are written where Lambda says which function
/// this is; `SERVICE_NAME` says of which stack.
pub fn init() {
    install_log();
    if let Ok(function) = std::env::var("AWS_LAMBDA_FUNCTION_NAME") {
        let service = std::env::var("SERVICE_NAME").unwrap_or_else(|_| "sirius".to_owned());
        metrics::install(metrics::Source { service, function }, metrics::to_log);
    }
}

/// As `lambda_http::tracing::init_default_subscriber`, whose filter of spans and fields by patterns we have no use
/// for: it brings a regex engine along, 60 KB of each package. `RUST_LOG` takes levels, and levels of modules.
fn install_log() {
    let set = |name| std::env::var(name).ok();
    let directives = set("AWS_LAMBDA_LOG_LEVEL").or_else(|| set("RUST_LOG"));
    let filter: Option<Targets> = directives.and_then(|directives| directives.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().with_target(false).without_time();
    let log = subscriber::registry().with(filter);
    if set("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json")) {
        log.with(lines.json()).init();
    } else {
        log.with(lines).init();
    }
}

/// The span of one invocation: what every line that is logged within it has.
#[must_use]
pub fn invocation(context: &Context) -> Span {
    static WARM: AtomicBool = AtomicBool::new(false);
    tracing::info_span!(
        "invocation",
        request_id = context.request_id,
        function = context.env_config.function_name,
        cold_start = !WARM.swap(true, Ordering::Relaxed),
        xray_trace_id = context.xray_trace_id,
    )
}

/// The id of a request as another function passed it on: what Lambda calls a request id, or nothing.
/// It only ever leads from one line of the log to another one, so what is odd is left out.
#[must_use]
pub fn passed_on(request_id: &str) -> Option<&str> {
    let is_one = (1..=64).contains(&request_id.len())
        && request_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_one.then_some(request_id)
}

/// An error and its causes, in one line: for the log, where a cause must not be lost.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_request_id_is_passed_on() {
        let id = "8534bbb5-f24d-41fa-bacd-95af7e20eefd";
        assert_eq!(passed_on(id), Some(id));
        for other in ["", "a b", "a\nb", "é", &"a".repeat(65)] {
            assert_eq!(passed_on(other), None, "{other:?}");
        }
    }
}
