//! Selects the images that count, and those that untrusted people can reach.

use super::{Environment, Error, reports};
use crate::domain::fleet::{Fleet, ParseScopeError, Scope};
use crate::priority::exposure::Exposures;

/// Reads `EXPOSURE`, the images that untrusted people can reach; without it, every image counts as public. A typing error
/// is refused, since it must not make an image internal.
///
/// All functions must have the same value: it is part of the prompt.
pub(crate) fn exposures(environment: &Environment) -> Result<Exposures, Error> {
    const NAME: &str = "EXPOSURE";
    let text = environment.text(NAME).unwrap_or_default();
    Exposures::parse(text).map_err(|error| Error::refused(NAME, format_args!("it {error}")))
}

/// Reads `FLEET_SCOPE` (`tags`, the default, or `newest-per-repository`) and `FLEET_MAX_AGE_DAYS` (default 0: no limit).
pub(crate) fn fleet(environment: &Environment) -> Result<Fleet, Error> {
    const SCOPE: &str = "FLEET_SCOPE";
    let scope = match environment.text(SCOPE) {
        Some(scope) => scope.parse().map_err(|error: ParseScopeError| Error::invalid(SCOPE, error.to_string()))?,
        None => Scope::default(),
    };
    Ok(Fleet { scope, max_age: reports::days(environment, "FLEET_MAX_AGE_DAYS")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_public_unless_they_are_said_to_be_internal_without_a_typing_error() {
        let exposures = |text| exposures(&Environment::from_iter([("EXPOSURE", text)]));
        assert!(exposures("").unwrap().of("app").is_public());
        assert!(!exposures("internal=*/batch/*").unwrap().of("r/batch/app").is_public());
        let message = exposures("intern=*").unwrap_err().to_string();
        assert!(message.starts_with("the environment variable EXPOSURE is refused: it has an entry"), "{message}");
    }
}
