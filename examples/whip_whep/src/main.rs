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
use axum::routing::{delete, post};
use clap::Parser;
use kaon_rtc::sdp::Direction;

use hall::{Hall, Refusal};
use own_page::Place;

/// What is sent here by WHIP goes to any number of viewers by WHEP.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    place: Place,

    /// How many viewers there may be at a time.
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_viewers: usize,
}

/// Where the page is served unless something else is said.
const LISTEN: &str = "127.0.0.1:8082";
/// The longest offer that is read.
const MAX_OFFER: usize = 1 << 18;

#[tokio::main]
async fn main() -> ExitCode {
    own_page::exit_code(run().await)
}

async fn run() -> Result<(), String> {
    let options: Options = own_page::options()?;
    let hall = Hall::new(options.max_viewers)?;
    options.place.serve("WHIP and WHEP", true, router(hall)).await
}

fn router(hall: Arc<Hall>) -> Router {
    Router::new()
        .route("/", own_page::file("text/html", include_str!("../page/index.html")))
        .route("/page.css", own_page::file("text/css", include_str!("../page/page.css")))
        .route("/page.js", own_page::file("text/javascript", include_str!("../page/page.js")))
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
