//! Logs: JSON lines on Lambda, as `LoggingConfig` asks; text on a terminal.

/// Sets the log up. `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`, which Lambda sets from the
/// function's `LoggingConfig`, decide its form.
pub fn init() {
    lambda_http::tracing::init_default_subscriber();
}

/// An error and its causes, in one line: for the log, where a cause must not be lost.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
