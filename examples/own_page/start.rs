//! How an example with a page begins, and how it says that it cannot.

use std::process::ExitCode;

use axum::Router;
use clap::Parser;

use super::address::{Listen, announce};
use super::serve;

/// Where a page is found.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Place {
    /// Where the page is served; 0.0.0.0 and a port for other machines too.
    #[arg(long, value_name = "HOST:PORT", default_value = crate::LISTEN)]
    listen: Listen,

    /// Another name that the page may be asked for by, as when a proxy stands before it. May be given several times.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

impl Place {
    /// Serves a page here, and says `what` it is and where; `captures`: it wants a camera.
    pub(crate) async fn serve(self, what: &str, captures: bool, router: Router) -> Result<(), String> {
        let listener = self.listen.bind().await?;
        announce(what, listener.local_addr().map_err(|error| error.to_string())?, captures);
        let names: Vec<_> = self.hosts.into_iter().chain(self.listen.name().map(str::to_owned)).collect();
        serve(listener, &names, router).await.map_err(|error| error.to_string())
    }
}

/// The options given, or one line that says what is wrong with them. Asked for help, it prints that and ends.
pub(crate) fn options<O: Parser>() -> Result<O, String> {
    O::try_parse().map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        format!("{} (--help lists the options)", line.trim_start_matches("error: "))
    })
}

/// What the program ends with: 2, and one line that says why, if it could not do what it was told.
pub(crate) fn exit_code(result: Result<(), String>) -> ExitCode {
    let Err(line) = result else { return ExitCode::SUCCESS };
    eprintln!("{}: {line}", env!("CARGO_PKG_NAME"));
    ExitCode::from(2)
}
