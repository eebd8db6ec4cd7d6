//! CSV (RFC 4180).

use super::receive::text;
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
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
    let (Some(delimiter), None) = (characters.next(), characters.next()) else {
        return Err(Failure::new("delimiter value must be exactly one character"));
    };
    if matches!(delimiter, '"' | '\r' | '\n' | char::REPLACEMENT_CHARACTER) {
        return Err(Failure::new("csv: invalid field or comment delimiter"));
    }
    let text = text(&value)?;
    let rows = rows(&text, delimiter, lazy).map_err(Failure::new)?;
    let mut rows = rows.into_iter();
    let names = if header { rows.next() } else { None };
    if rows.len() == 0 && names.is_none() {
        return Err(Failure::new("zero records were parsed"));
    }
    let row = |row: Vec<String>| match &names {
        Some(names) => Value::object(names.iter().cloned().zip(row.into_iter().map(Value::from)).collect()),
        None => Value::array(row.into_iter().map(Value::from).collect()),
    };
    Ok(Value::array(rows.map(row).collect()))
}

/// Every row; empty lines are none. All have as many fields as the first.
fn rows(text: &str, delimiter: char, lazy: bool) -> Result<Vec<Vec<String>>, String> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")) {
            (rest, line) = (after, line + 1);
            continue;
        }
        let first_line = line;
        let mut row = Vec::new();
        loop {
            let (field, after) = if let Some(inner) = rest.strip_prefix('"') {
                quoted(inner, delimiter, lazy, &mut line)?
            } else {
                let end = rest.find([delimiter, '\n']).unwrap_or(rest.len());
                let field = &rest[..end];
                if !lazy && field.contains('"') {
                    return Err(format!("record on line {line}: bare \" in non-quoted field"));
                }
                let field = if rest[end..].starts_with(delimiter) {
                    field
                } else {
                    field.strip_suffix('\r').unwrap_or(field)
                };
                (field.to_owned(), &rest[end..])
            };
            row.push(field);
            match after.strip_prefix(delimiter) {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('\n').unwrap_or(after);
                    line += 1;
                    break;
                }
            }
        }
        if rows.first().is_some_and(|first| first.len() != row.len()) {
            return Err(format!("record on line {first_line}: wrong number of fields"));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The content of a quoted field, and what follows its closing quote.
fn quoted<'t>(
    text: &'t str,
    delimiter: char,
    lazy: bool,
    line: &mut usize,
) -> Result<(String, &'t str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some(at) = rest.find('"') else {
            if !lazy {
                return Err(format!("record on line {line}: extraneous or missing \" in quoted-field"));
            }
            field.push_str(rest);
            return Ok((field, ""));
        };
        field.push_str(&rest[..at]);
        *line += rest[..at].matches('\n').count();
        rest = &rest[at + 1..];
        let ends = rest
            .strip_prefix('\r')
            .filter(|after| after.is_empty() || after.starts_with('\n'))
            .unwrap_or(rest);
        if let Some(after) = rest.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if ends.is_empty() || ends.starts_with(['\n', delimiter]) {
            return Ok((field, ends));
        } else if lazy {
            field.push('"');
        } else {
            return Err(format!("record on line {line}: extraneous or missing \" in quoted-field"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_and_faults() {
        for (text, lazy, expected) in [
            ("a,b\r\n1,2\r\n", false, r#"[["a", "b"], ["1", "2"]]"#),
            ("a\n\n\nb", false, r#"[["a"], ["b"]]"#),
            ("\"a\"\"b\",\"c\nd\"\n,", false, r#"[["a\"b", "c\nd"], ["", ""]]"#),
            ("a\"b,\"c\"d\"", true, r#"[["a\"b", "c\"d"]]"#),
            ("\"open", true, r#"[["open"]]"#),
        ] {
            assert_eq!(format!("{:?}", rows(text, ',', lazy).unwrap()), expected, "{text:?}");
        }
        for (text, expected) in [
            ("a\"b", "record on line 1: bare \""),
            ("a\n\"b\"c", "record on line 2: extraneous"),
            ("\"open", "record on line 1: extraneous"),
            ("a\n\"x\ny\"\nb,c", "record on line 4: wrong number"),
        ] {
            let found = rows(text, ',', false).unwrap_err();
            assert!(found.starts_with(expected), "{text:?}: {found}");
        }
    }
}
