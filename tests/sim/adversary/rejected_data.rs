use super::*;

/// The answer rejects the section of data channels: their futures do not wait for ever.
#[tokio::test]
async fn channels_of_a_rejected_section_are_closed() {
    let (alice, bob) = (connection().await, connection().await);
    let _track = alice.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    let chat = alice.create_data_channel("chat").unwrap();
    negotiate(&alice, &bob, |answer| {
        let at = answer.find("m=application ").unwrap() + "m=application ".len();
        let end = at + answer[at..].find(' ').unwrap();
        let answer = format!("{}0{}", &answer[..at], &answer[end..]);
        let mid = answer[at..].split("a=mid:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        let group = answer.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap().to_owned();
        let rest: Vec<_> = group.split(' ').filter(|part| *part != mid).collect();
        answer.replace(&group, &rest.join(" "))
    })
    .await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    let opened = timeout(Duration::from_secs(3), chat.opened()).await;
    assert!(opened.is_ok_and(|opened| opened.is_err()), "opened() never resolves");
}
