//! Where a database is, as Go's drivers write it.

use std::str::FromStr as _;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;
use url::Url;

use super::key_values::key_values;

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// How long things may take, as an address says it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Until there is a connection; none: the usual time.
    pub(super) connect: Option<Duration>,
    /// Until a statement is answered; none: the usual time.
    pub(super) statement: Option<Duration>,
}

/// The times in an address of PostgreSQL that [`postgres`] has taken.
pub(super) fn postgres_times(dsn: &str) -> Result<Times, String> {
    let mut times = Times::default();
    for (key, value) in postgres_pairs(dsn)? {
        if key == "connect_timeout" {
            let seconds: u32 =
                value.trim().parse().map_err(|_| "`connect_timeout` is a number of seconds")?;
            times.connect = Some(Duration::from_secs(seconds.into())).filter(|time| !time.is_zero());
        }
    }
    Ok(times)
}

/// What an address of PostgreSQL says, in either of its forms. What an address does not name is not among it.
fn postgres_pairs(dsn: &str) -> Result<Vec<(String, String)>, String> {
    let shape = "an address of PostgreSQL is written as `postgres://user:password@host:5432/name`, or as `host=... user=... password=... dbname=...`";
    if !dsn.contains("://") {
        return Ok(key_values(dsn).ok_or(shape)?);
    }
    let url =
        Url::parse(dsn).map_err(|fault| format!("not an address such as `postgres://host/name`: {fault}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("an address of PostgreSQL begins with `postgres://`".to_owned());
    }
    let mut pairs = Vec::new();
    let mut add = |key: &str, value: Option<String>| {
        pairs.extend(value.filter(|value| !value.is_empty()).map(|value| (key.to_owned(), value)));
    };
    add("host", url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
    add("port", url.port().map(|port| port.to_string()));
    add("user", Some(decoded(url.username())));
    add("password", url.password().map(decoded));
    add("dbname", Some(decoded(url.path().trim_start_matches('/'))));
    pairs.extend(url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())));
    Ok(pairs)
}

/// What the client would take from the gate's environment, and what replaces it in an address. Everything else that it
/// reads there is set below.
const OF_THE_GATE: [(&str, &str); 4] = [
    ("PGOPTIONS", "options"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLROOTCERT", "sslrootcert"),
];

/// `postgres://user:password@host:port/name?sslmode=...`, or `host=... user=... dbname=...`. Nothing is taken from the environment of the gate, whose identity
/// is not that of whoever wrote the address.
pub(super) fn postgres(dsn: &str) -> Result<PgConnectOptions, String> {
    postgres_with(dsn, |name| std::env::var_os(name).is_some())
}

fn postgres_with(dsn: &str, is_set: impl Fn(&str) -> bool) -> Result<PgConnectOptions, String> {
    let pairs = postgres_pairs(dsn)?;
    let written = |name: &str| pairs.iter().any(|(key, _)| key == name);
    if let Some((variable, _)) = OF_THE_GATE.iter().find(|(name, own)| is_set(name) && !written(own)) {
        // The client has no way to leave it out.
        return Err(format!(
            "`{variable}` of the gate's environment would be used; whoever runs the gate can unset it"
        ));
    }
    let last = |name: &str| {
        let found = pairs.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let user = last("user").unwrap_or("postgres");
    let mut options = PgConnectOptions::new_without_pgpass()
        .host("localhost")
        .port(5432)
        .username(user)
        .password("")
        .database(last("dbname").unwrap_or(user))
        // As the original's driver: encrypted, unless it is written otherwise.
        .ssl_mode(PgSslMode::Require)
        .application_name("sluicegate");
    for (key, value) in &pairs {
        options = match key.as_str() {
            "user" | "dbname" => options,
            "host" if value.is_empty() => options,
            "host" if value.starts_with('/') => {
                return Err("PostgreSQL is reached over TCP here, not over a socket's path".to_owned());
            }
            "host" if value.contains(',') => {
                return Err("one `host` of PostgreSQL can be named here, not several".to_owned());
            }
            "host" => options.host(value),
            "port" => options.port(value.trim().parse().map_err(|_| "`port` is a number up to 65535")?),
            "password" => options.password(value),
            "sslmode" => options.ssl_mode(PgSslMode::from_str(value).map_err(|_| {
                "`sslmode` is one of disable, allow, prefer, require, verify-ca, verify-full".to_owned()
            })?),
            "sslrootcert" => options.ssl_root_cert(value),
            "sslcert" => options.ssl_client_cert(value),
            "sslkey" => options.ssl_client_key(value),
            "application_name" | "fallback_application_name" => options.application_name(value),
            // Its time is read by `postgres_times`.
            "connect_timeout" | "binary_parameters" => options,
            "options" => {
                return Err("`options` is not supported here; set them in `init_statement`".to_owned());
            }
            // Any other is a setting of the session, as with the original's driver.
            name => options.options([(name, value)]),
        };
    }
    Ok(options)
}

/// An address of MySQL, and whether dates are read as times.
#[derive(Debug)]
pub(super) struct MySql {
    pub(super) options: MySqlConnectOptions,
    pub(super) parse_time: bool,
    pub(super) times: Times,
}

/// `user:password@tcp(host:port)/name?parameter=value`
pub(super) fn mysql(dsn: &str) -> Result<MySql, String> {
    let shape = "an address of MySQL is written as `user:password@tcp(host:3306)/name`";
    // The name of the database is behind the last slash; passwords may hold any character.
    let (before, after) = dsn.split_once('?').map_or((dsn, ""), |(before, after)| (before, after));
    let (place, name) = before.rsplit_once('/').ok_or(shape)?;
    let (login, address) = place.rsplit_once('@').unwrap_or(("", place));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (protocol, address) = match address.split_once('(') {
        Some((protocol, rest)) => (protocol, rest.strip_suffix(')').ok_or(shape)?),
        None => (address, ""),
    };
    if !matches!(protocol, "tcp" | "") {
        return Err(format!("the protocol `{protocol}` is not supported here, write `tcp(host:3306)`"));
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| shape)?),
        None => (address, 3306),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let mut options = MySqlConnectOptions::new()
        .host(host.trim_matches(['[', ']']))
        .port(port)
        .username(user)
        .ssl_mode(MySqlSslMode::Disabled)
        // As the server is set, like the original's driver: nothing is added to its modes.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None);
    if !password.is_empty() {
        options = options.password(password);
    }
    if !name.is_empty() {
        options = options.database(&decoded(name));
    }
    let mut parse_time = false;
    let (mut times, mut reading, mut writing) = (Times::default(), Duration::ZERO, Duration::ZERO);
    for pair in after.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        options = match key {
            "tls" => options.ssl_mode(match &*value {
                "true" => MySqlSslMode::VerifyIdentity,
                "skip-verify" => MySqlSslMode::Required,
                "preferred" => MySqlSslMode::Preferred,
                "false" => MySqlSslMode::Disabled,
                _ => return Err("`tls` is one of true, false, skip-verify, preferred".to_owned()),
            }),
            "parseTime" => {
                parse_time = matches!(&*value, "true" | "1");
                options
            }
            "timeout" | "readTimeout" | "writeTimeout" => {
                let time = streams::units::duration(&value).map_err(|fault| format!("`{key}`: {fault}"))?;
                match key {
                    "timeout" => times.connect = Some(time).filter(|time| !time.is_zero()),
                    "readTimeout" => reading = time,
                    _ => writing = time,
                }
                options
            }
            "charset" => options.charset(value.split(',').next().unwrap_or("utf8mb4")),
            "collation" => options.collation(&value),
            // What they do is so here anyway, or has no meaning here.
            "interpolateParams"
            | "allowNativePasswords"
            | "checkConnLiveness"
            | "maxAllowedPacket"
            | "multiStatements"
            | "columnsWithAlias"
            | "rejectReadOnly" => options,
            "loc" if value == "UTC" => options,
            other => {
                return Err(format!("the parameter `{other}` of an address of MySQL is not supported here"));
            }
        };
    }
    // A statement is written, then its answer is read. Without the second there is no limit that the address sets.
    times.statement = Some(writing + reading).filter(|_| !reading.is_zero());
    Ok(MySql { options, parse_time, times })
}

/// `file:/path/name.db?mode=rwc`, or a path alone.
pub(super) fn sqlite(dsn: &str) -> Result<SqliteConnectOptions, String> {
    let rest = dsn.strip_prefix("file:").unwrap_or(dsn);
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if dsn.starts_with("file:") { decoded(path) } else { path.to_owned() };
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(&path);
    if path.is_empty() {
        return Err("an address of SQLite is written as `file:/path/name.db`".to_owned());
    }
    let mut options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        // As the original's driver, which leaves it to `_pragma=foreign_keys(1)`.
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(5));
    for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        options = match (key, &*value) {
            ("mode", "rwc") => options,
            ("mode", "rw") => options.create_if_missing(false),
            ("mode", "ro") => options.create_if_missing(false).read_only(true),
            ("immutable", "1") => options.immutable(true),
            ("cache", "private") => options,
            ("_pragma", pragma) => {
                let (name, value) = pragma
                    .strip_suffix(')')
                    .and_then(|pragma| pragma.split_once('('))
                    .or_else(|| pragma.split_once('='))
                    .ok_or("`_pragma` is written as `_pragma=name(value)`")?;
                let plain =
                    |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
                if !plain(name) || !plain(value) {
                    return Err("`_pragma` takes a name and a plain value".to_owned());
                }
                options.pragma(name.to_owned(), value.to_owned())
            }
            (other, _) => return Err(format!("`{other}` of an address of SQLite is not supported here")),
        };
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let pg = postgres("postgres://me:p%40ss@db:5433/shop?sslmode=disable&search_path=a").unwrap();
        assert_eq!((pg.get_host(), pg.get_port(), pg.get_username()), ("db", 5433, "me"));
        assert_eq!((pg.get_database(), pg.get_options()), (Some("shop"), Some("-c search_path=a")));
        assert!(matches!(pg.get_ssl_mode(), PgSslMode::Disable));
        let pg = postgres("postgresql://me@db").unwrap();
        assert!(matches!(pg.get_ssl_mode(), PgSslMode::Require));
        assert_eq!((pg.get_port(), pg.get_database()), (5432, Some("me")));

        let pg = postgres(r"host=db port = 5433 user=me password='p@ s\'s:/' dbname='my shop' sslmode=disable search_path=a").unwrap();
        assert_eq!((pg.get_host(), pg.get_port(), pg.get_username()), ("db", 5433, "me"));
        assert_eq!((pg.get_database(), pg.get_options()), (Some("my shop"), Some("-c search_path=a")));
        assert!(matches!(pg.get_ssl_mode(), PgSslMode::Disable));
        // Every letter of a value stays as it is, whatever it would mean in the other form.
        let pg = postgres(r"host=::1 user=a%40b password='p@ s\'s:/' dbname=.. sslmode=disable").unwrap();
        assert_eq!((pg.get_host(), pg.get_username(), pg.get_database()), ("::1", "a%40b", Some("..")));
        let pg = postgres("postgres://[::1]/?user=me&dbname=shop&port=7").unwrap();
        assert_eq!((pg.get_host(), pg.get_port(), pg.get_username()), ("::1", 7, "me"));
        assert_eq!((pg.get_database(), pg.get_options()), (Some("shop"), None));
        let pairs = key_values(r"password = 'p@ s\'s:/' a=\ b c=").unwrap();
        let expected = [("password", "p@ s's:/"), ("a", " b"), ("c", "")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));

        for (variable, address, taken) in [
            ("PGSSLKEY", "postgres://db", false),
            ("PGSSLKEY", "postgres://db?sslkey=own.pem", true),
            ("PGOPTIONS", "postgres://db", false),
            ("PGPASSWORD", "postgres://db", true),
        ] {
            let read = postgres_with(address, |name| name == variable);
            assert_eq!(read.is_ok(), taken, "{variable} {address}: {:?}", read.err());
        }

        let my = mysql("me:p@s/s:w@tcp(db:3307)/shop?parseTime=true&tls=skip-verify").unwrap();
        assert_eq!((my.options.get_host(), my.options.get_port()), ("db", 3307));
        assert_eq!((my.options.get_username(), my.options.get_database()), ("me", Some("shop")));
        assert!(my.parse_time && matches!(my.options.get_ssl_mode(), MySqlSslMode::Required));
        let my = mysql("me@/shop").unwrap();
        assert_eq!((my.options.get_host(), my.options.get_port(), my.parse_time), ("127.0.0.1", 3306, false));

        let times = postgres_times("host=db connect_timeout=3").unwrap();
        assert_eq!(times, Times { connect: Some(Duration::from_secs(3)), statement: None });
        let seconds = |connect, statement| Times {
            connect: Some(Duration::from_secs(connect)),
            statement: Some(Duration::from_secs(statement)),
        };
        let my = mysql("me@/shop?timeout=2s&readTimeout=30s&writeTimeout=1m").unwrap();
        assert_eq!(my.times, seconds(2, 90));
        assert_eq!(mysql("me@/shop?timeout=0&writeTimeout=1m").unwrap().times, Times::default());

        let file = |dsn: &str| sqlite(dsn).unwrap().get_filename().to_string_lossy().into_owned();
        assert_eq!(file("file:/a%20b.db?mode=ro&_pragma=busy_timeout(100)"), "/a b.db");
        assert_eq!((file("file:///a.db"), file("a.db")), ("/a.db".to_owned(), "a.db".to_owned()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for dsn in [
            "mysql://a",
            "postgres://a/b?sslmode=maybe",
            "",
            "a",
            "host",
            "=a",
            "host='a",
            r"host=a\",
            "host=/tmp",
            "port=x",
            "host=a,b",
            "postgres://a?port=x",
            "host=a sslmode=maybe",
            "ho st=a",
        ] {
            assert!(postgres(dsn).is_err(), "{dsn}");
        }
        assert!(postgres_times("host=a connect_timeout=soon").is_err());
        assert!(mysql("a@tcp(b)/c?readTimeout=30").is_err());
        for dsn in ["a", "a@unix(/tmp/s)/b", "a@tcp(b:x)/c", "a@tcp(b/c", "a@tcp(b)/c?allowAllFiles=true"] {
            assert!(mysql(dsn).is_err(), "{dsn}");
        }
        for dsn in ["file:", "file:a?mode=x", "file:a?vfs=b", "file:a?_pragma=a(b);drop", "file:a?_pragma=a"]
        {
            assert!(sqlite(dsn).is_err(), "{dsn}");
        }
    }
}
