//! Reads a small JSON object from the body of a request, and refuses repeated members.

use std::fmt;

use lambda_http::Request;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::ApiError;
use super::error::Code;
use crate::report::{Kind, reason};

/// The longest body.
const MAX_BYTES: usize = 8 << 10;

/// Reads the body as a `T`. A refusal of a longer body ends with `advice`.
///
/// Objects inside `T` have to refuse arrays themselves: serde's derived code accepts an array of the fields' values.
pub(super) fn read_order<T: DeserializeOwned>(request: &Request, advice: &str) -> Result<T, ApiError> {
    let body = request.body().as_ref();
    if body.len() > MAX_BYTES {
        let longer = format!("the body is longer than {MAX_BYTES} bytes{advice}");
        return Err(ApiError::new(Code::Refused(Kind::TooLarge), longer));
    }
    parse_order(body).map_err(|why| ApiError::new(Code::Refused(Kind::InvalidJson), format!("the body: {why}")))
}

fn parse_order<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let body = std::str::from_utf8(body).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    if body.trim_ascii().is_empty() {
        return Err("it is empty: send a JSON object".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let located = |error: serde_json::Error| {
        format!("{} at line {}, column {}", reason::reword(&error), error.line(), error.column())
    };
    let value = Strict.deserialize(&mut deserializer).map_err(located)?;
    deserializer.end().map_err(located)?;
    if !value.is_object() {
        return Err("it is not a JSON object".to_owned());
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let reason = reason::reword(error.inner());
        if path == "." { reason } else { format!("{path}: {reason}") }
    })
}

/// Reads any JSON value, and refuses an object that has a member twice.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name} is there twice")));
            }
            map.insert(name, members.next_value_seed(Self)?);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        size: u64,
        name: Option<String>,
        inner: Option<Box<Self>>,
    }

    fn of(body: &[u8]) -> Result<Example, String> {
        parse_order(body)
    }

    #[test]
    fn an_object_is_read() {
        let expected = Example { size: 7, name: Some("a".into()), inner: None };
        assert_eq!(of("\u{FEFF} {\"size\": 7, \"name\": \"a\"} ".as_bytes()).unwrap(), expected);
    }

    #[test]
    fn any_other_body_is_refused_with_the_place_and_the_reason() {
        for (body, why) in [
            (&b""[..], "it is empty: send a JSON object"),
            (b"[7]", "it is not a JSON object"),
            (b"[7, \"a\", null]", "it is not a JSON object"),
            (b"null", "it is not a JSON object"),
            (b"{\"size\": 7", "EOF while parsing an object at line 1, column 10"),
            (b"{\"size\": 7}\n{}", "trailing characters at line 2, column 1"),
            (b"{\"size\": 1, \"size\": 1}", "size is there twice at line 1, column 18"),
            (b"{\"size\": 1,\n \"\\u0073ize\": 2}", "size is there twice at line 2, column 12"),
            (b"{\"size\": 1, \"inner\": {\"size\": 2, \"size\": 2}}", "size is there twice at line 1, column 39"),
            (b"{\"size\": 1, \"inner\": [2]}", "inner: expected an object, found an array"),
            (
                b"{\"size\": 1, \"inner\": {\"size\": \"x\"}}",
                "inner.size: expected a whole number, found the text \"x\"",
            ),
            (b"{\"size\": -1}", "size: expected a whole number, found the number -1"),
            (b"{}", "size is missing"),
            (b"{\"size\": 1, \"Size\": 2}", "Size: Size is not known here; known: size, name, inner"),
            (b"{\"size\": \"\xFF\"}", "not UTF-8 at byte 10"),
        ] {
            assert_eq!(of(body).unwrap_err(), why, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_long_body_is_too_large() {
        let request = Request::new(Body::Text(" ".repeat(MAX_BYTES + 1)));
        let error = read_order::<Example>(&request, "; and more").unwrap_err();
        assert_eq!(error.code(), Code::Refused(Kind::TooLarge));
        assert_eq!(error.detail(), "the body is longer than 8192 bytes; and more");
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = of(&body);
        }

        #[test]
        fn each_member_twice_is_refused_whatever_its_value(name in "[a-z\\\\\"é]{1,5}", first: u8, second: u8) {
            let name = serde_json::to_string(&name).unwrap();
            let body = format!("{{{name}: {first}, {name}: {second}}}");
            let why = of(body.as_bytes()).unwrap_err();
            prop_assert!(why.contains("is there twice"), "{}", why);
        }
    }
}
