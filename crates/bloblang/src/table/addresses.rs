//! Where IP addresses are, from a file in MaxMind's format.

use std::net::IpAddr;

use maxminddb::Reader;

use super::receive::text;
use super::{Example, Kind, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure, Prepared};
use crate::{Capability, Environment, Value};

const PATH: &[Parameter] = &[Parameter::required(
    "path",
    Kind::Text,
    "The path of the file. When it is known as the mapping is read, it is read then, once.",
)];

/// One method; they differ in the kind of file that they ask for.
const fn spec(name: &'static str, summary: &'static str, examples: &'static [Example]) -> Spec {
    Spec::method("Addresses", name, summary, look_up)
        .parameters(PATH)
        .examples(examples)
        .prepare(prepare)
        .needs(Capability::File)
}

pub(crate) static TABLE: &[Spec] = &[
    spec(
        "geoip_city",
        "The record of an IP address in a city database; fails when there is none.",
        &[
            Example(
                r#"root = this.ip.geoip_city("documented.mmdb").city.names.en"#,
                r#"{"ip":"192.0.2.7"}"#,
                r#""Springfield""#,
            ),
            Example(
                r#"root = this.ip.geoip_city("documented.mmdb")"#,
                r#"{"ip":"10.0.0.1"}"#,
                "error: there is no record of 10.0.0.1",
            ),
        ],
    ),
    spec(
        "geoip_country",
        "The record of an IP address in a country database; fails when there is none.",
        &[Example(
            r#"root = this.ip.geoip_country("documented.mmdb").country.iso_code"#,
            r#"{"ip":"192.0.2.7"}"#,
            r#""XX""#,
        )],
    ),
    spec(
        "geoip_asn",
        "The record of an IP address in an ASN database; fails when there is none.",
        &[Example(
            r#"root = this.ip.geoip_asn("documented.mmdb").autonomous_system_number"#,
            r#"{"ip":"192.0.2.7"}"#,
            r#"64496"#,
        )],
    ),
    spec(
        "geoip_enterprise",
        "The record of an IP address in an enterprise database; fails when there is none.",
        &[Example(
            r#"root = this.ip.geoip_enterprise("documented.mmdb").autonomous_system_organization"#,
            r#"{"ip":"192.0.2.7"}"#,
            r#""Example Networks""#,
        )],
    ),
    spec(
        "geoip_anonymous_ip",
        "The record of an IP address in a database of anonymous addresses; fails when there is none.",
        &[Example(
            r#"root = this.ip.geoip_anonymous_ip("documented.mmdb").is_anonymous_vpn"#,
            r#"{"ip":"192.0.2.7"}"#,
            r#"true"#,
        )],
    ),
    spec(
        "geoip_connection_type",
        "The record of an IP address in a database of connection types; fails when there is none.",
        &[Example(
            r#"root = this.ip.geoip_connection_type("documented.mmdb").connection_type"#,
            r#"{"ip":"192.0.2.7"}"#,
            r#""Cable/DSL""#,
        )],
    ),
    spec(
        "geoip_domain",
        "The record of an IP address in a database of domains; fails when there is none.",
        &[Example(
            r#"root = this.ip.geoip_domain("documented.mmdb").domain"#,
            r#"{"ip":"192.0.2.7"}"#,
            r#""example.com""#,
        )],
    ),
    spec(
        "geoip_isp",
        "The record of an IP address in a database of providers; fails when there is none.",
        &[Example(
            r#"root = this.ip.geoip_isp("documented.mmdb").isp"#,
            r#"{"ip":"192.0.2.7"}"#,
            r#""Example Telecom""#,
        )],
    ),
];

fn open(environment: &Environment, path: &str) -> Evaluated<Box<Reader<bytes::Bytes>>> {
    let file = environment.open_plain(path);
    let file = file.map_err(|why| Failure::new(format!("failed to read file `{path}`: {why}")))?;
    let reader = Reader::from_source(file.content);
    reader
        .map(Box::new)
        .map_err(|error| Failure::new(format!("file `{path}` is no database of addresses: {error}")))
}

fn prepare(environment: &Environment, arguments: &Arguments) -> Evaluated<()> {
    if let Some(path) = arguments.fixed_text(0) {
        let _ = arguments.memory.prepared.set(Prepared::Addresses(open(environment, path)?));
    }
    Ok(())
}

fn look_up(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let address = text(&value)?;
    let address: IpAddr = address.trim().parse().map_err(|_| {
        Failure::new(format!(
            "value {} does not appear to be a valid IP address",
            crate::format::quoted(&address)
        ))
    })?;
    let opened;
    let reader = match arguments.memory.prepared.get() {
        Some(Prepared::Addresses(reader)) => reader,
        _ => {
            let path = arguments.text(context, 0)?;
            opened = open(&context.program.environment, &path)?;
            &opened
        }
    };
    let failed =
        |error: maxminddb::MaxMindDbError| Failure::new(format!("failed to look up {address}: {error}"));
    let record: Option<Value> = reader.lookup(address).map_err(failed)?.decode().map_err(failed)?;
    record.ok_or_else(|| Failure::new(format!("there is no record of {address}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::language_tests::run_in;
    use crate::{Environment, File, Files};

    struct Folder;

    impl Files for Folder {
        fn open(&self, path: &str, _: Option<&str>) -> Result<File, String> {
            match path {
                "text.mmdb" => Ok(File { name: path.to_owned(), content: "no database".into() }),
                _ => Err("it is not there".to_owned()),
            }
        }

        fn list(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_told_when_the_mapping_is_read_or_when_they_are_asked_for() {
        let environment = Environment::pure().with_files(Arc::new(Folder));
        for (mapping, expected) in [
            (
                r#"root = this.geoip_isp("gone.mmdb")"#,
                "parse: line 1 char 13: method `geoip_isp`: failed to read file `gone.mmdb`: it is not there",
            ),
            (
                r#"root = this.geoip_isp("text.mmdb")"#,
                "parse: line 1 char 13: method `geoip_isp`: file `text.mmdb` is no database of addresses",
            ),
            (
                r#"root = "192.0.2.7".geoip_isp(this)"#,
                "run: failed assignment (line 1): failed to read file `x`: it is not there",
            ),
            (
                r#"root = this.geoip_isp("x".string() + "y")"#,
                "run: failed assignment (line 1): value \"x\" does not appear to be a valid IP address",
            ),
        ] {
            let found = run_in(&environment, mapping, r#""x""#);
            assert!(found.starts_with(expected), "{mapping}: {found}");
        }
    }
}
