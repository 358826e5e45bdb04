//! The model that explains findings, and its host.

use std::time::Duration;

use super::{Environment, Error, Setting};

const MODEL: &str = "OLLAMA_MODEL";

/// The model and its limits. All functions must have the same values: they are part of the key of an analysis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// `OLLAMA_MODEL`: its name.
    pub(crate) name: String,
    /// `OLLAMA_NUM_CTX` (default 4096): the model's context, in tokens.
    pub(crate) num_ctx: u32,
    /// `OLLAMA_NUM_PREDICT` (default 700): the longest answer, in tokens.
    pub(crate) num_predict: u32,
}

impl Model {
    /// Reads the variables; none without `OLLAMA_MODEL`, where findings are not analysed.
    pub(crate) fn read_if_any(environment: &Environment) -> Result<Option<Self>, Error> {
        let Some(name) = environment.owned(MODEL) else { return Ok(None) };
        let num_ctx = environment.number("OLLAMA_NUM_CTX", 4096, 2048, 131_072)?;
        let num_predict = environment.number("OLLAMA_NUM_PREDICT", 700, 256, 16_384)?;
        if num_predict > num_ctx / 2 {
            let reason = "more than half of OLLAMA_NUM_CTX: too little is left for the prompt";
            return Err(Error::invalid("OLLAMA_NUM_PREDICT", reason));
        }
        Ok(Some(Self { name, num_ctx, num_predict }))
    }

    /// Reads the variables where findings are analysed.
    pub(crate) fn read(environment: &Environment) -> Result<Self, Error> {
        Self::read_if_any(environment)?.ok_or(Error::Missing(MODEL))
    }
}

/// The address and the timeouts of the Ollama host.
#[derive(Debug)]
pub(crate) struct Host {
    /// `OLLAMA_URL`.
    pub(crate) url: Setting,
    /// `OLLAMA_TOKEN_SECRET`: the secret with the bearer token of a proxy in front of the host (default none).
    pub(crate) token_secret: Option<String>,
    /// `OLLAMA_CA_PEM`: certificates of a private authority that signed the host's (default none).
    pub(crate) ca_pem: Option<String>,
    /// `OLLAMA_FIRST_TOKEN_SECONDS` (default 240: the host may have to load the model).
    pub(crate) first_token_timeout: Duration,
    /// `OLLAMA_IDLE_SECONDS` (default 30).
    pub(crate) idle_timeout: Duration,
    /// `LEASE_SECONDS` (default 360): must be more than the function's timeout.
    pub(crate) lease: Duration,
}

impl Host {
    pub(crate) fn read(environment: &Environment) -> Result<Self, Error> {
        let seconds = |name, default, max| environment.number(name, default, 1, max).map(Duration::from_secs);
        Ok(Self {
            url: environment.required_setting("OLLAMA_URL")?,
            token_secret: environment.owned("OLLAMA_TOKEN_SECRET"),
            ca_pem: environment.owned("OLLAMA_CA_PEM"),
            first_token_timeout: seconds("OLLAMA_FIRST_TOKEN_SECONDS", 240, 840)?,
            idle_timeout: seconds("OLLAMA_IDLE_SECONDS", 30, 840)?,
            lease: seconds("LEASE_SECONDS", 360, 3600)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_leaves_half_of_the_context_for_the_question() {
        let with = |num_predict| {
            let numbers = [("OLLAMA_NUM_CTX", "2048"), ("OLLAMA_NUM_PREDICT", num_predict), ("OLLAMA_MODEL", "m")];
            Model::read(&Environment::from_iter(numbers))
        };
        assert!(with("1024").is_ok());
        assert!(with("1025").is_err());
    }
}
