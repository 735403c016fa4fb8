//! What the system says of processes, and where it lets them run.

use std::process::Command;
use std::time::Duration;

/// Has a process, 0 for this one, run on one core alone.
pub fn pin(id: libc::pid_t, core: usize) {
    // SAFETY: a set of processors is a plain array of bits, all of which may be zero.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid set, and the core is checked against its size by the macro's bounds.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is valid for the duration of the call. A machine with one core refuses, which changes nothing.
    let _ = unsafe { libc::sched_setaffinity(id, size_of::<libc::cpu_set_t>(), &set) };
}

/// Has a program run on one core with all of its threads.
pub fn pinned(program: &str, core: usize) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), program]);
    command
}

/// Lets this process and those that it starts have as many files as the system allows.
pub fn raise_limit_of_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the limits for the duration of both calls.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

/// The CPU time of a process so far, all threads together.
pub fn cpu_time(id: u32) -> Duration {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for a clock identifier for the duration of the call.
    let status = unsafe { libc::clock_getcpuclockid(id as libc::pid_t, &mut clock) };
    assert_eq!(status, 0, "a process that runs has a CPU clock");
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for a timespec for the duration of the call.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The memory of a process that is resident, in bytes.
pub fn resident(id: u32) -> u64 {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
}
