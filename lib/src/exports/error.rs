//! The error of all writers.

/// A document could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output took no more.
    #[error("cannot write")]
    Io(#[from] std::io::Error),
    /// A value cannot be JSON, or the output took no more.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// The output took no more.
    #[error("cannot write CSV")]
    Csv(#[from] ::csv::Error),
    /// A row of the second pass was not in the first one.
    #[error("the rows of the second pass are not those of the first")]
    Changed,
}
