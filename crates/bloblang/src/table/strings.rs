//! Methods for text. Most take bytes as well, and then give bytes.

use super::receive::{array, bytes, fits, gather, like, text};
use super::{Example, Fixed, Kind, Makes, Parameter, Spec};
use crate::Value;
use crate::format::sprintf;
use crate::run::{Arguments, Context, Evaluated, Failure};

const CHAPTER: &str = "Text";
/// Largest text that `repeat` gives, in bytes.
const MAX_REPEATED: usize = 64 << 20;

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "uppercase", "All letters in upper case.", |_, value, _| {
        Ok(like(&value, text(&value)?.to_uppercase()))
    })
    .examples(&[Example("root = this.uppercase()", r#""häß""#, r#""HÄSS""#)]),
    Spec::method(CHAPTER, "lowercase", "All letters in lower case.", |_, value, _| {
        Ok(like(&value, text(&value)?.to_lowercase()))
    })
    .examples(&[Example("root = this.lowercase()", r#""Hello""#, r#""hello""#)]),
    Spec::method(CHAPTER, "capitalize", "The first letter of each word in upper case.", capitalize)
        .examples(&[Example("root = this.capitalize()", r#""the äpfel fall""#, r#""The Äpfel Fall""#)]),
    Spec::method(
        CHAPTER,
        "contains",
        "Whether text contains another, or an array or object an equal value.",
        contains,
    )
    .parameters(&[Parameter::required("value", Kind::Any, "What to look for.")])
    .examples(&[
        Example(r#"root = this.contains("lo")"#, r#""hello""#, "true"),
        Example("root = this.contains(2)", "[1,2.0]", "true"),
    ]),
    Spec::method(CHAPTER, "has_prefix", "Whether text begins with another.", |context, value, arguments| {
        let prefix = arguments.text(context, 0)?;
        Ok(Value::Bool(bytes(&value)?.starts_with(prefix.as_bytes())))
    })
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required("value", Kind::Text, "The beginning.")])
    .examples(&[Example(r#"root = this.has_prefix("he")"#, r#""hello""#, "true")]),
    Spec::method(CHAPTER, "has_suffix", "Whether text ends with another.", |context, value, arguments| {
        let suffix = arguments.text(context, 0)?;
        Ok(Value::Bool(bytes(&value)?.ends_with(suffix.as_bytes())))
    })
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required("value", Kind::Text, "The end.")])
    .examples(&[Example(r#"root = this.has_suffix("he")"#, r#""hello""#, "false")]),
    Spec::method(
        CHAPTER,
        "index_of",
        "Where text first contains another, in bytes from 0; -1 when it does not.",
        |context, value, arguments| {
            let wanted = arguments.text(context, 0)?;
            let found = text(&value)?.find(&*wanted);
            Ok(Value::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
        },
    )
    .parameters(&[Parameter::required("value", Kind::Text, "What to look for.")])
    .examples(&[Example(r#"root = [this.index_of("l"), this.index_of("x")]"#, r#""hello""#, "[2,-1]")]),
    Spec::method(
        CHAPTER,
        "length",
        "The length of text or bytes in bytes, of an array or object in elements.",
        length,
    )
    .makes(Makes::Nothing)
    .examples(&[Example("root = this.map_each(v -> v.length())", r#"["hä",[1,2],{"a":1}]"#, "[3,2,1]")]),
    Spec::method(
        CHAPTER,
        "reverse",
        "Text with its characters, or bytes, in reverse order.",
        |_, value, _| match &value {
            Value::Bytes(bytes) => Ok(Value::Bytes(bytes.iter().rev().copied().collect())),
            value => Ok(Value::from(text(value)?.chars().rev().collect::<String>())),
        },
    )
    .examples(&[Example("root = this.reverse()", r#""häh!""#, r#""!häh""#)]),
    Spec::method(CHAPTER, "repeat", "Text several times in a row, at most 64 MiB.", repeat)
        .parameters(&[Parameter::required("count", Kind::Integer, "How often; nothing remains below 1.")])
        .examples(&[Example("root = this.repeat(3)", r#""ab""#, r#""ababab""#)]),
    Spec::method(
        CHAPTER,
        "replace_all",
        "Text with each occurrence of one text replaced by another.",
        |context, value, arguments| {
            let (old, new) = (arguments.text(context, 0)?, arguments.text(context, 1)?);
            let text = text(&value)?;
            // Before it is made: the process ends where memory does.
            if new.len() > old.len() {
                let found = text.matches(&*old).count();
                fits(text.len().saturating_add(found.saturating_mul(new.len() - old.len())))?;
            }
            Ok(like(&value, text.replace(&*old, &new)))
        },
    )
    .aliases(&["replace"])
    .parameters(&[
        Parameter::required("old", Kind::Text, "What to replace."),
        Parameter::required("new", Kind::Text, "What to put there."),
    ])
    .examples(&[Example(r#"root = this.replace_all("l", "L")"#, r#""hello""#, r#""heLLo""#)]),
    Spec::method(
        CHAPTER,
        "replace_all_many",
        "Text with several replacements in one pass; earlier pairs win.",
        replace_all_many,
    )
    .aliases(&["replace_many"])
    .parameters(&[Parameter::required(
        "values",
        Kind::Any,
        "Pairs in a flat array: what to replace, and with what.",
    )])
    .examples(&[Example(
        r#"root = this.replace_all_many(["<", "&lt;", "&", "&amp;"])"#,
        r#""a<b&c""#,
        r#""a&lt;b&amp;c""#,
    )]),
    Spec::method(
        CHAPTER,
        "split",
        "The pieces of text between delimiters; an array is cut at elements equal to it.",
        split,
    )
    .parameters(&[Parameter::required(
        "delimiter",
        Kind::Any,
        "The delimiter; an empty text splits characters.",
    )])
    .examples(&[
        Example(r#"root = this.split(",")"#, r#""a,b,,c""#, r#"["a","b","","c"]"#),
        Example("root = this.split(0)", "[1,0,2,3]", "[[1],[2,3]]"),
    ]),
    Spec::method(
        CHAPTER,
        "slice",
        "A part of text (by bytes), bytes or an array; negative bounds count from the end.",
        slice,
    )
    .parameters(&[
        Parameter::required("low", Kind::Integer, "Where the part begins."),
        Parameter::optional("high", Kind::Integer, "Where it ends; the end by default."),
    ])
    .examples(&[
        Example(
            "root = [this.slice(0, 2), this.slice(-2), this.slice(1, -1)]",
            r#""hello""#,
            r#"["he","lo","ell"]"#,
        ),
        Example("root = this.slice(3, 2)", r#""hello""#, "error: lower slice bound 3 must be lower than"),
    ]),
    Spec::method(CHAPTER, "trim", "Text without some characters at both ends.", trim)
        .parameters(&[Parameter::optional(
            "cutset",
            Kind::Text,
            "The characters to cut off; white space by default.",
        )])
        .examples(&[
            Example("root = this.trim()", r#""  a b ""#, r#""a b""#),
            Example(r#"root = this.trim("!?")"#, r#""?a!b?!""#, r#""a!b""#),
        ]),
    Spec::method(
        CHAPTER,
        "trim_prefix",
        "Text without a beginning, if it has it.",
        |context, value, arguments| {
            let prefix = arguments.text(context, 0)?;
            let text = text(&value)?;
            Ok(like(&value, text.strip_prefix(&*prefix).unwrap_or(&text).to_owned()))
        },
    )
    .parameters(&[Parameter::required("prefix", Kind::Text, "The beginning to cut off.")])
    .examples(&[Example(r#"root = this.trim_prefix("he")"#, r#""hello""#, r#""llo""#)]),
    Spec::method(
        CHAPTER,
        "trim_suffix",
        "Text without an end, if it has it.",
        |context, value, arguments| {
            let suffix = arguments.text(context, 0)?;
            let text = text(&value)?;
            Ok(like(&value, text.strip_suffix(&*suffix).unwrap_or(&text).to_owned()))
        },
    )
    .parameters(&[Parameter::required("suffix", Kind::Text, "The end to cut off.")])
    .examples(&[Example(r#"root = this.trim_suffix("lo")"#, r#""hello""#, r#""hel""#)]),
    Spec::method(CHAPTER, "join", "The texts of an array, with a delimiter between them.", join)
        .parameters(&[Parameter::with_default("delimiter", Kind::Text, Fixed::Text(""), "The delimiter.")])
        .examples(&[
            Example(r#"root = this.join("-")"#, r#"["a","b"]"#, r#""a-b""#),
            Example(
                r#"root = this.join()"#,
                r#"["a",1]"#,
                "error: index 1: expected string value, got number",
            ),
        ]),
    Spec::method(
        CHAPTER,
        "format",
        "The text as a pattern whose verbs (`%v`, `%s`, `%d`, `%5.2f`, `%q` ...) are filled in, as Go does.",
        |context, value, arguments| {
            let values = arguments.rest(context, 0)?;
            values.iter().try_for_each(|value| context.budget.reads(value))?;
            let text = sprintf(&text(&value)?, &values).map_err(Failure::new)?;
            Ok(like(&value, text))
        },
    )
    .parameters(&[Parameter::many("values", Kind::Any, "The values for the verbs.")])
    .examples(&[Example(
        r#"root = "%s is %d years, %.1f m, %v".format(this.name, this.age, this.size, this.tags)"#,
        r#"{"name":"Ada","age":36,"size":1.666,"tags":["a"]}"#,
        r#""Ada is 36 years, 1.7 m, [a]""#,
    )]),
    Spec::method(CHAPTER, "quote", "Text between double quotes, with escapes.", |_, value, _| {
        Ok(like(&value, crate::format::quoted(&text(&value)?)))
    })
    .examples(&[Example("root.q = this.quote()", r#""a\"\n""#, r#"{"q":"\"a\\\"\\n\""}"#)]),
    Spec::method(
        CHAPTER,
        "unquote",
        "The text that stands between double quotes, with escapes resolved.",
        |_, value, _| {
            let text = text(&value)?;
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let inner = inner.ok_or_else(|| Failure::new("the text does not stand between double quotes"))?;
            crate::syntax::unescape::unescape(inner).map(|text| like(&value, text)).map_err(Failure::new)
        },
    )
    .examples(&[Example("root = this.unquote()", r#""\"a\\tb\"""#, r#""a\tb""#)]),
];

fn capitalize(_: &mut Context<'_>, value: Value, _: &Arguments) -> Evaluated {
    let mut previous = ' ';
    let mut out = String::new();
    for c in text(&value)?.chars() {
        if previous.is_alphanumeric() || matches!(previous, '_' | '\'') {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        previous = c;
    }
    Ok(like(&value, out))
}

fn contains(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let wanted = arguments.value(context, 0)?;
    if let Value::Array(items) = &value {
        return Ok(Value::Bool(items.contains(&wanted)));
    }
    if let Value::Object(fields) = &value {
        return Ok(Value::Bool(fields.iter().any(|(_, value)| *value == wanted)));
    }
    let (haystack, needle) = (bytes(&value)?, bytes(&wanted)?);
    Ok(Value::Bool(memchr::memmem::find(&haystack, &needle).is_some()))
}

fn length(context: &mut Context<'_>, value: Value, _: &Arguments) -> Evaluated {
    context.budget.step(value.unmade() as u64 / 16)?;
    let length = match &value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => items.len(),
        Value::Object(object) => object.len(),
        other => return Err(Failure::expected("string, array or object", other)),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn repeat(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let text = text(&value)?;
    let count = usize::try_from(arguments.integer(context, 0)?).unwrap_or(0);
    match text.len().checked_mul(count) {
        Some(size) if size <= MAX_REPEATED => Ok(like(&value, text.repeat(count))),
        _ => Err(Failure::new(format!("the result would be larger than {MAX_REPEATED} bytes"))),
    }
}

fn replace_all_many(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let pairs = array(arguments.value(context, 0)?)?;
    if pairs.len() % 2 != 0 {
        return Err(Failure::new("the replacements must come in pairs"));
    }
    let texts: Evaluated<Vec<_>> = pairs.iter().map(text).collect();
    let texts = texts?;
    let text = text(&value)?;
    // Each character is compared with each pair.
    context.budget.step((text.len() as u64).saturating_mul(pairs.len() as u64) / 40)?;
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    'text: while let Some(c) = rest.chars().next() {
        for pair in texts.chunks_exact(2) {
            if let Some(after) = rest.strip_prefix(&*pair[0]).filter(|_| !pair[0].is_empty()) {
                out.push_str(&pair[1]);
                fits(out.len())?;
                rest = after;
                continue 'text;
            }
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Ok(like(&value, out))
}

fn split(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let delimiter = arguments.value(context, 0)?;
    if let Value::Array(items) = &value {
        let parts = items.split(|item| *item == delimiter).map(|part| Ok(Value::array(part.to_vec())));
        return gather(parts);
    }
    let (text, delimiter) = (text(&value)?, text(&delimiter)?);
    let piece = |piece: &str| like(&value, piece.to_owned());
    if delimiter.is_empty() {
        return gather(text.chars().map(|c| Ok(piece(c.encode_utf8(&mut [0; 4])))));
    }
    gather(text.split(&*delimiter).map(|part| Ok(piece(part))))
}

fn slice(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let low = arguments.integer(context, 0)?;
    let high = if arguments.is_given(1) { Some(arguments.integer(context, 1)?) } else { None };
    let size = match &value {
        Value::Array(items) => items.len(),
        other => bytes(other)?.len(),
    };
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let bound = |bound: i64| if bound < 0 { (bound + size).max(0) } else { bound.min(size) };
    let (from, to) = (bound(low), bound(high.unwrap_or(size)));
    if from > to || high.is_some_and(|high| low >= 0 && high >= 0 && low > high) {
        return Err(Failure::new(format!(
            "lower slice bound {low} must be lower than or equal to upper bound {}",
            high.unwrap_or(size)
        )));
    }
    let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
    Ok(match &value {
        Value::Array(items) => Value::array(items.get(range).unwrap_or_default().to_vec()),
        Value::Bytes(bytes) => Value::Bytes(bytes.slice(range)),
        other => {
            let part = bytes(other)?.get(range).unwrap_or_default().to_vec();
            // A cut within a character leaves bytes.
            String::from_utf8(part).map_or_else(|error| Value::Bytes(error.into_bytes().into()), Value::from)
        }
    })
}

fn trim(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let text = text(&value)?;
    if !arguments.is_given(0) {
        return Ok(like(&value, text.trim().to_owned()));
    }
    let cutset = arguments.text(context, 0)?;
    context.budget.step((text.len() as u64).saturating_mul(cutset.len() as u64) / 100)?;
    Ok(like(&value, text.trim_matches(|c| cutset.contains(c)).to_owned()))
}

fn join(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let delimiter = arguments.text(context, 0)?;
    let mut out = String::new();
    for (index, item) in array(value)?.iter().enumerate() {
        if index > 0 {
            out.push_str(&delimiter);
        }
        out.push_str(&text(item).map_err(|failure| Failure::new(format!("index {index}: {failure}")))?);
        fits(out.len())?;
    }
    Ok(Value::from(out))
}
