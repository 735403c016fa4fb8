use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Another program, that reads and writes lines. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    process: Child,
    input: Option<ChildStdin>,
    /// What it writes.
    pub lines: Receiver<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    /// Starts it with pipes to its standard input and output.
    pub fn start(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { input: process.stdin.take(), process, lines }
    }

    /// Its process identifier.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes a line to its standard input.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that it writes within `limit`.
    pub fn next_line(&self, limit: Duration) -> String {
        self.lines.recv_timeout(limit).expect("the program says something")
    }

    /// Closes its standard input and waits for it to end by itself. `None` if it has not within `limit`.
    pub fn finish(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.input = None;
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}
