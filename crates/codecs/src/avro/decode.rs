//! From the binary form to values.

use std::sync::Arc;

use bloblang::{Array, Object, Value};

use super::logical::Logical;
use super::schema::{Id, Schema, Type};
use super::{MAX_DEPTH, Unions, budget};

impl Schema {
    /// Reads one datum; what follows it is given back.
    ///
    /// # Errors
    /// Where and why the bytes are not a datum of this schema.
    pub fn decode<'a>(&self, datum: &'a [u8], unions: Unions) -> Result<(Value, &'a [u8]), String> {
        self.read(datum, unions, false)
    }

    /// The same, where times and dates become timestamps, and decimals numbers.
    ///
    /// # Errors
    /// As [`Schema::decode`].
    pub fn decode_logical<'a>(&self, datum: &'a [u8], unions: Unions) -> Result<(Value, &'a [u8]), String> {
        self.read(datum, unions, true)
    }

    fn read<'a>(&self, datum: &'a [u8], unions: Unions, logical: bool) -> Result<(Value, &'a [u8]), String> {
        let mut reader = Reader { rest: datum, left: budget(datum.len()) };
        let value = Decoder { schema: self, unions, logical }
            .value(&mut reader, self.root, 0)
            .map_err(|fault| format!("at byte {}: {fault}", datum.len() - reader.rest.len()))?;
        Ok((value, reader.rest))
    }
}

struct Decoder<'s> {
    schema: &'s Schema,
    unions: Unions,
    logical: bool,
}

impl Decoder<'_> {
    /// What a type means, if that is wanted.
    fn meaning(&self, id: Id) -> Option<Logical> {
        if self.logical { self.schema.logical.get(&id).copied() } else { None }
    }

    fn number(&self, id: Id, number: i64) -> Value {
        self.meaning(id).and_then(|logical| logical.number(number)).unwrap_or(Value::Int(number))
    }

    fn bytes(&self, id: Id, bytes: &[u8]) -> Value {
        self.meaning(id)
            .and_then(|logical| logical.bytes(bytes))
            .unwrap_or_else(|| Value::from(latin1(bytes)))
    }

    fn value(&self, from: &mut Reader<'_>, id: Id, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("the datum nests deeper than {MAX_DEPTH} levels"));
        }
        from.left = from.left.checked_sub(1).ok_or("the datum holds too many values for its size")?;
        Ok(match self.schema.get(id) {
            Type::Null => Value::Null,
            Type::Boolean => match from.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err("a boolean is 0 or 1".to_owned()),
            },
            Type::Int => {
                let number = from.long()?;
                i32::try_from(number).map_err(|_| format!("{number} does not fit an int"))?;
                self.number(id, number)
            }
            Type::Long => self.number(id, from.long()?),
            Type::Float => Value::Float(single(f32::from_le_bytes(from.array()?))),
            Type::Double => Value::Float(f64::from_le_bytes(from.array()?)),
            Type::Bytes => {
                let size = from.size()?;
                self.bytes(id, from.take(size)?)
            }
            Type::Fixed { size, .. } => self.bytes(id, from.take(*size)?),
            Type::String => Value::from(from.text()?),
            Type::Enum { name, symbols, default } => {
                let index = usize::try_from(from.long()?).ok();
                let symbol = index.and_then(|index| symbols.get(index)).or(default.map(|at| &symbols[at]));
                Value::String(symbol.ok_or_else(|| format!("`{name}` has no symbol of that number"))?.clone())
            }
            Type::Array(items) => {
                let mut made = Vec::new();
                from.blocks(|from| {
                    made.push(self.value(from, *items, depth + 1)?);
                    Ok(())
                })?;
                Value::Array(Arc::new(Array::from(made)))
            }
            Type::Map(values) => {
                let mut made = Object::new();
                from.blocks(|from| {
                    let key = from.text()?;
                    let value = self.value(from, *values, depth + 1)?;
                    made.insert(key, value);
                    Ok(())
                })?;
                Value::Object(Arc::new(made))
            }
            Type::Union(branches) => {
                let index = usize::try_from(from.long()?).ok();
                let branch =
                    index.and_then(|index| branches.get(index)).ok_or("the union has no such branch")?;
                let value = self.value(from, branch.id, depth + 1)?;
                if self.unions == Unions::Bare || matches!(self.schema.get(branch.id), Type::Null) {
                    return Ok(value);
                }
                let mut tagged = Object::new();
                tagged.insert(branch.name.clone(), value);
                Value::Object(Arc::new(tagged))
            }
            Type::Record { fields, .. } => {
                let mut made = Object::new();
                for field in fields {
                    let value = self
                        .value(from, field.id, depth + 1)
                        .map_err(|fault| format!("{}: {fault}", field.name))?;
                    made.insert(field.name.clone(), value);
                }
                Value::Object(Arc::new(made))
            }
        })
    }
}

/// A single-precision number as its shortest text says it, so that 0.1 does not become 0.10000000149011612.
fn single(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

/// Bytes as Avro's JSON encoding writes them: each is the character of its number.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Reads the primitives; shared with the container.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    /// Values that may still be read.
    pub(super) left: usize,
}

pub(super) const CUT: &str = "the bytes end too early";

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, size: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| CUT.to_owned())
    }

    /// A zigzag number of variable length.
    pub(super) fn long(&mut self) -> Result<i64, String> {
        let mut raw = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(CUT)?;
            self.rest = rest;
            if shift == 63 && *byte > 1 {
                break;
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err("a number is longer than 64 bits".to_owned())
    }

    pub(super) fn size(&mut self) -> Result<usize, String> {
        usize::try_from(self.long()?).map_err(|_| "a length is negative".to_owned())
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let size = self.size()?;
        std::str::from_utf8(self.take(size)?).map_err(|_| "a text is not UTF-8".to_owned())
    }

    /// Blocks of items up to the empty one.
    pub(super) fn blocks(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The size of the block in bytes follows, for readers that skip it.
                self.size()?;
                count = count.checked_neg().ok_or("a block is too long")?;
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }
}
