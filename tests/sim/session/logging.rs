//! What a log gives away.

use std::io;
use std::sync::Mutex;

use kaon_rtc::layer::FiveTuple;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The log of a connection from its begin to its end, and the passwords that it had.
fn log(level: tracing::Level) -> (String, Vec<String>) {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(captured.clone())
        .finish();
    let passwords = tracing::subscriber::with_default(subscriber, || {
        let mut peers = Peers::new(13, Link { loss: 0.05, ..link() });
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        peers.connect();
        assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(1, "chat").is_some()));
        let now = peers.simulation.now();
        let stranger = FiveTuple::udp("10.0.0.1:5000".parse().unwrap(), "10.0.0.77:5000".parse().unwrap());
        let _ = peers.session(0).handle_datagram(now, Datagram::new(stranger, &mut [255, 1, 2]));
        let passwords = [0, 1].map(|side| {
            let text = peers.session(side).local_description().unwrap().text();
            text.lines().find_map(|line| line.strip_prefix("a=ice-pwd:")).unwrap().to_owned()
        });
        peers.session(0).close(now);
        peers.run_until(Duration::from_secs(1), |_| false);
        passwords.to_vec()
    });
    let bytes = captured.0.lock().unwrap().clone();
    (String::from_utf8(bytes).unwrap(), passwords)
}

/// In a process of its own: what tests beside it find out, that nobody listens, `tracing` remembers for all threads.
#[test]
fn addresses_are_logged_at_trace_only_and_passwords_never() {
    const NAME: &str = "session::logging::addresses_are_logged_at_trace_only_and_passwords_never";
    const ALONE: &str = "KAON_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", NAME]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let (debug, passwords) = log(tracing::Level::DEBUG);
    assert!(debug.contains("DTLS is connected") && debug.contains("selected candidate pair"), "{debug}");
    assert!(!debug.contains("10.0.0."), "{debug}");
    let (trace, more_passwords) = log(tracing::Level::TRACE);
    assert!(trace.contains("10.0.0.77"), "{trace}");
    for password in passwords.iter().chain(&more_passwords) {
        assert!(!debug.contains(password) && !trace.contains(password));
    }
}
