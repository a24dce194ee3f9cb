//! What `dpip` and `ipvsadm-rs` share: their arguments, the way to the daemon, exit statuses, output.
//!
//! A command line tool is `fn main() -> ExitCode { cli::run("name", the_future) }`; whatever goes wrong is a
//! [`CliError`], a sentence with an exit status, which [`run`] prints. Nothing here panics, on any argument, with
//! any file descriptor closed.
#![forbid(unsafe_code)]

mod connect;
mod convert;
mod error;
mod nearest;
mod print;

use std::io::Write;
use std::process::ExitCode;

pub use connect::{DEFAULT_SOCKET, MAX_ANSWER_BYTES, SOCKET_VARIABLE, connect, socket_path};
pub use convert::{host_prefix_len, ip, ip_message, ip_or_zero, mac};
pub use error::CliError;
pub use nearest::{did_you_mean, nearest};
pub use print::{print, print_json, print_json_line};

/// The arguments of this process.
///
/// # Errors
/// If one of them is not UTF-8: no name or number here is anything else.
pub fn arguments() -> Result<Vec<String>, CliError> {
    let text = |arg: std::ffi::OsString| {
        arg.into_string()
            .map_err(|arg| CliError::usage(format!("argument {arg:?} is not UTF-8")))
    };
    std::env::args_os().skip(1).map(text).collect()
}

/// Runs a program's main function on a runtime of its own and turns its result into an exit status.
pub fn run(program: &str, main: impl Future<Output = Result<(), CliError>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(main),
        Err(error) => Err(CliError::failed(format!("cannot start: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.text.is_empty() {
                // With standard error closed the exit status is all that is left to say it.
                let _ = writeln!(std::io::stderr(), "{program}: {error}");
            }
            ExitCode::from(error.status)
        }
    }
}
