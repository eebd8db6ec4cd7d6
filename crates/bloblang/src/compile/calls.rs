//! Calls of functions and methods, checked against the table.

use std::sync::Arc;

use super::{Compiler, UNKNOWN};
use crate::Value;
use crate::run::arguments::Memory;
use crate::run::patterns::compile_regex;
use crate::run::{Argument, Arguments, Node, path};
use crate::syntax::place::{Fault, Span, nearest};
use crate::syntax::tree::{self, Name};
use crate::table::{self, Kind, Parameter, Presence, Spec};

impl Compiler<'_> {
    pub(super) fn function(&mut self, span: Span, name: &Name, written: &[tree::Argument]) -> Node {
        let Some(spec) = table::function(&name.text) else {
            if let Some(why) = table::left_out(&name.text) {
                self.fault(Fault::new(name.span, format!("function `{}` is not offered: {why}", name.text)));
                return self.discard(written);
            }
            let message = format!("unrecognised function `{}`", name.text);
            if table::method(&name.text).is_some() {
                let hint =
                    format!("it is a method, which stands behind a value: write `this.{}(…)`", name.text);
                self.fault(Fault::new(name.span, message).hint(hint));
            } else {
                let names = table::all_functions().map(|spec| spec.name);
                self.unknown(name.span, message, &name.text, names);
            }
            return self.discard(written);
        };
        if spec.name == "var"
            && let [tree::Argument { value, .. }] = written
            && let Node::Literal(Value::String(variable)) = self.query(value)
        {
            return self.variable(&Name { text: variable.as_str().into(), span: value.span });
        }
        let arguments = self.arguments(spec, "function", name, written);
        // Markers are constants.
        if written.is_empty() && matches!(spec.name, "deleted" | "nothing") {
            return self.fold(span, &Node::Function { spec, arguments });
        }
        Node::Function { spec, arguments }
    }

    pub(super) fn method(&mut self, of: Node, name: &Name, written: &[tree::Argument]) -> Node {
        let Some(spec) = table::method(&name.text) else {
            if let Some(why) = table::left_out(&name.text) {
                self.fault(Fault::new(name.span, format!("method `{}` is not offered: {why}", name.text)));
                return self.discard(written);
            }
            let message = format!("unrecognised method `{}`", name.text);
            if table::function(&name.text).is_some() {
                let hint = format!("it is a function, which stands alone: write `{}(…)`", name.text);
                self.fault(Fault::new(name.span, message).hint(hint));
            } else {
                let names = table::all_methods().map(|spec| spec.name);
                self.unknown(name.span, message, &name.text, names);
            }
            return self.discard(written);
        };
        let arguments = self.arguments(spec, "method", name, written);
        Node::Method { of: Box::new(of), spec, arguments }
    }

    /// Looks for faults in the arguments of a call that is at fault itself.
    fn discard(&mut self, written: &[tree::Argument]) -> Node {
        for argument in written {
            self.query(&argument.value);
        }
        UNKNOWN
    }

    fn arguments(
        &mut self,
        spec: &'static Spec,
        what: &str,
        name: &Name,
        written: &[tree::Argument],
    ) -> Arguments {
        if let Some(capability) = spec.needs.filter(|needed| !self.environment().allows(*needed)) {
            let (does, _) = capability.verb();
            let message =
                format!("{what} `{}` is not allowed here: it {does} {}", spec.name, capability.name());
            self.fault(Fault::new(name.span, message));
        }
        let mut items: Vec<Argument> = Vec::with_capacity(spec.parameters.len());
        let parameters = spec.parameters;
        if written.iter().any(|argument| argument.name.is_some()) {
            self.named(spec, what, name.span, written);
            for parameter in parameters {
                let value = written.iter().find(|argument| names(argument, parameter));
                items.push(self.argument(
                    spec,
                    what,
                    name.span,
                    parameter,
                    value.map(|argument| &argument.value),
                ));
            }
        } else {
            let many = parameters.last().is_some_and(|last| matches!(last.presence, Presence::Many));
            if written.len() > parameters.len() && !many {
                let message = format!(
                    "{what} `{}` takes at most {} arguments, got {}",
                    spec.name,
                    parameters.len(),
                    written.len()
                );
                let extra = &written[parameters.len()].value;
                self.fault(Fault::new(extra.span, message).hint(usage(spec)));
            }
            let mut values = written.iter().map(|argument| &argument.value);
            for parameter in parameters {
                items.push(self.argument(spec, what, name.span, parameter, values.next()));
            }
            if let Some(parameter) = parameters.last().filter(|_| many) {
                for value in values {
                    items.push(self.argument(spec, what, name.span, parameter, Some(value)));
                }
            }
        }
        let keeps_digits = crate::run::keeps_digits(spec.name);
        let memory = Memory { within: self.within.clone(), ..Memory::default() };
        let arguments = Arguments { items: items.into(), keeps_digits, memory };
        if let Some(prepare) = spec.prepare.filter(|_| spec.needs.is_none_or(|need| self.env.allows(need)))
            && let Err(failure) = prepare(self.env, &arguments)
        {
            self.fault(Fault::new(name.span, format!("{what} `{}`: {failure}", spec.name)));
        }
        arguments
    }

    /// Checks the names of named arguments.
    fn named(&mut self, spec: &Spec, what: &str, call: Span, written: &[tree::Argument]) {
        if written.len() > spec.parameters.len() * 2 {
            let message = format!("{what} `{}` takes at most {} arguments", spec.name, spec.parameters.len());
            self.fault(Fault::new(call, message).hint(usage(spec)));
            return;
        }
        for (at, argument) in written.iter().enumerate() {
            let Some(name) = &argument.name else { continue };
            if !spec.parameters.iter().any(|parameter| *parameter.name == *name.text) {
                let message = format!("{what} `{}` has no parameter `{}`", spec.name, name.text);
                let near = nearest(&name.text, spec.parameters.iter().map(|parameter| parameter.name));
                let hint = near.map_or_else(|| usage(spec), |known| format!("did you mean `{known}`?"));
                self.fault(Fault::new(name.span, message).hint(hint));
                self.query(&argument.value);
            }
            let twice =
                |earlier: &tree::Argument| earlier.name.as_ref().is_some_and(|known| known.text == name.text);
            if written[..at].iter().any(twice) {
                self.fault(Fault::new(name.span, format!("argument `{}` is given twice", name.text)));
            }
        }
    }

    fn argument(
        &mut self,
        spec: &Spec,
        what: &str,
        call: Span,
        parameter: &Parameter,
        value: Option<&tree::Expr>,
    ) -> Argument {
        let Some(expr) = value else {
            return match parameter.presence {
                Presence::Default(value) => Argument::Fixed(value.value()),
                Presence::Optional => Argument::Missing,
                Presence::Required | Presence::Many => {
                    let message = format!("{what} `{}` needs the argument `{}`", spec.name, parameter.name);
                    self.fault(Fault::new(call, message).hint(usage(spec)));
                    Argument::Missing
                }
            };
        };
        let node = self.query(expr);
        if matches!(parameter.kind, Kind::Query) {
            return Argument::Query(node);
        }
        let Node::Literal(value) = node else { return Argument::Dynamic(node) };
        match self.fixed(parameter, value) {
            Ok(argument) => argument,
            Err(fault) => {
                let message =
                    format!("{what} `{}`, argument `{}`: {}", spec.name, parameter.name, fault.message);
                self.fault(Fault { span: expr.span, message, hint: fault.hint });
                Argument::Missing
            }
        }
    }

    /// Prepares an argument that is known now.
    fn fixed(&self, parameter: &Parameter, value: Value) -> Result<Argument, Fault> {
        let plain = |message: String| Fault::new(Span::default(), message);
        let expected = |kind: &str| Err(plain(format!("expected {kind}, got {}", value.type_name())));
        match (parameter.kind, &value) {
            (Kind::Text | Kind::Choice(_) | Kind::Regex | Kind::Path | Kind::Map, other)
                if other.as_str().is_none() =>
            {
                expected("a string")
            }
            (Kind::Integer, Value::Float(number)) if number.fract() == 0.0 => Ok(Argument::Fixed(value)),
            (Kind::Integer, other) if !matches!(other, Value::Int(_)) => expected("an integer"),
            (Kind::Number, other) if !matches!(other, Value::Int(_) | Value::Float(_)) => {
                expected("a number")
            }
            (Kind::Bool, other) if !matches!(other, Value::Bool(_)) => expected("a bool"),
            (Kind::Choice(choices), Value::String(text)) if !choices.contains(&&**text) => {
                // The empty one is what holds when nothing is written.
                let shown: Vec<&str> = choices.iter().copied().filter(|choice| !choice.is_empty()).collect();
                let fault =
                    plain(format!("unrecognised value `{text}`, expected one of {}", shown.join(", ")));
                Err(match nearest(text, choices.iter().copied()) {
                    Some(choice) => fault.hint(format!("did you mean `{choice}`?")),
                    None => fault,
                })
            }
            (Kind::Regex, Value::String(pattern)) => {
                compile_regex(pattern).map(|regex| Argument::Regex(Arc::new(regex))).map_err(plain)
            }
            (Kind::Path, Value::String(text)) => path::split(text).map(Argument::Path).map_err(plain),
            (Kind::Map, Value::String(name)) => match self.map_names.get(&**name) {
                Some(index) => Ok(Argument::Map(*index)),
                None => {
                    let fault = plain(format!("map {name} was not found"));
                    Err(match nearest(name, self.map_names.keys().map(|known| &**known)) {
                        Some(known) => fault.hint(format!("did you mean `{known}`?")),
                        None => fault,
                    })
                }
            },
            _ => Ok(Argument::Fixed(value)),
        }
    }
}

fn names(argument: &tree::Argument, parameter: &Parameter) -> bool {
    argument.name.as_ref().is_some_and(|name| *name.text == *parameter.name)
}

/// How the call is written: `split(delimiter)`.
fn usage(spec: &Spec) -> String {
    format!("write {}", signature(spec))
}

/// Name and parameters; optional ones with `?`, defaults with their value.
pub(crate) fn signature(spec: &Spec) -> String {
    let parameters: Vec<String> = spec
        .parameters
        .iter()
        .map(|parameter| match parameter.presence {
            Presence::Required => parameter.name.to_owned(),
            Presence::Optional => format!("{}?", parameter.name),
            Presence::Many => format!("{}...", parameter.name),
            Presence::Default(value) => {
                let mut text = value.value().to_json();
                text.retain(|c| c != '\n');
                format!("{} = {text}", parameter.name)
            }
        })
        .collect();
    format!("`{}({})`", spec.name, parameters.join(", "))
}
