//! The archive in a bucket of an object store that speaks S3.
//!
//! A file gets its name only once it is whole: a small one is put in one request, a large one in parts
//! that are nothing until they are completed. What was begun and is not kept is aborted. What a crash
//! leaves are parts that nobody can fetch: S3 does not list them to this client, so the bucket's lifecycle
//! rule has to remove them.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use jiff::civil::Date;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, Error, GetOptions, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};
use tracing::{debug, warn};

use super::Kept;
use super::label::{Label, day_of, folder};
use super::web::Web;
use crate::clock::Timestamp;
use crate::policy;

/// A file up to this long is put in one request; a longer one in parts of this length, bytes. The
/// smallest that S3 takes, and 4 GiB of them are fewer than it allows.
const PART_BYTES: usize = 5 << 20;
/// How often a request is made again that a store did not answer, or answered with 429 or 5xx.
const RETRIES_MAX: usize = 3;
/// No retry begins later than this after the first try.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// For aborting what was begun.
const ABORT_TIMEOUT: Duration = Duration::from_secs(20);
/// What a store says of an error is told up to this length, characters.
const WHY_CHARS_MAX: usize = 400;

/// The bucket, and the part of it that is ours.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Result<Arc<AmazonS3>, String>,
    prefix: String,
}

/// A file that is there. It may be removed before it is read, which then fails.
#[derive(Clone, Debug)]
pub struct Open {
    store: Arc<AmazonS3>,
    path: Path,
    /// Its length, bytes.
    pub length: u64,
}

/// A file that is being written. What was sent of it is aborted when dropped, unless it was kept.
#[derive(Debug)]
pub struct Draft {
    store: Arc<AmazonS3>,
    path: Path,
    /// What is not sent yet, less than a part.
    rest: BytesMut,
    length: u64,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Bucket {
    /// The bucket that the policy names. Nothing is sent before something is asked of it.
    pub fn new(policy: &policy::Bucket) -> Self {
        let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&policy.name)
            .with_region(&policy.region)
            .with_access_key_id(policy.access_key.reveal())
            .with_secret_access_key(policy.secret_key.reveal())
            .with_http_connector(Web)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT });
        if let Some(endpoint) = &policy.endpoint {
            // The bucket's name then stands in the path: few stores of one's own answer to names of buckets.
            builder = builder.with_endpoint(endpoint).with_allow_http(true);
        } else {
            builder = builder.with_virtual_hosted_style_request(!policy.name.contains('.'));
        }
        let store = builder.build().map(Arc::new).map_err(|why| why.to_string());
        Self { store, prefix: policy.prefix.clone() }
    }

    /// Opens a file, if it is there.
    pub async fn open(&self, label: Label) -> io::Result<Option<Open>> {
        let (store, path) = (self.store()?, self.path(&label.to_string()));
        let found = if_there(store.head(&path).await)?;
        Ok(found.map(|meta| Open { store, path, length: meta.size }))
    }

    /// Begins a file.
    pub fn draft(&self, label: Label) -> io::Result<Draft> {
        let path = self.path(&label.to_string());
        Ok(Draft { store: self.store()?, path, rest: BytesMut::new(), length: 0, parts: None })
    }

    /// Removes a file; whether it was there.
    pub async fn remove(&self, label: Label) -> io::Result<bool> {
        let Some(open) = self.open(label).await? else { return Ok(false) };
        Ok(if_there(open.store.delete(&open.path).await)?.is_some())
    }

    /// The days of which there are files, oldest first.
    pub async fn days(&self) -> io::Result<Vec<Date>> {
        let mut days = Vec::new();
        for year in self.below("").await? {
            for month in self.below(&year).await? {
                let here = self.below(&format!("{year}/{month}")).await?;
                days.extend(here.iter().filter_map(|day| day_of(&format!("{year}/{month}/{day}"))));
            }
        }
        days.sort_unstable();
        Ok(days)
    }

    /// The files of a day.
    pub async fn on(&self, day: Date) -> io::Result<Vec<Kept>> {
        let listing = self.store()?.list(Some(&self.path(&folder(day))));
        let kept = |meta: ObjectMeta| {
            let label = Label::read(day, meta.location.filename()?)?;
            Some(Kept { label, since: Timestamp::from_ms(meta.last_modified.timestamp_millis()) })
        };
        listing.map_err(told).try_filter_map(|meta| std::future::ready(Ok(kept(meta)))).try_collect().await
    }

    /// The names of what looks like folders there and can be part of a day: numbers.
    async fn below(&self, folder: &str) -> io::Result<Vec<String>> {
        let path = self.path(folder);
        let listing = self.store()?.list_with_delimiter(Some(&path)).await.map_err(told)?;
        let is_number = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        Ok(listing.common_prefixes.iter().filter_map(|path| path.filename()).filter(is_number).map(str::to_owned).collect())
    }

    fn store(&self) -> io::Result<Arc<AmazonS3>> {
        self.store.clone().map_err(io::Error::other)
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }
}

impl Open {
    /// The bytes of a range, from one request.
    pub fn read(self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        async move {
            let got = self.store.get_opts(&self.path, options).await.map_err(told)?;
            Ok(got.into_stream().map_err(told))
        }
        .try_flatten_stream()
        .boxed()
    }
}

impl Draft {
    /// Adds to its end.
    pub async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.rest.extend_from_slice(&bytes);
        while self.rest.len() > PART_BYTES {
            let part = self.rest.split_to(PART_BYTES).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    /// Gives a file that is whole its name, and looks whether it is there under it.
    pub async fn keep(mut self) -> io::Result<()> {
        let rest = self.rest.split().freeze();
        if self.parts.is_none() {
            self.store.put(&self.path, rest.into()).await.map_err(told)?;
        } else {
            self.send(rest).await?;
            if let Some(parts) = &mut self.parts {
                parts.complete().await.map_err(told)?;
            }
            self.parts = None;
        }
        match if_there(self.store.head(&self.path).await)? {
            Some(meta) if meta.size == self.length => Ok(()),
            Some(meta) => {
                let why = format!("{} bytes were taken and {} are there", self.length, meta.size);
                let _ = self.store.delete(&self.path).await;
                Err(io::Error::other(why))
            }
            None => Err(io::Error::other("what was taken is not there")),
        }
    }

    async fn send(&mut self, part: Bytes) -> io::Result<()> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => self.parts.insert(self.store.put_multipart(&self.path).await.map_err(told)?),
        };
        parts.put_part(part.into()).await.map_err(told)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let path = self.path.clone();
        runtime.spawn(async move {
            match tokio::time::timeout(ABORT_TIMEOUT, parts.abort()).await {
                Ok(Ok(())) => debug!(%path, "a copy that came to nothing was aborted"),
                Ok(Err(why)) => warn!(%path, why = %told(why), "parts of a copy stay in the bucket until its lifecycle rule removes them"),
                Err(_) => warn!(%path, why = "no answer", "parts of a copy stay in the bucket until its lifecycle rule removes them"),
            }
        });
    }
}

fn if_there<T>(done: Result<T, Error>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(told(error)),
    }
}

/// What a store said, in one line that is not too long.
fn told(error: Error) -> io::Error {
    let in_line = |letter: char| if letter.is_control() { ' ' } else { letter };
    let text: String = error.to_string().chars().take(WHY_CHARS_MAX).map(in_line).collect();
    io::Error::other(text)
}
