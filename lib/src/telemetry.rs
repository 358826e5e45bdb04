//! Logs: JSON lines on Lambda, as `LoggingConfig` asks; text on a terminal.

/// Sets the log up. `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`, which Lambda sets from the
/// function's `LoggingConfig`, decide its form.
pub fn init() {
    lambda_http::tracing::init_default_subscriber();
}
