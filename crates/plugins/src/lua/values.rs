//! Values of Lua as JSON, and back.

use mlua::serde::ser::Options;
use mlua::{Lua, LuaSerdeExt, Table, Value as Given};
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// How deep tables may be: one that holds itself has no end.
const DEEPEST: usize = 100;

/// What an empty table is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// An object.
    Object,
    /// Nothing: where lists and maps both can be.
    Left,
}

/// A value as JSON.
///
/// # Errors
/// It cannot be said in JSON.
pub(super) fn json(value: &Given, empty: Empty, deep: usize) -> Result<Value, String> {
    Ok(match value {
        Given::Boolean(flag) => Value::Bool(*flag),
        Given::Integer(number) => Value::from(*number),
        Given::Number(number) => numeric(*number)?,
        Given::String(text) => Value::String(String::from_utf8_lossy(&text.as_bytes()).into_owned()),
        Given::Table(table) if deep < DEEPEST => of_table(table, empty, deep + 1)?,
        Given::Table(_) => return Err(format!("a table is deeper than {DEEPEST}")),
        Given::Nil | Given::LightUserData(_) => Value::Null,
        other => return Err(format!("a {} cannot be said in JSON", other.type_name())),
    })
}

/// Whole numbers are what they look like, however they came about.
#[expect(clippy::cast_possible_truncation, reason = "only where nothing is lost")]
fn numeric(number: f64) -> Result<Value, String> {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Ok(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number).ok_or_else(|| format!("{number} cannot be said in JSON"))
}

fn of_table(table: &Table, empty: Empty, deep: usize) -> Result<Value, String> {
    let length = table.raw_len();
    if length > 0 {
        let item = |item: mlua::Result<Given>| json(&item.map_err(|why| why.to_string())?, empty, deep);
        return table.sequence_values::<Given>().map(item).collect::<Result<_, _>>().map(Value::Array);
    }
    let mut object = Map::new();
    for pair in table.pairs::<Given, Given>() {
        let (name, value) = pair.map_err(|why| why.to_string())?;
        let name = match &name {
            Given::String(name) => String::from_utf8_lossy(&name.as_bytes()).into_owned(),
            Given::Integer(number) => number.to_string(),
            Given::Number(number) => number.to_string(),
            other => return Err(format!("a {} is no name", other.type_name())),
        };
        let is_empty = |value: &Given| value.as_table().is_some_and(Table::is_empty);
        if empty == Empty::Object || !is_empty(&value) {
            object.insert(name, json(&value, empty, deep)?);
        }
    }
    Ok(Value::Object(object))
}

/// A value of Lua; what is absent is `nil`.
pub(super) fn lua(lua: &Lua, value: &impl Serialize) -> mlua::Result<Given> {
    let options = Options::new().serialize_none_to_null(false).set_array_metatable(false);
    lua.to_value_with(value, options)
}

/// Numbers and flags where the protocol has texts are texts.
pub(super) fn texts(value: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        for value in value.as_object_mut().into_iter().flatten().map(|(_, value)| value) {
            match value {
                Value::Number(_) | Value::Bool(_) | Value::Object(_) | Value::Array(_) => {
                    *value = Value::String(value.to_string());
                }
                _ => {}
            }
        }
        return;
    };
    if let Some(inner) = value.get_mut(first) {
        texts(inner, rest);
    }
}
