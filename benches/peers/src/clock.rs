//! CPU clocks of processes.

use std::time::Duration;

/// The clock of the CPU time of another process, all its threads together.
pub fn of_process(id: u32) -> libc::clockid_t {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for a clock identifier for the duration of the call.
    let status = unsafe { libc::clock_getcpuclockid(id as libc::pid_t, &mut clock) };
    assert_eq!(status, 0, "a process that was not waited for has a CPU clock");
    clock
}

/// What a clock shows.
pub fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for a timespec for the duration of the call.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(status, 0, "the system has a CPU clock for processes");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
