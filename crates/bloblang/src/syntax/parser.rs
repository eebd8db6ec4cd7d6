//! Tokens to statements. After a fault the parser goes on at the next line that looks like a statement.

use super::lexer::{Lexeme, Token, tokens, tokens_within};
use super::place::{Fault, Span};
use super::tree::{Expr, Name, Program, Statement, StatementKind, Target};
use super::{MAX_FAULTS, MAX_NESTING, MAX_PATH, MAX_TEXT};

pub(super) type Parsed<T> = Result<T, Fault>;

pub(crate) struct Parser {
    lexemes: Vec<Lexeme>,
    at: usize,
    pub(super) nesting: u16,
    faults: Vec<Fault>,
}

/// Parses a whole mapping; the tree holds what could be read, also when there are faults.
pub(crate) fn parse(text: &str) -> (Program, Vec<Fault>) {
    if text.len() > MAX_TEXT {
        let fault = Fault::new(Span::default(), format!("the mapping is larger than {MAX_TEXT} bytes"));
        return (Program::default(), vec![fault]);
    }
    let mut parser = Parser { lexemes: tokens(text), at: 0, nesting: 0, faults: Vec::new() };
    let program = parser.program();
    (program, parser.faults)
}

/// Parses one query that fills `span`, as interpolation has them; places count in the whole text.
pub(crate) fn parse_query(text: &str, span: Span) -> Result<Expr, Fault> {
    let lexemes = tokens_within(text, span);
    let mut parser = Parser { lexemes, at: 0, nesting: 0, faults: Vec::new() };
    parser.skip_gap();
    let query = parser.query()?;
    parser.skip_gap();
    if parser.peek().token == Token::End { Ok(query) } else { Err(parser.unexpected("the end of the query")) }
}

impl Parser {
    pub(super) fn peek(&self) -> &Lexeme {
        self.peek_at(0)
    }

    /// The token after `ahead` others; the last one, which is the end, repeats.
    pub(super) fn peek_at(&self, ahead: usize) -> &Lexeme {
        &self.lexemes[(self.at + ahead).min(self.lexemes.len() - 1)]
    }

    pub(super) fn advance(&mut self) -> Lexeme {
        let lexeme = self.peek().clone();
        self.at = (self.at + 1).min(self.lexemes.len() - 1);
        lexeme
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek().token, Token::Sign(found) if found == sign)
    }

    pub(super) fn is_sign_at(&self, ahead: usize, sign: &str) -> bool {
        matches!(self.peek_at(ahead).token, Token::Sign(found) if found == sign)
    }

    pub(super) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(&self.peek_at(ahead).token, Token::Word(found) if &**found == word)
    }

    pub(super) fn accept(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &str, purpose: &str) -> Parsed<Span> {
        if self.is_sign(sign) {
            return Ok(self.advance().span);
        }
        Err(self.unexpected(&format!("`{sign}` {purpose}")))
    }

    /// How many line ends come next.
    pub(super) fn gap(&self) -> usize {
        (0..).take_while(|ahead| self.peek_at(*ahead).token == Token::Newline).count()
    }

    pub(super) fn skip_gap(&mut self) {
        while self.peek().token == Token::Newline {
            self.advance();
        }
    }

    pub(super) fn before(&self) -> Span {
        self.lexemes[self.at.saturating_sub(1)].span
    }

    /// The fault that the next token is not what is needed.
    pub(super) fn unexpected(&self, expected: &str) -> Fault {
        let lexeme = self.peek();
        let found = match &lexeme.token {
            Token::Bad(why) => return Fault::new(lexeme.span, why.clone()),
            Token::Word(word) => format!("`{word}`"),
            Token::Integer(number) => format!("number {number}"),
            Token::Float(number) => format!("number {number}"),
            Token::Quoted(_) | Token::Raw(_) => "text".to_owned(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Newline => "the end of the line".to_owned(),
            Token::End => "the end of the text".to_owned(),
        };
        Fault::new(lexeme.span, format!("expected {expected}, found {found}"))
    }

    /// Runs `parse` one level deeper.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            let message = format!("the mapping nests deeper than {MAX_NESTING} levels");
            return Err(Fault::new(self.peek().span, message).hint("move inner parts into maps or variables"));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    fn program(&mut self) -> Program {
        self.skip_gap();
        if let Some(program) = self.single_query() {
            return program;
        }
        let mut program = Program::default();
        let end = self.statements(&mut program, true);
        if let Err(fault) = end {
            self.faults.push(fault);
        }
        program
    }

    /// The whole text as one query; none (and back at the start) when it must be statements.
    fn single_query(&mut self) -> Option<Program> {
        let keyword = self.keyword_ahead();
        if self.assignment_ahead()
            || keyword.is_some_and(|word| word != "if")
            || self.peek().token == Token::End
        {
            return None;
        }
        let start = self.at;
        let first = self.peek().span;
        let result = self.query().and_then(|value| {
            self.skip_gap();
            if self.peek().token == Token::End {
                Ok(value)
            } else {
                Err(self.unexpected("the end of the query"))
            }
        });
        match result {
            Ok(value) => {
                let span = first.to(value.span);
                let kind = StatementKind::Assign { target: Target::Root(Vec::new()), value };
                Some(Program {
                    statements: vec![Statement { span, kind }],
                    single_query: true,
                    ..Program::default()
                })
            }
            // Neither a query nor anything that begins like a statement: the query's fault is the one to tell.
            Err(fault) if keyword.is_none() && !self.statement_below(start) => {
                self.faults.push(fault);
                Some(Program::default())
            }
            Err(_) => {
                self.at = start;
                None
            }
        }
    }

    /// Whether any later line begins like a statement.
    fn statement_below(&mut self, start: usize) -> bool {
        let back = self.at;
        let found = self.recover(true, start);
        self.at = back;
        found
    }

    /// Statements up to the end of the text (`top`), or up to the closing `}` of a block, which stays.
    fn statements(&mut self, program: &mut Program, top: bool) -> Parsed<()> {
        loop {
            self.skip_gap();
            if self.peek().token == Token::End || (!top && self.is_sign("}")) {
                return Ok(());
            }
            let start = self.at;
            let result = self.statement(program, top).and_then(|()| {
                let ended = matches!(self.peek().token, Token::Newline | Token::End);
                if ended || (!top && self.is_sign("}")) {
                    return Ok(());
                }
                Err(self.unexpected("the end of the line"))
            });
            if let Err(fault) = result {
                self.faults.push(fault);
                if self.faults.len() >= MAX_FAULTS || !self.recover(top, start) {
                    self.at = self.lexemes.len() - 1;
                    return Ok(());
                }
            }
        }
    }

    /// Goes to the next line that looks like a statement or closes a block; false when there is none. A line that
    /// was entered by a statement which began before it, at `start`, counts too.
    fn recover(&mut self, top: bool, start: usize) -> bool {
        while self.peek().token != Token::End {
            let line_starts = self.at > start && self.lexemes[self.at - 1].token == Token::Newline;
            let closes = !top && self.is_sign("}");
            if line_starts && (closes || self.keyword_ahead().is_some() || self.assignment_ahead()) {
                return true;
            }
            self.advance();
        }
        false
    }

    /// The keyword with which a statement begins here.
    fn keyword_ahead(&self) -> Option<&'static str> {
        let next = &self.peek_at(1).token;
        let named = matches!(next, Token::Word(_) | Token::Quoted(_));
        let Token::Word(word) = &self.peek().token else { return None };
        match &**word {
            "let" if named => Some("let"),
            "map" if named && self.is_sign_at(2, "{") => Some("map"),
            "meta" if named || self.is_sign_at(1, "=") => Some("meta"),
            "import" if matches!(next, Token::Quoted(_)) => Some("import"),
            "from" if matches!(next, Token::Quoted(_)) => Some("from"),
            "if" if self.peek_at(1).spaced && !self.is_sign_at(1, "=") => Some("if"),
            _ => None,
        }
    }

    /// Whether a path and `=` come next.
    fn assignment_ahead(&self) -> bool {
        let mut ahead = 0;
        loop {
            match self.peek_at(ahead).token {
                Token::Word(_) => {}
                Token::Quoted(_) if ahead > 0 => {}
                _ => return false,
            }
            if !self.is_sign_at(ahead + 1, ".") {
                return self.is_sign_at(ahead + 1, "=");
            }
            ahead += 2;
        }
    }

    fn statement(&mut self, program: &mut Program, top: bool) -> Parsed<()> {
        let start = self.peek().span;
        let kind = match self.keyword_ahead() {
            Some("map") if top => return self.map_definition(program),
            Some("map") => return Err(Fault::new(start, "maps can only be defined at the top level")),
            Some("import" | "from") if !top => {
                return Err(Fault::new(start, "files can only be imported at the top level"));
            }
            Some("import") => {
                self.advance();
                let path = self.name("a path")?;
                program.imports.push(path);
                return Ok(());
            }
            Some("from") => {
                self.advance();
                let path = self.name("a path")?;
                self.skip_gap();
                let alone =
                    program.statements.is_empty() && program.maps.is_empty() && program.imports.is_empty();
                if !alone || program.whole.is_some() || self.peek().token != Token::End {
                    let message = "`from` makes another file the whole mapping, so it must stand alone";
                    return Err(
                        Fault::new(start, message).hint("write `import` to use only the maps of the file")
                    );
                }
                program.whole = Some(path);
                return Ok(());
            }
            Some("if") => self.nested(Parser::if_statement)?,
            Some("let") => {
                self.advance();
                let name = self.name("a variable name")?;
                self.assign_sign(true)?;
                StatementKind::Assign { target: Target::Variable(name), value: self.query()? }
            }
            Some("meta") => {
                self.advance();
                let key = if self.is_sign("=") { None } else { Some(self.name("a metadata key")?.text) };
                self.assign_sign(false)?;
                StatementKind::Assign { target: Target::Meta(key), value: self.query()? }
            }
            _ => {
                let path = self.path()?;
                self.assign_sign(true)?;
                StatementKind::Assign { target: Target::Root(path), value: self.query()? }
            }
        };
        program.statements.push(Statement { span: start.to(self.before()), kind });
        Ok(())
    }

    pub(super) fn name(&mut self, what: &str) -> Parsed<Name> {
        match &self.peek().token {
            Token::Word(text) | Token::Quoted(text) => {
                let text = text.clone();
                Ok(Name { text, span: self.advance().span })
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn path(&mut self) -> Parsed<Vec<Box<str>>> {
        let Token::Word(first) = self.peek().token.clone() else {
            return Err(self.unexpected("a path to assign, for example `root.name`"));
        };
        self.advance();
        let mut path = if &*first == "root" { Vec::new() } else { vec![first] };
        while self.accept(".") {
            path.push(self.name("a field name")?.text);
            self.limit_path(path.len())?;
        }
        Ok(path)
    }

    pub(super) fn limit_path(&self, segments: usize) -> Parsed<()> {
        if segments <= MAX_PATH {
            return Ok(());
        }
        Err(Fault::new(self.before(), format!("a path has at most {MAX_PATH} segments")))
    }

    fn assign_sign(&mut self, spaced_before: bool) -> Parsed<()> {
        if self.is_sign("==") {
            return Err(self.unexpected("`=`").hint("write a single `=` to assign"));
        }
        if !self.is_sign("=") {
            return Err(self.unexpected("`=` and a value"));
        }
        let sign = self.advance();
        if self.peek().token == Token::Newline || self.peek().token == Token::End {
            return Err(self.unexpected("a value after `=`"));
        }
        if (spaced_before && !sign.spaced) || !self.peek().spaced {
            return Err(Fault::new(sign.span, "`=` needs a space on both sides"));
        }
        Ok(())
    }

    fn map_definition(&mut self, program: &mut Program) -> Parsed<()> {
        self.advance();
        let name = self.name("a map name")?;
        let body = self.nested(Parser::block)?;
        program.maps.push((name, body));
        Ok(())
    }

    /// `{ statements }`
    fn block(&mut self) -> Parsed<Vec<Statement>> {
        self.expect("{", "to open a block")?;
        let mut inner = Program::default();
        self.statements(&mut inner, false)?;
        self.expect("}", "to close the block")?;
        Ok(inner.statements)
    }

    fn if_statement(&mut self) -> Parsed<StatementKind> {
        let mut branches = Vec::new();
        loop {
            self.advance();
            let condition = self.query()?;
            branches.push((condition, self.block()?));
            let gap = self.gap();
            if !self.is_word_at(gap, "else") {
                return Ok(StatementKind::If { branches, otherwise: Vec::new() });
            }
            self.skip_gap();
            self.advance();
            if !self.is_word_at(0, "if") {
                return Ok(StatementKind::If { branches, otherwise: self.block()? });
            }
        }
    }
}
