//! A wall of live cameras in the browser; see the README beside this package.

mod allowance;
mod camera;
mod clip;
mod feed;
mod intake;
mod message;
mod options;
mod outlet;
#[path = "../../own_page/mod.rs"]
mod own_page;
mod server;
mod viewer;

use std::process::ExitCode;
use std::sync::Arc;

use kaon_rtc::crypto::default_provider;
use kaon_rtc::dtls::Identity;
use kaon_rtc::peer_connection::Endpoint;
use tokio::time::Instant;

use camera::Camera;
use options::Options;
use own_page::Seats;
use server::Wall;

/// Where the page is served unless something else is said.
const LISTEN: &str = "127.0.0.1:8080";

#[tokio::main]
async fn main() -> ExitCode {
    own_page::exit_code(run().await)
}

async fn run() -> Result<(), String> {
    let options: Options = own_page::options()?;
    let cameras = cameras(&options)?;

    // One port for all viewers. A demonstration runs on one machine, so its own addresses are candidates too.
    let mut endpoint = Endpoint::builder().loopback(true);
    if let Some(ports) = options.port_range {
        endpoint = endpoint.ports(ports);
    }
    let endpoint = endpoint.bind().map_err(|error| error.to_string())?;
    let provider = default_provider().ok_or("no crypto provider is built in")?;
    let identity = Identity::generate(&provider).map_err(|error| error.to_string())?;
    let count = cameras.len();
    let wall = Arc::new(Wall { cameras, endpoint, identity, seats: Seats::new(options.max_viewers) });

    let what = format!("Camera wall of {count} cameras");
    options.place.serve(&what, false, server::router(wall)).await
}

fn cameras(options: &Options) -> Result<Vec<Arc<Camera>>, String> {
    let epoch = Instant::now();
    let clips = clip::load().map_err(|error| error.to_string())?;
    let copies = |number: usize| (&clips[number % clips.len()], number / clips.len());
    let mut cameras: Vec<Camera> = (0..usize::from(options.cameras))
        .map(copies)
        .map(|(clip, copy)| Camera::play(clip, copy, epoch))
        .collect();
    for source in &options.rtp {
        let at = match cameras.iter().position(|camera| camera.name == source.name) {
            Some(at) if cameras[at].has(source.codec.kind()) => {
                return Err(format!("there are two cameras of the name {}", source.name));
            }
            Some(at) => at,
            None => {
                cameras.push(Camera::listen(source.name.clone()));
                cameras.len() - 1
            }
        };
        cameras[at]
            .add_source(source, epoch)
            .map_err(|error| format!("cannot receive {} on {}: {error}", source.name, source.address))?;
    }
    Ok(cameras.into_iter().map(Arc::new).collect())
}
