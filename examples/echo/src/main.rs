//! A page whose camera, microphone and messages come back through Kaon; see the README beside this package.

mod message;
#[path = "../../own_page/mod.rs"]
mod own_page;
mod reflection;
mod visitor;

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use clap::Parser;
use kaon_rtc::crypto::default_provider;
use kaon_rtc::dtls::Identity;
use kaon_rtc::peer_connection::Endpoint;

use own_page::{Place, Seats};

/// A page whose camera, microphone and messages come back.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    place: Place,

    /// How many visitors there may be at a time.
    #[arg(long, value_name = "N", default_value_t = 32)]
    max_visitors: usize,
}

/// What all visitors share.
#[derive(Clone, Debug)]
pub struct Mirror {
    pub endpoint: Endpoint,
    pub identity: Identity,
    seats: Arc<Seats>,
}

/// Where the page is served unless something else is said.
const LISTEN: &str = "127.0.0.1:8081";
/// The longest message of a page: a description.
const MAX_MESSAGE: usize = 1 << 18;

#[tokio::main]
async fn main() -> ExitCode {
    own_page::exit_code(run().await)
}

async fn run() -> Result<(), String> {
    let options: Options = own_page::options()?;
    let endpoint = Endpoint::builder().loopback(true).bind().map_err(|error| error.to_string())?;
    let provider = default_provider().ok_or("no crypto provider is built in")?;
    let identity = Identity::generate(&provider).map_err(|error| error.to_string())?;
    let mirror = Mirror { endpoint, identity, seats: Seats::new(options.max_visitors) };
    options.place.serve("Echo", true, router(mirror)).await
}

fn router(mirror: Mirror) -> Router {
    Router::new()
        .route("/", own_page::file("text/html", include_str!("../page/index.html")))
        .route("/echo.css", own_page::file("text/css", include_str!("../page/echo.css")))
        .route("/echo.js", own_page::file("text/javascript", include_str!("../page/echo.js")))
        .route("/signal", any(signal))
        .with_state(mirror)
}

async fn signal(State(mirror): State<Mirror>, upgrade: WebSocketUpgrade) -> Response {
    let Some(seat) = mirror.seats.take() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many visitors").into_response();
    };
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(async move |socket| {
        if let Err(error) = visitor::serve(&mirror, socket).await {
            eprintln!("A visitor has left: {error}");
        }
        drop(seat);
    })
}
