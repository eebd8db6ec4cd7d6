//! What the process uses, under the names that Prometheus clients give it.

use streams::{Sample, SampleValue};

/// Ticks of a second in `/proc/self/stat`: the same on every Linux.
const TICKS: f64 = 100.0;

/// The samples; those that the system does not tell are left out.
pub(super) async fn process_samples() -> Vec<Sample> {
    let read = |path: &'static str| async move { tokio::fs::read_to_string(path).await.unwrap_or_default() };
    let stat = read("/proc/self/stat").await;
    let (boot, limits) = (read("/proc/stat").await, read("/proc/self/limits").await);
    let mut all = of(&stat, &boot, &limits, &read("/proc/self/status").await);
    if let Some(open) = open_files().await {
        all.push(gauge("process_open_fds", open));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

async fn open_files() -> Option<f64> {
    let mut folder = tokio::fs::read_dir("/proc/self/fd").await.ok()?;
    let mut count = 0u32;
    while let Ok(Some(_)) = folder.next_entry().await {
        count += 1;
    }
    // One of them is the folder itself.
    Some(f64::from(count.saturating_sub(1)))
}

fn gauge(name: &str, value: f64) -> Sample {
    Sample { name: name.to_owned(), labels: Vec::new(), value: SampleValue::Gauge(value) }
}

fn of(stat: &str, boot: &str, limits: &str, status: &str) -> Vec<Sample> {
    // The name of the process, in brackets, may hold anything.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_ascii_whitespace().collect());
    // Numbered in proc(5) from the state on, which is 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let cpu = || Some((field(14)? + field(15)?) / TICKS);
    let started = || {
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(boot.trim().parse::<f64>().ok()? + field(22)? / TICKS)
    };
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.split_ascii_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
    };
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        // Without a limit it says `unlimited`.
        line.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    [
        ("process_cpu_seconds_total", cpu()),
        ("process_max_fds", limit("Max open files")),
        ("process_resident_memory_bytes", kilobytes("VmRSS")),
        ("process_start_time_seconds", started()),
        ("process_virtual_memory_bytes", kilobytes("VmSize")),
        ("process_virtual_memory_max_bytes", limit("Max address space")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(gauge(name, value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 1000 4096 20";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024       4096   files\nMax address space         unlimited            unlimited            bytes\n";
        let found = of(stat, "cpu 1\nbtime 500\n", limits, "Name: x\nVmSize:\t  8 kB\nVmRSS:\t  2 kB\n");
        let found: Vec<(&str, f64)> = (found.iter())
            .filter_map(|sample| match sample.value {
                SampleValue::Gauge(value) => Some((sample.name.as_str(), value)),
                _ => None,
            })
            .collect();
        let expected = [
            ("process_cpu_seconds_total", 2.0),
            ("process_max_fds", 1024.0),
            ("process_resident_memory_bytes", 2048.0),
            ("process_start_time_seconds", 510.0),
            ("process_virtual_memory_bytes", 8192.0),
        ];
        assert_eq!(found, expected);
        assert!(of("", "", "", "").is_empty());
    }

    #[tokio::test]
    async fn this_process_is_told() {
        let samples = process_samples().await;
        let resident = samples.iter().find(|sample| sample.name == "process_resident_memory_bytes").unwrap();
        assert!(matches!(resident.value, SampleValue::Gauge(bytes) if bytes > 1e6), "{resident:?}");
        assert!(samples.iter().any(|sample| sample.name == "process_open_fds"));
    }
}
