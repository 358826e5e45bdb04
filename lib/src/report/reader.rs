//! Reads JSON values of a given shape, and refuses all others with a short message.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::domain::text::cut;

/// Reads values of the shapes for which it has a method.
pub(super) trait Reader<'c>: Sized {
    type Value;

    /// The name of the expected value in an error message.
    const EXPECTED: &'static str;

    fn null(self) -> Option<Self::Value> {
        None
    }

    fn boolean(self, _: bool) -> Option<Self::Value> {
        None
    }

    fn array<A: SeqAccess<'c>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Seq, &Self::EXPECTED))
    }

    fn object<A: MapAccess<'c>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &Self::EXPECTED))
    }
}

/// Passes the next value to a reader.
pub(super) struct Read<R>(pub(super) R);

impl<'c, R: Reader<'c>> DeserializeSeed<'c> for Read<R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'c>>(self, deserializer: D) -> Result<R::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'c, R: Reader<'c>> Visitor<'c> for Read<R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(R::EXPECTED)
    }

    fn visit_unit<E: Error>(self) -> Result<R::Value, E> {
        self.0.null().ok_or_else(|| E::invalid_type(Unexpected::Unit, &R::EXPECTED))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<R::Value, E> {
        self.0.boolean(value).ok_or_else(|| E::invalid_type(Unexpected::Bool(value), &R::EXPECTED))
    }

    /// Refuses a text. Serde would quote all of it, in a message that takes as much memory.
    fn visit_str<E: Error>(self, text: &str) -> Result<R::Value, E> {
        const MAX_QUOTED_BYTES: usize = 100;
        Err(E::invalid_type(Unexpected::Str(cut(text, MAX_QUOTED_BYTES)), &R::EXPECTED))
    }

    fn visit_seq<A: SeqAccess<'c>>(self, items: A) -> Result<R::Value, A::Error> {
        self.0.array(items)
    }

    fn visit_map<A: MapAccess<'c>>(self, members: A) -> Result<R::Value, A::Error> {
        self.0.object(members)
    }
}

/// Reads an object or `null`. A derived reader would also accept an array of the fields' values.
pub(super) fn object<'c, D: Deserializer<'c>, T: Deserialize<'c>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'c, T: Deserialize<'c>> Reader<'c> for Object<T> {
        type Value = Option<T>;

        const EXPECTED: &'static str = "an object";

        fn null(self) -> Option<Option<T>> {
            Some(None)
        }

        fn object<A: MapAccess<'c>>(self, members: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members)).map(Some)
        }
    }

    Read(Object(PhantomData)).deserialize(deserializer)
}

/// Reads true, false or `null`.
pub(super) fn flag<'c, D: Deserializer<'c>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct Flag;

    impl Reader<'_> for Flag {
        type Value = Option<bool>;

        const EXPECTED: &'static str = "true or false";

        fn null(self) -> Option<Option<bool>> {
            Some(None)
        }

        fn boolean(self, value: bool) -> Option<Option<bool>> {
            Some(Some(value))
        }
    }

    Read(Flag).deserialize(deserializer)
}
