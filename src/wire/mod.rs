//! The public JSON of `/v1/videos`, and only that: reading wishes, writing videos, lists and errors.
//!
//! Pure: no socket, no store, no clock, no status codes (those are `refusal`'s). Lenient in what it
//! reads, because real SDKs and old blog posts differ; exact in what it writes, because strict SDKs
//! reject a missing field or a float where an integer belongs.
