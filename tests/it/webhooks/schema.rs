//! As much of JSON Schema as the document's schemas of bodies use. Whatever else a schema says is a
//! fault, so that nothing passes unread.

use serde_json::Value;

/// Whether a value is as the schema at this place of the document says.
pub(crate) fn valid(document: &Value, schema: &str, value: &Value) -> Result<(), String> {
    check(document, document.pointer(schema).ok_or("no such schema")?, value)
}

fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let keywords = schema.as_object().ok_or("a schema that is no object")?;
    for (keyword, rule) in keywords {
        match keyword.as_str() {
            "description" | "example" | "format" | "properties" | "propertyNames" => {}
            "$ref" => {
                let place = rule.as_str().and_then(|place| place.strip_prefix('#')).ok_or("a reference elsewhere")?;
                check(document, document.pointer(place).ok_or_else(|| format!("no {place}"))?, value)?;
            }
            "type" if *rule == *kind(value) => {}
            "type" => return Err(format!("{value} is no {rule}")),
            "required" => {
                for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    value.get(name).ok_or_else(|| format!("no {name}"))?;
                }
            }
            "items" => value.as_array().into_iter().flatten().try_for_each(|item| check(document, rule, item))?,
            "additionalProperties" => {
                let other = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(name, _)| schema["properties"].get(name).is_none());
                other.map(|(_, value)| value).try_for_each(|value| check(document, rule, value))?;
            }
            "oneOf" => {
                let fitting = rule.as_array().into_iter().flatten().filter(|rule| check(document, rule, value).is_ok());
                if fitting.count() != 1 {
                    return Err(format!("{value} is not one of {rule}"));
                }
            }
            other => return Err(format!("the keyword {other}, which nobody checks")),
        }
    }
    for (name, rule) in schema["properties"].as_object().into_iter().flatten() {
        value.get(name).map_or(Ok(()), |value| check(document, rule, value))?;
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
