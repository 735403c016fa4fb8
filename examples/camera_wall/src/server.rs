//! The page, its files, and the place where viewers come in.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use kaon_rtc::dtls::Identity;
use kaon_rtc::peer_connection::Endpoint;

use crate::camera::Camera;
use crate::message::ToPage;
use crate::own_page::{self, Seats};
use crate::viewer::Viewer;

/// What all viewers share.
#[derive(Debug)]
pub struct Wall {
    pub cameras: Vec<Arc<Camera>>,
    pub endpoint: Endpoint,
    pub identity: Identity,
    pub seats: Arc<Seats>,
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
        ToPage::Status { viewers: self.seats.taken(), complaints }
    }
}

pub fn router(wall: Arc<Wall>) -> Router {
    Router::new()
        .route("/", own_page::file("text/html", include_str!("../page/index.html")))
        .route("/wall.css", own_page::file("text/css", include_str!("../page/wall.css")))
        .route("/wall.js", own_page::file("text/javascript", include_str!("../page/wall.js")))
        .route("/signal", any(signal))
        .with_state(wall)
}

async fn signal(State(wall): State<Arc<Wall>>, upgrade: WebSocketUpgrade) -> Response {
    let Some(seat) = wall.seats.take() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many viewers").into_response();
    };
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(move |socket| async move {
        if let Err(error) = Viewer::serve(wall, socket).await {
            eprintln!("A viewer has left: {error}");
        }
        drop(seat);
    })
}
