use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_client::{Client, ClientConfig};
use forebay_link::TcpNet;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use crate::{Conn, LogLines, eventually, forebay, get, volume_state};

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// A running `forebay serve` with a data directory of its own. Dropping it kills the process and removes the
/// directory; if the test is failing, the server's log is printed first.
#[derive(Debug)]
pub struct Server {
    home: TempDir,
    data: PathBuf,
    settings: Vec<(String, String)>,
    flags: Vec<String>,
    kafka: String,
    http: String,
    child: Option<Child>,
}

/// Resident memory of the server in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The most there ever was.
    pub peak: u64,
}

impl Server {
    /// Starts on an empty directory with default settings, and waits until it is ready.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with some settings of its own.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::prepare(settings);
        server.spawn();
        server.wait_ready();
        server
    }

    /// A directory and addresses, and nothing running yet.
    pub fn prepare(settings: &[(&str, &str)]) -> Self {
        let home = tempfile::Builder::new().prefix("forebay-test-").tempdir().expect("a temporary directory");
        Self {
            data: home.path().join("data"),
            home,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            flags: Vec::new(),
            kafka: free_address(),
            http: free_address(),
            child: None,
        }
    }

    /// Starts on data directories that outlive it, the first one with the metadata, which take little of it. All of them are
    /// Normal, so that topics are placed on all.
    ///
    /// # Panics
    /// If one does not come to be.
    pub fn over(dirs: &[&Path]) -> Self {
        let mut server = Self::prepare(&[
            ("metadata.log.preallocated.bytes", "4194304"),
            ("metadata.snapshot.preallocated.bytes", "4194304"),
        ]);
        let (first, others) = dirs.split_first().expect("a data directory");
        server.keep_data_in(first.to_path_buf());
        for dir in others {
            server.flags(&["--data-dir", dir.to_str().expect("temporary paths are text")]);
        }
        server.spawn();
        server.wait_ready();
        for dir in dirs {
            eventually("its volumes are Normal", READY_WITHIN, || volume_state(&server, dir) == "Normal");
        }
        server
    }

    /// Puts its data into `dir`, which outlives it.
    pub fn keep_data_in(&mut self, dir: PathBuf) {
        self.data = dir;
    }

    /// Adds words to its command line.
    pub fn flags(&mut self, words: &[&str]) {
        self.flags.extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// Another server for the same data directory, with addresses of its own and nothing running.
    pub fn beside(&self) -> Self {
        let mut other = Self::prepare(&[]);
        other.data.clone_from(&self.data);
        other
    }

    /// `forebay serve` for this directory, not started.
    pub fn command(&self) -> Command {
        let config = self.home.path().join("server.properties");
        let lines: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(&config, lines.concat()).expect("the temporary directory takes files");
        let mut command = forebay();
        command.arg("serve").arg("--config").arg(config).arg("--data-dir").arg(&self.data);
        command.args(["--kafka-listen", &self.kafka, "--http-listen", &self.http]).args(&self.flags);
        command.stdin(Stdio::null());
        command
    }

    /// Starts the process, without waiting for anything.
    pub fn spawn(&mut self) {
        let log =
            || fs::OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log file");
        let child = self.command().stdout(log()).stderr(log()).spawn().expect("the binary starts");
        self.child = Some(child);
    }

    /// Waits until it answers Kafka clients and says that it is ready.
    pub fn wait_ready(&mut self) {
        self.wait_ready_within(READY_WITHIN);
    }

    /// The same with another patience: recovery of very many partitions takes its time.
    pub fn wait_ready_within(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let connected = TcpStream::connect(&self.kafka).is_ok();
            if connected && get(&self.http, "/readyz").is_ok_and(|(status, _)| status == 200) {
                return;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the server ended at once ({ended:?}):\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server is not ready after {patience:?}:\n{}", self.log());
    }

    /// Waits until it answers clients, ready or not: without its metadata log it never is.
    pub fn wait_answers(&mut self) {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(&self.kafka).is_err() || get(&self.http, "/healthz").is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the server ended at once ({ended:?}):\n{}", self.log());
            assert!(Instant::now() < deadline, "the server does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it where it stands (SIGSTOP) and waits until it does: no thread of it runs any more but in the kernel, so
    /// nothing more is said to anyone.
    pub fn pause(&self) {
        kill_process(Pid::from_child(self.child.as_ref().expect("a running server")), Signal::STOP)
            .expect("a signal can be sent");
        let deadline = Instant::now() + STOPPED_WITHIN;
        while !thread_states(self.pid()).iter().all(|state| matches!(state, 'T' | 'D' | 'Z')) {
            assert!(Instant::now() < deadline, "the server does not pause");
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        kill_process(Pid::from_child(self.child.as_ref().expect("a running server")), Signal::CONT)
            .expect("a signal can be sent");
    }

    /// Ends it as a power cut would, as far as a process can tell: SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running server");
        kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal can be sent");
        let deadline = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("the server did not stop within {STOPPED_WITHIN:?}:\n{}", self.log());
    }

    /// Starts it again on the same directory and addresses.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
        self.wait_ready();
    }

    /// True while the process lives.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// From now on no file of it may grow beyond so many bytes (EFBIG); `None`: as large as they like.
    pub fn bound_files(&self, bytes: Option<u64>) {
        let pid = Pid::from_child(self.child.as_ref().expect("a running server"));
        let bound = Rlimit { current: bytes, maximum: None };
        prlimit(Some(pid), Resource::Fsize, bound).expect("a limit of one's own child");
    }

    /// Address of the Kafka door.
    pub fn kafka(&self) -> &str {
        &self.kafka
    }

    /// Address of the HTTP door.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder of the test's own beside the data.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A fresh connection to the Kafka door.
    pub fn conn(&self) -> Conn {
        Conn::open(&self.kafka)
    }

    /// A client.
    pub async fn client(&self) -> Client {
        let bootstrap = [self.kafka.clone()];
        Client::connect(Arc::new(TcpNet), &bootstrap, ClientConfig::default())
            .await
            .expect("a client connects")
    }

    /// What the kernel says of its memory.
    pub fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process lives");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells it");
            line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().expect("a number of kB") * 1024
        };
        Memory { resident: bytes("VmRSS:"), peak: bytes("VmHWM:") }
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The same, line by line.
    pub fn lines(&self) -> LogLines {
        LogLines(self.log())
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(20_000).map_or(0, |(at, _)| at);
            eprintln!("---- server log ----\n{}---- end of server log ----", &log[from..]);
        }
    }
}

/// The scheduler's letter for each thread of a process: T is stopped, D waits in the kernel and stops on its way out.
fn thread_states(pid: u32) -> Vec<char> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let stats = threads.flatten().flat_map(|thread| fs::read_to_string(thread.path().join("stat")));
    // PID (NAME) STATE ...: the name may hold anything.
    stats.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next()).collect()
}

/// An address of 127.0.0.1 that was free a moment ago.
fn free_address() -> String {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("a bound socket has an address").to_string()
}
