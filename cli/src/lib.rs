//! What `dpip` and `ipvsadm-rs` share: options, connection to the daemon, exit statuses, output.
//!
//! A command line tool is `fn main() -> ExitCode { cli::run("name", the_future) }`. Whatever goes
//! wrong is a [`CliError`], a message with an exit status, which [`run`] prints. Its options are an
//! [`OptionTable`]. Nothing here panics, whatever the arguments are and whichever file descriptors
//! are closed.
#![forbid(unsafe_code)]

mod api_words;
mod connect;
mod convert;
mod done;
mod error;
mod nearest;
mod options;
mod print;
mod sentence;

use std::io::Write;
use std::process::ExitCode;

pub use api_words::API_WORDS;
pub use connect::{DEFAULT_SOCKET, MAX_ANSWER_BYTES, SOCKET_VARIABLE, connect, socket_path};
pub use convert::{
    PrefixError, host_prefix_len, ip, ip_message, ip_or_zero, mac, parse_addr, parse_prefix,
};
pub use done::done;
pub use error::CliError;
pub use nearest::{did_you_mean, nearest};
pub use options::{HELP_WIDTH, Item, Opt, OptionError, OptionTable, Takes};
pub use print::{print, print_json, print_json_line};

/// The arguments of this process.
///
/// # Errors
/// If one of them is not UTF-8. All names and numbers here are.
pub fn arguments() -> Result<Vec<String>, CliError> {
    let text = |arg: std::ffi::OsString| {
        arg.into_string()
            .map_err(|arg| CliError::usage(format!("invalid argument {arg:?}: it is not UTF-8")))
    };
    std::env::args_os().skip(1).map(text).collect()
}

/// Runs a program's main function on a new runtime and turns its result into an exit status.
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
                // If standard error is closed, the exit status alone has to do.
                let _ = writeln!(std::io::stderr(), "{program}: {error}");
            }
            ExitCode::from(error.status)
        }
    }
}
