//! The variables of the environment, and how their texts are read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::str::FromStr;

/// A variable that is missing or wrong. The message names it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not set, and has no default.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// It is set to a value that is not allowed. The reason never quotes the value.
    #[error("the environment variable {0} is {1}")]
    Invalid(&'static str, String),
}

impl Error {
    pub(super) fn invalid(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid(name, reason.into())
    }

    pub(super) fn refused(name: &'static str, error: impl Display) -> Self {
        Self::invalid(name, format!("refused: {error}"))
    }
}

/// The variables of the environment by name. An empty one counts as not set.
#[derive(Clone)]
pub struct Environment(BTreeMap<String, String>);

/// Shows the names only: some values are credentials.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut variables: BTreeMap<_, _> = variables.collect();
        variables.retain(|_, value: &mut String| !value.is_empty());
        Self(variables)
    }
}

impl Environment {
    /// Reads the variables of this process. Those that are not Unicode are left out.
    #[must_use]
    pub fn of_process() -> Self {
        let unicode = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        std::env::vars_os().filter_map(unicode).collect()
    }

    /// Reads a text that may be missing.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub(super) fn required(&self, name: &'static str) -> Result<String, Error> {
        self.owned(name).ok_or(Error::Missing(name))
    }

    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool, Error> {
        match self.text(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Error::invalid(name, "neither true nor false")),
        }
    }

    pub(super) fn number<N>(&self, name: &'static str, default: N, min: N, max: N) -> Result<N, Error>
    where
        N: FromStr + PartialOrd + Display,
    {
        match self.text(name).map(str::parse) {
            None => Ok(default),
            Some(Ok(number)) if number >= min && number <= max => Ok(number),
            Some(_) => Err(Error::invalid(name, format!("not a number from {min} to {max}"))),
        }
    }

    pub(super) fn setting(&self, name: &'static str, default: &str) -> Setting {
        Setting { name, text: self.text(name).unwrap_or(default).to_owned() }
    }

    pub(super) fn required_setting(&self, name: &'static str) -> Result<Setting, Error> {
        Ok(Setting { name, text: self.required(name)? })
    }
}

/// A text that a layer above parses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    name: &'static str,
    text: String,
}

impl Setting {
    /// Parses the text. The error has the parser's reason.
    pub(crate) fn parse<T>(&self) -> Result<T, Error>
    where
        T: FromStr<Err: Display>,
    {
        self.text.parse().map_err(|error| Error::refused(self.name, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment = Environment::from_iter([("A", ""), ("B", "b")]);
        assert_eq!((environment.text("A"), environment.text("B"), environment.text("C")), (None, Some("b"), None));
        assert!(environment.flag("A", true).unwrap());
        assert_eq!(environment.required("A").unwrap_err().to_string(), "the environment variable A is not set");
    }

    #[test]
    fn the_values_of_variables_are_not_shown() {
        let environment = Environment::from_iter([("AWS_SECRET_ACCESS_KEY", "confidential")]);
        assert_eq!(format!("{environment:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
    }

    #[test]
    fn a_wrong_value_is_named_and_not_shown() {
        for value in ["0", "11", "many", "-1"] {
            let error = Environment::from_iter([("N", value)]).number("N", 5, 1, 10).unwrap_err();
            assert_eq!(error.to_string(), "the environment variable N is not a number from 1 to 10");
        }
        let error = Environment::from_iter([("F", "yes")]).flag("F", true).unwrap_err();
        assert_eq!(error.to_string(), "the environment variable F is neither true nor false");
    }
}
