//! Tokens to queries: operators by binding power, operands with their tails.

use super::MAX_TREE_DEPTH;
use super::lexer::Token;
use super::parser::{Parsed, Parser};
use super::place::{Fault, Span};
use super::tree::{Argument, Expr, Kind, Operator};
use crate::Value;

impl Parser {
    /// One query.
    pub(super) fn query(&mut self) -> Parsed<Expr> {
        self.nested(|parser| parser.binary(0))
    }

    fn binary(&mut self, binding: u8) -> Parsed<Expr> {
        let mut left = self.operand()?;
        while let Some((operator, gap)) = self.operator_ahead().filter(|(next, _)| next.binding() > binding) {
            for _ in 0..=gap {
                self.advance();
            }
            self.skip_gap();
            let right = self.binary(operator.binding())?;
            let span = left.span.to(right.span);
            left = node(span, Kind::Binary { operator, left: Box::new(left), right: Box::new(right) })?;
        }
        Ok(left)
    }

    /// The operator that goes on with the query, perhaps on a later line, and how many line ends come before it.
    fn operator_ahead(&self) -> Option<(Operator, usize)> {
        let gap = self.gap();
        let Token::Sign(sign) = self.peek_at(gap).token else { return None };
        let operator = Operator::from_sign(sign)?;
        // On a new line `-1` begins the next match case, `- 1` goes on with the query.
        if gap > 0 && operator == Operator::Subtract && !self.peek_at(gap + 1).spaced {
            return None;
        }
        Some((operator, gap))
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let start = self.peek().span;
        let negate = self.accept("-");
        let not = self.accept("!");
        let mut value = self.primary()?;
        value = self.tails(value)?;
        if not {
            value = node(start.to(value.span), Kind::Not(Box::new(value)))?;
        }
        if negate {
            value = node(start.to(value.span), Kind::Negate(Box::new(value)))?;
        }
        Ok(value)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let lexeme = self.peek().clone();
        let span = lexeme.span;
        let literal = |value| Ok(Expr { span, depth: 1, kind: Kind::Literal(value) });
        match lexeme.token {
            Token::Word(word) => self.word(&word, span),
            Token::Integer(number) => {
                self.advance();
                literal(Value::Int(number))
            }
            Token::Float(number) => {
                self.advance();
                literal(Value::Float(number))
            }
            Token::Quoted(text) | Token::Raw(text) => {
                self.advance();
                literal(Value::from(&*text))
            }
            Token::Sign("(") => {
                self.advance();
                self.skip_gap();
                let inner = self.query()?;
                self.skip_gap();
                let end = self.expect(")", "to close the bracket")?;
                Ok(Expr { span: span.to(end), ..inner })
            }
            Token::Sign("[") => self.array(),
            Token::Sign("{") => self.object(),
            Token::Sign("@") => {
                self.advance();
                let adjacent =
                    !self.peek().spaced && matches!(self.peek().token, Token::Word(_) | Token::Quoted(_));
                let key = if adjacent { Some(self.name("a metadata key")?.text) } else { None };
                node(span.to(self.before()), Kind::Meta(key))
            }
            Token::Sign("$") => {
                self.advance();
                match self.peek().token {
                    Token::Word(_) if !self.peek().spaced => {
                        let name = self.name("a variable name")?;
                        node(span.to(name.span), Kind::Variable(name))
                    }
                    _ => Err(self.unexpected("a variable name after `$`")),
                }
            }
            _ => Err(self.unexpected("a query")),
        }
    }

    /// Everything that begins with a word: keywords, literals, lambdas, functions, fields.
    fn word(&mut self, word: &str, span: Span) -> Parsed<Expr> {
        if self.is_sign_at(1, "->") {
            return self.lambda();
        }
        if word == "match" && (self.is_sign_at(1 + self.gap_after_word(), "{") || self.operand_after_word()) {
            return self.match_query();
        }
        if word == "if" && self.operand_after_word() {
            return self.if_query();
        }
        let name = self.name("a name")?;
        if self.is_sign("(") && !self.peek().spaced {
            let arguments = self.arguments()?;
            return node(span.to(self.before()), Kind::Function { name, arguments });
        }
        let kind = match word {
            "true" => Kind::Literal(Value::Bool(true)),
            "false" => Kind::Literal(Value::Bool(false)),
            "null" => Kind::Literal(Value::Null),
            "this" => Kind::This,
            "root" => Kind::Root,
            _ => Kind::Word(name.text),
        };
        node(span, kind)
    }

    fn gap_after_word(&self) -> usize {
        (1..).take_while(|ahead| self.peek_at(*ahead).token == Token::Newline).count()
    }

    /// Whether the word here is followed, after a space, by something with which an operand begins.
    fn operand_after_word(&self) -> bool {
        let next = self.peek_at(1);
        next.spaced
            && match next.token {
                Token::Word(_) | Token::Integer(_) | Token::Float(_) | Token::Quoted(_) | Token::Raw(_) => {
                    true
                }
                Token::Sign(sign) => matches!(sign, "(" | "[" | "!" | "@" | "$" | "{"),
                _ => false,
            }
    }

    fn lambda(&mut self) -> Parsed<Expr> {
        let name = self.name("a name")?;
        let arrow = self.advance();
        if !arrow.spaced || !self.peek().spaced {
            return Err(Fault::new(arrow.span, "`->` needs a space on both sides"));
        }
        let body = self.query()?;
        let span = name.span.to(body.span);
        if matches!(&*name.text, "this" | "root") {
            return Err(Fault::new(name.span, format!("a context cannot be named `{}`", name.text)));
        }
        let name = Some(name).filter(|name| &*name.text != "_");
        node(span, Kind::Lambda { name, body: Box::new(body) })
    }

    fn match_query(&mut self) -> Parsed<Expr> {
        let start = self.advance().span;
        let subject = if self.is_sign_at(self.gap(), "{") { None } else { Some(Box::new(self.query()?)) };
        self.skip_gap();
        self.expect("{", "to open the match cases")?;
        let mut cases = Vec::new();
        loop {
            while self.peek().token == Token::Newline || self.is_sign(",") {
                self.advance();
            }
            if self.is_sign("}") {
                break;
            }
            let default = self.is_word_at(0, "_") && self.is_sign_at(1, "=>");
            let pattern = if default {
                self.advance();
                None
            } else {
                Some(self.query()?)
            };
            self.expect("=>", "after a match case")?;
            self.skip_gap();
            cases.push((pattern, self.query()?));
            if !matches!(self.peek().token, Token::Newline | Token::Sign("," | "}")) {
                return Err(self.unexpected("a line end, `,` or `}` after a match case"));
            }
        }
        let end = self.advance().span;
        if cases.is_empty() {
            return Err(Fault::new(start.to(end), "a match needs at least one case"));
        }
        node(start.to(end), Kind::Match { subject, cases })
    }

    fn if_query(&mut self) -> Parsed<Expr> {
        let start = self.peek().span;
        let mut branches = Vec::new();
        let mut otherwise = None;
        loop {
            self.advance();
            let condition = self.query()?;
            branches.push((condition, self.braced_query()?));
            let gap = self.gap();
            if !self.is_word_at(gap, "else") {
                break;
            }
            self.skip_gap();
            self.advance();
            if !self.is_word_at(0, "if") {
                otherwise = Some(Box::new(self.braced_query()?));
                break;
            }
        }
        node(start.to(self.before()), Kind::If { branches, otherwise })
    }

    fn braced_query(&mut self) -> Parsed<Expr> {
        self.expect("{", "to open a branch")?;
        self.skip_gap();
        let value = self.query()?;
        self.skip_gap();
        self.expect("}", "to close the branch")?;
        Ok(value)
    }

    fn array(&mut self) -> Parsed<Expr> {
        let start = self.advance().span;
        let mut items = Vec::new();
        self.skip_gap();
        while !self.is_sign("]") {
            items.push(self.query()?);
            self.list_separator("]")?;
        }
        let end = self.advance().span;
        node(start.to(end), Kind::Array(items))
    }

    fn object(&mut self) -> Parsed<Expr> {
        let start = self.advance().span;
        let mut fields = Vec::new();
        self.skip_gap();
        while !self.is_sign("}") {
            let key = self.query()?;
            match key.kind {
                Kind::Literal(Value::String(_)) => {}
                Kind::Literal(_) | Kind::Array(_) | Kind::Object(_) => {
                    return Err(Fault::new(key.span, "an object key must be text").hint("quote the key"));
                }
                _ => {}
            }
            self.skip_gap();
            self.expect(":", "after an object key")?;
            self.skip_gap();
            fields.push((key, self.query()?));
            self.list_separator("}")?;
        }
        let end = self.advance().span;
        node(start.to(end), Kind::Object(fields))
    }

    /// A comma with gaps around it, or the closing bracket, which stays.
    fn list_separator(&mut self, close: &str) -> Parsed<()> {
        self.skip_gap();
        if self.accept(",") {
            self.skip_gap();
        } else if !self.is_sign(close) {
            return Err(self.unexpected(&format!("`,` or `{close}`")));
        }
        Ok(())
    }

    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        self.advance();
        self.skip_gap();
        let mut arguments: Vec<Argument> = Vec::new();
        while !self.is_sign(")") {
            let named = matches!(self.peek().token, Token::Word(_)) && self.is_sign_at(1, ":");
            let name = if named { Some(self.name("an argument name")?) } else { None };
            if named {
                self.advance();
                self.skip_gap();
            }
            let value = self.query()?;
            if arguments.first().is_some_and(|first| first.name.is_some() != named) {
                return Err(Fault::new(value.span, "arguments must be all named or all unnamed"));
            }
            arguments.push(Argument { name, value });
            self.list_separator(")")?;
        }
        self.advance();
        Ok(arguments)
    }

    fn tails(&mut self, mut value: Expr) -> Parsed<Expr> {
        let start = value.span;
        loop {
            let gap = self.gap();
            if self.is_sign_at(gap, ".") {
                self.skip_gap();
                self.advance();
                self.skip_gap();
                value = self.dot_tail(value, start)?;
            } else if self.is_sign("[") && !self.peek().spaced {
                value = self.bracket_tail(value, start)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn dot_tail(&mut self, value: Expr, start: Span) -> Parsed<Expr> {
        if self.accept("(") {
            self.skip_gap();
            let query = Box::new(self.query()?);
            self.skip_gap();
            let end = self.expect(")", "to close the bracket")?;
            return node(start.to(end), Kind::Nested { of: Box::new(value), query });
        }
        let quoted = matches!(self.peek().token, Token::Quoted(_));
        let name = self.name("a field or a method after `.`")?;
        if !quoted && self.is_sign("(") && !self.peek().spaced {
            let arguments = self.arguments()?;
            let span = start.to(self.before());
            return node(span, Kind::Method { of: Box::new(value), name, arguments });
        }
        let span = start.to(name.span);
        match value.kind {
            Kind::Field { of, mut path } => {
                path.push(name.text);
                self.limit_path(path.len())?;
                Ok(Expr { span, depth: value.depth, kind: Kind::Field { of, path } })
            }
            _ => node(span, Kind::Field { of: Box::new(value), path: vec![name.text] }),
        }
    }

    fn bracket_tail(&mut self, value: Expr, start: Span) -> Parsed<Expr> {
        self.advance();
        let bound = |parser: &mut Parser| -> Parsed<Option<Box<Expr>>> {
            if parser.is_sign(":") || parser.is_sign("]") {
                return Ok(None);
            }
            parser.query().map(|bound| Some(Box::new(bound)))
        };
        let low = bound(self)?;
        if !self.accept(":") {
            let end = self.expect("]", "to close the index")?;
            let Some(index) = low else {
                return Err(Fault::new(end, "an index is missing between `[` and `]`"));
            };
            return node(start.to(end), Kind::Index { of: Box::new(value), index });
        }
        let high = bound(self)?;
        let step = if self.accept(":") { bound(self)? } else { None };
        let end = self.expect("]", "to close the slice")?;
        node(start.to(end), Kind::Slice { of: Box::new(value), low, high, step })
    }
}

/// A node whose depth follows from its children; a fault when the tree gets too deep.
fn node(span: Span, kind: Kind) -> Parsed<Expr> {
    let depth = children_depth(&kind) + 1;
    if depth > MAX_TREE_DEPTH {
        let message = format!("the query has more than {MAX_TREE_DEPTH} levels");
        return Err(Fault::new(span, message).hint("split it with variables"));
    }
    Ok(Expr { span, depth, kind })
}

fn children_depth(kind: &Kind) -> u16 {
    let boxed = |child: &Option<Box<Expr>>| child.as_ref().map_or(0, |child| child.depth);
    match kind {
        Kind::Literal(_) | Kind::This | Kind::Root | Kind::Word(_) | Kind::Meta(_) | Kind::Variable(_) => 0,
        Kind::Array(items) => items.iter().map(|item| item.depth).max().unwrap_or(0),
        Kind::Object(fields) => {
            fields.iter().map(|(key, value)| key.depth.max(value.depth)).max().unwrap_or(0)
        }
        Kind::Field { of, .. } => of.depth,
        Kind::Function { arguments, .. } => arguments_depth(arguments),
        Kind::Method { of, arguments, .. } => of.depth.max(arguments_depth(arguments)),
        Kind::Nested { of, query } => of.depth.max(query.depth),
        Kind::Index { of, index } => of.depth.max(index.depth),
        Kind::Slice { of, low, high, step } => of.depth.max(boxed(low)).max(boxed(high)).max(boxed(step)),
        Kind::Not(value) | Kind::Negate(value) => value.depth,
        Kind::Binary { left, right, .. } => left.depth.max(right.depth),
        Kind::Lambda { body, .. } => body.depth,
        Kind::Match { subject, cases } => {
            let case = |(pattern, value): &(Option<Expr>, Expr)| {
                pattern.as_ref().map_or(0, |pattern| pattern.depth).max(value.depth)
            };
            cases.iter().map(case).max().unwrap_or(0).max(boxed(subject))
        }
        Kind::If { branches, otherwise } => {
            let branch = |(condition, value): &(Expr, Expr)| condition.depth.max(value.depth);
            branches.iter().map(branch).max().unwrap_or(0).max(boxed(otherwise))
        }
    }
}

fn arguments_depth(arguments: &[Argument]) -> u16 {
    arguments.iter().map(|argument| argument.value.depth).max().unwrap_or(0)
}
