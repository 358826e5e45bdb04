//! Which images run, and which of them untrusted people reach.

use super::{Environment, Error, reports};
use crate::domain::fleet::{Fleet, ParseScopeError, Scope};
use crate::priority::exposure::Exposures;

/// Reads `EXPOSURE`: which images untrusted people reach ([`crate::priority::exposure`]); if it is not set,
/// every image counts as public.
///
/// All functions must have the same value: it is part of the question to the model.
///
/// # Errors
/// If it is not exactly in its syntax. A typing error must not make an image internal.
pub fn exposures(environment: &Environment) -> Result<Exposures, Error> {
    const NAME: &str = "EXPOSURE";
    let text = environment.text(NAME).unwrap_or_default();
    Exposures::parse(text).map_err(|error| Error::refused(NAME, format_args!("it {error}")))
}

/// Reads which images count: `FLEET_SCOPE` (`tags`, the default, or `newest-per-repository`) and `FLEET_MAX_AGE_DAYS`
/// (default 0: images count no matter when they were last seen).
///
/// # Errors
/// If the scope is neither, or the days are not a number from 0 to 36,500.
pub fn read(environment: &Environment) -> Result<Fleet, Error> {
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
