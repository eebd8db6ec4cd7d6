//! CSV (RFC 4180).

use super::receive::{gather, text};
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
use crate::formats::csv::{self, Rules};
use crate::run::{Arguments, Context, Evaluated, Failure};

pub(crate) static TABLE: &[Spec] = &[Spec::method(
    "Parsing",
    "parse_csv",
    "The rows of CSV text: objects with the names of the first row, or arrays.",
    parse_csv,
)
.parameters(&[
    Parameter::with_default(
        "parse_header_row",
        Kind::Bool,
        Fixed::Bool(true),
        "Whether the first row names the fields.",
    ),
    Parameter::with_default("delimiter", Kind::Text, Fixed::Text(","), "The character between fields."),
    Parameter::with_default(
        "lazy_quotes",
        Kind::Bool,
        Fixed::Bool(false),
        "Whether quotes may stand where they need not.",
    ),
])
.examples(&[
    Example(
        "root = this.parse_csv()",
        r#""a,b\n1,\"x, y\"\n2,z""#,
        r#"[{"a":"1","b":"x, y"},{"a":"2","b":"z"}]"#,
    ),
    Example(
        r#"root = this.parse_csv(parse_header_row: false, delimiter: "|")"#,
        r#""1|2\n3|4""#,
        r#"[["1","2"],["3","4"]]"#,
    ),
    Example("root = this.parse_csv()", r#""a,b\n1""#, "error: record on line 2: wrong number of fields"),
    Example("root = this.parse_csv()", r#""""#, "error: zero records were parsed"),
])];

fn parse_csv(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let header = arguments.boolean(context, 0)?;
    let delimiter = arguments.text(context, 1)?;
    let lazy = arguments.boolean(context, 2)?;
    let mut characters = delimiter.chars();
    if characters.next().is_none() || characters.next().is_some() {
        return Err(Failure::new("delimiter value must be exactly one character"));
    }
    let rules = Rules { delimiter: Rules::delimiter(&delimiter).map_err(Failure::new)?, lazy_quotes: lazy };
    let text = text(&value)?;
    let mut records = rules.records(&text);
    let names = if header { records.next().transpose().map_err(Failure::new)?.map(csv::names) } else { None };
    let row = |record| match &names {
        Some(names) => csv::object(names, record),
        None => csv::array(record),
    };
    let rows = gather(records.map(|record| record.map(row).map_err(Failure::new)))?;
    match rows.as_array() {
        Some([]) if names.is_none() => Err(Failure::new("zero records were parsed")),
        _ => Ok(rows),
    }
}
