//! Selects the findings of new scans that are analysed without a request.

use super::ollama::Model;
use super::{Environment, Error, queues};
use crate::domain::severity::{ParseSeverityError, Severity};

/// The settings of automatic analyses.
#[derive(Debug)]
pub(crate) struct AutoAnalyze {
    /// `AUTO_ANALYZE`: severities with commas between them, such as `CRITICAL,HIGH`.
    pub(crate) severities: Vec<Severity>,
    pub(crate) model: Model,
    pub(crate) queue_url: String,
}

impl AutoAnalyze {
    /// Reads the variables; none without `AUTO_ANALYZE`.
    pub(crate) fn read_if_any(environment: &Environment) -> Result<Option<Self>, Error> {
        const NAME: &str = "AUTO_ANALYZE";
        let Some(list) = environment.text(NAME).filter(|list| !list.trim().is_empty()) else { return Ok(None) };
        let severities = list
            .split(',')
            .map(|word| word.trim().parse())
            .collect::<Result<_, ParseSeverityError>>()
            .map_err(|error| Error::invalid(NAME, format!("not a list of severities: one {error}")))?;
        let (model, queue_url) = (Model::read(environment)?, queues::analysis_url(environment)?);
        Ok(Some(Self { severities, model, queue_url }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_analysed_without_a_request_needs_a_model_and_a_queue() {
        let with = |variables: &[(&str, &str)]| AutoAnalyze::read_if_any(&variables.iter().copied().collect());
        assert!(with(&[]).unwrap().is_none());
        assert!(with(&[("AUTO_ANALYZE", "HIGH")]).is_err());
        assert!(with(&[("AUTO_ANALYZE", "HIGH"), ("OLLAMA_MODEL", "m")]).is_err());
        let all = [("AUTO_ANALYZE", "CRITICAL, high"), ("OLLAMA_MODEL", "m"), ("ANALYSIS_QUEUE_URL", "u")];
        assert_eq!(with(&all).unwrap().unwrap().severities.len(), 2);
    }
}
