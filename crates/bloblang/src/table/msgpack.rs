//! Methods for MessagePack.

use super::receive::bytes;
use super::{Example, Spec};
use crate::Value;
use crate::formats::msgpack;
use crate::run::Failure;

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Parsing", "parse_msgpack", "The value of a MessagePack document.", |_, value, _| {
        let bytes = bytes(&value)?;
        msgpack::parse(&bytes)
            .map_err(|why| Failure::new(format!("failed to parse value as MessagePack: {why}")))
    })
    .examples(&[
        Example(
            r#"root = this.decode("hex").parse_msgpack()"#,
            r#""82a16193c2c0cb3ff8000000000000a16201""#,
            r#"{"a":[false,null,1.5],"b":1}"#,
        ),
        Example(
            r#"root = this.decode("hex").parse_msgpack()"#,
            r#""81""#,
            "error: failed to parse value as MessagePack",
        ),
    ]),
    Spec::method(
        "Parsing",
        "format_msgpack",
        "The value as a MessagePack document, in bytes.",
        |_, value, _| msgpack::format(&value).map(|bytes| Value::Bytes(bytes.into())).map_err(Failure::new),
    )
    .examples(&[Example(
        r#"root = this.format_msgpack().encode("hex")"#,
        r#"{"a":[1,-1,300],"b":"x"}"#,
        r#""82a1619301ffcd012ca162a178""#,
    )]),
];
