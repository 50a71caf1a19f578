//! The load: connections that are kept alive and ask the same thing over and over.
//!
//! Writes raw bytes and reads nothing of a reply but its status and its length, so that what is measured is
//! the other side. Any answer but a 2xx ends a run.

pub mod process;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const BUFFER_BYTES: usize = 256 * 1024;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Load {
    body_bytes: u64,
    elapsed: Duration,
    waits_us: Vec<u128>,
}

impl Load {
    /// Exchanges.
    pub fn count(&self) -> f64 {
        self.waits_us.len() as f64
    }

    /// Exchanges a second.
    pub fn per_second(&self) -> f64 {
        self.count() / self.elapsed.as_secs_f64()
    }

    /// Bodies, in mebibytes a second.
    pub fn mib_per_second(&self) -> f64 {
        self.body_bytes as f64 / f64::from(1 << 20) / self.elapsed.as_secs_f64()
    }

    /// The wait that so many percent of the exchanges kept below, in microseconds.
    pub fn percentile_us(&self, percent: usize) -> f64 {
        let at = (self.waits_us.len() * percent / 100).min(self.waits_us.len().saturating_sub(1));
        self.waits_us.get(at).map_or(f64::NAN, |us| *us as f64)
    }
}

/// A request without a body.
pub fn get(path: &str, key: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n").into_bytes()
}

/// A request with a JSON body.
pub fn post(path: &str, key: &str, json: &str) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{json}", json.len()).into_bytes()
}

/// Asks over so many connections at once, for so long.
pub async fn run(to: SocketAddr, request: &[u8], connections: usize, lasting: Duration) -> anyhow::Result<Load> {
    let mut talking = JoinSet::new();
    let began = Instant::now();
    for _ in 0..connections {
        let request = request.to_vec();
        talking.spawn(async move {
            let (mut line, mut load) = (Line::to(to).await?, Load::default());
            while began.elapsed() < lasting {
                let asked = Instant::now();
                load.body_bytes += line.ask(&request, None).await?;
                load.waits_us.push(asked.elapsed().as_micros());
            }
            anyhow::Ok(load)
        });
    }
    sum(began, talking).await
}

async fn sum(began: Instant, mut talking: JoinSet<anyhow::Result<Load>>) -> anyhow::Result<Load> {
    let mut sum = Load::default();
    while let Some(load) = talking.join_next().await {
        let load = load??;
        sum.body_bytes += load.body_bytes;
        sum.waits_us.extend(load.waits_us);
    }
    sum.elapsed = began.elapsed();
    sum.waits_us.sort_unstable();
    Ok(sum)
}

/// Asks each of these once in so long, over so many connections, for so long; who is late asks at once.
pub async fn paced(to: SocketAddr, requests: &[Vec<u8>], connections: usize, every: Duration, lasting: Duration) -> anyhow::Result<Load> {
    let mut talking = JoinSet::new();
    let began = Instant::now();
    for share in requests.chunks(requests.len().div_ceil(connections)) {
        let (share, gap) = (share.to_vec(), every.div_f64(share.len() as f64));
        talking.spawn(async move {
            let (mut line, mut load, mut due) = (Line::to(to).await?, Load::default(), began);
            for request in share.iter().cycle() {
                if began.elapsed() >= lasting {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                let asked = Instant::now();
                load.body_bytes += line.ask(request, None).await?;
                load.waits_us.push(asked.elapsed().as_micros());
                due = (due + gap).max(began + began.elapsed().saturating_sub(every));
            }
            anyhow::Ok(load)
        });
    }
    sum(began, talking).await
}

/// Waits until somebody answers there.
pub async fn ready(at: SocketAddr, path: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    while let Err(error) = ask(at, &get(path, "")).await {
        ensure!(began.elapsed() < Duration::from_secs(10), "http://{at}{path}: {error}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Asks once and answers the body.
pub async fn ask(to: SocketAddr, request: &[u8]) -> anyhow::Result<String> {
    let mut body = Vec::new();
    Line::to(to).await?.ask(request, Some(&mut body)).await?;
    Ok(String::from_utf8(body)?)
}

/// One connection.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    async fn to(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// One exchange; answers the length of the body.
    async fn ask(&mut self, request: &[u8], mut keep: Option<&mut Vec<u8>>) -> anyhow::Result<u64> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let head_len = loop {
            filled += self.read(filled).await?;
            if let Some(at) = memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_len])?;
        ensure!(head.starts_with("HTTP/1.1 2"), "{}", String::from_utf8_lossy(&self.buffer[..filled]));
        let length = content_length(head).with_context(|| format!("a reply without a length: {head}"))?;

        let mut seen = filled - head_len;
        if let Some(body) = keep.as_deref_mut() {
            body.extend_from_slice(&self.buffer[head_len..filled]);
        }
        while seen < length {
            let n = self.read(0).await?;
            if let Some(body) = keep.as_deref_mut() {
                body.extend_from_slice(&self.buffer[..n]);
            }
            seen += n;
        }
        ensure!(seen == length, "a reply of {seen} bytes that said {length}");
        Ok(u64::try_from(length)?)
    }

    async fn read(&mut self, from: usize) -> anyhow::Result<usize> {
        let n = self.stream.read(&mut self.buffer[from..]).await?;
        ensure!(n > 0, "the connection was closed in the middle of a reply");
        Ok(n)
    }
}

fn content_length(head: &str) -> Option<usize> {
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    head.lines().filter_map(header).find(|(name, _)| name == "content-length")?.1.parse().ok()
}
