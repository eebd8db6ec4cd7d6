//! A plain reading of patterns and new URLs, to which the real one is held: by tests, and by what is thrown at it at random.

use super::goal::{Caught, Goal};
use super::text::Secrets;

/// Compares both for a pattern, a URL and a new URL. Patterns of letters, `.`, `*` behind one of them, `^` before and `$`
/// behind all are read; new URLs of text and `$0`. Anything else is only rendered.
pub(crate) fn compare(pattern: &str, url: &str, goal: &str) {
    let Ok(compiled) = apidef::pattern(pattern) else {
        assert!(!is_plain(pattern), "a plain pattern cannot be used: {pattern}");
        return;
    };
    if is_plain(pattern) && url.len() < 64 && !url.contains('\n') {
        assert_eq!(compiled.is_match(url), is_match(pattern, url), "{pattern} in {url}");
    }
    let Ok(read) = Goal::new(goal, &Secrets::new()) else { return };
    for decoded in [0, url.len() / 2, url.len()] {
        let Some(groups) = compiled.captures(url) else { return };
        let (whole, single) = (groups.get_match().as_str(), groups.len() == 1);
        let decoded = url.floor_char_boundary(decoded);
        let rendered = read.render(&Caught { groups, decoded }, &|_| "$1 /?#".to_owned());
        if decoded == 0 && single && !goal.contains("tyk_") && !goal.contains("secret_") {
            assert_eq!(rendered, render(goal, whole), "{goal} for {whole}");
        }
    }
}

/// Whether [`is_match`] understands a pattern.
fn is_plain(pattern: &str) -> bool {
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let mut before = '*';
    inner.len() < 16
        && inner.chars().all(|c| {
            let fits =
                if c == '*' { before != '*' } else { c.is_ascii_alphanumeric() || c == '/' || c == '.' };
            before = c;
            fits
        })
}

fn is_match(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (anchored, pattern) = pattern.strip_prefix('^').map_or((false, pattern), |pattern| (true, pattern));
    let pattern: Vec<char> = pattern.chars().collect();
    let starts = if anchored { 0..1 } else { 0..text.len() + 1 };
    starts.into_iter().any(|start| here(&pattern, &text[start..]))
}

fn here(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => true,
        ['$'] => text.is_empty(),
        [one, '*', rest @ ..] => {
            let most = text.iter().take_while(|c| *one == '.' || *c == one).count();
            (0..=most).any(|taken| here(rest, &text[taken..]))
        }
        [one, rest @ ..] => match text {
            [c, behind @ ..] => (*one == '.' || c == one) && here(rest, behind),
            [] => false,
        },
    }
}

/// With no group but the whole: `$0` is that, every other number nothing.
fn render(goal: &str, whole: &str) -> String {
    let mut out = String::new();
    let mut rest = goal.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '$' || !rest.peek().is_some_and(char::is_ascii_digit) {
            out.push(c);
            continue;
        }
        let mut digits = String::new();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if digits.chars().all(|digit| digit == '0') {
            out.push_str(whole);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_2_a_plain_reading_says_the_same() {
        let patterns = ["a", "^/a.*$", "a*b", ".*", "^$", "/a/.", "a.*b*$", "x*", "^a*a", "(", "(a)b?", "[a"];
        let urls = ["", "/", "/a", "/a/b", "aab", "/a/é?b", "b", "aaaa", "%2F", "ab$0"];
        let goals = [
            "",
            "/x$0",
            "$0$00",
            "$1$2",
            "$",
            "$$0",
            "/$0/$x/$12é",
            "${0}",
            "$tyk_meta.a$0",
            "$secret_conf.x",
        ];
        for pattern in patterns {
            for url in urls {
                for goal in goals {
                    compare(pattern, url, goal);
                }
            }
        }
    }
}
