//! Reads the query parameters of a request: only those of its route, and each once unless it may be repeated.

use std::str::FromStr;

use lambda_http::{Request, RequestExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ApiError;
use super::parameter::{CURSOR, Kind, LIMIT, Parameter};
use super::routes::Route;
use crate::store::Store;
use crate::store::cursor::{self, Scope, Unverified};

/// All characters except the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parameters of a request, decoded.
#[derive(Debug)]
pub(super) struct Query {
    route: &'static Route,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads the query of a request of a route.
    pub(super) fn read(request: &Request, route: &'static Route) -> Result<Self, ApiError> {
        let known: Vec<&str> = route.parameters.iter().map(|parameter| parameter.name).collect();
        let parameters = request.query_string_parameters_ref();
        let pairs: Vec<(String, String)> =
            parameters.into_iter().flat_map(|map| map.iter()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => match pairs.iter().find(|(_, value)| value.trim().is_empty()) {
                Some((name, _)) => Err(ApiError::parameter(name, "is empty; leave it out for no choice")),
                None => Ok(Self { route, pairs }),
            },
            Some((name, _)) if known.is_empty() => Err(ApiError::parameter(name, "this endpoint has no parameters")),
            Some((name, _)) => {
                Err(ApiError::parameter(name, format!("is not a parameter here; these are: {}", known.join(", "))))
            }
        }
    }

    /// Returns all values of a parameter.
    fn all(&self, parameter: Parameter) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(name, _)| name == parameter.name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a parameter.
    pub(super) fn one(&self, parameter: Parameter) -> Result<Option<&str>, ApiError> {
        let mut values = self.all(parameter);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(ApiError::parameter(parameter.name, "is given more than once")),
        }
    }

    /// Reads the value of a parameter as a `T`.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        parameter: Parameter,
    ) -> Result<Option<T>, ApiError> {
        let value = self.one(parameter)?.map(str::parse).transpose();
        value.map_err(|error| ApiError::parameter(parameter.name, error))
    }

    /// Reads the values of a parameter that may be repeated, or have several with commas between them.
    pub(super) fn list<T: FromStr<Err: std::fmt::Display>>(&self, parameter: Parameter) -> Result<Vec<T>, ApiError> {
        let values = self.all(parameter).flat_map(|value| value.split(','));
        values.map(|value| value.trim().parse().map_err(|error| ApiError::parameter(parameter.name, error))).collect()
    }

    /// Reads a parameter that is `true` or `false`.
    pub(super) fn flag(&self, parameter: Parameter) -> Result<Option<bool>, ApiError> {
        match self.one(parameter)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::parameter(parameter.name, "is neither true nor false")),
        }
    }

    /// Reads a whole number within the parameter's bounds.
    pub(super) fn number(&self, parameter: Parameter) -> Result<Option<u64>, ApiError> {
        let (least, most) = match parameter.kind {
            Kind::Number { least, most } => (least, most),
            Kind::Text | Kind::Flag | Kind::Choice(_) | Kind::Time => (0, u64::MAX),
        };
        let Some(text) = self.one(parameter)? else { return Ok(None) };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) && !text.starts_with('+') => Ok(Some(number)),
            _ => Err(ApiError::parameter(parameter.name, format!("is not a number from {least} to {most}"))),
        }
    }

    /// Reads `limit`, the most items of a page, within the bounds of the route.
    pub(super) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let of_route = self.route.parameters.iter().find(|parameter| parameter.name == LIMIT.name);
        let limit = self.number(*of_route.unwrap_or(&LIMIT))?;
        Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    /// Reads `cursor` without checking that Sirius has signed it.
    pub(super) fn cursor(&self) -> Result<Option<Unverified>, ApiError> {
        Ok(self.one(CURSOR)?.map(Unverified::parse).transpose()?)
    }

    /// Reads the position in `cursor`. Only then the key of the cursors is read.
    pub(super) async fn position(&self, scope: Scope, store: &Store) -> Result<Option<u128>, ApiError> {
        match self.cursor()? {
            Some(cursor) => Ok(Some(cursor.verify(scope, store.cursor_key().await?.as_ref())?)),
            None => Ok(None),
        }
    }

    /// Returns the reference to the page at a position, if there is one.
    pub(super) async fn page_at(
        &self,
        position: Option<u128>,
        scope: Scope,
        store: &Store,
    ) -> Result<Option<String>, ApiError> {
        let Some(position) = position else { return Ok(None) };
        let key = store.cursor_key().await?;
        Ok(key.map(|key| self.next_page(&cursor::sign(position, scope, &key))))
    }

    /// Returns the reference to the page of a cursor: relative, so that it is valid behind any base path, and sorted and
    /// escaped as Signature Version 4 does, since some clients sign it unchanged.
    pub(super) fn next_page(&self, cursor: &str) -> String {
        let kept = self.pairs.iter().filter(|(name, _)| name != CURSOR.name);
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let escaped = |text| utf8_percent_encode(text, RESERVED).to_string();
        let mut pairs: Vec<_> = kept.chain([(CURSOR.name, cursor)]).map(|(n, v)| (escaped(n), escaped(v))).collect();
        pairs.sort_unstable();
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::RequestExt as _;

    use super::*;
    use crate::domain::severity::Severity;
    use crate::http::parameter::{FIXABLE, SEVERITY};
    use crate::http::routes;

    const ROUTE: Route = Route { parameters: &[LIMIT, CURSOR, SEVERITY, FIXABLE], ..routes::LIST_FINDINGS };

    fn query(text: &str) -> Result<Query, ApiError> {
        let map = text.parse::<aws_lambda_events::query_map::QueryMap>().unwrap();
        let request = Request::default().with_query_string_parameters(map);
        Query::read(&request, &ROUTE)
    }

    #[test]
    fn a_limit_is_a_plain_number_in_range() {
        assert_eq!(query("limit=1").unwrap().limit().unwrap(), Some(1));
        assert_eq!(query("").unwrap().limit().unwrap(), None);
        for text in ["limit=0", "limit=10001", "limit=-1", "limit=%2B5", "limit=1e3", "limit=1&limit=2"] {
            assert!(query(text).unwrap().limit().is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_is_within_the_bounds_of_its_route() {
        let query = Query { route: &routes::GET_CVE, pairs: vec![("limit".to_owned(), "301".to_owned())] };
        assert_eq!(query.limit().unwrap_err().detail(), "limit: is not a number from 1 to 300");
    }

    #[test]
    fn a_list_is_repeated_or_joined_by_commas() {
        for text in ["severity=CRITICAL&severity=high", "severity=critical,HIGH", "severity=CRITICAL%2C%20HIGH"] {
            assert_eq!(
                query(text).unwrap().list::<Severity>(SEVERITY).unwrap(),
                [Severity::Critical, Severity::High],
                "{text}"
            );
        }
        assert_eq!(query("").unwrap().list::<Severity>(SEVERITY).unwrap(), []);
        for text in ["severity=HIGH,", "severity=,", "severity=HIGH,,LOW", "severity=HIGH;LOW"] {
            let error = query(text).unwrap().list::<Severity>(SEVERITY).unwrap_err();
            assert!(error.detail().starts_with("severity: "), "{text}: {}", error.detail());
        }
    }

    #[test]
    fn an_empty_value_is_refused_by_the_name_of_its_parameter() {
        for (text, name) in [("severity=", "severity"), ("limit=1&fixable=%20", "fixable"), ("cursor", "cursor")] {
            let error = query(text).unwrap_err();
            assert_eq!(error.detail(), format!("{name}: is empty; leave it out for no choice"));
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_with_those_that_are_known() {
        let error = query("severty=HIGH").unwrap_err();
        assert_eq!(error.detail(), "severty: is not a parameter here; these are: limit, cursor, severity, fixable");
    }

    #[test]
    fn the_next_page_keeps_the_filters_and_replaces_the_cursor() {
        let query = query("severity=LOW&severity=HIGH&cursor=old").unwrap();
        let next = query.next_page("new");
        assert_eq!(next, "?cursor=new&severity=HIGH&severity=LOW");
    }

    #[test]
    fn the_next_page_is_spelled_as_it_is_signed() {
        let query = query("severity=a%20b*~%2F&limit=1&fixable=%C3%BC%2B").unwrap();
        assert_eq!(query.next_page("A-_"), "?cursor=A-_&fixable=%C3%BC%2B&limit=1&severity=a%20b%2A~%2F");
    }
}
