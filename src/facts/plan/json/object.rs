//! Typed values of a JSON object; a key that is missing or null is None.

use super::super::NotAPlan;
use serde_json::{Map, Value};

pub type Object = Map<String, Value>;

/// A value that EXPLAIN does not print.
pub struct Wrong {
    key: &'static str,
    what: String,
}

impl Wrong {
    pub fn new(key: &'static str, what: impl Into<String>) -> Wrong {
        Wrong { key, what: what.into() }
    }

    /// `at`: path of the object that has the key.
    pub fn at(self, at: String) -> NotAPlan {
        NotAPlan::changed(format!("\"{}\" {}", self.key, self.what), at)
    }
}

/// A number, never a negative one: EXPLAIN counts and measures.
pub fn number(object: &Object, key: &'static str) -> Result<Option<f64>, Wrong> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) if number >= 0.0 => Ok(Some(number)),
            Some(number) => Err(Wrong::new(key, format!("is negative: {number}"))),
            None => Err(Wrong::new(key, format!("is {}, not a number", kind_of(value)))),
        },
    }
}

pub fn text(object: &Object, key: &'static str) -> Result<Option<String>, Wrong> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(value) => Err(Wrong::new(key, format!("is {}, not a string", kind_of(value)))),
    }
}

pub fn flag(object: &Object, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or_default()
}

pub fn list(object: &Object, key: &str) -> Vec<String> {
    strings(object.get(key))
}

pub fn strings(value: Option<&Value>) -> Vec<String> {
    let elements = value.and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(Value::as_str).map(str::to_string).collect()
}

/// The objects of an array.
pub fn objects<'a>(object: &'a Object, key: &str) -> impl Iterator<Item = &'a Object> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
