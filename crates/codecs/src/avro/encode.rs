//! From values to the binary form.

use bloblang::Value;

use super::schema::{Branch, Id, Schema, Type, name_of};
use super::{MAX_DEPTH, Unions, budget};

impl Schema {
    /// Appends the binary form of a value.
    ///
    /// # Errors
    /// Which part of the value is not of this schema; nothing is appended then.
    pub fn encode(&self, value: &Value, unions: Unions, out: &mut Vec<u8>) -> Result<(), String> {
        let begin = out.len();
        // Branches of bare unions are found by trying, which this bounds.
        let mut encoder = Encoder { schema: self, unions, left: budget(1 << 19), out };
        encoder.value(value, self.root, 0).inspect_err(|_| out.truncate(begin))
    }
}

struct Encoder<'s, 'o> {
    schema: &'s Schema,
    unions: Unions,
    left: usize,
    out: &'o mut Vec<u8>,
}

impl<'s> Encoder<'s, '_> {
    fn value(&mut self, value: &Value, id: Id, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("the value nests deeper than {MAX_DEPTH} levels"));
        }
        self.left = self.left.checked_sub(1).ok_or("the value has too many parts")?;
        let of = self.schema.get(id);
        let wrong = || format!("{} is expected, not {}", name_of(of), value.type_name());
        match of {
            Type::Null => match value {
                Value::Null => {}
                _ => return Err(wrong()),
            },
            Type::Boolean => self.out.push(u8::from(value.as_bool().ok_or_else(wrong)?)),
            Type::Int => {
                let number = whole(value).ok_or_else(wrong)?;
                i32::try_from(number).map_err(|_| format!("{number} does not fit an int"))?;
                self.long(number);
            }
            Type::Long => {
                let number = whole(value).ok_or_else(wrong)?;
                self.long(number);
            }
            #[expect(clippy::cast_possible_truncation, reason = "a float is the nearest one")]
            Type::Float => {
                let number = number(value).ok_or_else(wrong)? as f32;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            Type::Double => {
                let number = number(value).ok_or_else(wrong)?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            Type::Bytes => {
                let bytes = bytes(value).ok_or_else(wrong)??;
                self.sized(&bytes);
            }
            Type::Fixed { name, size } => {
                let bytes = bytes(value).ok_or_else(wrong)??;
                if bytes.len() != *size {
                    return Err(format!("`{name}` has {size} bytes, not {}", bytes.len()));
                }
                self.out.extend_from_slice(&bytes);
            }
            Type::String => {
                let text = value.as_str().ok_or_else(wrong)?;
                self.sized(text.as_bytes());
            }
            Type::Enum { name, symbols, .. } => {
                let symbol = value.as_str().ok_or_else(wrong)?;
                let index = symbols.iter().position(|known| known == symbol);
                let index = index.ok_or_else(|| format!("`{name}` has no such symbol"))?;
                self.count(index);
            }
            Type::Array(items) => {
                let list = value.as_array().ok_or_else(wrong)?;
                if !list.is_empty() {
                    self.count(list.len());
                }
                for (index, item) in list.iter().enumerate() {
                    self.value(item, *items, depth + 1).map_err(|fault| format!("{index}: {fault}"))?;
                }
                self.long(0);
            }
            Type::Map(values) => {
                let object = value.as_object().ok_or_else(wrong)?;
                if !object.is_empty() {
                    self.count(object.len());
                }
                for (key, value) in object.iter() {
                    self.sized(key.as_bytes());
                    self.value(value, *values, depth + 1).map_err(|fault| format!("{key}: {fault}"))?;
                }
                self.long(0);
            }
            Type::Union(branches) => self.union(value, branches, depth)?,
            Type::Record { name, fields } => {
                let object = value.as_object().ok_or_else(wrong)?;
                for field in fields {
                    let made = match (object.get(&field.name), &field.default) {
                        (Some(value), _) => self.value(value, field.id, depth + 1),
                        (None, Some(default)) => self.default(default, field.id, depth + 1),
                        (None, None) => Err(format!("`{name}` needs this field")),
                    };
                    made.map_err(|fault| format!("{}: {fault}", field.name))?;
                }
            }
        }
        Ok(())
    }

    /// Defaults are written without the names of branches, and are of the first one.
    fn default(&mut self, default: &Value, id: Id, depth: usize) -> Result<(), String> {
        let unions = std::mem::replace(&mut self.unions, Unions::Bare);
        let made = self.value(default, id, depth);
        self.unions = unions;
        made
    }

    fn union(&mut self, value: &Value, branches: &'s [Branch], depth: usize) -> Result<(), String> {
        if self.unions == Unions::Tagged {
            let (index, value) = self.tagged(value, branches)?;
            self.count(index);
            return self.value(value, branches[index].id, depth + 1);
        }
        let begin = self.out.len();
        for (index, branch) in branches.iter().enumerate() {
            self.count(index);
            if self.value(value, branch.id, depth + 1).is_ok() {
                return Ok(());
            }
            self.out.truncate(begin);
        }
        Err(format!("none of {} is this {}", names(branches), value.type_name()))
    }

    /// Which branch a value in Avro's JSON encoding is of.
    fn tagged<'v>(&self, value: &'v Value, branches: &[Branch]) -> Result<(usize, &'v Value), String> {
        let is_null = |branch: &Branch| matches!(self.schema.get(branch.id), Type::Null);
        if matches!(value, Value::Null)
            && let Some(index) = branches.iter().position(is_null)
        {
            return Ok((index, value));
        }
        if let Some(object) = value.as_object()
            && let (1, Some((tag, inner))) = (object.len(), object.iter().next())
            && let Some(index) =
                branches.iter().position(|branch| branch.name == *tag || branch.logical.as_ref() == Some(tag))
        {
            return Ok((index, inner));
        }
        Err(format!("a union is written as null or {{\"type\": value}}, with a type of {}", names(branches)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    fn long(&mut self, number: i64) {
        let mut raw = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while raw >= 0x80 {
            self.out.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        self.out.push(raw as u8);
    }

    fn count(&mut self, count: usize) {
        self.long(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }
}

fn names(branches: &[Branch]) -> String {
    branches.iter().map(|branch| format!("`{}`", branch.name)).collect::<Vec<_>>().join(", ")
}

fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a float is the nearest one")]
    match value.clone().settled() {
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        // What JSON makes of numbers that are none.
        Value::Null => Some(f64::NAN),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Digits(_) => whole(&value.clone().settled()),
        #[expect(clippy::cast_possible_truncation, reason = "within the bounds checked")]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => Some(*number as i64),
        _ => None,
    }
}

/// Bytes as Avro's JSON encoding writes them.
fn bytes(value: &Value) -> Option<Result<Vec<u8>, String>> {
    match value {
        Value::Bytes(bytes) => Some(Ok(bytes.to_vec())),
        Value::String(text) => Some(
            text.chars()
                .map(|c| {
                    u8::try_from(c).map_err(|_| {
                        format!("bytes are written as text of the characters U+0000 to U+00FF, not {c:?}")
                    })
                })
                .collect(),
        ),
        _ => None,
    }
}
