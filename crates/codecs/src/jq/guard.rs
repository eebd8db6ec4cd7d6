//! Puts counters into a program, so that it ends whatever it does.
//!
//! jq loops by calling definitions again, by going through arrays and objects, and by `range`. Each of these tells the
//! meter of every turn, as does whatever makes a text, an array or an object. The meter answers with an exception that no
//! program can catch.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

use super::meter::{MADE, PRODUCT, SHORT, STEP, WHOLE};

/// How deep a program may be, a pipe counting as one more level.
const DEEPEST: usize = 1000;

type T<'s> = Term<&'s str>;

/// The program is too deep.
#[derive(Debug)]
pub(super) struct TooDeep;

type Guarded<T> = Result<T, TooDeep>;

/// A definition whose calls are counted.
pub(super) fn definition(def: Def<&str>) -> Guarded<Def<&str>> {
    deep_definition(def, 0)
}

fn deep_definition(def: Def<&str>, depth: usize) -> Guarded<Def<&str>> {
    let mut body = pipe(ask(STEP), term(def.body, depth + 1)?);
    if matches!((def.name, def.args.as_slice()), ("getpath", ["$path"]) | ("setpath", ["$path", _])) {
        // Paths are followed without a turn in between.
        let short = pipe(Term::Var("$path"), Term::Call(SHORT, Vec::new()));
        body = Term::IfThenElse(vec![(short, body)], None);
    }
    Ok(Def { name: def.name, args: def.args, body })
}

fn pipe<'s>(left: T<'s>, right: T<'s>) -> T<'s> {
    Term::BinOp(Box::new(left), BinaryOp::Pipe(None), Box::new(right))
}

fn bind<'s>(value: T<'s>, name: &'s str, within: T<'s>) -> T<'s> {
    Term::BinOp(Box::new(value), BinaryOp::Pipe(Some(Pattern::Var(name))), Box::new(within))
}

/// `if COUNTER then . else . end`: a condition is run, and what stands behind it is a path.
fn ask<'s>(counter: &'static str) -> T<'s> {
    Term::IfThenElse(vec![(Term::Call(counter, Vec::new()), Term::Id)], None)
}

fn then_ask<'s>(of: T<'s>, counter: &'static str) -> T<'s> {
    pipe(of, ask(counter))
}

fn boxed<'s>(of: T<'s>, depth: usize) -> Guarded<Box<T<'s>>> {
    term(of, depth).map(Box::new)
}

fn all<'s>(terms: Vec<T<'s>>, depth: usize) -> Guarded<Vec<T<'s>>> {
    terms.into_iter().map(|of| term(of, depth)).collect()
}

pub(super) fn term<'s>(of: T<'s>, depth: usize) -> Guarded<T<'s>> {
    let depth = depth + 1;
    if depth > DEEPEST {
        return Err(TooDeep);
    }
    Ok(match of {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Break(_) | Term::Arr(None) => of,
        Term::Recurse => then_ask(of, STEP),
        Term::Str(format, parts) => {
            let part = |part| {
                Ok(match part {
                    // It is written as text: all of it is gone through.
                    StrPart::Term(of) => StrPart::Term(then_ask(term(of, depth)?, WHOLE)),
                    other => other,
                })
            };
            let parts = parts.into_iter().map(part).collect::<Guarded<Vec<_>>>()?;
            then_ask(Term::Str(format, parts), MADE)
        }
        Term::Arr(Some(of)) => then_ask(Term::Arr(Some(boxed(*of, depth)?)), MADE),
        Term::Obj(fields) => {
            let field = |(key, value): (T<'s>, Option<T<'s>>)| {
                let value = value.map(|value| term(value, depth)).transpose()?;
                // `{a}` and `{$a}` are short for more: their keys stay as they are.
                let key = if value.is_some() { term(key, depth)? } else { key };
                Ok((key, value))
            };
            then_ask(Term::Obj(fields.into_iter().map(field).collect::<Guarded<_>>()?), MADE)
        }
        Term::Neg(of) => Term::Neg(boxed(*of, depth)?),
        Term::BinOp(left, op, right) => operation(term(*left, depth)?, op, term(*right, depth)?, depth)?,
        Term::Label(name, of) => Term::Label(name, boxed(*of, depth)?),
        Term::Fold(name, of, pattern, args) => {
            Term::Fold(name, boxed(*of, depth)?, patterned(pattern, depth)?, all(args, depth)?)
        }
        Term::TryCatch(of, catch) => {
            Term::TryCatch(boxed(*of, depth)?, catch.map(|catch| boxed(*catch, depth)).transpose()?)
        }
        Term::IfThenElse(branches, otherwise) => {
            let branch = |(condition, then)| Ok((term(condition, depth)?, term(then, depth)?));
            let branches = branches.into_iter().map(branch).collect::<Guarded<_>>()?;
            Term::IfThenElse(branches, otherwise.map(|of| boxed(*of, depth)).transpose()?)
        }
        Term::Def(defs, of) => {
            let defs = defs.into_iter().map(|def| deep_definition(def, depth)).collect::<Guarded<_>>()?;
            Term::Def(defs, boxed(*of, depth)?)
        }
        Term::Call(name, args) => {
            let call = Term::Call(name, all(args, depth)?);
            match (name, &call) {
                // It gives numbers without end, and without a turn of anything else.
                ("range", Term::Call(_, args)) if args.len() == 3 => then_ask(call, STEP),
                ("tojson" | "tostring" | "@json" | "@text", _) => pipe(ask(WHOLE), then_ask(call, MADE)),
                _ => call,
            }
        }
        Term::Path(of, Path(parts)) => {
            let goes_through = parts.iter().any(|(part, _)| matches!(part, Part::Range(None, None)));
            let part = |(part, opt)| {
                let part = match part {
                    Part::Index(of) => Part::Index(term(of, depth)?),
                    Part::Range(from, to) => Part::Range(
                        from.map(|of| term(of, depth)).transpose()?,
                        to.map(|of| term(of, depth)).transpose()?,
                    ),
                };
                Ok((part, opt))
            };
            let parts = parts.into_iter().map(part).collect::<Guarded<_>>()?;
            let path = Term::Path(boxed(*of, depth)?, Path(parts));
            if goes_through { then_ask(path, STEP) } else { path }
        }
    })
}

fn patterned(pattern: Pattern<&str>, depth: usize) -> Guarded<Pattern<&str>> {
    let depth = depth + 1;
    if depth > DEEPEST {
        return Err(TooDeep);
    }
    Ok(match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(items) => {
            Pattern::Arr(items.into_iter().map(|item| patterned(item, depth)).collect::<Guarded<_>>()?)
        }
        Pattern::Obj(fields) => Pattern::Obj(
            fields
                .into_iter()
                .map(|(key, value)| Ok((term(key, depth)?, patterned(value, depth)?)))
                .collect::<Guarded<_>>()?,
        ),
    })
}

/// An operation on operands that are guarded already.
fn operation<'s>(left: T<'s>, op: BinaryOp<&'s str>, right: T<'s>, depth: usize) -> Guarded<T<'s>> {
    const LEFT: &str = "$-left";
    const RIGHT: &str = "$-right";
    let plain = |left, op, right| Term::BinOp(Box::new(left), op, Box::new(right));
    // Whatever gives one value can be evaluated in any order.
    let single = |of: &T<'s>| matches!(of, Term::Id | Term::Num(_) | Term::Var(_));
    Ok(match op {
        // The right operand is evaluated first, as in jq and its other descendants: `(1,2) + (10,20)`.
        BinaryOp::Math(math) => {
            let made = made(math, Term::Var(LEFT), Term::Var(RIGHT));
            bind(right, RIGHT, bind(left, LEFT, made))
        }
        BinaryOp::Cmp(_) if single(&left) && single(&right) => plain(left, op, right),
        BinaryOp::Cmp(cmp) => {
            let compared = plain(Term::Var(LEFT), BinaryOp::Cmp(cmp), Term::Var(RIGHT));
            bind(right, RIGHT, bind(left, LEFT, compared))
        }
        BinaryOp::UpdateMath(math) => {
            let changed = made(math, Term::Id, Term::Var(RIGHT));
            bind(right, RIGHT, plain(left, BinaryOp::Update, changed))
        }
        BinaryOp::Pipe(pattern) => {
            let pattern = pattern.map(|pattern| patterned(pattern, depth)).transpose()?;
            plain(left, BinaryOp::Pipe(pattern), right)
        }
        other => plain(left, other, right),
    })
}

fn made<'s>(math: Math, left: T<'s>, right: T<'s>) -> T<'s> {
    let result = match math {
        // A text can be multiplied: that is asked for before it is done.
        Math::Mul => {
            let pair = Term::BinOp(Box::new(left), BinaryOp::Comma, Box::new(right));
            pipe(Term::Arr(Some(Box::new(pair))), Term::Call(PRODUCT, Vec::new()))
        }
        _ => Term::BinOp(Box::new(left), BinaryOp::Math(math), Box::new(right)),
    };
    then_ask(result, MADE)
}
