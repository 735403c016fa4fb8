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
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use clap::Parser;
use kaon_rtc::crypto::default_provider;
use kaon_rtc::dtls::Identity;
use kaon_rtc::peer_connection::Endpoint;

use own_page::{Listen, Seats};

/// A page whose camera, microphone and messages come back.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Where the page is served; 0.0.0.0:8081 for other machines too. Browsers give their camera to pages of this
    /// machine, or over HTTPS.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8081")]
    listen: Listen,

    /// Another name that the page may be asked for by, as when a proxy stands before it. May be given several times.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

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

/// The longest message of a page: a description.
const MAX_MESSAGE: usize = 1 << 18;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("echo: {line}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), String> {
    let options = Options::try_parse().map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })?;
    let listener = options.listen.bind().await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let endpoint = Endpoint::builder().loopback(true).bind().map_err(|error| error.to_string())?;
    let provider = default_provider().ok_or("no crypto provider is built in")?;
    let identity = Identity::generate(&provider).map_err(|error| error.to_string())?;
    own_page::announce("Echo", address, true);
    let mirror = Mirror { endpoint, identity, seats: Seats::new(options.max_visitors) };
    let hosts: Vec<_> = options.hosts.into_iter().chain(options.listen.name().map(str::to_owned)).collect();
    own_page::serve(listener, &hosts, router(mirror)).await.map_err(|error| error.to_string())
}

fn router(mirror: Mirror) -> Router {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../page/index.html")))
        .route("/echo.css", file("text/css; charset=utf-8", include_str!("../page/echo.css")))
        .route("/echo.js", file("text/javascript; charset=utf-8", include_str!("../page/echo.js")))
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
