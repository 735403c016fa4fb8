//! What the relay counts, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use kaon_rtc::net::TurnServer;
use tokio::net::TcpListener;

pub async fn serve(listener: TcpListener, server: Arc<TurnServer>) {
    let router = Router::new().route("/metrics", get(metrics)).with_state(server);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics are not served any more");
    }
}

async fn metrics(State(server): State<Arc<TurnServer>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text(&server))
}

fn text(server: &TurnServer) -> String {
    let counted = server.statistics();
    let traffic = counted.traffic;
    let rows: [(&str, &str, &str, u64); 15] = [
        ("allocations", "gauge", "Allocations that there are.", counted.allocations as u64),
        ("users", "gauge", "Users that have one.", counted.users as u64),
        ("connections", "gauge", "TCP connections of clients.", server.connections() as u64),
        ("granted_total", "counter", "Allocations that were granted.", counted.granted),
        ("refused_total", "counter", "Requests of users that were refused.", counted.refused),
        (
            "unauthenticated_total",
            "counter",
            "Answers to requests without credentials.",
            counted.unauthenticated,
        ),
        ("suppressed_total", "counter", "Requests of strangers that were not answered.", counted.suppressed),
        ("bindings_total", "counter", "Binding requests that were answered.", counted.bindings),
        ("packets_out_total", "counter", "Datagrams to peers.", traffic.packets_out),
        ("bytes_out_total", "counter", "Bytes of data to peers.", traffic.bytes_out),
        ("packets_in_total", "counter", "Datagrams from peers.", traffic.packets_in),
        ("bytes_in_total", "counter", "Bytes of data from peers.", traffic.bytes_in),
        ("dropped_forbidden_total", "counter", "Datagrams without permission.", counted.dropped_forbidden),
        (
            "dropped_bandwidth_total",
            "counter",
            "Datagrams beyond a limit of bandwidth.",
            counted.dropped_bandwidth,
        ),
        ("dropped_malformed_total", "counter", "Datagrams that were malformed.", counted.dropped_malformed),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in rows {
        // A string takes everything.
        let _ = writeln!(text, "# HELP turn_{name} {help}\n# TYPE turn_{name} {kind}\nturn_{name} {value}");
    }
    text
}
