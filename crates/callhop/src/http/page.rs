//! The page: its HTML, scripts, styles and icon, and the page that shows the guide; all of them in the program.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::App;
use crate::guide::STYLE;

/// Where the style of the guide is.
pub(super) const STYLE_OF_GUIDE: &str = "/guide.css";

const FILES: [(&str, &str, &str); 10] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/elements.js",
        "text/javascript; charset=utf-8",
        include_str!("page/elements.js"),
    ),
    (
        "/api.js",
        "text/javascript; charset=utf-8",
        include_str!("page/api.js"),
    ),
    (
        "/dialogs.js",
        "text/javascript; charset=utf-8",
        include_str!("page/dialogs.js"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/guide",
        "text/html; charset=utf-8",
        include_str!("page/guide.html"),
    ),
    (
        "/guide.js",
        "text/javascript; charset=utf-8",
        include_str!("page/guide.js"),
    ),
    (STYLE_OF_GUIDE, "text/css; charset=utf-8", STYLE),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// Whether it is a file of the page. They hold nothing that anybody has to be kept from.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|(file, ..)| *file == path)
}

/// The files at their addresses, with `head` in the head of the page.
pub(super) fn router(head: &str) -> Router<App> {
    FILES
        .into_iter()
        .fold(Router::new(), |router, (path, kind, text)| {
            let text = match path {
                "/" if !head.is_empty() => {
                    Bytes::from(text.replacen("<title>", &format!("{head}<title>"), 1))
                }
                _ => Bytes::from_static(text.as_bytes()),
            };
            let answer =
                move || async move { ([(header::CONTENT_TYPE, kind)], text).into_response() };
            router.route(path, get(answer))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_a_place_before_what_the_page_loads() {
        let (_, _, index) = FILES[0];
        let place = index.find("<title>").unwrap();
        assert_eq!(index.matches("<title>").count(), 1);
        assert!(place < index.find("<script").unwrap());
    }
}
