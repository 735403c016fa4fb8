//! The page, its files, and the place where viewers come in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use kaon_rtc::dtls::Identity;
use kaon_rtc::peer_connection::Endpoint;

use crate::camera::Camera;
use crate::message::ToPage;
use crate::viewer::Viewer;

/// What all viewers share.
#[derive(Debug)]
pub struct Wall {
    pub cameras: Vec<Arc<Camera>>,
    pub endpoint: Endpoint,
    pub identity: Identity,
    pub max_viewers: usize,
    pub viewers: AtomicUsize,
}

/// The longest message of a page: an answer for a hundred cameras.
const MAX_MESSAGE: usize = 1 << 20;

impl Wall {
    /// The cameras of these names, or all of them.
    pub fn find(&self, names: Option<&[String]>) -> Vec<Arc<Camera>> {
        let find = |name: &String| self.cameras.iter().find(|camera| camera.name == *name).cloned();
        match names {
            Some(names) => names.iter().filter_map(find).collect(),
            None => self.cameras.clone(),
        }
    }

    pub fn status(&self) -> ToPage<'_> {
        let complaints: BTreeMap<_, _> = self
            .cameras
            .iter()
            .filter_map(|camera| Some((camera.name.as_str(), camera.complaint()?)))
            .collect();
        ToPage::Status { viewers: self.viewers.load(Ordering::Relaxed), complaints }
    }
}

pub fn router(wall: Arc<Wall>) -> Router {
    let file = |kind: &'static str, text: &'static str| {
        get(
            move || async move { ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text) },
        )
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../page/index.html")))
        .route("/wall.css", file("text/css; charset=utf-8", include_str!("../page/wall.css")))
        .route("/wall.js", file("text/javascript; charset=utf-8", include_str!("../page/wall.js")))
        .route("/signal", any(signal))
        .with_state(wall)
}

async fn signal(State(wall): State<Arc<Wall>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if !is_own_page(&headers) {
        return (StatusCode::FORBIDDEN, "only the wall's own page may connect").into_response();
    }
    let Some(seat) = Seat::take(&wall) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many viewers").into_response();
    };
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(move |socket| async move {
        if let Err(error) = Viewer::serve(wall, socket).await {
            eprintln!("A viewer has left: {error}");
        }
        drop(seat);
    })
}

/// Browsers let any page open a WebSocket to anywhere, and say from where it comes.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(header::HOST)
}

/// A viewer that is counted.
struct Seat(Arc<Wall>);

impl Seat {
    fn take(wall: &Arc<Wall>) -> Option<Self> {
        let sit = |seated| (seated < wall.max_viewers).then_some(seated + 1);
        wall.viewers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sit).ok()?;
        Some(Self(wall.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_pages_are_refused() {
        let is_own = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_own_page(&headers)
        };
        assert!(is_own(None));
        assert!(is_own(Some("http://127.0.0.1:8080")));
        for other in ["http://127.0.0.1:8081", "https://example.org", "null"] {
            assert!(!is_own(Some(other)), "{other}");
        }
    }
}
