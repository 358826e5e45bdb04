//! Names every way in which a chat fails, each as a variant of its own.

use std::time::Duration;

use reqwest::StatusCode;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens there: the server is down.
    #[error("connection refused")]
    Refused(#[source] reqwest::Error),
    /// The host's name has no address.
    #[error("the host name does not resolve")]
    Dns(#[source] reqwest::Error),
    /// The host's name has refused addresses only (link-local, metadata).
    #[error("the host name resolves to a refused address")]
    RefusedAddress(#[source] reqwest::Error),
    /// No connection for another reason: no route, time-out while connecting, TLS.
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// No first token in time. Ollama sends headers only after queue, model load and prompt; a client
    /// that gives up aborts the load, so try again with the same or a longer time, never a shorter one.
    #[error("no first token within {0:?}")]
    FirstTokenTimeout(Duration),
    /// The stream paused for too long.
    #[error("no further token within {0:?}")]
    IdleTimeout(Duration),
    /// The caller's deadline passed.
    #[error("deadline passed")]
    Deadline,
    /// 400: our request is wrong, or the model lacks the feature.
    #[error("the server refuses the request: {0}")]
    BadRequest(String),
    /// 400: the prompt is longer than the context.
    #[error("the prompt is longer than the context: {0}")]
    PromptTooLong(String),
    /// 401 or 403: the proxy wants another token.
    #[error("not authorised ({0})")]
    Unauthorised(StatusCode),
    /// 404: the model is not on the host.
    #[error("the host has no model {model:?}: {message}")]
    ModelMissing {
        /// The model asked for.
        model: String,
        /// The server's words.
        message: String,
    },
    /// 500 about an option or the format: our bug.
    #[error("the server refuses an option: {0}")]
    OptionRefused(String),
    /// 500: the model's process stopped.
    #[error("the model runner stopped: {0}")]
    RunnerStopped(String),
    /// 429, 502, 503 or 504: too busy, or a proxy without its server.
    #[error("the server is busy ({status})")]
    Busy {
        /// Which of them.
        status: StatusCode,
        /// The server's `Retry-After`, when it gives seconds.
        retry_after: Option<Duration>,
    },
    /// 3xx; redirects are never followed.
    #[error("the server redirects ({0})")]
    Redirect(StatusCode),
    /// 408, 499 and the other 5xx.
    #[error("the server failed ({status}): {message}")]
    Server {
        /// The status.
        status: StatusCode,
        /// The server's words.
        message: String,
    },
    /// Any other status, such as 405 or 204: this is no Ollama, or not at this path.
    #[error("unexpected status {status}: {message}")]
    UnexpectedStatus {
        /// The status.
        status: StatusCode,
        /// The server's words.
        message: String,
    },
    /// `{"error": …}` as a line of a 200 stream.
    #[error("the server failed in mid-stream: {0}")]
    Stream(String),
    /// The stream ended without `"done": true`.
    #[error("the stream ended early")]
    StreamCut,
    /// The connection broke while an answer was read.
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
    /// A line of the stream is not Ollama's JSON.
    #[error("line {line} of the stream is not Ollama's JSON")]
    BadLine {
        /// Counted from 1.
        line: u64,
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is larger than the cap.
    #[error("the answer is larger than {0} bytes")]
    Oversized(usize),
    /// `prompt_eval_count` is far below what our prompt must take: the server cut it silently.
    #[error("the server read {counted} tokens of a prompt of at least {expected}")]
    PromptCut {
        /// The server's count.
        counted: u64,
        /// Our lower bound.
        expected: u64,
    },
    /// `done_reason` is `load` or `unload`: the model was loaded or unloaded, nothing was asked.
    #[error("not an answer: done_reason {0:?}")]
    NotAnAnswer(String),
    /// `done_reason` is `length`: the answer is cut off.
    #[error("the answer was cut off at num_predict")]
    Truncated {
        /// All of `num_predict` may have gone into thoughts.
        thinking_present: bool,
    },
    /// An answer without text.
    #[error("the answer is empty")]
    Empty {
        /// Thoughts there were.
        thinking_present: bool,
    },
    /// The request could not be made: a bearer token that is no header value, an unusable TLS set-up.
    #[error("the client is misconfigured")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// True when the same request may succeed later; false when somebody must change something first.
    ///
    /// [`Self::Truncated`] and [`Self::Empty`] are neither: the model answered, badly. They are final
    /// for this request and worth a repair attempt ([`Self::is_repairable`]).
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
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
            | Self::NotAnAnswer(_) => true,
            Self::RefusedAddress(_)
            | Self::BadRequest(_)
            | Self::PromptTooLong(_)
            | Self::Unauthorised(_)
            | Self::ModelMissing { .. }
            | Self::OptionRefused(_)
            | Self::Redirect(_)
            | Self::UnexpectedStatus { .. }
            | Self::Oversized(_)
            | Self::PromptCut { .. }
            | Self::Truncated { .. }
            | Self::Empty { .. }
            | Self::Config(_) => false,
        }
    }

    /// True when the model answered and another way of asking may get a better answer.
    #[must_use]
    pub const fn is_repairable(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::Empty { .. } | Self::Oversized(_))
    }

    /// A stable name for logs, metrics and stored state.
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

/// What a status other than 200 means; `message` is the body's `error`, cleaned and capped.
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
        // A proxy's 404 has no such words: then it is the path that is wrong.
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
