//! The programs that are measured: started, looked at through `/proc`, and ended with the bench.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How many microseconds a tick of `/proc/PID/stat` lasts.
const TICK_US: u64 = 10_000;

/// A program of ours.
pub struct Program(Child);

impl Program {
    /// Starts the gateway's binary with these arguments; what it says goes nowhere.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_filmgate"));
        Ok(Self(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    /// Its processor time so far, microseconds.
    pub fn cpu_us(&self) -> Option<u64> {
        cpu_us(self.0.id())
    }

    /// Its resident memory, kibibytes.
    pub fn resident_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// nginx, with a master and two workers.
pub struct Nginx {
    binary: &'static str,
    conf: PathBuf,
    master: Child,
}

impl Nginx {
    /// Starts it on `servers`, the inside of an `http` block; `None` if it is not installed.
    pub fn start(folder: &Path, servers: &str) -> anyhow::Result<Option<Self>> {
        let installed = |binary: &&str| Command::new(binary).arg("-v").stderr(Stdio::null()).status().is_ok();
        let Some(binary) = ["nginx", "/usr/sbin/nginx"].into_iter().find(installed) else { return Ok(None) };
        let at = folder.display();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = kinds.iter().map(|kind| format!("{kind}_temp_path {at}/{kind};\n")).collect();
        let conf = folder.join("nginx.conf");
        fs::write(
            &conf,
            format!(
                "daemon off; worker_processes 2; pid {at}/nginx.pid; error_log {at}/nginx.log crit;\nevents {{ worker_connections 4096; }}\n\
                 http {{ access_log off; keepalive_requests 100000000;\n{temporary}{servers}}}\n"
            ),
        )?;
        let master = Command::new(binary).arg("-c").arg(&conf).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Some(Self { binary, conf, master }))
    }

    /// The processor time of its workers so far, microseconds.
    pub fn cpu_us(&self) -> Option<u64> {
        let children = format!("/proc/{0}/task/{0}/children", self.master.id());
        Some(fs::read_to_string(children).ok()?.split_whitespace().filter_map(|pid| cpu_us(pid.parse().ok()?)).sum())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master stops its workers; killed, it would leave them behind.
        drop(Command::new(self.binary).arg("-c").arg(&self.conf).args(["-s", "stop"]).stderr(Stdio::null()).status());
        drop(self.master.wait());
    }
}

/// An address on this machine where nobody listens now.
pub fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn cpu_us(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces; what follows its closing bracket does not.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) * TICK_US)
}
