//! Objects held against the schemas of docs/schema, by the part of JSON Schema 2020-12 that these use.
//!
//! Invariant: a keyword that is not known here fails, and so does a field that no schema names: a schema that says less than
//! it seems to, or an object that says more, is never taken for right.

use serde_json::{Map, Value};

/// Keywords that say nothing of an object.
const REMARKS: [&str; 5] = ["description", "title", "$schema", "$id", "$defs"];

/// What is wrong with `object`, with the place of each fault.
pub(super) fn faults(schema: &Value, object: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    look(schema, schema, object, "", &mut faults);
    faults
}

fn look(root: &Value, schema: &Value, object: &Value, at: &str, faults: &mut Vec<String>) {
    let Value::Object(rules) = schema else { panic!("{at}: a schema is an object") };
    for (keyword, rule) in rules {
        let holds = match keyword.as_str() {
            known if REMARKS.contains(&known) => true,
            "$ref" => {
                let path =
                    rule.as_str().and_then(|path| path.strip_prefix('#')).expect("a place in the schema");
                let target = root.pointer(path).unwrap_or_else(|| panic!("{at}: there is no {path}"));
                look(root, target, object, at, faults);
                true
            }
            "const" => object == rule,
            "enum" => rule.as_array().expect("a list").contains(object),
            "type" => is_of(rule, object),
            "minimum" => object.as_f64().is_none_or(|number| number >= rule.as_f64().expect("a number")),
            "pattern" => {
                assert_eq!(rule, "^AI[0-9]{4}$", "the one pattern that is known here");
                let digits = object.as_str().and_then(|text| text.strip_prefix("AI"));
                digits.is_some_and(|digits| {
                    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
                })
            }
            "required" => {
                let names =
                    rule.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name"));
                object
                    .as_object()
                    .is_none_or(|fields| names.into_iter().all(|name| fields.contains_key(name)))
            }
            "properties" => {
                fields(root, rule.as_object().expect("names"), object, at, faults);
                true
            }
            "items" => {
                for (index, item) in object.as_array().into_iter().flatten().enumerate() {
                    look(root, rule, item, &format!("{at}/{index}"), faults);
                }
                true
            }
            unknown => panic!("{at}: this test does not know `{unknown}`; teach it"),
        };
        if !holds {
            faults.push(format!("{at}: {object} breaks {keyword}: {rule}"));
        }
    }
}

fn fields(root: &Value, known: &Map<String, Value>, object: &Value, at: &str, faults: &mut Vec<String>) {
    for (name, value) in object.as_object().into_iter().flatten() {
        match known.get(name) {
            Some(schema) => look(root, schema, value, &format!("{at}/{name}"), faults),
            None => faults.push(format!("{at}: no schema names the field `{name}`")),
        }
    }
}

fn is_of(rule: &Value, object: &Value) -> bool {
    let named = |name: &Value| match name.as_str().expect("the name of a type") {
        "string" => object.is_string(),
        "integer" => object.is_u64() || object.is_i64(),
        "number" => object.is_number(),
        "boolean" => object.is_boolean(),
        "array" => object.is_array(),
        "object" => object.is_object(),
        "null" => object.is_null(),
        other => panic!("there is no type {other}"),
    };
    rule.as_array().map_or_else(|| named(rule), |names| names.iter().any(named))
}

#[test]
fn what_a_schema_does_not_allow_is_found() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"],
        "properties": {"a": {"type": ["integer", "null"], "minimum": 1}, "b": {"enum": ["x"]}, "c": {"items": {"$ref": "#/$defs/c"}}},
        "$defs": {"c": {"const": 7}},
    });
    for (object, count) in [
        (serde_json::json!({"a": 1, "b": "x", "c": [7, 7]}), 0),
        (serde_json::json!({"a": null}), 0),
        (serde_json::json!({"a": 0}), 1),
        (serde_json::json!({"a": "1"}), 1),
        (serde_json::json!({"b": "y"}), 2),
        (serde_json::json!({"a": 1, "c": [7, 8]}), 1),
        (serde_json::json!({"a": 1, "more": 1}), 1),
        (serde_json::json!([]), 1),
    ] {
        assert_eq!(faults(&schema, &object).len(), count, "{object}");
    }
}
