//! A value with its position in the text.

use std::borrow::Cow;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

/// A value with its position in the text, as a byte range. The schema is that of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spanned<T>(toml::Spanned<T>);

/// A string with its position.
pub(super) type Text = Spanned<String>;

impl<T> Spanned<T> {
    /// Creates a value with a position.
    pub(super) fn new(at: Range<usize>, value: T) -> Self {
        Self(toml::Spanned::new(at, value))
    }

    /// The position in the text.
    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }

    /// The value.
    pub(super) fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    /// The value without its position.
    pub(super) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// A default. It has no position.
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(0..0, text.to_owned())
    }
}

impl<const COUNT: usize> From<[&str; COUNT]> for Spanned<Vec<Text>> {
    fn from(texts: [&str; COUNT]) -> Self {
        Self::new(0..0, texts.map(Into::into).to_vec())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        toml::Spanned::deserialize(deserializer).map(Self)
    }
}

impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get_ref().serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
