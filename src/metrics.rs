//! Metrics: every series, label set and bucket, in one struct.
