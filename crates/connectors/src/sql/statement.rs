//! The texts of built statements.

use document::Fault;
use streams::Node;

use super::client::Driver;

/// Parameters that one statement of every database here can have.
const MOST_PARAMETERS: usize = 32_000;

/// A `SELECT`, or the frame of an `INSERT`.
#[derive(Debug)]
pub(super) struct Insert {
    head: String,
    suffix: String,
    driver: Driver,
    pub(super) columns: usize,
}

/// The statement of `sql_select`.
pub(super) fn select(node: &Node<'_>, driver: Driver) -> Result<String, Fault> {
    let mut text = part(node, "prefix", "", " ")?;
    text += &format!("SELECT {} FROM {}", columns(node)?.join(", "), table(node)?);
    text += &part(node, "where", " WHERE ", "")?;
    text += &part(node, "suffix", " ", "")?;
    Ok(placeholders(&text, driver))
}

/// The statement of `sql_insert`.
pub(super) fn insert(node: &Node<'_>, driver: Driver) -> Result<Insert, Fault> {
    let columns = columns(node)?;
    let head = format!(
        "{}INSERT INTO {} ({}) VALUES ",
        part(node, "prefix", "", " ")?,
        table(node)?,
        columns.join(",")
    );
    Ok(Insert { head, suffix: part(node, "suffix", " ", "")?, driver, columns: columns.len() })
}

impl Insert {
    /// For so many rows at once.
    pub(super) fn text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        let rows = vec![row; rows].join(",");
        placeholders(&format!("{}{rows}{}", self.head, self.suffix), self.driver)
    }

    /// Most rows of one statement.
    pub(super) fn most(&self) -> usize {
        (MOST_PARAMETERS / self.columns.max(1)).max(1)
    }
}

fn part(node: &Node<'_>, name: &str, before: &str, after: &str) -> Result<String, Fault> {
    let text = node.text(name)?;
    Ok(if text.is_empty() { String::new() } else { format!("{before}{text}{after}") })
}

fn table(node: &Node<'_>) -> Result<String, Fault> {
    let table = node.text("table")?;
    if table.is_empty() {
        Err(node.field_fault("table", "`table` must not be empty"))
    } else {
        Ok(table.into_owned())
    }
}

fn columns(node: &Node<'_>) -> Result<Vec<String>, Fault> {
    let columns = node.texts("columns")?;
    if columns.is_empty() || columns.len() > MOST_PARAMETERS {
        return Err(node.field_fault("columns", "`columns` must name at least one"));
    }
    Ok(columns)
}

/// Numbers the `?` outside of quotes for PostgreSQL; `??` is one that stays.
fn placeholders(text: &str, driver: Driver) -> String {
    if driver != Driver::Postgres {
        return text.to_owned();
    }
    let (mut out, mut count, mut quote) = (String::with_capacity(text.len() + 8), 0, None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('?', None) if chars.next_if_eq(&'?').is_some() => out.push('?'),
            ('?', None) => {
                count += 1;
                out += &format!("${count}");
            }
            (c, open) => {
                match open {
                    None if matches!(c, '\'' | '"') => quote = Some(c),
                    Some(open) if open == c => quote = None,
                    _ => {}
                }
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_those_of_the_database() {
        let text = "a = ? AND b = 'what?' AND \"c?\" = ? AND d ?? 'k'";
        let numbered = "a = $1 AND b = 'what?' AND \"c?\" = $2 AND d ? 'k'";
        assert_eq!(placeholders(text, Driver::Postgres), numbered);
        assert_eq!(placeholders(text, Driver::MySql), text);
        let insert = Insert { head: "I ".into(), suffix: " S".into(), driver: Driver::Postgres, columns: 2 };
        assert_eq!(insert.text(2), "I ($1,$2),($3,$4) S");
        assert_eq!(insert.most(), 16_000);
    }
}
