//! `host=db port=5432 user=me password='it\'s' dbname=shop sslmode=disable`, as PostgreSQL's clients take it. Values with
//! spaces stand in quotes; a backslash takes the next letter as it is (PostgreSQL's documentation, 34.1.1.1).

/// Keys and values in their order; nothing when the text is not made of them.
pub(crate) fn key_values(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_end();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        rest = after.trim_start();
        pairs.push((key.to_owned(), value));
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// A value, quoted or not, and what follows it; nothing when a quote or an escape does not end.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if quoted => return Some((value, text.get(at + 1..)?)),
            letter if !quoted && letter.is_whitespace() => return Some((value, text.get(at..)?)),
            letter => value.push(letter),
        }
    }
    (!quoted).then_some((value, ""))
}
