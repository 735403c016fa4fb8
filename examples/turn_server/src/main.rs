//! A TURN relay; see the README beside this package.

mod metrics;
mod options;
mod users;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use kaon_rtc::net::TurnServer;
use kaon_rtc::turn::server::Event;
use tokio::net::TcpListener;

use options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("turn_server: {line}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), String> {
    let options = options()?;
    tracing_subscriber::fmt().with_max_level(options.log).with_target(false).init();
    let mut builder = TurnServer::builder(options.config()?).on_event(log);
    for address in options.addresses() {
        builder = builder.udp(address).tcp(address);
    }
    if let Some(identity) = options.identity()? {
        for address in options.tls_addresses() {
            builder = builder.tls(address, identity.clone());
        }
    }
    for (address, config) in options.dtls()? {
        builder = builder.dtls(address, config);
    }
    let server = Arc::new(builder.bind().map_err(|error| error.to_string())?);
    if let Some(address) = options.metrics {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| format!("cannot serve metrics on {address}: {error}"))?;
        tokio::spawn(metrics::serve(listener, server.clone()));
    }
    for address in server.udp_addrs() {
        println!("TURN relay on {address}, UDP and TCP");
    }
    for address in server.tls_addrs() {
        println!("TURN relay on {address}, TLS");
    }
    for address in server.dtls_addrs() {
        println!("TURN relay on {address}, DTLS");
    }
    until_told(&options, &server).await;
    server.drain(Duration::from_secs(options.drain)).await;
    Ok(())
}

/// The options given, or one line that says what is wrong with them. Asked for help, it prints that and ends.
fn options() -> Result<Options, String> {
    Options::try_parse().map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        let text = error.to_string();
        let line =
            text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
        format!("{} (--help lists the options)", line.trim_start_matches("error: "))
    })
}

/// Names and numbers; addresses are of nobody's concern unless everything is to be told.
fn log(event: &Event) {
    match event {
        Event::Allocated { user, client, relayed } => {
            tracing::info!(%user, protocol = ?client.protocol, "allocation granted");
            tracing::trace!(%user, client = %client.remote, ?relayed, "allocation granted");
        }
        Event::Released { user, reason, age, traffic, .. } => {
            let (age, bytes_out, bytes_in) = (age.as_secs(), traffic.bytes_out, traffic.bytes_in);
            tracing::info!(%user, ?reason, age, bytes_out, bytes_in, "allocation ended");
        }
        Event::Refused { user, limit } => tracing::warn!(%user, ?limit, "refused: a limit is reached"),
        _ => {}
    }
}

/// Reads the users and the certificates again.
fn reload(options: &Options, server: &TurnServer) {
    match options.credentials() {
        Ok(credentials) => server.set_credentials(credentials),
        Err(line) => tracing::error!("the users stay as they were: {line}"),
    }
    match options.identity() {
        Ok(None) => {}
        Ok(Some(identity)) => {
            if let Err(error) = server.set_tls_identity(identity) {
                tracing::error!("the certificates stay as they were: {error}");
            }
        }
        Err(line) => tracing::error!("the certificates stay as they were: {line}"),
    }
}

/// Serves until it is interrupted. A hang-up has files read again.
async fn until_told(options: &Options, server: &TurnServer) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = (signal(SignalKind::hangup()), signal(SignalKind::terminate()));
        if let (Ok(mut hangup), Ok(mut terminate)) = signals {
            loop {
                tokio::select! {
                    _ = hangup.recv() => reload(options, server),
                    _ = terminate.recv() => return,
                    _ = tokio::signal::ctrl_c() => return,
                }
            }
        }
    }
    let _ = (options, server, tokio::signal::ctrl_c().await);
}
