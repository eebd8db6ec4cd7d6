//! What a limit costs whose counter is in Redis, exact over all nodes: round trips, and the time that is added.

use crate::Settings;
use crate::compare::{Behind, alternate};
use crate::gate::Setup;
use crate::http::invalid;
use crate::report::{Bound, Metric, P50, P99, Report};
use crate::upstream::Upstream;
use serde_json::json;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CASE: &str = "rolling window in Redis, 60 B";
const GUARDED: &str = "token + rolling window in Redis";
/// Few connections: the time of a request is to be seen, not that of waiting for others.
const CONNECTIONS: usize = 4;
/// Round trips to know what Redis alone takes.
const ASKED: usize = 5_000;
/// What a request may take longer than Redis itself, in microseconds.
const OWN_SHARE: f64 = 200.0;
const ROUND_TRIPS: Metric = Metric { name: "reads of Redis/request", decimals: 2 };

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let Some(address) = settings.redis.as_deref() else {
        report
            .warn(format!("no Redis named: {CASE} was not measured (--redis, or scripts/services up redis)"));
        return Ok(());
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(|| invalid("--redis is HOST:PORT"))?;
    let port: u16 = port.parse().map_err(|_| invalid("--redis is HOST:PORT"))?;
    let mut redis = Redis::connect(address)?;
    let upstream = Upstream::start()?;
    let setup = Setup::new("redis", false)?.conf(json!({
        "storage": {"type": "redis", "host": host, "port": port},
        "enable_redis_rolling_limiter": true,
    }));
    setup.proxy("open", false, upstream.address())?;
    setup.proxy("guarded", true, upstream.address())?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let keys = gate.rated_keys("guarded", CONNECTIONS)?;
    let with_key = |key: &String| gate.get("guarded", "60", &[("authorization", key)]);
    let few = Settings { connections: CONNECTIONS, ..settings.clone() };
    let guarded = || gate.contender(GUARDED, keys.iter().map(with_key).collect());
    let contenders = [gate.contender("keyless", vec![gate.get("open", "60", &[])]), guarded()];
    let before = redis.times()?;
    let measured = alternate(CASE, &contenders, Behind::Aside(&upstream), &few, report)?;
    let after = redis.times()?;
    let [keyless, counted] = measured.as_slice() else { return Ok(()) };
    keyless.report(report, CASE, None);
    counted.report(report, CASE, Some(keyless));
    // A round for itself, so that all that Redis reads meanwhile is for these requests.
    let (reads, served) = (redis.reads()?, upstream.served());
    alternate(CASE, &[guarded()], Behind::Aside(&upstream), &Settings { rounds: 1, ..few }, report)?;
    let trips = (redis.reads()? - reads) / (upstream.served() - served) as f64;
    let (p50, p99) = ((before.0 + after.0) / 2.0, (before.1 + after.1) / 2.0);
    report.figure(CASE, "Redis alone", P50, p50);
    report.figure(CASE, "Redis alone", P99, p99);
    report.figure(CASE, GUARDED, ROUND_TRIPS, trips);
    report.target("rolling window: reads of Redis/request", trips, 2, Bound::AtMost(1.02));
    let added = counted.p99() - keyless.p99();
    report.target(
        "rolling window: p99 added beyond Redis's own, µs",
        added - p99,
        0,
        Bound::AtMost(OWN_SHARE),
    );
    Ok(())
}

/// A connection to Redis, as plain as can be.
struct Redis(TcpStream);

impl Redis {
    fn connect(address: &str) -> io::Result<Redis> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Redis(stream))
    }

    /// One command, and its answer as far as one read gives it.
    fn ask(&mut self, command: &str) -> io::Result<String> {
        self.0.write_all(format!("{command}\r\n").as_bytes())?;
        let mut buffer = vec![0; 64 * 1024];
        let length = self.0.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// How often Redis has read from its clients.
    fn reads(&mut self) -> io::Result<f64> {
        let told = self.ask("INFO stats")?;
        let count =
            told.lines().find_map(|line| line.strip_prefix("total_reads_processed:")?.trim().parse().ok());
        count.ok_or_else(|| invalid("Redis does not tell its total_reads_processed"))
    }

    /// Microseconds of a round trip with a small script: the median and the 99th percentile.
    fn times(&mut self) -> io::Result<(f64, f64)> {
        let mut times = Vec::with_capacity(ASKED);
        for _ in 0..ASKED {
            let begun = Instant::now();
            self.ask("EVAL \"return redis.call('incr', KEYS[1])\" 1 bench-alone")?;
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        self.ask("DEL bench-alone")?;
        times.sort_by(f64::total_cmp);
        Ok((times[ASKED / 2], times[ASKED * 99 / 100]))
    }
}
