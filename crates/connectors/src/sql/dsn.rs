//! Where a database is, as Go's drivers write it.

use std::str::FromStr as _;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;
use url::Url;

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
    for (key, value) in postgres_url(dsn)?.query_pairs() {
        if key == "connect_timeout" {
            let seconds: u32 =
                value.trim().parse().map_err(|_| "`connect_timeout` is a number of seconds")?;
            times.connect = Some(Duration::from_secs(seconds.into())).filter(|time| !time.is_zero());
        }
    }
    Ok(times)
}

fn postgres_url(dsn: &str) -> Result<Url, String> {
    match dsn.contains("://") {
        true => {
            Url::parse(dsn).map_err(|fault| format!("not an address such as `postgres://host/name`: {fault}"))
        }
        false => key_values(dsn),
    }
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
    let url = postgres_url(dsn)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("an address of PostgreSQL begins with `postgres://`".to_owned());
    }
    let written = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    if let Some((variable, _)) = OF_THE_GATE.iter().find(|(name, own)| is_set(name) && !written(own)) {
        // The client has no way to leave it out.
        return Err(format!(
            "`{variable}` of the gate's environment would be used; whoever runs the gate can unset it"
        ));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
    let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
    let database = decoded(url.path().trim_start_matches('/'));
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(host.trim_matches(['[', ']']))
        .port(url.port().unwrap_or(5432))
        .username(user.as_deref().unwrap_or("postgres"))
        .password(&decoded(url.password().unwrap_or("")))
        // As the original's driver: encrypted, unless it is written otherwise.
        .ssl_mode(PgSslMode::Require)
        .application_name("sluicegate");
    let name = if database.is_empty() { user.unwrap_or_else(|| "postgres".to_owned()) } else { database };
    options = options.database(&name);
    for (key, value) in url.query_pairs() {
        options = match &*key {
            "sslmode" => options.ssl_mode(PgSslMode::from_str(&value).map_err(|_| {
                "`sslmode` is one of disable, allow, prefer, require, verify-ca, verify-full".to_owned()
            })?),
            "sslrootcert" => options.ssl_root_cert(&*value),
            "sslcert" => options.ssl_client_cert(&*value),
            "sslkey" => options.ssl_client_key(&*value),
            "application_name" | "fallback_application_name" => options.application_name(&value),
            // Its time is read by `postgres_times`.
            "connect_timeout" | "binary_parameters" => options,
            "options" => {
                return Err("`options` is not supported here; set them in `init_statement`".to_owned());
            }
            // Any other is a setting of the session, as with the original's driver.
            name => options.options([(name, &*value)]),
        };
    }
    Ok(options)
}

/// `host=db port=5432 user=me password='it\'s' dbname=shop sslmode=disable` as the address that says the same. Values with
/// spaces stand in quotes; a backslash takes the next letter as it is (PostgreSQL's documentation, 34.1.1.1).
fn key_values(text: &str) -> Result<Url, String> {
    let shape = "an address of PostgreSQL is written as `postgres://user:password@host:5432/name`, or as `host=... user=... password=... dbname=...`";
    let mut url = Url::parse("postgres://localhost").map_err(|fault| fault.to_string())?;
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Err(shape.to_owned());
    }
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(shape)?;
        let key = key.trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
            return Err(shape.to_owned());
        }
        let (value, after) = quoted_value(after.trim_start()).ok_or(shape)?;
        rest = after.trim_start();
        match key {
            "host" if value.starts_with('/') => {
                return Err("PostgreSQL is reached over TCP here, not over a socket's path".to_owned());
            }
            "host" if value.contains(':') => url.set_host(Some(&format!("[{value}]"))).map_err(|_| shape)?,
            "host" => url.set_host(Some(&value)).map_err(|_| shape)?,
            "port" => url.set_port(Some(value.parse().map_err(|_| shape)?)).map_err(|()| shape)?,
            "user" => url.set_username(&value).map_err(|()| shape)?,
            "password" => url.set_password(Some(&value)).map_err(|()| shape)?,
            "dbname" => url.set_path(
                &percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC)
                    .to_string(),
            ),
            _ => drop(url.query_pairs_mut().append_pair(key, &value)),
        }
    }
    Ok(url)
}

/// A value, quoted or not, and what follows it; nothing when a quote or an escape does not end.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if quoted => return Some((value, text.get(at + 1..)?)),
            letter if !quoted && letter.is_whitespace() => return Some((value, text.get(at..)?)),
            letter => value.push(letter),
        }
    }
    (!quoted).then_some((value, ""))
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
        let read = key_values(r"host=::1 password='p@ s\'s:/'").unwrap();
        assert_eq!(
            (read.host_str(), read.password().map(decoded).as_deref()),
            (Some("[::1]"), Some("p@ s's:/"))
        );

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
