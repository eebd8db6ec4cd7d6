//! Text to tokens. Comments vanish, line ends stay, because statements and match cases end with them.

use super::place::Span;
use super::unescape::unescape;

/// A token without its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A run of letters, digits and underscores that is not a number (after a dot also digits).
    Word(Box<str>),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction, or one too large for 64 bits.
    Float(f64),
    /// A `"quoted"` text, unescaped.
    Quoted(Box<str>),
    /// A `"""raw"""` text.
    Raw(Box<str>),
    /// An operator or bracket.
    Sign(&'static str),
    /// The end of a line.
    Newline,
    /// Something that is no token, and why.
    Bad(String),
    /// The end of the text.
    End,
}

/// A token with its place.
#[derive(Debug, Clone)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
    /// Whether white space stands before it.
    pub(crate) spaced: bool,
}

/// Longest first, so that the first match is the right one.
const SIGNS: [&str; 28] = [
    "=>", "->", "==", "!=", ">=", "<=", "&&", "||", "(", ")", "{", "}", "[", "]", ",", ":", ".", "=", "+",
    "-", "*", "/", "%", "|", "!", "<", ">", "@",
];

/// Splits the text; the last token is always [`Token::End`]. Never fails: what cannot be read is [`Token::Bad`].
pub(crate) fn tokens(text: &str) -> Vec<Lexeme> {
    tokens_within(text, Span { start: 0, end: text.len() as u32 })
}

/// Splits a part of the text; places count in the whole text.
pub(crate) fn tokens_within(text: &str, span: Span) -> Vec<Lexeme> {
    let (start, end) = (span.start as usize, span.end as usize);
    let mut lexer = Lexer { text: &text[..end], at: start, found: Vec::with_capacity((end - start) / 4 + 1) };
    while lexer.next() {}
    lexer.found
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    found: Vec<Lexeme>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, token: Token, length: usize, spaced: bool) {
        let span = Span { start: self.at as u32, end: (self.at + length) as u32 };
        self.at += length;
        self.found.push(Lexeme { token, span, spaced });
    }

    /// Reads one token; false at the end.
    fn next(&mut self) -> bool {
        let before = self.at;
        self.skip_blank();
        let spaced = self.at > before || self.found.last().is_none_or(|last| last.token == Token::Newline);
        let Some(first) = self.rest().chars().next() else {
            self.push(Token::End, 0, true);
            return false;
        };
        if first == '\n' {
            self.push(Token::Newline, 1, spaced);
        } else if first == '"' {
            self.text_token(spaced);
        } else if first == '$' {
            self.push(Token::Sign("$"), 1, spaced);
        } else if is_word(first) {
            self.word(spaced);
        } else if let Some(sign) = SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            self.push(Token::Sign(sign), sign.len(), spaced);
        } else {
            let why = match first {
                '\'' | '`' => "text must stand between double quotes".to_owned(),
                _ => format!("unexpected character `{}`", first.escape_debug()),
            };
            self.push(Token::Bad(why), first.len_utf8(), spaced);
        }
        true
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
            self.at += blank;
            if !self.rest().starts_with('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn word(&mut self, spaced: bool) {
        let run = self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
        let after_dot = self.found.last().is_some_and(|last| last.token == Token::Sign(".")) && !spaced;
        if let Some(length) = exponent(self.rest()).filter(|_| !after_dot) {
            let number = self.rest()[..length].parse();
            let token = number.map_or_else(|_| Token::Bad("this is no number".to_owned()), Token::Float);
            return self.push(token, length, spaced);
        }
        let word = &self.rest()[..run];
        if after_dot || !word.bytes().all(|byte| byte.is_ascii_digit()) {
            let word = word.into();
            return self.push(Token::Word(word), run, spaced);
        }
        let fraction = self.rest()[run..].strip_prefix('.').map_or(0, |rest| {
            let run = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if run > 0 && rest[..run].bytes().all(|byte| byte.is_ascii_digit()) { run + 1 } else { 0 }
        });
        let number = &self.rest()[..run + fraction];
        let token = match number.parse::<i64>() {
            Ok(whole) => Token::Integer(whole),
            Err(_) => number.parse::<f64>().map_or_else(|why| Token::Bad(why.to_string()), Token::Float),
        };
        self.push(token, run + fraction, spaced);
    }

    fn text_token(&mut self, spaced: bool) {
        if let Some(raw) = self.rest().strip_prefix("\"\"\"") {
            return match raw.find("\"\"\"") {
                Some(end) => {
                    let token = Token::Raw(raw[..end].into());
                    self.push(token, end + 6, spaced);
                }
                None => {
                    let length = self.rest().len();
                    self.push(Token::Bad("missing the closing `\"\"\"`".to_owned()), length, spaced);
                }
            };
        }
        let bytes = self.rest().as_bytes();
        let mut end = 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') if bytes.get(end + 1).is_some_and(|byte| *byte != b'\n') => end += 2,
                None | Some(b'\n') => {
                    let token = Token::Bad("missing the closing `\"`".to_owned());
                    return self.push(token, end.min(bytes.len()), spaced);
                }
                Some(_) => end += 1,
            }
        }
        let token = match unescape(&self.rest()[1..end]) {
            Ok(text) => Token::Quoted(text.into()),
            Err(why) => Token::Bad(why),
        };
        self.push(token, end + 1, spaced);
    }
}

/// The length of a number with an exponent that a text begins with: `1e6`, `1.5E-3`.
fn exponent(text: &str) -> Option<usize> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut at = digits(text);
    if at == 0 {
        return None;
    }
    if let Some(rest) = text[at..].strip_prefix('.') {
        at += 1 + Some(digits(rest)).filter(|found| *found > 0)?;
    }
    let rest = text[at..].strip_prefix(['e', 'E'])?;
    let sign = usize::from(rest.starts_with(['+', '-']));
    let found = Some(digits(&rest[sign..])).filter(|found| *found > 0)?;
    let end = at + 1 + sign + found;
    (!text[end..].starts_with(is_word)).then_some(end)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Token> {
        tokens(text).into_iter().map(|lexeme| lexeme.token).filter(|token| *token != Token::End).collect()
    }

    #[test]
    fn numbers_and_segments() {
        let word = |text: &str| Token::Word(text.into());
        let dot = Token::Sign(".");
        for (text, expected) in [
            ("1.5", vec![Token::Float(1.5)]),
            ("a.1.5", vec![word("a"), dot.clone(), word("1"), dot.clone(), word("5")]),
            ("5.abs", vec![Token::Integer(5), dot.clone(), word("abs")]),
            ("5th", vec![word("5th")]),
            ("1e6", vec![Token::Float(1e6)]),
            ("1.5E-3*2e+1", vec![Token::Float(1.5e-3), Token::Sign("*"), Token::Float(20.0)]),
            ("1e6x 1e", vec![word("1e6x"), word("1e")]),
            ("a.1e6", vec![word("a"), dot.clone(), word("1e6")]),
            ("9223372036854775808", vec![Token::Float(9_223_372_036_854_775_808.0)]),
            ("a # b\nc", vec![word("a"), Token::Newline, word("c")]),
            (r#""a\"b\n" """c\n"""  "#, vec![Token::Quoted("a\"b\n".into()), Token::Raw("c\\n".into())]),
            ("->=>==", vec![Token::Sign("->"), Token::Sign("=>"), Token::Sign("==")]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn unreadable_texts_are_tokens_too() {
        for text in ["\"abc", "\"abc\ndef", "\"\"\"abc", "\"\\q\"", "\"a\\", "§", "'a'", "\"\\", "\"\\\n"] {
            assert!(words(text).iter().any(|token| matches!(token, Token::Bad(_))), "{text}");
        }
    }
}
