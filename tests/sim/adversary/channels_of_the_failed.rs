use super::*;

/// DTLS has failed, which nothing can help: whoever waits on a data channel is told.
#[tokio::test]
async fn no_future_of_a_channel_waits_for_a_connection_that_has_failed() {
    let (alice, bob) = (connection().await, connection().await);
    let chat = alice.create_data_channel("chat").unwrap();
    // The fingerprint of another certificate.
    negotiate(&alice, &bob, |answer| {
        let at = answer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let changed = if &answer[at..at + 2] == "00" { "11" } else { "00" };
        format!("{}{changed}{}", &answer[..at], &answer[at + 2..])
    })
    .await;
    assert!(timeout(LONG, alice.connected()).await.unwrap().is_err());
    let short = Duration::from_secs(3);
    let opened = timeout(short, chat.opened()).await;
    let sent = timeout(short, chat.send_text("hello")).await;
    let closed = timeout(short, chat.closed()).await;
    let received = timeout(short, chat.recv()).await;
    println!("opened {opened:?}, sent {sent:?}, closed {closed:?}, received {received:?}");
    assert!(opened.is_ok_and(|opened| opened.is_err()), "opened() never resolves");
    assert!(sent.is_ok_and(|sent| sent.is_err()), "send() never resolves");
    assert!(closed.is_ok(), "closed() never resolves");
    assert!(received.is_ok_and(|received| received.is_none()), "recv() never resolves");
}
