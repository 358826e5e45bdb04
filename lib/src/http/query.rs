//! Query parameters: known ones only, each at most as often as it makes sense.

use std::str::FromStr;

use lambda_http::{Request, RequestExt as _};

use super::ApiError;
use crate::store::cursor::Unverified;

/// The most items that one page can be asked to have.
const MAX_LIMIT: usize = 10_000;

/// The parameters of a request, decoded.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads the query of a request whose endpoint knows the parameters `known`.
    pub(super) fn read(request: &Request, known: &[&str]) -> Result<Self, ApiError> {
        let parameters = request.query_string_parameters_ref();
        let pairs: Vec<(String, String)> =
            parameters.into_iter().flat_map(|map| map.iter()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self { pairs }),
            Some((name, _)) if known.is_empty() => Err(ApiError::parameter(name, "this endpoint has no parameters")),
            Some((name, _)) => {
                Err(ApiError::parameter(name, format!("is not a parameter here; these are: {}", known.join(", "))))
            }
        }
    }

    /// All values of a parameter.
    pub(super) fn all<'q, 'n>(&'q self, name: &'n str) -> impl Iterator<Item = &'q str> + use<'q, 'n> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The one value of a parameter.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(ApiError::parameter(name, "is given more than once")),
        }
    }

    /// The one value of a parameter, read as a `T`.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let value = self.one(name)?.map(str::parse).transpose();
        value.map_err(|error| ApiError::parameter(name, error))
    }

    /// A parameter that is `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.one(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::parameter(name, "is neither true nor false")),
        }
    }

    /// `limit`: how many items a page has at most.
    pub(super) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.one("limit")? else { return Ok(None) };
        match text.parse() {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) && !text.starts_with('+') => Ok(Some(limit)),
            _ => Err(ApiError::parameter("limit", format!("is not a number from 1 to {MAX_LIMIT}"))),
        }
    }

    /// `cursor`: where the page begins.
    pub(super) fn cursor(&self) -> Result<Option<Unverified>, ApiError> {
        Ok(self.one("cursor")?.map(Unverified::parse).transpose()?)
    }

    /// A reference to the same list from another cursor on, relative so that it holds behind any
    /// base path.
    pub(super) fn next_page(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
        for (name, value) in self.pairs.iter().filter(|(name, _)| name != "cursor") {
            query.append_pair(name, value);
        }
        query.append_pair("cursor", cursor).finish()
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::RequestExt as _;

    use super::*;

    fn query(text: &str) -> Result<Query, ApiError> {
        let map = text.parse::<aws_lambda_events::query_map::QueryMap>().unwrap();
        let request = Request::default().with_query_string_parameters(map);
        Query::read(&request, &["limit", "cursor", "severity", "fixable"])
    }

    #[test]
    fn a_limit_is_a_plain_number_in_range() {
        assert_eq!(query("limit=1").unwrap().limit().unwrap(), Some(1));
        assert_eq!(query("").unwrap().limit().unwrap(), None);
        for text in ["limit=0", "limit=10001", "limit=-1", "limit=%2B5", "limit=", "limit=1e3", "limit=1&limit=2"] {
            assert!(query(text).unwrap().limit().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_with_those_that_are_known() {
        let error = query("severty=HIGH").unwrap_err();
        assert_eq!(error.detail(), "severty: is not a parameter here; these are: limit, cursor, severity, fixable");
    }

    #[test]
    fn the_next_page_keeps_the_filters_and_replaces_the_cursor() {
        let query = query("severity=HIGH&severity=LOW&cursor=old").unwrap();
        let next = query.next_page("new");
        assert_eq!(next, "?severity=HIGH&severity=LOW&cursor=new");
    }
}
