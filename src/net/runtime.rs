//! The tokio runtime that sockets belong to.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::runtime::Handle;

/// Makes something of tokio's that needs input and output, or time, of the runtime; `None` where there is no
/// runtime, or one without.
///
/// tokio has no way to ask a runtime what is enabled on it, and panics instead. A program that is built to abort on
/// panics aborts.
pub(crate) fn on_runtime<T>(make: impl FnOnce() -> T) -> Option<T> {
    Handle::try_current().ok()?;
    catch_unwind(AssertUnwindSafe(make)).ok()
}

/// As [`on_runtime`], for those whose errors are of input and output.
pub(super) fn io_on_runtime<T>(make: impl FnOnce() -> T) -> io::Result<T> {
    on_runtime(make).ok_or_else(|| {
        io::Error::other("no tokio runtime with input, output and time; build one with enable_all()")
    })
}

/// Whether a listener has said what became of one connection before it was taken, such as that its other side has reset it:
/// the next one may be there already.
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
    )
}

/// Says whether there is a runtime with time enabled.
pub(crate) fn check_time() -> io::Result<()> {
    io_on_runtime(|| drop(tokio::time::sleep(Duration::ZERO)))
}
