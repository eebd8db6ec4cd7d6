//! Evaluating nodes.

use super::{Case, Context, Evaluated, Failure, Node, arithmetic, path, slice};
use crate::syntax::tree::Operator;
use crate::table::{Makes, Run};
use crate::{Object, Value};

impl Node {
    /// The value of the query in this context.
    pub(crate) fn evaluate(&self, context: &mut Context<'_>) -> Evaluated {
        match self {
            Node::Literal(value) => Ok(value.clone()),
            Node::Field { of, path } => {
                let mut made = 0;
                let found = match of.borrowed(context) {
                    Some(base) => {
                        path::search(base.map_err(|failure| self.cannot_read(&failure))?, path, &mut made)
                    }
                    None => path::search(&of.evaluate(context)?, path, &mut made),
                };
                context.budget.finds(made)?;
                Ok(found.unwrap_or(Value::Null))
            }
            Node::This | Node::Root | Node::Slot { .. } => match self.borrowed(context) {
                Some(value) => value.cloned().map_err(|failure| self.cannot_read(&failure)),
                None => Ok(Value::Null),
            },
            Node::Meta(Some(key)) => Ok(context.output_metadata(key)?.unwrap_or(Value::Null)),
            Node::Meta(None) => Ok(Value::object(context.output_metadata_all()?)),
            Node::Array(items) => array(items, context),
            Node::Object(fields) => object(fields, context),
            Node::Function { spec, arguments } => match spec.run {
                Run::Function(run) => {
                    let result = run(context, arguments)?;
                    context.built(&result, spec.makes)?;
                    Ok(result)
                }
                Run::Method(_) | Run::Lazy(_) => Err(Failure::new("a method was used as a function")),
            },
            Node::Method { of, spec, arguments } => {
                let result = match spec.run {
                    Run::Method(run) => {
                        let mut value = of.evaluate(context)?;
                        if !arguments.keeps_digits && value.has_digits() {
                            context.budget.make(value.size())?;
                            value = value.settled();
                        }
                        if spec.makes != Makes::Nothing {
                            context.budget.reads(&value)?;
                        }
                        run(context, value, arguments).map_err(|failure| failure.blame(of))
                    }
                    Run::Lazy(run) => run(context, of, arguments),
                    Run::Function(_) => Err(Failure::new("a function was used as a method")),
                }?;
                context.built(&result, spec.makes)?;
                Ok(result)
            }
            Node::Nested { of, query } => {
                let value = of.evaluate(context)?;
                context.with_this(value, |context| query.evaluate(context))
            }
            Node::Index { of, index } => {
                let value = of.evaluate(context)?;
                let index = index.evaluate(context)?.settled();
                context.budget.opens(&value)?;
                slice::element(&value, &index).map_err(|failure| failure.blame(of))
            }
            Node::Slice { of, low, high, step } => {
                let value = of.evaluate(context)?;
                let mut bound = |bound: &Option<Box<Node>>| match bound {
                    None => Ok(None),
                    Some(bound) => match bound.evaluate(context)?.settled() {
                        Value::Int(number) => Ok(Some(number)),
                        other => Err(Failure::expected("integer", &other).blame(bound)),
                    },
                };
                let (low, high, step) = (bound(low)?, bound(high)?, bound(step)?);
                context.budget.reads(&value)?;
                let part = slice::slice(&value, low, high, step).map_err(|failure| failure.blame(of))?;
                context.built(&part, Makes::Shell)?;
                Ok(part)
            }
            Node::Not(of) => {
                let value = of.evaluate(context)?;
                arithmetic::not(&value).map_err(|failure| failure.blame(of))
            }
            Node::Negate(of) => {
                let value = of.evaluate(context)?;
                arithmetic::negate(&value).map_err(|failure| failure.blame(of))
            }
            Node::Binary { operator, left, right } => binary(*operator, left, right, context),
            Node::Lambda { slot, body } => lambda(*slot, body, context),
            Node::Match { subject, cases } => match subject {
                None => match_cases(cases, context),
                Some(subject) => {
                    let value = subject.evaluate(context)?;
                    context.with_this(value, |context| match_cases(cases, context))
                }
            },
            Node::If { branches, otherwise } => {
                for (condition, value) in branches {
                    if condition.holds(context)? {
                        return value.evaluate(context);
                    }
                }
                otherwise.as_ref().map_or(Ok(Value::Nothing), |value| value.evaluate(context))
            }
        }
    }

    /// The value without copying it, for nodes that only point at one.
    fn borrowed<'c>(&self, context: &'c Context<'_>) -> Option<Evaluated<&'c Value>> {
        match self {
            Node::This => Some(context.this()),
            Node::Root => Some(context.root()),
            Node::Slot { slot, name } => Some(match context.frame.slots.get(*slot) {
                Some(Some(value)) => Ok(value),
                _ => Err(Failure::new(format!("variable '{name}' undefined"))),
            }),
            _ => None,
        }
    }

    fn cannot_read(&self, failure: &Failure) -> Failure {
        let base = match self {
            Node::Field { of, .. } => of,
            node => node,
        };
        match (base, self.path_text()) {
            (Node::This, Some(path)) => {
                Failure::new(format!("unable to reference message as structured (with '{path}'): {failure}"))
            }
            _ => failure.clone(),
        }
    }

    /// The value as a condition: a bool, or null, which counts as false.
    pub(crate) fn holds(&self, context: &mut Context<'_>) -> Evaluated<bool> {
        match self.evaluate(context)? {
            Value::Bool(value) => Ok(value),
            Value::Null => Ok(false),
            _ => Err(Failure::new(format!("{} resolved to a non-boolean value", self.describe()))),
        }
    }
}

/// The elements; those that are deleted or nothing are left out.
fn array(items: &[Node], context: &mut Context<'_>) -> Evaluated {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match item.evaluate(context)? {
            Value::Delete | Value::Nothing => {}
            value => values.push(value),
        }
    }
    let array = Value::array(values);
    context.built(&array, Makes::Shell)?;
    Ok(array)
}

/// The fields; those that are deleted or nothing are left out.
fn object(fields: &[(Node, Node)], context: &mut Context<'_>) -> Evaluated {
    let mut object = Object::with_capacity(fields.len());
    for (key, value) in fields {
        let name = match key.evaluate(context)? {
            Value::String(name) => name,
            other => return Err(Failure::expected("string", &other).blame(key)),
        };
        match value.evaluate(context)? {
            Value::Delete | Value::Nothing => {}
            value => object.insert(name, value),
        }
    }
    let object = Value::object(object);
    context.built(&object, Makes::Shell)?;
    Ok(object)
}

fn binary(operator: Operator, left: &Node, right: &Node, context: &mut Context<'_>) -> Evaluated {
    let first = match (operator, left.evaluate(context)) {
        (Operator::Coalesce, Ok(value)) if !value.is_absent() => return Ok(value),
        (Operator::Coalesce, _) => return right.evaluate(context),
        (_, result) => result?,
    };
    if let Operator::And | Operator::Or = operator {
        let decisive = operator == Operator::Or;
        if arithmetic::truth(&first).map_err(|failure| failure.blame(left))? == decisive {
            return Ok(Value::Bool(decisive));
        }
        let second = right.evaluate(context)?;
        return arithmetic::truth(&second).map(Value::Bool).map_err(|failure| failure.blame(right));
    }
    let second = right.evaluate(context)?;
    if operator == Operator::Add {
        context.budget.scan(first.size().saturating_add(second.size()))?;
    } else {
        context.budget.compares(&first, &second)?;
    }
    let result = arithmetic::operate(operator, &first, &second, (left, right))?;
    if operator == Operator::Add {
        context.built(&result, Makes::All)?;
    }
    Ok(result)
}

fn lambda(slot: Option<usize>, body: &Node, context: &mut Context<'_>) -> Evaluated {
    let (this, value) = context.take_this()?;
    if let Some(slot) = slot {
        context.frame.slots[slot] = Some(value);
    }
    let result = body.evaluate(context);
    context.frame.contexts.push(this);
    result
}

fn match_cases(cases: &[(Case, Node)], context: &mut Context<'_>) -> Evaluated {
    for (number, (case, value)) in cases.iter().enumerate() {
        let applies = match case {
            Case::Any => true,
            Case::Equal(literal) => {
                let size = literal.size().min(context.this()?.size());
                context.budget.scan(size)?;
                context.this()? == literal
            }
            Case::Test(query) => match query.evaluate(context) {
                Ok(result) => result.as_bool() == Some(true),
                Err(failure) => {
                    return Err(Failure::new(format!("failed to check match case {number}: {failure}")));
                }
            },
        };
        if applies {
            return value.evaluate(context);
        }
    }
    Ok(Value::Nothing)
}
