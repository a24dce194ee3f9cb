//! What the tests of `dpip` and `ipvsadm-rs` share. Nothing that ships depends on it.
//!
//! [`FakeDaemon`] is a daemon without a dataplane: a gRPC server on a unix socket of its own. The
//! test says which services it has; they keep what they are told and give it back. The program
//! under test runs as a process of its own, as a user would run it.
//!
//! This is a crate beside `testkit` because it needs tonic, and the tests of the packet path do
//! not.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic"
)]

mod refusal;

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

pub use refusal::{Piece, refusal};

use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::Router;

/// A running daemon and the program that is tested against it.
#[derive(Debug)]
pub struct FakeDaemon<State> {
    /// What the daemon knows. The test may look at it and change it at any time.
    pub state: Arc<Mutex<State>>,
    /// A folder for this test alone. It is removed with the daemon.
    pub folder: tempfile::TempDir,
    program: &'static str,
    socket: PathBuf,
}

impl<State: Default> FakeDaemon<State> {
    /// Starts a daemon with the services that `services` makes.
    ///
    /// `program` is the path of the program under test: `env!("CARGO_BIN_EXE_dpip")`.
    ///
    /// # Panics
    /// If the socket cannot be made.
    pub fn start(
        program: &'static str,
        services: impl FnOnce(Arc<Mutex<State>>) -> Router,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("dpvsd.sock");
        // The socket is bound before anyone connects, so there is nothing to wait for.
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let router = services(Arc::clone(&state));
        std::thread::spawn(move || serve(listener, router));
        Self {
            state,
            folder,
            program,
            socket,
        }
    }
}

impl<State> FakeDaemon<State> {
    /// The program with a command line and this daemon's socket in its environment.
    pub fn command(&self, line: &str) -> Command {
        let mut command = command(self.program, line);
        command.env("DPVS_SOCKET", &self.socket);
        command
    }

    /// What the program prints for a command line that succeeds.
    ///
    /// # Panics
    /// If the program fails or complains.
    pub fn run(&self, line: &str) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(line).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success() && stderr.is_empty(), "{line}: {stderr}");
        String::from_utf8(stdout).unwrap()
    }

    /// Exit status and message of a command line that is refused.
    ///
    /// # Panics
    /// If the program cannot be run.
    pub fn refused(&self, line: &str) -> (i32, String) {
        status_and_message(&self.command(line).output().unwrap())
    }

    /// Exit status and message of a command line that reads `input` from standard input.
    ///
    /// # Panics
    /// If the program cannot be run, or does not read its input.
    pub fn feed(&self, line: &str, input: &str) -> (i32, String) {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        status_and_message(&child.wait_with_output().unwrap())
    }
}

/// A program with a command line and without a daemon.
pub fn command(program: &str, line: &str) -> Command {
    let mut command = Command::new(program);
    command.args(line.split_whitespace());
    command.env_remove("DPVS_SOCKET");
    command
}

fn status_and_message(output: &Output) -> (i32, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

fn serve(listener: UnixListener, router: Router) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        router
            .serve_with_incoming(UnixListenerStream::new(listener))
            .await
            .unwrap();
    });
}
