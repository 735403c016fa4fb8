//! Serves the page of an example to those who ask for it by its own name, within limits: what a page on this machine or
//! in a local network needs, because browsers let any page in the world send requests there.

mod address;
#[allow(dead_code)] // Not every page limits its visitors, or tells.
mod seats;
mod start;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

#[allow(unused_imports)]
pub(crate) use seats::{Seat, Seats};
pub(crate) use start::{Place, exit_code, options};

/// Connections that are open at a time, WebSockets not counted once they are such.
const MAX_CONNECTIONS: usize = 256;
/// How long a browser may take to say what it wants, also between two requests.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` to requests for one of `names`, the address of the listener, or `localhost`.
async fn serve(listener: TcpListener, names: &[String], router: Router) -> std::io::Result<()> {
    let names = Arc::new(OwnNames::new(listener.local_addr()?, names));
    let router = router.layer(middleware::from_fn_with_state(names, guard));
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors: some will come back.
                eprintln!("A connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIME);
            // Who goes away in the middle has gone.
            let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            drop(seat);
        });
    }
}

/// The names by which the page is asked for. Any other that leads here is somebody else's: of a page that had its own
/// name point to this machine, to be taken for the same (DNS rebinding).
#[derive(Debug)]
struct OwnNames {
    listen: SocketAddr,
    names: Vec<String>,
}

impl OwnNames {
    fn new(listen: SocketAddr, names: &[String]) -> Self {
        Self { listen, names: names.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// The value of `Host`, if it is one of the page's own.
    fn of(&self, headers: &HeaderMap) -> Option<String> {
        let host = headers.get(header::HOST)?.to_str().ok()?.to_ascii_lowercase();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.ends_with(':') && !port.contains(']') => (name, port.parse().ok()?),
            _ => (host.as_str(), 80),
        };
        let is_named = self.names.iter().any(|own| *own == host || *own == name);
        (is_named || port == self.listen.port() && self.is_here(name)).then_some(host)
    }

    /// Whether a host is this machine. An address cannot be pointed elsewhere, so that on a listener for all addresses
    /// any will do.
    fn is_here(&self, name: &str) -> bool {
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        match address.parse::<IpAddr>() {
            Ok(ip) => self.listen.ip().is_unspecified() || ip == self.listen.ip(),
            Err(_) => name == "localhost",
        }
    }
}

async fn guard(State(names): State<Arc<OwnNames>>, request: Request, next: Next) -> Response {
    let Some(host) = names.of(request.headers()) else {
        return (StatusCode::FORBIDDEN, "this page goes by another name; --host adds one").into_response();
    };
    if !is_own_origin(request.headers(), &host) {
        return (StatusCode::FORBIDDEN, "only this page's own scripts may connect").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin".to_owned()),
        (header::CONTENT_SECURITY_POLICY, content_security_policy(&host)),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Browsers let any page open a WebSocket to anywhere, and say from where it comes.
fn is_own_origin(headers: &HeaderMap, host: &str) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
}

/// The page's own files and its WebSocket, and in nobody's frame.
fn content_security_policy(host: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; \
         connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// A file of the page, of a kind without parameters.
pub(crate) fn file<S: Clone + Send + Sync + 'static>(
    kind: &'static str,
    text: &'static str,
) -> MethodRouter<S> {
    let headers = [
        (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    get(async move || (headers.clone(), text))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    fn host(listen: &str, names: &[&str], host: &str) -> bool {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        OwnNames::new(listen.parse().expect("an address"), &names).of(&headers).is_some()
    }

    #[test]
    fn only_its_own_names_lead_to_the_page() {
        for good in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "wall.example", "wall.example:99"]
        {
            assert!(host("127.0.0.1:8080", &["Wall.example"], good), "{good}");
        }
        for bad in [
            "evil.example:8080",
            "127.0.0.1",
            "127.0.0.2:8080",
            "localhost",
            "localhost:1",
            "",
            ":8080",
            "[::1]:8080",
        ] {
            assert!(!host("127.0.0.1:8080", &[], bad), "{bad}");
        }
        assert!(host("0.0.0.0:8080", &[], "192.168.1.7:8080"));
        assert!(host("[::]:8080", &[], "[fe80::1]:8080"));
        assert!(host("[::1]:80", &[], "[::1]"));
        assert!(!host("0.0.0.0:8080", &[], "rebound.example:8080"));
    }

    async fn answer(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    async fn page() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", get(|| async { "the page" }));
        tokio::spawn(async move { serve(listener, &[], router).await });
        address
    }

    #[tokio::test]
    async fn strangers_are_refused_and_the_page_is_in_nobodys_frame() {
        let address = page().await;
        let request = |host: &str, origin: &str| {
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: close\r\n\r\n")
        };
        let own = answer(address, &request(&address.to_string(), "")).await;
        assert!(own.ends_with("the page") && own.contains("frame-ancestors 'none'"), "{own}");
        let rebound = format!("evil.example:{}", address.port());
        let origin = format!("Origin: http://{rebound}\r\n");
        for refused in
            [request(&rebound, &origin), request(&rebound, ""), request(&address.to_string(), &origin)]
        {
            assert!(answer(address, &refused).await.starts_with("HTTP/1.1 403"), "{refused}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_request_is_not_waited_for() {
        let address = page().await;
        for half in ["", "GET / HTTP/1.1\r\nHost: ", "GET / HTTP/1.1\r\nHost: localhost\r\n"] {
            // What is answered, if anything, and then the end.
            answer(address, half).await;
        }
    }
}
