use std::time::Duration;

/// Runs a test on a runtime of its own. The limit is for tests that would wait for ever.
pub(super) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test does not end")
    })
}
