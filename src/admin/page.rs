//! Page: the files of the operator's page, as they are in the binary.
//!
//! One HTML file, one script, one style sheet: nothing is built, nothing is fetched from elsewhere.
//! The alert rules and the dashboard are served beside them, so that what is deployed and what is
//! running cannot disagree. Knows nothing of HTTP but media types and the policy below.

/// Sent as `content-security-policy` with every one of these files: nothing runs, loads or connects
/// but what comes from this listener, and nobody may frame it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The header, and its value, that a POST to the admin listener must carry: a page of another origin
/// cannot send it without asking first.
pub const CSRF_HEADER: (&str, &str) = ("x-filmgate-admin", "1");

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    /// Where it is served.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// The file itself.
    pub bytes: &'static [u8],
}

/// Every file of the page.
pub const fn page_files() -> &'static [PageFile] {
    &[
        PageFile { path: "/", content_type: "text/html; charset=utf-8", bytes: include_bytes!("page/index.html") },
        PageFile { path: "/app.js", content_type: "text/javascript; charset=utf-8", bytes: include_bytes!("page/app.js") },
        PageFile { path: "/style.css", content_type: "text/css; charset=utf-8", bytes: include_bytes!("page/style.css") },
        PageFile { path: "/icon.svg", content_type: "image/svg+xml", bytes: include_bytes!("page/icon.svg") },
        PageFile { path: "/alerts.yml", content_type: "text/plain; charset=utf-8", bytes: include_bytes!("alerts.yml") },
        PageFile { path: "/dashboard.json", content_type: "application/json", bytes: include_bytes!("dashboard.json") },
    ]
}

#[cfg(test)]
mod tests;
