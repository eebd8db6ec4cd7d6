//! Processes under test: pinned to a core, measured through `/proc`, stopped whatever happens.

use crate::http::invalid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Clock ticks a second in `/proc/PID/stat`: fixed to 100 in the kernel's interface on every common architecture.
const TICKS: u64 = 100;
/// How long a process may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A child process (with its own children), stopped when dropped. Should the bench itself be killed, the kernel
/// terminates the child, because it is started through `setpriv --pdeathsig`.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

/// How and where to start a process.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) core: usize,
    /// Working directory; standard output and error go to `NAME.log` in it.
    pub(crate) folder: &'a Path,
    pub(crate) stdin: Stdio,
}

impl Process {
    pub(crate) fn start(launch: Launch<'_>) -> io::Result<Process> {
        let log = launch.folder.join(format!("{}.log", launch.name));
        let output = fs::File::create(&log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", &launch.core.to_string()])
            .arg(launch.program)
            .args(launch.arguments)
            .current_dir(launch.folder)
            .stdin(launch.stdin)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| {
                invalid(format!("cannot start {} through setpriv and taskset: {error}", launch.name))
            })?;
        Ok(Process { child, name: launch.name.to_owned(), log })
    }

    /// Takes the pipe to the child's standard input, if it was asked for.
    pub(crate) fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// An error with the end of the log if the process has ended.
    pub(crate) fn alive(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(invalid(format!("{} ended with {status}; its log ends:\n{}", self.name, self.log_end())))
            }
        }
    }

    /// Waits for the process to end by itself and gives the end of its log; an error unless it ends well and in time.
    pub(crate) fn finish(mut self, limit: Duration) -> io::Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(self.log_end()),
                Some(_) => self.alive()?,
                None if Instant::now() > deadline => {
                    return Err(invalid(format!(
                        "{} did not end within {limit:?}:\n{}",
                        self.name,
                        self.log_end()
                    )));
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// The last lines that the process wrote.
    pub(crate) fn log_end(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// User and system time of all threads, living and ended, of the process and its children; 10 ms steps.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut ticks = 0;
        for pid in self.family()? {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // Fields are counted behind the command's closing bracket: state is the first, utime and stime 12th and 13th.
            let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
            let times: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
            if times.len() != 2 {
                return Err(invalid(format!("/proc/{pid}/stat is not understood: {stat}")));
            }
            ticks += times.iter().sum::<u64>();
        }
        Ok(Duration::from_millis(ticks * 1000 / TICKS))
    }

    /// Peak resident memory (VmHWM) in KiB, summed over the process and its children.
    pub(crate) fn peak_memory(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// Resident memory (VmRSS) in KiB, summed over the process and its children.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> io::Result<u64> {
        let mut sum = 0;
        for pid in self.family()? {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let number = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
            sum += number.ok_or_else(|| invalid(format!("/proc/{pid}/status has no {field}")))?;
        }
        Ok(sum)
    }

    /// The process and its children; none of the programs here has grandchildren.
    fn family(&self) -> io::Result<Vec<u32>> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let children = children.split_ascii_whitespace().filter_map(|word| word.parse().ok());
        Ok(std::iter::once(pid).chain(children).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let family = self.family().unwrap_or_default();
        signal(self.child.id(), rustix::process::Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            family.into_iter().for_each(|pid| signal(pid, rustix::process::Signal::KILL));
            let _ = self.child.wait();
        }
    }
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// How long a core was busy and how long it was idle since the machine started, from `/proc/stat`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreTime {
    pub(crate) busy: Duration,
    pub(crate) idle: Duration,
}

/// Reads the times of one core.
pub(crate) fn core_time(core: usize) -> io::Result<CoreTime> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let line = line.ok_or_else(|| invalid(format!("this machine has no core {core}")))?;
    let ticks: Vec<u64> =
        line.split_ascii_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let all: u64 = ticks.iter().sum();
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS);
    Ok(CoreTime { busy: time(all - idle), idle: time(idle) })
}

/// Keeps the calling thread, and all threads and processes that it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).map_err(io::Error::from)
}

/// Raises the limit of open files towards `wanted` for this process and its children; the limit that holds then.
pub(crate) fn allow_open_files(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    if now.current.is_some_and(|current| current < wanted) {
        // Beyond the hard limit only with privileges; without them, up to it.
        let raised =
            Rlimit { current: Some(wanted), maximum: now.maximum.map(|maximum| maximum.max(wanted)) };
        if setrlimit(Resource::Nofile, raised).is_err() {
            let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A folder of its own below the system's temporary folder, removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create(name: &str) -> io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("sluicegate-bench-{}-{name}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch<'a>(folder: &'a Folder, program: &'a str, arguments: &'a [&'a str]) -> Process {
        let program = Path::new(program);
        let stdin = Stdio::null();
        Process::start(Launch { name: "it", program, arguments, core: 0, folder: folder.path(), stdin })
            .unwrap()
    }

    #[test]
    fn a_dropped_process_is_gone_and_was_measured() {
        let folder = Folder::create("drop").unwrap();
        let process = launch(&folder, "sleep", &["60"]);
        let pid = process.child.id();
        assert!(process.cpu().unwrap() < Duration::from_secs(1));
        assert!(process.peak_memory().unwrap() > 0);
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn an_ended_process_tells_its_last_words() {
        let folder = Folder::create("words").unwrap();
        let mut process = launch(&folder, "sh", &["-c", "echo port is in use; exit 3"]);
        process.child.wait().unwrap();
        let error = process.alive().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("port is in use"), "{error}");
    }
}
