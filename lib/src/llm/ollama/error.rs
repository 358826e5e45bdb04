//! The failures of a chat.

use std::time::Duration;

use reqwest::StatusCode;

/// A request got no answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("connection refused")]
    Refused(#[source] reqwest::Error),
    #[error("the host name does not resolve")]
    Dns(#[source] reqwest::Error),
    #[error("the host name resolves to a refused address")]
    RefusedAddress(#[source] reqwest::Error),
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// A client that gives up aborts the load of the model: a retry needs the same time or more.
    #[error("no first token within {0:?}")]
    FirstTokenTimeout(Duration),
    #[error("no further token within {0:?}")]
    IdleTimeout(Duration),
    #[error("deadline passed")]
    Deadline,
    #[error("the server refuses the request: {0}")]
    BadRequest(String),
    #[error("the prompt is longer than the context: {0}")]
    PromptTooLong(String),
    #[error("not authorised ({0})")]
    Unauthorised(StatusCode),
    #[error("the host has no model {model:?}: {message}")]
    ModelMissing { model: String, message: String },
    /// A 500 about an option or the format, which is a bug of this client.
    #[error("the server refuses an option: {0}")]
    OptionRefused(String),
    #[error("the model runner stopped: {0}")]
    RunnerStopped(String),
    #[error("the server is busy ({status})")]
    Busy { status: StatusCode, retry_after: Option<Duration> },
    #[error("the server redirects ({0})")]
    Redirect(StatusCode),
    #[error("the server failed ({status}): {message}")]
    Server { status: StatusCode, message: String },
    /// Another status, such as 405 or 204: the host is no Ollama, or the path is wrong.
    #[error("unexpected status {status}: {message}")]
    UnexpectedStatus { status: StatusCode, message: String },
    #[error("the server failed in mid-stream: {0}")]
    Stream(String),
    #[error("the stream ended early")]
    StreamCut,
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
    #[error("line {line} of the stream is not Ollama's JSON")]
    BadLine {
        line: u64,
        #[source]
        source: serde_json::Error,
    },
    #[error("the answer is larger than {0} bytes")]
    Oversized(usize),
    /// The server has cut the prompt silently.
    #[error("the server read {counted} tokens of a prompt of at least {expected}")]
    PromptCut { counted: u64, expected: u64 },
    #[error("not an answer: done_reason {0:?}")]
    NotAnAnswer(String),
    #[error("the answer was cut off at num_predict")]
    Truncated { thinking_present: bool },
    #[error("the answer is empty")]
    Empty { thinking_present: bool },
    #[error("the client is misconfigured")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Tells whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Refused(_)
                | Self::Dns(_)
                | Self::Connect(_)
                | Self::FirstTokenTimeout(_)
                | Self::IdleTimeout(_)
                | Self::Deadline
                | Self::RunnerStopped(_)
                | Self::Busy { .. }
                | Self::Server { .. }
                | Self::Stream(_)
                | Self::StreamCut
                | Self::Broken(_)
                | Self::BadLine { .. }
                | Self::NotAnAnswer(_)
        )
    }

    /// Tells whether the model answered and another prompt may get a better answer.
    #[must_use]
    pub const fn is_repairable(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::Empty { .. } | Self::Oversized(_))
    }

    /// Returns a stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Dns(_) => "dns",
            Self::RefusedAddress(_) => "refused_address",
            Self::Connect(_) => "connect",
            Self::FirstTokenTimeout(_) => "first_token_timeout",
            Self::IdleTimeout(_) => "idle_timeout",
            Self::Deadline => "deadline",
            Self::BadRequest(_) => "bad_request",
            Self::PromptTooLong(_) => "prompt_too_long",
            Self::Unauthorised(_) => "unauthorised",
            Self::ModelMissing { .. } => "model_missing",
            Self::OptionRefused(_) => "option_refused",
            Self::RunnerStopped(_) => "runner_stopped",
            Self::Busy { .. } => "busy",
            Self::Redirect(_) => "redirect",
            Self::Server { .. } => "server",
            Self::UnexpectedStatus { .. } => "unexpected_status",
            Self::Stream(_) => "stream_error",
            Self::StreamCut => "stream_cut",
            Self::Broken(_) => "broken",
            Self::BadLine { .. } => "bad_line",
            Self::Oversized(_) => "oversized",
            Self::PromptCut { .. } => "prompt_cut",
            Self::NotAnAnswer(_) => "not_an_answer",
            Self::Truncated { .. } => "truncated",
            Self::Empty { .. } => "empty",
            Self::Config(_) => "config",
        }
    }
}

/// Classifies a status other than 200. `message` is the `error` of the body, cleaned and capped.
pub(super) fn from_status(status: StatusCode, retry_after: Option<Duration>, model: &str, message: String) -> Error {
    let text = message.to_ascii_lowercase();
    match status.as_u16() {
        300..=399 => Error::Redirect(status),
        // Ollama: "the prompt is longer than the context length …"; llama.cpp: "exceeds the available
        // context size".
        400 | 413 if text.contains("context") && (text.contains("longer") || text.contains("exceed")) => {
            Error::PromptTooLong(message)
        }
        400 => Error::BadRequest(message),
        401 | 403 => Error::Unauthorised(status),
        // Without these words it is a proxy's 404 for a wrong path.
        404 if text.contains("model") => Error::ModelMissing { model: model.to_owned(), message },
        429 | 502 | 503 | 504 => Error::Busy { status, retry_after },
        500 if text.contains("option \"") || text.contains("must be of type") || text.contains("format") => {
            Error::OptionRefused(message)
        }
        500 if text.contains("stopped") || text.contains("runner") => Error::RunnerStopped(message),
        408 | 499 | 500..=599 => Error::Server { status, message },
        _ => Error::UnexpectedStatus { status, message },
    }
}
