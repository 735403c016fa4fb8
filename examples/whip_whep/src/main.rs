//! What is sent here by WHIP goes to any number of viewers by WHEP; see the README beside this package.

mod hall;
#[path = "../../own_page/mod.rs"]
mod own_page;
mod stage;

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use clap::Parser;
use kaon_rtc::sdp::Direction;

use hall::{Hall, Refusal};
use own_page::Listen;

/// What is sent here by WHIP goes to any number of viewers by WHEP.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Where the page is served; 0.0.0.0:8082 for other machines too. Browsers give their camera to pages of this
    /// machine, or over HTTPS.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8082")]
    listen: Listen,

    /// Another name that the page may be asked for by, as when a proxy stands before it. May be given several times.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// How many viewers there may be at a time.
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_viewers: usize,
}

/// The longest offer that is read.
const MAX_OFFER: usize = 1 << 18;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("whip_whep: {line}");
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
    let hall = Hall::new(options.max_viewers)?;
    own_page::announce("WHIP and WHEP", address, true);
    let hosts: Vec<_> = options.hosts.into_iter().chain(options.listen.name().map(str::to_owned)).collect();
    own_page::serve(listener, &hosts, router(hall)).await.map_err(|error| error.to_string())
}

fn router(hall: Arc<Hall>) -> Router {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../page/index.html")))
        .route("/page.css", file("text/css; charset=utf-8", include_str!("../page/page.css")))
        .route("/page.js", file("text/javascript; charset=utf-8", include_str!("../page/page.js")))
        .route("/whip", post(whip))
        .route("/whep", post(whep))
        // Neither trickles (RFC 9725 §4.3.1): PATCH is answered with 405, as is all else.
        .route("/session/{id}", delete(end))
        .layer(DefaultBodyLimit::max(MAX_OFFER))
        .with_state(hall)
}

async fn whip(State(hall): State<Arc<Hall>>, headers: HeaderMap, offer: String) -> Result<Response, Refusal> {
    let publishing = hall.open_stage()?;
    let (id, connection) = hall.answer(&headers, &offer, Direction::RecvOnly).await?;
    let answer = connection.local_description().map(|answer| answer.text());
    tokio::spawn(publishing.run(id.clone(), connection));
    Ok(created(&id, answer))
}

async fn whep(State(hall): State<Arc<Hall>>, headers: HeaderMap, offer: String) -> Result<Response, Refusal> {
    let watching = hall.find_seat()?;
    let (id, connection) = hall.answer(&headers, &offer, Direction::SendOnly).await?;
    let answer = connection.local_description().map(|answer| answer.text());
    tokio::spawn(watching.run(id.clone(), connection));
    Ok(created(&id, answer))
}

async fn end(State(hall): State<Arc<Hall>>, Path(id): Path<String>) -> StatusCode {
    match hall.leave(&id) {
        true => StatusCode::OK,
        false => StatusCode::NOT_FOUND,
    }
}

/// RFC 9725 §4.2: the answer, and where the session is that it began.
fn created(id: &str, answer: Option<String>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/sdp".to_owned()), (header::LOCATION, format!("/session/{id}"))];
    (StatusCode::CREATED, headers, answer.unwrap_or_default()).into_response()
}
