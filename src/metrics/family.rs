//! Families: what the exposition library is allowed to be told.
//!
//! The library panics when a series is asked for with the wrong number of labels. Here that number
//! is part of the type, so such a call does not compile. Knows no series by name.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use serde::Serialize;

/// What one series is, as it is declared and as people read it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Series {
    /// Its whole name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    /// The upper bounds of a histogram's buckets, in seconds.
    pub buckets: &'static [f64],
}

/// Why declaring cannot fail: every name is a constant, and a test declares them all.
const DECLARED: &str = "series are constants, declared once per registry";

/// Numbers that only grow.
pub struct Counters<const N: usize>(IntCounterVec);

impl<const N: usize> Counters<N> {
    /// As the exposition format calls it.
    pub const KIND: &'static str = "counter";

    /// Makes the family and puts it into `registry`. A family without labels shows from the start.
    pub fn declare(registry: &Registry, series: &Series) -> Self {
        let family = IntCounterVec::new(Opts::new(series.name, series.help.trim()), series.labels).expect(DECLARED);
        registry.register(Box::new(family.clone())).expect(DECLARED);
        let family = Self(family);
        if N == 0 {
            family.add([""; N], 0);
        }
        family
    }

    /// Adds `n` to the series with these label values.
    pub fn add(&self, labels: [&str; N], n: u64) {
        self.0.with_label_values(&labels).inc_by(n);
    }
}

/// Numbers that go up and down.
pub struct Gauges<const N: usize>(IntGaugeVec);

impl<const N: usize> Gauges<N> {
    /// As the exposition format calls it.
    pub const KIND: &'static str = "gauge";

    /// Makes the family and puts it into `registry`.
    pub fn declare(registry: &Registry, series: &Series) -> Self {
        let family = IntGaugeVec::new(Opts::new(series.name, series.help.trim()), series.labels).expect(DECLARED);
        registry.register(Box::new(family.clone())).expect(DECLARED);
        Self(family)
    }

    /// Sets the series with these label values.
    pub fn set(&self, labels: [&str; N], value: i64) {
        self.0.with_label_values(&labels).set(value);
    }

    /// Adds to the series with these label values: for several accounts that share a label.
    pub fn add(&self, labels: [&str; N], value: i64) {
        self.0.with_label_values(&labels).add(value);
    }
}

/// Durations, counted into buckets.
pub struct Histograms<const N: usize>(HistogramVec);

impl<const N: usize> Histograms<N> {
    /// As the exposition format calls it.
    pub const KIND: &'static str = "histogram";

    /// Makes the family and puts it into `registry`.
    pub fn declare(registry: &Registry, series: &Series) -> Self {
        let opts = HistogramOpts::new(series.name, series.help.trim()).buckets(series.buckets.to_vec());
        let family = HistogramVec::new(opts, series.labels).expect(DECLARED);
        registry.register(Box::new(family.clone())).expect(DECLARED);
        Self(family)
    }

    /// Counts one duration.
    pub fn observe(&self, labels: [&str; N], elapsed: Duration) {
        self.child(labels).observe(elapsed.as_secs_f64());
    }

    /// The series with these label values, to be kept where it is needed for every request.
    pub fn child(&self, labels: [&str; N]) -> Histogram {
        self.0.with_label_values(&labels)
    }
}

/// Declares families as the fields of a struct: the doc comment of a field is its help text, and the
/// name of the field, behind `filmgate_`, is its name.
macro_rules! families {
    ($(#[doc = $about:literal])+ $group:ident { $(
        $(#[doc = $help:literal])+
        $field:ident: $kind:ident[$($label:literal),*] $(in $buckets:expr)?,
    )+ }) => {
        $(#[doc = $about])+
        pub struct $group { $(
            $(#[doc = $help])+
            pub $field: $kind<{ <[&str]>::len(&[$($label),*]) }>,
        )+ }

        impl $group {
            /// Every family of the group, in the order of declaration.
            pub const CATALOGUE: &'static [Series] = &[$(Series {
                name: concat!("filmgate_", stringify!($field)),
                kind: $kind::<0>::KIND,
                labels: &[$($label),*],
                help: concat!($($help),+),
                buckets: { let _buckets: &[f64] = &[]; $(let _buckets: &[f64] = $buckets;)? _buckets },
            }),+];

            /// Makes every family of the group and puts it into `registry`.
            pub fn declare(registry: &Registry) -> Self {
                let mut catalogue = Self::CATALOGUE.iter();
                $(let $field = $kind::declare(registry, catalogue.next().expect("one entry per field"));)+
                Self { $($field),+ }
            }
        }
    };
}
pub(super) use families;
