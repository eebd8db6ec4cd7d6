//! What is added to a parsed template: every value is printed as Go prints it, every call of a template counts, and what
//! is called must be there.

use gotmpl::Template;
use gotmpl::parse::{ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, PipeNode, Pos};

use crate::functions;

/// Prints a value as Go does.
pub(crate) const SHOW: &str = "__show";
/// Counts a call.
pub(crate) const STEP: &str = "__step";

/// What the language brings along.
const BUILT_IN: &[&str] = &[
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "call", "print",
    "printf", "println", "html", "js", "urlquery",
];

/// Whether every block of a template ends, which its parser does not ask for.
pub(crate) fn balanced(text: &str) -> Result<(), String> {
    let (mut open, mut rest) = (Vec::new(), text);
    while let Some(begin) = rest.find("{{") {
        let action = rest[begin + 2..].strip_prefix('-').unwrap_or(&rest[begin + 2..]).trim_start();
        if let Some(comment) = action.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, behind)| behind);
            continue;
        }
        let word = action.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        match word {
            "if" | "range" | "with" | "define" | "block" => {
                open.push((word, text[..text.len() - action.len()].matches('\n').count() + 1));
            }
            "end" => {
                open.pop();
            }
            _ => {}
        }
        rest = &action[end(action)..];
    }
    match open.last() {
        Some((word, line)) => Err(format!("unexpected EOF: the `{word}` of line {line} has no `end`")),
        None => Ok(()),
    }
}

/// Where an action ends; its texts may hold anything.
fn end(action: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, character) in action.char_indices() {
        match quote {
            Some('"' | '\'') if escaped => escaped = false,
            Some('"' | '\'') if character == '\\' => escaped = true,
            Some(begun) if begun == character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'' | '`') => quote = Some(character),
            None if action[at..].starts_with("}}") => return at,
            None => {}
        }
    }
    action.len()
}

/// Adds all of it to a template.
pub(crate) fn instrument(mut template: Template) -> Result<Template, String> {
    let names: Vec<String> = template.templates().into_iter().map(str::to_owned).collect();
    for name in &names {
        let Some(mut tree) = template.lookup(name).cloned() else { continue };
        list(&mut tree, &names)?;
        tree.nodes.insert(0, call(STEP));
        template = template.add_parse_tree(name, tree);
    }
    Ok(template)
}

fn command(name: &str) -> CommandNode {
    let pos = Pos::new(0, 0);
    CommandNode { pos, args: vec![Expr::Identifier(pos, name.into())] }
}

fn call(name: &str) -> Node {
    let pos = Pos::new(0, 0);
    let pipe = PipeNode { pos, decl: Vec::new(), commands: vec![command(name)], is_assign: false };
    Node::Action(ActionNode { pos, pipe })
}

fn list(of: &mut ListNode, names: &[String]) -> Result<(), String> {
    for node in &mut of.nodes {
        match node {
            Node::List(inner) => list(inner, names)?,
            Node::Action(action) => {
                set_in_place(&mut action.pipe);
                pipe(&action.pipe)?;
                if action.pipe.decl.is_empty() {
                    action.pipe.commands.push(command(SHOW));
                }
            }
            Node::If(inner) | Node::Range(inner) | Node::With(inner) => branch(inner, names)?,
            Node::Template(called) => {
                if !names.iter().any(|name| *name == *called.name) {
                    return Err(format!(
                        "line {}: template {:?} not defined",
                        called.pos.line, &*called.name
                    ));
                }
                if let Some(data) = &called.pipe {
                    pipe(data)?;
                }
            }
            Node::Define(inner) => list(&mut inner.body, names)?,
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
    Ok(())
}

/// Whether a variable's name is what maps are changed for whose result nobody wants.
fn is_blank(name: &str) -> bool {
    name.trim_start_matches('$') == "_"
}

/// Maps cannot be changed in place here. Where a template changes one that it holds in a variable, the variable gets the
/// changed map. Anywhere else the change could not be seen, and the template is refused ([`expression`]).
fn set_in_place(of: &mut PipeNode) {
    let [only] = of.commands.as_mut_slice() else { return };
    let [Expr::Identifier(_, function), Expr::Variable(_, map, fields), ..] = only.args.as_mut_slice() else {
        return;
    };
    let ([decl], true) = (of.decl.as_mut_slice(), fields.is_empty()) else { return };
    let (sets, merges) = match &**function {
        "set" => (Some("__set"), false),
        "unset" => (Some("__unset"), false),
        "merge" | "mustMerge" | "mergeOverwrite" | "mustMergeOverwrite" => (None, true),
        _ => return,
    };
    let declares_its_own = !of.is_assign && !is_blank(decl);
    if (merges && !is_blank(decl)) || (sets.is_some() && declares_its_own && *decl != *map) {
        return;
    }
    if let Some(sets) = sets {
        *function = sets.into();
    }
    *decl = map.clone();
    of.is_assign = true;
}

fn branch(of: &mut BranchNode, names: &[String]) -> Result<(), String> {
    pipe(&of.pipe)?;
    list(&mut of.body, names)?;
    of.else_body.as_mut().map_or(Ok(()), |body| list(body, names))
}

fn pipe(of: &PipeNode) -> Result<(), String> {
    of.commands.iter().flat_map(|command| &command.args).try_for_each(expression)
}

fn expression(of: &Expr) -> Result<(), String> {
    match of {
        Expr::Identifier(pos, name) => {
            let name: &str = name;
            if matches!(name, "set" | "unset") {
                return Err(format!(
                    "line {}: `{name}` changes a map in place, which can be seen nowhere: keep the map in a variable and write `{{{{ $_ := {name} $map … }}}}`",
                    pos.line
                ));
            }
            if BUILT_IN.contains(&name) || functions::all().contains_key(name) {
                return Ok(());
            }
            Err(format!("line {}: function {name:?} not defined", pos.line))
        }
        Expr::Pipe(_, inner) => pipe(inner),
        Expr::Chain(_, inner, _) => expression(inner),
        _ => Ok(()),
    }
}
