//! DTLS with the commands of OpenSSL and of GnuTLS, in both roles, with and without loss.
//!
//! A peer that is not installed is skipped visibly; under `KAON_INTEROP=required` it is a failure.

mod dtls_peer;

use std::sync::Arc;

use dtls_peer::{Certificate, Driver, Process, free_port, installed};
use kaon_rtc::crypto::NamedGroup;
use kaon_rtc::crypto::aws_lc_rs::provider;
use kaon_rtc::dtls::{
    CipherSuite, ClientAuthentication, Config, Connection, DtlsError, DtlsEvent, DtlsTransport, Identity,
    PeerVerification, SrtpProfile,
};

const LABEL: &str = "EXPORTER-interop";

fn config() -> Config {
    let provider = provider();
    Config::new(provider.clone(), Identity::generate(&provider).unwrap())
}

fn client(config: Config, peer: &Certificate, port: u16, loss: f64) -> Driver {
    let verification = PeerVerification::Fingerprints(vec![peer.fingerprint.clone()]);
    Driver::new(Connection::client(Arc::new(config), verification).unwrap(), Some(port), loss)
}

fn server(config: Config, verification: PeerVerification, loss: f64) -> Driver {
    Driver::new(Connection::server(Arc::new(config), verification).unwrap(), None, loss)
}

fn fingerprint(peer: &Certificate) -> PeerVerification {
    PeerVerification::Fingerprints(vec![peer.fingerprint.clone()])
}

/// `openssl s_server`, which requires a certificate.
fn s_server(own: &Certificate, more: &[&str]) -> (Process, u16) {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut arguments = vec!["s_server", "-dtls1_2", "-accept", &address, "-Verify", "1"];
    arguments.extend(["-cert", &own.certificate, "-key", &own.key]);
    arguments.extend(["-keymatexport", LABEL, "-keymatexportlen", "32"]);
    arguments.extend(more);
    let process = Process::start("openssl", &arguments);
    process.wait_for("ACCEPT");
    (process, port)
}

fn s_client(own: Option<&Certificate>, port: u16, more: &[&str]) -> Process {
    let address = format!("127.0.0.1:{port}");
    let mut arguments = vec!["s_client", "-dtls1_2", "-connect", &address];
    if let Some(own) = own {
        arguments.extend(["-cert", &own.certificate, "-key", &own.key]);
    }
    arguments.extend(["-keymatexport", LABEL, "-keymatexportlen", "32"]);
    arguments.extend(more);
    Process::start("openssl", &arguments)
}

const SUITES: [(CipherSuite, &str); 3] = [
    (CipherSuite::EcdheEcdsaAes128GcmSha256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (CipherSuite::EcdheEcdsaAes256GcmSha384, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (CipherSuite::EcdheEcdsaChaCha20Poly1305Sha256, "ECDHE-ECDSA-CHACHA20-POLY1305"),
];

const GROUPS: [(NamedGroup, &str); 3] =
    [(NamedGroup::X25519, "X25519"), (NamedGroup::Secp256r1, "P-256"), (NamedGroup::Secp384r1, "P-384")];

const SRTP: [(SrtpProfile, &str); 3] = [
    (SrtpProfile::AeadAes128Gcm, "SRTP_AEAD_AES_128_GCM"),
    (SrtpProfile::AeadAes256Gcm, "SRTP_AEAD_AES_256_GCM"),
    (SrtpProfile::Aes128CmHmacSha1_80, "SRTP_AES128_CM_SHA1_80"),
];

#[test]
fn openssl_server_every_suite_and_group() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    for ((suite, cipher), (group, name), (profile, srtp)) in every_suite_and_group() {
        let groups = with_p256(name);
        let more = ["-cipher", cipher, "-groups", &groups, "-use_srtp", srtp];
        let (mut process, port) = s_server(&peer, &more);
        let mut config = config();
        config.groups = vec![group, NamedGroup::Secp256r1];
        let mut driver = client(config, &peer, port, 0.0);
        driver.talk(&mut process, LABEL);
        assert_eq!(driver.connection.cipher_suite(), Some(suite));
        assert_eq!(driver.connection.srtp_profile(), Some(profile));
        assert!(process.output().contains(&format!("SRTP Extension negotiated, profile={srtp}")));
    }
}

#[test]
fn openssl_client_every_suite_and_group() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    for ((suite, cipher), (group, name), (profile, srtp)) in every_suite_and_group() {
        let mut config = config();
        config.groups = vec![group];
        let mut driver = server(config, fingerprint(&peer), 0.0);
        let groups = with_p256(name);
        let more = ["-cipher", cipher, "-groups", &groups, "-use_srtp", srtp];
        let mut process = s_client(Some(&peer), driver.port(), &more);
        driver.talk(&mut process, LABEL);
        assert_eq!(driver.connection.cipher_suite(), Some(suite));
        assert_eq!(driver.connection.srtp_profile(), Some(profile));
        assert!(process.output().contains(&format!("SRTP Extension negotiated, profile={srtp}")));
    }
}

/// The group, and that of the certificates: to OpenSSL the list says which keys a peer may have, too.
fn with_p256(group: &str) -> String {
    if group == "P-256" { group.to_owned() } else { format!("{group}:P-256") }
}

type Choice<T> = (T, &'static str);

fn every_suite_and_group() -> Vec<(Choice<CipherSuite>, Choice<NamedGroup>, Choice<SrtpProfile>)> {
    let mut choices = Vec::new();
    for (i, suite) in SUITES.into_iter().enumerate() {
        for (j, group) in GROUPS.into_iter().enumerate() {
            choices.push((suite, group, SRTP[(i + j) % 3]));
        }
    }
    choices
}

#[test]
fn openssl_loses_a_fifth_of_the_datagrams() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    let (mut process, port) = s_server(&peer, &[]);
    client(config(), &peer, port, 0.2).talk(&mut process, LABEL);

    let mut driver = server(config(), fingerprint(&peer), 0.2);
    let mut process = s_client(Some(&peer), driver.port(), &[]);
    driver.talk(&mut process, LABEL);
}

#[test]
fn openssl_and_small_datagrams() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("secp384r1");
    // OpenSSL takes its -mtu with the headers of IP and UDP.
    let (mut process, port) = s_server(&peer, &["-mtu", "284"]);
    client(config(), &peer, port, 0.0).with_max_datagram(200).talk(&mut process, LABEL);

    let mut driver = server(config(), fingerprint(&peer), 0.0).with_max_datagram(200);
    let mut process = s_client(Some(&peer), driver.port(), &["-mtu", "284"]);
    driver.talk(&mut process, LABEL);
}

#[test]
fn openssl_asks_for_a_cookie() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    for loss in [0.0, 0.2] {
        let (mut process, port) = s_server(&peer, &["-listen"]);
        client(config(), &peer, port, loss).talk(&mut process, LABEL);
    }
}

#[test]
fn openssl_is_asked_for_a_cookie() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    let mut config = config();
    config.cookie_exchange = true;
    let mut driver = server(config, fingerprint(&peer), 0.0);
    let mut process = s_client(Some(&peer), driver.port(), &[]);
    driver.talk(&mut process, LABEL);
}

#[test]
fn openssl_with_an_rsa_certificate() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("rsa");
    // Its server needs the RSA suites; its client signs CertificateVerify by RSA under an ECDSA suite.
    let (mut process, port) = s_server(&peer, &[]);
    let mut driver = client(config(), &peer, port, 0.0);
    driver.talk(&mut process, LABEL);

    let mut driver = server(config(), fingerprint(&peer), 0.0);
    let mut process = s_client(Some(&peer), driver.port(), &[]);
    driver.talk(&mut process, LABEL);
}

#[test]
fn openssl_without_a_certificate() {
    if !installed("openssl") {
        return;
    }
    for authentication in [ClientAuthentication::None, ClientAuthentication::Requested] {
        let mut config = config();
        config.client_authentication = authentication;
        let mut driver = server(config, PeerVerification::AcceptAny, 0.0);
        let mut process = s_client(None, driver.port(), &[]);
        driver.talk(&mut process, LABEL);
        assert_eq!(driver.connection.peer_certificate(), None);
    }
    let mut driver = server(config(), PeerVerification::AcceptAny, 0.0);
    let mut process = s_client(None, driver.port(), &[]);
    driver.event(&mut process, |event| matches!(event, DtlsEvent::Failed(DtlsError::Handshake { .. })));
}

#[test]
fn openssl_is_told_of_a_wrong_fingerprint() {
    if !installed("openssl") {
        return;
    }
    let (peer, other) = (Certificate::generate("prime256v1"), Certificate::generate("prime256v1"));
    let (mut process, port) = s_server(&peer, &[]);
    let mut driver = client(config(), &other, port, 0.0);
    driver.event(&mut process, |event| {
        matches!(event, DtlsEvent::Failed(DtlsError::WrongFingerprint { expected, actual })
            if *expected == other.fingerprint.to_string() && *actual == peer.fingerprint.to_string())
    });
    process.wait_for("alert bad certificate");
}

#[test]
fn openssl_closes_and_is_closed() {
    if !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    let mut driver = server(config(), fingerprint(&peer), 0.0);
    let mut process = s_client(Some(&peer), driver.port(), &[]);
    driver.talk(&mut process, LABEL);
    process.say("Q");
    driver.event(&mut process, |event| *event == DtlsEvent::Closed);

    let (mut process, port) = s_server(&peer, &[]);
    let mut driver = client(config(), &peer, port, 0.0);
    driver.talk(&mut process, LABEL);
    driver.connection.close(std::time::Instant::now());
    driver.until(&mut process, |_, peer| peer.output().contains("DONE"));
}

#[test]
fn gnutls_server() {
    if !installed("gnutls-serv") || !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    for (loss, priority) in [(0.0, "NORMAL"), (0.0, "NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305"), (0.2, "NORMAL")]
    {
        // It prints no exported keying material over UDP; the client does.
        let port = free_port().to_string();
        let mut process = Process::start(
            "gnutls-serv",
            &[
                "--udp",
                "--echo",
                "--require-client-cert",
                "--port",
                &port,
                "--priority",
                priority,
                "--x509certfile",
                &peer.certificate,
                "--x509keyfile",
                &peer.key,
                "--srtp-profiles",
                "SRTP_AES128_CM_HMAC_SHA1_80",
            ],
        );
        process.wait_for("listening on IPv4");
        let mut driver = client(config(), &peer, port.parse().unwrap(), loss);
        driver.echo(&mut process);
        assert_eq!(driver.connection.srtp_profile(), Some(SrtpProfile::Aes128CmHmacSha1_80));
    }
}

#[test]
fn gnutls_client() {
    if !installed("gnutls-cli") || !installed("openssl") {
        return;
    }
    let peer = Certificate::generate("prime256v1");
    for (loss, priority) in [(0.0, "NORMAL"), (0.0, "NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305"), (0.2, "NORMAL")]
    {
        let mut driver = server(config(), fingerprint(&peer), loss);
        let port = driver.port().to_string();
        let mut process = Process::start(
            "gnutls-cli",
            &[
                "--udp",
                "--insecure",
                "--port",
                &port,
                "127.0.0.1",
                "--priority",
                priority,
                "--x509certfile",
                &peer.certificate,
                "--x509keyfile",
                &peer.key,
                "--keymatexport",
                LABEL,
                "--keymatexportsize",
                "32",
                "--srtp-profiles",
                "SRTP_AES128_CM_HMAC_SHA1_80",
            ],
        );
        driver.talk(&mut process, LABEL);
        assert_eq!(driver.connection.srtp_profile(), Some(SrtpProfile::Aes128CmHmacSha1_80));
    }
}

/// The command lines in the documentation of `examples/dtls_only.rs`.
#[test]
fn the_example_talks_to_openssl() {
    if !installed("openssl") {
        return;
    }
    let example = ["--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")];
    let example =
        [&example[..], &["--no-default-features", "--features", "dtls,net,aws-lc-rs", "--example"]].concat();
    let build =
        std::process::Command::new(env!("CARGO")).arg("build").args(&example).arg("dtls_only").status();
    assert!(build.unwrap().success());
    let run = |arguments: &[&str]| {
        let arguments = [&["run"], &example[..], &["dtls_only", "--"], arguments].concat();
        Process::start(env!("CARGO"), &arguments)
    };
    let peer = Certificate::generate("prime256v1");

    let (mut theirs, port) = s_server(&peer, &[]);
    let mut ours = run(&["client", &format!("127.0.0.1:{port}"), &peer.fingerprint.to_string()]);
    ours.wait_for("connected, SRTP profile");
    hear_each_other(&mut ours, &mut theirs);

    let port = free_port();
    let mut ours = run(&["server", &format!("127.0.0.1:{port}"), &peer.fingerprint.to_string()]);
    ours.wait_for("a=fingerprint:sha-256 ");
    std::thread::sleep(std::time::Duration::from_millis(200));
    let mut theirs = s_client(Some(&peer), port, &[]);
    ours.wait_for("connected, SRTP profile");
    hear_each_other(&mut ours, &mut theirs);

    // A client with another certificate is not let in.
    let stranger = Certificate::generate("prime256v1");
    let _theirs = s_client(Some(&stranger), port, &[]);
    ours.wait_for(&format!("WrongFingerprint {{ expected: \"{}\"", peer.fingerprint));
}

fn hear_each_other(ours: &mut Process, theirs: &mut Process) {
    ours.say("hello from the example");
    theirs.wait_for("hello from the example");
    theirs.say("hello from openssl");
    ours.wait_for("hello from openssl");
}
