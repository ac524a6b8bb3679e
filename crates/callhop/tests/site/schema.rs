//! Holds an answer against the OpenAPI document: is its status documented for that address, and its body what the schema says?
//! A property that the schema does not name is a fault, too.

use serde_json::Value;

use super::Answer;

/// The operation of the document that an address means.
pub(crate) fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let paths = document["paths"].as_object().unwrap();
    let (_, item) = paths.iter().find(|(template, _)| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == parts.len()
            && template
                .iter()
                .zip(&parts)
                .all(|(t, p)| t == p || t.starts_with('{'))
    })?;
    item.get(method.to_lowercase())
}

#[track_caller]
pub(crate) fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(document, method, path) else {
        assert!(
            matches!(answer.status, 403..=405),
            "{method} {path} is not documented: {answer:?}"
        );
        return;
    };
    let documented = &operation["responses"][answer.status.to_string()];
    assert!(
        documented.is_object(),
        "{method} {path}: the status is not documented: {answer:?}"
    );
    let Some(content) = documented["content"].as_object() else {
        assert_eq!(answer.text, "", "{method} {path}: {answer:?}");
        return;
    };
    let kind = answer.header("content-type").unwrap_or_default();
    let schema = &content
        .get(kind)
        .unwrap_or_else(|| panic!("{method} {path}: {kind:?} is not documented: {answer:?}"))["schema"];
    if !kind.contains("json") {
        assert_eq!(schema["type"], "string", "{method} {path}");
        return;
    }
    if let Err(why) = fits(document, schema, &answer.body, "body") {
        panic!("{method} {path}: {why}: {answer:?}");
    }
}

/// Whether all that the document refers to is in it.
#[track_caller]
pub(crate) fn check_references(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(to) = part["$ref"].as_str() {
                let found = document.pointer(to.strip_prefix('#').unwrap());
                assert!(found.is_some(), "the document has no {to}");
            }
            for field in fields.values() {
                check_references(document, field);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_references(document, item)),
        _ => {}
    }
}

/// Whether a value is what a schema says.
pub(crate) fn fits(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        let named = &document["components"]["schemas"][name];
        if !named.is_object() {
            return Err(format!("{at}: the document has no schema {name}"));
        }
        return fits(document, named, value, at);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(several) = schema[word].as_array() {
            let mut reasons = Vec::new();
            for one in several {
                match fits(document, one, value, at) {
                    Ok(()) => return Ok(()),
                    Err(why) => reasons.push(why),
                }
            }
            return Err(format!("{at}: none of {word}: {}", reasons.join("; ")));
        }
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{at}: {value} is none of {allowed:?}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("{at}: the schema {schema} names no type")),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&is) {
        return Err(format!("{at}: {value} is not {types:?}"));
    }
    if let Value::Array(items) = value {
        for (n, item) in items.iter().enumerate() {
            fits(document, &schema["items"], item, &format!("{at}[{n}]"))?;
        }
    }
    if let Value::Object(fields) = value {
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            if !fields.contains_key(name) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        for (name, field) in fields {
            let schema = &schema["properties"][name];
            if schema.is_null() {
                return Err(format!("{at}: {name} is not documented"));
            }
            fits(document, schema, field, &format!("{at}.{name}"))?;
        }
    }
    Ok(())
}
