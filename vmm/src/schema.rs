//! The names of the schemas of JSON objects, and what a reader of them asks first.
//!
//! Invariant: a field keeps its meaning while its schema's name stays; new fields may come. The schemas are in docs/schema,
//! one file for each name.

use serde_json::Value;

/// What `check --format json` prints: docs/schema/afterimage-check-3.json.
pub const CHECK: &str = "afterimage-check-3";
/// What `race --format json` prints: docs/schema/afterimage-race-2.json.
pub const RACE: &str = "afterimage-race-2";

/// Sees that an object of a file is one of that schema.
///
/// # Errors
/// One line: what the object is, and what to do about it.
pub fn require(object: &Value, schema: &str, file: &str) -> Result<(), String> {
    let found = match &object["schema"] {
        Value::String(found) if found == schema => return Ok(()),
        Value::String(found) => format!("`{found}`"),
        Value::Number(old) => format!("{old}, of an older afterimage"),
        Value::Null => "no name".to_owned(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => "no name that can be read".to_owned(),
    };
    let help = "print it again with this afterimage";
    Err(format!("{file}: its schema has {found}, and `{schema}` is what can be read; {help}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CHECK, require};

    #[test]
    fn another_schema_is_refused_in_one_line_with_its_name_and_a_remedy() {
        require(&json!({"schema": CHECK}), CHECK, "a.json").expect("its own");
        for (object, part) in [
            (json!({"schema": "afterimage-check-99"}), "`afterimage-check-99`"),
            (json!({"schema": 2}), "2, of an older afterimage"),
            (json!({"scenarios": []}), "no name"),
            (json!([]), "no name"),
            (json!("text"), "no name"),
        ] {
            let told = require(&object, CHECK, "a.json").expect_err("another one");
            assert!(told.contains(part) && told.contains(CHECK) && told.contains("print it again"), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}
