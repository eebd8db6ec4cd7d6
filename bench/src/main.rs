//! Measured comparisons: the gate beside nginx, and beside itself with more to do.
//!
//! The process under test has one core, upstream and load generator have another. Runs alternate, medians are printed,
//! and the main figure is the CPU time of the process for each request, which a busy neighbour disturbs least.

#![expect(
    clippy::disallowed_methods,
    reason = "nothing here is asynchronous: the bench waits, reads /proc and writes files on threads of its own"
)]

mod bulk;
mod cases;
mod compare;
mod feed;
mod gate;
mod histogram;
mod http;
mod load;
mod nginx;
mod process;
mod report;
mod subscribers;
mod upstream;
mod wire;

use clap::{Args, Parser, Subcommand};
use report::Report;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Measure the gate beside nginx, and beside itself with more to do
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keyless proxy, 60-byte and 2 KB bodies, beside nginx
    Proxy,
    /// Large bodies fetched and sent, beside nginx: throughput, CPU, memory
    Bodies,
    /// Token, rate limit, quota and record, beside the same gate without them
    Keyed,
    /// Answers that are kept, beside the same gate that fetches them
    Cached,
    /// Each common guard, ten together, a hundred expressions, code and templates, beside keyless
    Guards,
    /// Token, JWT and client certificates, beside the same gate keyless
    Auth,
    /// A limit that is counted in Redis: round trips, and the time that is added
    Redis,
    /// A million keys: start, memory, and requests that come with any of them
    Keys,
    /// Many APIs: start, memory each, and what a request pays for them
    Apis,
    /// Messages through a stream: generated and dropped, from Kafka to Kafka, posted into Kafka
    Streams,
    /// Twenty typical mappings over a JSON document of 1 KB, on one core
    Mapping,
    /// One of many APIs changes again and again: how soon it is live, and who notices
    Change,
    /// Subscribers: memory while idle, events delivered while busy
    Sse,
    /// All of these
    All,
    /// Lay two files made with --json side by side
    Diff {
        /// The earlier report
        old: PathBuf,
        /// The later report
        new: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Options {
    /// Few, short and small runs: shows that everything works, proves nothing
    #[arg(long, global = true)]
    quick: bool,
    /// Also write all figures to this file as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The gate to measure [default: the `sluicegate` beside this program]
    #[arg(long, global = true, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// The nginx to compare with
    #[arg(long, global = true, value_name = "FILE", default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// A Kafka broker [default: what SLUICEGATE_TEST_KAFKA names, see `scripts/services env`]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// A Redis of no importance [default: what SLUICEGATE_TEST_REDIS names, see `scripts/services env`]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    redis: Option<String>,
    /// Keys of the case `keys` [default: 1000000, quick: 1000]
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    keys: Option<u32>,
    /// Alternating rounds [default: 5, quick: 2]
    #[arg(long, global = true)]
    rounds: Option<usize>,
    /// Length of each measured window [default: 3, quick: 0.5]
    #[arg(long, global = true)]
    seconds: Option<f64>,
    /// Load before each window, not measured [default: 1, quick: 0.2]
    #[arg(long, global = true, value_name = "SECONDS")]
    warm_up: Option<f64>,
    /// Keep-alive connections of the load generator
    #[arg(long, global = true, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// The core of the process under test
    #[arg(long, global = true, default_value_t = 0, value_name = "CORE")]
    gate_core: usize,
    /// The core of upstream and load generator
    #[arg(long, global = true, default_value_t = 1, value_name = "CORE")]
    load_core: usize,
}

/// What holds for all cases of one call.
#[derive(Debug, Clone)]
struct Settings {
    gate: PathBuf,
    nginx: PathBuf,
    kafka: Option<String>,
    redis: Option<String>,
    rounds: usize,
    warm_up: Duration,
    window: Duration,
    connections: usize,
    gate_core: usize,
    load_core: usize,
    apis: usize,
    keys: usize,
    changes: usize,
    idle_subscribers: usize,
    subscribers: usize,
    kafka_messages: u64,
}

/// Bounds of the options: no run is endless.
const MOST_ROUNDS: usize = 100;
const LONGEST: f64 = 60.0;

impl Settings {
    fn new(options: &Options) -> Settings {
        let quick = options.quick;
        let choose = |full, small| if quick { small } else { full };
        let seconds = |given: Option<f64>, full, small| {
            let value = given.unwrap_or(if quick { small } else { full });
            Duration::from_secs_f64(if value.is_finite() { value.clamp(0.05, LONGEST) } else { full })
        };
        Settings {
            gate: options.gate.clone().unwrap_or_else(gate::default_program),
            nginx: options.nginx.clone(),
            kafka: options.kafka.clone().or_else(|| std::env::var("SLUICEGATE_TEST_KAFKA").ok()),
            redis: options.redis.clone().or_else(|| std::env::var("SLUICEGATE_TEST_REDIS").ok()),
            rounds: options.rounds.unwrap_or(choose(5, 2)).clamp(1, MOST_ROUNDS),
            warm_up: seconds(options.warm_up, 1.0, 0.2),
            window: seconds(options.seconds, 3.0, 0.5),
            connections: usize::from(options.connections),
            gate_core: options.gate_core,
            load_core: options.load_core,
            apis: choose(10_000, 1_000),
            keys: options.keys.map_or(choose(1_000_000, 1_000), |keys| keys as usize),
            changes: choose(100, 5),
            idle_subscribers: choose(10_000, 1_000),
            subscribers: choose(1_000, 200),
            kafka_messages: if quick { 20_000 } else { 200_000 },
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "rounds": self.rounds,
            "warm_up_seconds": self.warm_up.as_secs_f64(),
            "window_seconds": self.window.as_secs_f64(),
            "connections": self.connections,
            "apis": self.apis,
            "keys": self.keys,
            "idle_subscribers": self.idle_subscribers,
            "subscribers": self.subscribers,
            "kafka_messages": self.kafka_messages,
        })
    }
}

type Case = fn(&Settings, &mut Report) -> io::Result<()>;

const STREAMS: &[Case] = &[cases::streams::generated, cases::streams::kafka, cases::streams::posted];
const AUTH: &[Case] = &[cases::auth::plain, cases::auth::tls];
const GUARDS: &[Case] = &[cases::guards::run, cases::guards::expressions, cases::guards::code];
const SSE: &[Case] = &[cases::sse::idle, cases::sse::posted, cases::sse::kafka];

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::note(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> io::Result<()> {
    if let Command::Diff { old, new } = &cli.command {
        return io::stdout().write_all(report::difference(old, new)?.as_bytes());
    }
    let mut settings = Settings::new(&cli.options);
    let mut report = Report::default();
    if !matches!(cli.command, Command::Mapping) {
        prepare(&mut settings, &mut report)?;
    }
    let cases: &[Case] = match cli.command {
        Command::Proxy => &[cases::proxy::run],
        Command::Bodies => &[cases::bodies::run],
        Command::Keyed => &[cases::keyed::run],
        Command::Cached => &[cases::cached::run],
        Command::Guards => GUARDS,
        Command::Auth => AUTH,
        Command::Redis => &[cases::redis::run],
        Command::Keys => &[cases::keys::run],
        Command::Apis => &[cases::apis::run],
        Command::Mapping => &[cases::mapping::run],
        Command::Change => &[cases::change::run],
        Command::Sse => SSE,
        Command::Streams => STREAMS,
        Command::All => {
            let gate = [
                cases::proxy::run,
                cases::bodies::run,
                cases::keyed::run,
                cases::cached::run,
                cases::apis::run,
                cases::change::run,
            ];
            let callers = [cases::redis::run, cases::keys::run];
            &[&gate, GUARDS, AUTH, &callers, SSE, STREAMS].concat()
        }
        Command::Diff { .. } => &[],
    };
    // A case that fails does not take the figures of the others with it.
    let mut failed = None;
    for case in cases {
        if let Err(error) = case(&settings, &mut report) {
            report.warn(format!("a case was cut short: {error}"));
            failed = Some(error);
        }
    }
    io::stdout().write_all(format!("\n{}", report.text()).as_bytes())?;
    if let Some(file) = &cli.options.json {
        std::fs::write(file, format!("{:#}\n", report.json(settings.json())))?;
    }
    failed.map_or(Ok(()), Err)
}

/// Checks what the runs need, takes the load generator's core, and makes room for many connections.
fn prepare(settings: &mut Settings, report: &mut Report) -> io::Result<()> {
    if settings.gate_core == settings.load_core {
        return Err(http::invalid("the process under test and the load generator need a core each"));
    }
    for core in [settings.gate_core, settings.load_core] {
        process::core_time(core)?;
    }
    settings.gate = std::fs::canonicalize(&settings.gate).map_err(|error| {
        let path = settings.gate.display();
        http::invalid(format!(
            "{path}: {error}; build it with `cargo build --release -p sluicegate`, or name it with --gate"
        ))
    })?;
    process::pin(settings.load_core)?;
    let wanted = settings.idle_subscribers.max(settings.subscribers) as u64 + 1_000;
    let allowed = process::allow_open_files(wanted);
    if allowed < wanted {
        settings.idle_subscribers = usize::try_from(allowed.saturating_sub(1_000)).unwrap_or(0);
        settings.subscribers = settings.subscribers.min(settings.idle_subscribers);
        report.warn(format!(
            "only {allowed} open files are allowed here, so {} idle subscribers instead of the full number; \
             raise it with `ulimit -n {wanted}`",
            settings.idle_subscribers
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_bounded() {
        let cli = |line: &str| Cli::try_parse_from(line.split(' '));
        let settings =
            Settings::new(&cli("bench all --rounds 1000000 --seconds 1e9 --warm-up NaN").unwrap().options);
        assert_eq!((settings.rounds, settings.window), (MOST_ROUNDS, Duration::from_secs(60)));
        assert_eq!(settings.warm_up, Duration::from_secs(1));
        assert!(cli("bench proxy --connections 0").is_err());
        assert!(cli("bench").is_err());
    }
}
